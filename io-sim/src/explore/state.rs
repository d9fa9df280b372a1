//! One state: the machine, its host, what is between them, and what the oracle knows.

use super::moves::Move;
use super::scope::{Budget, WORKERS};
use crate::action::{Action, Target};
use crate::canon::{Canon, Digest, EPOCH, Memo, Names};
use crate::client::Asked;
use crate::journal::Journal;
use crate::ledger::{Ended, Key, Ledger, View};
use crate::oracle::domains::{Domains, Event, What};
use crate::oracle::records::Shelf;
use crate::oracle::rest::{self, Picture};
use crate::oracle::{Checked, Violation, state, storage};
use crate::shared::Shared;
use crate::swarm::Swarm;
use crate::trace::{self, Trace};
use crate::world::{Choices, World};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use xenops_core::host::{Canonical, Entry, Fault, Outcome, Reply, Request, Token};
use xenops_core::interface::task::State as TaskState;
use xenops_core::interface::{Answer, Call, Error};
use xenops_core::machine::effect::straggler_token;
use xenops_core::machine::{
    CallId, ClientId, Config, Effect, EffectId, Effects, Flights, Input, Landing, Machine, TaskId,
};

const CLIENT: ClientId = ClientId(1);

/// A request that the host has not begun.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its number.
    pub effect: EffectId,
    /// What is asked.
    pub request: Request,
    /// The machine would have it back.
    pub aborted: bool,
}

/// What a call was for.
#[derive(Clone, Debug)]
enum Who {
    /// It asks for an operation.
    Op(Asked),
    /// It asks how a task stands.
    Stat(TaskId),
    /// Its answer tells nothing.
    Nobody,
}

/// The state.
#[derive(Clone)]
pub struct State {
    pub(super) swarm: Arc<Swarm>,
    pub(super) machine: Machine,
    pub(super) world: World,
    pub(super) journal: Shared<Journal>,
    flights: Flights,
    /// Asked of the host and not begun, in order.
    pub(super) asked: Vec<Waiting>,
    /// Ended, and the machine does not know it.
    pub(super) answered: Vec<(EffectId, Outcome)>,
    /// Notices that the machine has not been given.
    pub(super) notices: Vec<Token>,
    /// Operations that have not ended, and whose.
    pub(super) pending: Vec<(Key, usize)>,
    /// What the client asks next of each VM when what it asked before has ended.
    pub(super) wants: Vec<Vec<Action>>,
    /// What may still go wrong.
    pub(super) left: Budget,
    calls: BTreeMap<CallId, Who>,
    next_call: u64,
    life: u8,
    ledger: Shared<Ledger>,
    shelf: Shared<Shelf>,
    domains: Shared<Domains>,
    events: Vec<Event>,
    records: Shared<BTreeMap<String, Digest>>,
    names: Shared<Names>,
    first: Arc<Picture>,
    /// Steps from the beginning.
    pub(super) steps: u32,
    /// What happened, where that is wanted.
    pub trace: Trace,
}

impl State {
    /// A daemon that has just started on an empty host.
    pub fn new(swarm: Arc<Swarm>) -> Result<State, Violation> {
        let mut world = World::new(swarm.host.clone(), Choices::nothing());
        world.run_until(EPOCH);
        let vms = swarm.shapes.len();
        let names = swarm.shapes.iter().enumerate().flat_map(|(n, shape)| shape.ids.map(|id| (id, n)));
        let domains = Domains::new(names.collect(), None);
        let mut effects = Effects::new();
        let machine = Machine::open(config(&swarm, &world, 0), world.now(), Vec::new(), &mut effects);
        let first = Arc::new(rest::picture(&world));
        let mut state = State {
            machine,
            world,
            journal: Shared::default(),
            flights: Flights::default(),
            asked: Vec::new(),
            answered: Vec::new(),
            notices: Vec::new(),
            pending: Vec::new(),
            wants: vec![Vec::new(); vms],
            left: Budget::default(),
            calls: BTreeMap::new(),
            next_call: 0,
            life: 0,
            ledger: Shared::new(Ledger::new(vms)),
            shelf: Shared::default(),
            domains: Shared::new(domains),
            events: Vec::new(),
            records: Shared::default(),
            names: Shared::default(),
            first,
            steps: 0,
            trace: Trace::default(),
            swarm,
        };
        state.carry_out(effects)?;
        Ok(state)
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        let (mono, step) = (self.world.now().mono - EPOCH.min(self.world.now().mono), u64::from(self.steps));
        self.trace.line(mono, step, text);
    }

    fn view(&self) -> View<'_> {
        View { world: &self.world, shelf: &self.shelf, swarm: &self.swarm }
    }

    /// The client asks for the next thing of every VM of which it waits for nothing.
    pub fn clients_ask(&mut self) -> Checked {
        for place in 0..self.wants.len() {
            let waits = self.pending.iter().any(|(_, of)| *of == place);
            if !waits && let Some(action) = self.wants[place].pop() {
                self.ask(place, action)?;
            }
        }
        Ok(())
    }

    /// The client asks for something of a VM.
    fn ask(&mut self, place: usize, action: Action) -> Checked {
        let (id, _) = state::standing(&self.world, &self.shelf, &self.swarm.shapes[place]);
        let swarm = self.swarm.clone();
        let target = Target { shape: &swarm.shapes[place], id, exported: None, task: 0 };
        let call = action.call(&target, &mut Choices::nothing());
        let asked = Asked { action, place, id };
        self.ledger.asking(&asked);
        if action.is_awaited() {
            let intact = self.ledger.intact(place, &self.view());
            let key = Key::Call(self.next_call);
            self.ledger.asked(key, asked.clone(), intact, 0);
            self.pending.push((key, place));
        }
        self.call(Who::Op(asked), call)
    }

    fn call(&mut self, who: Who, call: Call) -> Checked {
        let mut effects = Effects::new();
        self.say(who, call, &mut effects);
        self.carry_out(effects)
    }

    fn say(&mut self, who: Who, call: Call, effects: &mut Effects) {
        let number = CallId(self.next_call);
        self.next_call += 1;
        self.calls.insert(number, who);
        let request = xenops_core::interface::Request { debug_info: "x".into(), call };
        self.handle(Input::Call { call: number, client: CLIENT, request }, effects);
    }

    fn handle(&mut self, input: Input, effects: &mut Effects) {
        self.note(|| trace::input(&input));
        let before = effects.len();
        self.machine.handle(self.world.now(), input, effects);
        for effect in before..effects.len() {
            self.note(|| trace::effect(&effects[effect]));
        }
    }

    fn tell(&mut self, input: Input) -> Checked {
        let mut effects = Effects::new();
        self.handle(input, &mut effects);
        self.carry_out(effects)
    }

    /// Replies are given, and who waits for a task is told of its end, before anything is asked of the host.
    fn carry_out(&mut self, mut effects: Effects) -> Checked {
        self.give_replies(&mut effects)?;
        let has_ended = |key: &Key, machine: &Machine| match key {
            Key::Task(task) => machine.has_ended(TaskId(*task)),
            Key::Call(_) => false,
        };
        while let Some(at) = self.pending.iter().position(|(key, _)| has_ended(key, &self.machine)) {
            let (Key::Task(task), _) = self.pending[at] else { break };
            self.say(Who::Stat(TaskId(task)), Call::TaskStat { id: task.to_string() }, &mut effects);
            self.give_replies(&mut effects)?;
            self.say(Who::Nobody, Call::TaskDestroy { id: task.to_string() }, &mut effects);
            self.give_replies(&mut effects)?;
        }
        for effect in effects {
            match effect {
                Effect::Do { effect, request, deadline } => {
                    if !self.flights.depart(effect, deadline) {
                        return Err(Violation::new("machine", format!("{effect:?} was asked for twice")));
                    }
                    // What only looks on, and what is the daemon's own, is begun at once.
                    if request.is_wait() || request.is_own() {
                        self.world.start(effect, request);
                        self.drain();
                    } else {
                        self.asked.push(Waiting { effect, request, aborted: false });
                    }
                }
                Effect::Abort { effect, deadline } => {
                    self.flights.hasten(effect, deadline);
                    match self.asked.iter_mut().find(|waiting| waiting.effect == effect) {
                        Some(waiting) => waiting.aborted = true,
                        None => self.world.abort(effect),
                    }
                    self.drain();
                }
                Effect::Reply { .. } => {}
            }
        }
        self.look()?;
        self.clients_ask()
    }

    fn give_replies(&mut self, effects: &mut Effects) -> Checked {
        let mut at = 0;
        while at < effects.len() {
            if matches!(effects[at], Effect::Reply { .. }) {
                let Effect::Reply { call, reply } = effects.remove(at) else { continue };
                self.replied(call, reply)?;
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    fn replied(&mut self, call: CallId, reply: Result<Answer, Error>) -> Checked {
        let Some(who) = self.calls.remove(&call) else {
            return Err(Violation::new("calls", format!("call {call} was answered twice, or to nobody")));
        };
        match who {
            Who::Nobody => Ok(()),
            Who::Op(asked) if asked.action.has_task() => {
                let Ok(Answer::TaskId(id)) = reply else { return Ok(()) };
                let key = Key::Task(id.parse().unwrap_or(u64::MAX));
                let intact = self.ledger.intact(asked.place, &self.view());
                self.pending.push((key, asked.place));
                self.ledger.asked(key, asked, intact, 0);
                Ok(())
            }
            Who::Op(_) => {
                let how = match reply {
                    Ok(_) => Ended::Well,
                    Err(Error::Cancelled(_)) => Ended::Cancelled,
                    Err(_) => Ended::Badly,
                };
                self.ended(Key::Call(call.0), how)
            }
            Who::Stat(task) => {
                let Ok(Answer::Task(shown)) = reply else { return self.ended(Key::Task(task.0), Ended::Badly) };
                let how = match (&shown.state, shown.state.error()) {
                    (TaskState::Completed { .. }, _) => Ended::Well,
                    (_, Some(Error::Cancelled(_))) => Ended::Cancelled,
                    _ => Ended::Badly,
                };
                self.ended(Key::Task(task.0), how)
            }
        }
    }

    fn ended(&mut self, key: Key, how: Ended) -> Checked {
        self.note(|| format!("  {key:?} has ended: {how:?}"));
        self.pending.retain(|(pending, _)| *pending != key);
        let view = View { world: &self.world, shelf: &self.shelf, swarm: &self.swarm };
        self.ledger.ended(key, how, &view).map(|_| ())
    }

    /// What the host has to say is taken from it.
    pub(super) fn drain(&mut self) {
        while let Some(answered) = self.world.take_outcome() {
            self.answered.push(answered);
        }
        while let Some(token) = self.world.take_notice() {
            if !self.notices.contains(&token) {
                self.notices.push(token);
            }
        }
    }

    fn discard(&mut self) {
        while self.world.take_outcome().is_some() || self.world.take_notice().is_some() {}
    }

    /// The host does what it was asked; an append is durable.
    pub(super) fn host_does(&mut self, at: usize, fate: crate::world::Fate) -> Checked {
        let Waiting { effect, request, .. } = self.asked.remove(at);
        self.note(|| format!("  host does {effect:?}: {fate:?}"));
        match request {
            Request::Append(entries) => self.append(effect, entries, fate)?,
            request => self.world.start_with(effect, request, fate),
        }
        self.drain();
        self.look()
    }

    fn append(&mut self, effect: EffectId, entries: Vec<Entry>, fate: crate::world::Fate) -> Checked {
        use crate::world::Fate;
        let lost = || Outcome::Unknown(Fault::Lost("the answer".to_owned()));
        let (applied, outcome) = match fate {
            Fate::Refused(fault) => (false, Outcome::Refused(fault)),
            Fate::Unapplied => (false, lost()),
            Fate::Plain => (true, Outcome::Ok(Reply::Unit)),
            _ => (true, lost()),
        };
        self.answered.push((effect, outcome));
        if applied {
            let mono = self.world.now().mono;
            self.journal.push(effect, entries);
            self.journal.end_turn(mono, 0);
            self.journal.synced(mono, 0, false);
            self.read_records()?;
        }
        Ok(())
    }

    fn read_records(&mut self) -> Checked {
        for key in self.journal.take_changed() {
            self.shelf.changed(&key, self.journal.records())?;
            match self.journal.records().get(&key) {
                Some(text) => {
                    let digest = Digest::of(&[key.as_bytes(), text.as_bytes()]);
                    self.records.insert(key, digest);
                }
                None => drop(self.records.remove(&key)),
            }
        }
        let swarm = self.swarm.clone();
        self.shelf.move_epochs(&mut self.world, &swarm.shapes);
        Ok(())
    }

    /// A request that was to be stopped has not been begun, and never will be.
    pub(super) fn host_stops(&mut self, at: usize) {
        let Waiting { effect, .. } = self.asked.remove(at);
        self.note(|| format!("  host stops {effect:?}"));
        self.answered.push((effect, Outcome::Aborted));
    }

    /// The machine is told what came of a request.
    pub(super) fn machine_hears(&mut self, at: usize) -> Checked {
        let (effect, outcome) = self.answered.remove(at);
        match self.flights.land(effect) {
            Some(Landing::InTime) => self.tell(Input::Done { effect, outcome }),
            Some(Landing::Late) => self.tell(Input::Noticed { token: straggler_token(effect) }),
            None => Err(Violation::new("world", format!("{effect:?} was answered and not asked"))),
        }
    }

    /// The machine is given a notice.
    pub(super) fn machine_notices(&mut self, at: usize) -> Checked {
        let token = self.notices.remove(at);
        self.tell(Input::Noticed { token })
    }

    /// How long the machine still waits for a request.
    pub(super) fn time_left(&self, effect: EffectId) -> u64 {
        let deadline = self.flights.iter().find(|(of, _)| *of == effect).and_then(|(_, deadline)| deadline);
        deadline.unwrap_or(0).saturating_sub(self.world.now().mono)
    }

    /// When something happens by itself next.
    pub(super) fn next_moment(&self) -> Option<u64> {
        [self.world.next_event(), self.flights.next(), self.machine.deadline()].into_iter().flatten().min()
    }

    /// Time passes until then.
    pub(super) fn time_passes(&mut self, until: u64) -> Checked {
        self.world.run_until(until.max(self.world.now().mono));
        self.drain();
        self.look()?;
        let mono = self.world.now().mono;
        while let Some(effect) = self.flights.overdue(mono) {
            self.tell(Input::Done { effect, outcome: Outcome::Unknown(Fault::TimedOut) })?;
        }
        match self.machine.deadline() {
            Some(deadline) if deadline <= mono => self.tell(Input::Tick),
            _ => Ok(()),
        }
    }

    /// The client cancels what it waits for.
    pub(super) fn client_cancels(&mut self, at: usize) -> Checked {
        let (Key::Task(task), _) = self.pending[at] else { return Ok(()) };
        if let Some(op) = self.ledger.get_mut(self.pending[at].0) {
            op.cancelled = true;
        }
        self.call(Who::Nobody, Call::TaskCancel { id: task.to_string() })
    }

    /// Whether it has cancelled that already.
    pub(super) fn is_cancelled(&self, key: Key) -> bool {
        self.ledger.pending().any(|(of, op)| of == key && op.cancelled)
    }

    /// The daemon is killed and starts again. Among how many things the host chose each time.
    pub(super) fn daemon_dies(&mut self, script: &[u32]) -> Result<Vec<u32>, Violation> {
        self.note(|| "DAEMON KILLED".to_owned());
        let unwritable = self.asked.iter().any(|waiting| matches!(waiting.request, Request::Append(_)));
        *self.world.choices() = Choices::scripted(script.to_vec());
        self.world.daemon_crash();
        self.discard();
        self.look()?;
        self.ledger.crashed(false);
        if unwritable {
            self.ledger.reboots_stay(&self.shelf, &self.swarm);
        }
        self.starts_again()
    }

    /// The host is reset, and all on it starts again.
    pub(super) fn host_dies(&mut self, script: &[u32]) -> Result<Vec<u32>, Violation> {
        self.note(|| "HOST RESET".to_owned());
        *self.world.choices() = Choices::scripted(script.to_vec());
        self.world.host_reboot();
        self.world.run_until(EPOCH);
        self.names.forget();
        self.first = Arc::new(rest::picture(&self.world).without_epochs());
        self.ledger.crashed(true);
        self.discard();
        self.look()?;
        self.starts_again()
    }

    fn starts_again(&mut self) -> Result<Vec<u32>, Violation> {
        self.life += 1;
        self.world.daemon_starts();
        self.discard();
        self.look()?;
        let among = self.world.choices().among().to_vec();
        *self.world.choices() = Choices::nothing();
        self.flights = Flights::default();
        (self.asked, self.answered, self.notices) = Default::default();
        self.pending.clear();
        self.calls.clear();
        self.wants.iter_mut().for_each(Vec::clear);
        let mut effects = Effects::new();
        let config = config(&self.swarm, &self.world, self.life);
        self.machine = Machine::open(config, self.world.now(), self.journal.entries(), &mut effects);
        self.carry_out(effects)?;
        Ok(among)
    }

    /// The oracle looks at what has happened.
    pub(super) fn look(&mut self) -> Checked {
        if let Some(breach) = self.world.breaches().first() {
            return Err(Violation::new("S3", format!("{breach:?}")));
        }
        if self.domains.has_looked(&self.world) {
            return Ok(());
        }
        self.domains.look(&self.world, &mut self.events)?;
        let mono = self.world.now().mono;
        let swarm = self.swarm.clone();
        for event in std::mem::take(&mut self.events) {
            self.note(|| format!("  domain {} of vm {}: {:?}", event.domid, event.place, event.what));
            if event.what == What::Made {
                self.names.made(event.domid, event.place);
            }
            self.ledger.happened(&event, mono, &swarm)?;
            self.shelf.owns(&event, &swarm.shapes)?;
            storage::check(&self.world)?;
            storage::check_memory(&self.world)?;
        }
        Ok(())
    }

    /// Somebody else does something to a VM's domain.
    pub(super) fn disturbed(&mut self, place: usize) {
        self.ledger.external(place);
    }

    /// Whether only a client or the host could change anything.
    pub fn is_at_rest(&self) -> bool {
        self.asked.is_empty()
            && self.answered.is_empty()
            && self.notices.is_empty()
            && self.pending.is_empty()
            && self.machine.is_at_rest()
            && self.world.at_rest()
    }

    /// At rest: the whole list of rules, and in which state each VM is.
    pub fn rested(&mut self) -> Result<Vec<String>, Violation> {
        self.machine.check_all();
        self.ledger.rested();
        let states = rest::check(&self.world, &self.shelf, &self.swarm.shapes)?;
        storage::check(&self.world)?;
        storage::check_memory(&self.world)?;
        let place = |n: usize| rest::told(&self.world, &self.shelf, &self.swarm.shapes[n]);
        let mut told: Vec<String> =
            states.iter().enumerate().map(|(n, sensible)| format!("{sensible:?}{}", place(n))).collect();
        self.note(|| format!("at rest: {told:?}"));
        told.sort_unstable();
        Ok(told)
    }

    /// Every VM is taken away, in order; then the host must be as it was at first.
    pub fn clear(&mut self) -> Checked {
        for place in 0..self.wants.len() {
            let (_, standing) = state::standing(&self.world, &self.shelf, &self.swarm.shapes[place]);
            self.ledger.external(place);
            if standing != crate::workload::Standing::Absent {
                self.wants[place] = vec![Action::VmRemove, Action::VmShutdownHard];
            }
        }
        self.clients_ask()?;
        self.run_straight()?;
        if let Some(key) = self.journal.records().keys().next() {
            return Err(Violation::new("L9", format!("record {key} is left")));
        }
        match rest::difference(&self.first, &rest::picture(&self.world)) {
            Some(what) => Err(Violation::new("L9", format!("{what} is left when all vms have gone"))),
            None => Ok(()),
        }
    }

    /// What a crash would find, in one hash.
    pub(super) fn remains(&self, memo: &Memo) -> u64 {
        let order: Vec<u8> = (0..self.wants.len() as u8).collect();
        let names = self.names.at(self.world.now().mono, &order);
        let mut hash = Canon::new(&names, memo);
        self.world.fingerprint_of_remains(&mut hash);
        hash.digests(self.records.values());
        self.ledger.fingerprint(&mut hash);
        self.asked.iter().any(|waiting| matches!(waiting.request, Request::Append(_))).hash(&mut hash);
        self.left.hash(&mut hash);
        hash.finish()
    }

    /// Which VM something is of that can happen; none where it is of several.
    pub(super) fn subject(&self, what: &Move) -> Option<usize> {
        let vm = match what {
            Move::Hear(at) => self.machine.subject(self.answered[*at].0),
            Move::Notice(at) => self.machine.noticed_vm(self.notices[*at]),
            Move::Do(at, _) | Move::Stop(at) => self.machine.subject(self.asked[*at].effect),
            _ => None,
        }?;
        self.swarm.shapes.iter().position(|shape| shape.is(vm))
    }

    /// The state in one hash, with equal VMs in this order.
    pub fn fingerprint(&self, order: &[u8], memo: &Memo) -> u64 {
        let names = self.names.at(self.world.now().mono, order);
        let fresh = Canon::new(&names, memo);
        let purpose = |effect: EffectId| self.machine.purpose(effect, fresh.clone()).unwrap_or(0);
        let mut hash = fresh.clone();
        self.machine.fingerprint(&mut hash);
        self.world.fingerprint(&purpose, &mut hash);
        hash.unordered(&self.asked, |hash, waiting| {
            purpose(waiting.effect).hash(hash);
            (&waiting.request, waiting.aborted).hash(hash);
        });
        // Appends become durable in their order.
        for waiting in self.asked.iter().filter(|waiting| matches!(waiting.request, Request::Append(_))) {
            purpose(waiting.effect).hash(&mut hash);
        }
        hash.unordered(&self.answered, |hash, (effect, outcome)| {
            purpose(*effect).hash(hash);
            outcome.fingerprint(hash);
        });
        hash.unordered(&self.notices, |hash, token| token.hash(hash));
        hash.unordered(self.flights.iter(), |hash, (effect, deadline)| (purpose(effect), deadline).hash(hash));
        hash.digests(self.records.values());
        self.ledger.fingerprint(&mut hash);
        hash.unordered(self.wants.iter().enumerate(), |hash, (n, wants)| {
            hash.write_u64((1 << 32) + n as u64);
            wants.hash(hash);
        });
        self.left.hash(&mut hash);
        hash.finish()
    }
}

fn config(swarm: &Swarm, world: &World, life: u8) -> Config {
    Config {
        entropy: [life; 32],
        facts: world.facts(),
        settings: swarm.settings.clone(),
        workers: WORKERS,
        bounds: swarm.bounds.clone(),
    }
}
