//! One input into the machine, its effects out, and a look at what they did.

use super::{Damaged, Happens, Open, Phase, Run, Who};
use crate::action::Action;
use crate::fleet::SHARED;
use crate::ledger::Key;
use crate::oracle::domains::{Event, What};
use crate::oracle::{Checked, Violation, storage};
use crate::sometimes::Property;
use crate::watcher::Purpose;
use crate::world::{Breach, Fate};
use std::hash::{Hash, Hasher};
use xenops_core::host::time::{MILLISECOND, SECOND};
use xenops_core::host::{DomainAct, Entry, Fault, Outcome, Reply, Request, StorageCall, Token};
use xenops_core::interface::{Answer, Call, Error};
use xenops_core::machine::effect::straggler_token;
use xenops_core::machine::{CallId, ClientId, Effect, EffectId, Effects, Input, Landing, Machine};
use xenops_core::recovery::{Goal, Intent};

/// Numbers from here on are requests that somebody else than the machine made of the host.
pub(super) const EXTERNAL: u64 = 1 << 62;

/// How long storage may be stuck, and answer after all in time.
const STUCK: u64 = 400 * SECOND;

/// Inputs of one driver turn at most: their records share one sync.
const TURN: u32 = 64;

impl Run {
    /// What the machine is told next at this moment, if anything.
    pub(super) fn next_input(&mut self) -> Result<Option<Input>, Violation> {
        if !self.watcher.wants.is_empty() {
            let (purpose, call) = self.watcher.wants.remove(0);
            let client = self.watcher.id;
            return Ok(Some(self.call(client, Who::Watcher(purpose), "watch".to_owned(), call)));
        }
        if let Some(input) = self.inbox.pop_front() {
            return Ok(Some(input));
        }
        let mono = self.now().mono;
        if let Some(effect) = self.flights.overdue(mono) {
            self.sometimes.hit(Property::Straggler);
            self.traffic.is_late(effect);
            let outcome = Outcome::Unknown(Fault::TimedOut);
            return Ok(Some(Input::Done { effect, outcome }));
        }
        let input = if self.schedule.chooses() { self.chosen()? } else { self.in_order()? };
        if input.is_some() {
            return Ok(input);
        }
        let due = self.machine.deadline().is_some_and(|deadline| deadline <= mono);
        Ok(due.then_some(Input::Tick))
    }

    /// Outcomes as they came, then notices.
    fn in_order(&mut self) -> Result<Option<Input>, Violation> {
        while let Some((effect, outcome)) = self.world.take_outcome() {
            if let Some(input) = self.landed(effect, outcome)? {
                return Ok(Some(input));
            }
        }
        while let Some(token) = self.world.take_notice() {
            if let Some(input) = self.heard(token) {
                return Ok(Some(input));
            }
        }
        Ok(None)
    }

    /// A notice is given, unless they are lost.
    pub(super) fn heard(&mut self, token: Token) -> Option<Input> {
        if self.deaf {
            return None;
        }
        if std::mem::take(&mut self.repeat) {
            self.struck.count("repeated notice");
            self.later(3, super::Later::Again(token.0));
        }
        Some(Input::Noticed { token })
    }

    /// A request has ended.
    pub(super) fn landed(&mut self, effect: EffectId, outcome: Outcome) -> Result<Option<Input>, Violation> {
        if effect.0 >= EXTERNAL {
            return Ok(None);
        }
        self.traffic.lands(effect);
        match self.flights.land(effect) {
            Some(Landing::InTime) => Ok(Some(Input::Done { effect, outcome })),
            Some(Landing::Late) => {
                self.note(|| format!("  {effect:?} has ended after all"));
                Ok(Some(Input::Noticed { token: straggler_token(effect) }))
            }
            None => Err(Violation::new("world", format!("{effect:?} was answered and not asked"))),
        }
    }

    /// Give the machine one input, carry out what it wants, look.
    pub(super) fn feed(&mut self, input: Input) -> Checked {
        let mut effects = std::mem::take(&mut self.effects);
        self.tell(input, &mut effects);
        let result = self.carry_out(&mut effects);
        effects.clear();
        self.effects = effects;
        result?;
        self.turn += 1;
        if self.turn >= TURN {
            self.end_turn();
        }
        self.look()?;
        self.show(None);
        Ok(())
    }

    fn tell(&mut self, input: Input, effects: &mut Effects) {
        self.trace.heard(self.world.now().mono, self.steps, &input, &self.machine);
        self.hash_input(&input);
        self.steps += 1;
        let now = self.now();
        self.schedule.told(match &input {
            Input::Done { effect, .. } => Some(*effect),
            _ => None,
        });
        self.record_input(&input);
        let before = effects.len();
        self.machine.handle(now, input, effects);
        self.record_effects(&effects[before..]);
        if self.copied_every > 0 && self.steps.is_multiple_of(self.copied_every) {
            self.machine = copied(&self.machine);
        }
    }

    /// The effects of one input, all of them or, if the daemon is killed now, some of them.
    ///
    /// Requests are made when replies have been given and the watcher knows which tasks have ended: what it is told
    /// then is true of the world in which they ended.
    pub(super) fn carry_out(&mut self, effects: &mut Effects) -> Checked {
        if self.cut {
            self.sometimes.hit(Property::CrashAmidEffects);
            let most = self.world.choices().choose(crate::world::Concern::Fault, effects.len() as u32 + 1);
            effects.truncate(most as usize);
        }
        self.give_replies(effects, 0)?;
        while let Some(task) = self.watcher.next_task() {
            let call = Call::TaskStat { id: task.to_string() };
            let input = self.call(self.watcher.id, Who::Watcher(Purpose::Task(task)), "watch".to_owned(), call);
            let done = effects.len();
            self.tell(input, effects);
            self.give_replies(effects, done)?;
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Do { effect, request, deadline } => {
                    self.requests += 1;
                    if !self.flights.depart(effect, deadline) {
                        return Err(Violation::new("machine", format!("{effect:?} was asked for twice")));
                    }
                    self.departs(effect, &request)?;
                    if self.schedule.chooses() {
                        self.waits_for_its_turn(effect, &request, deadline);
                    }
                    self.start(effect, request);
                    self.show(Some(effect));
                }
                Effect::Abort { effect, deadline } => {
                    self.flights.hasten(effect, deadline);
                    self.schedule.hastened(effect, deadline);
                    self.world.abort(effect);
                }
                Effect::Reply { .. } => {}
            }
        }
        if std::mem::take(&mut self.cut) {
            return self.crash();
        }
        Ok(())
    }

    /// Give the replies that were not given yet, and note what is new.
    fn give_replies(&mut self, effects: &mut Effects, from: usize) -> Checked {
        let mut at = from;
        while at < effects.len() {
            self.trace.wanted(self.world.now().mono, self.steps, &effects[at], &self.machine);
            self.hash_effect(&effects[at]);
            match take_reply(effects, at) {
                Some((call, reply)) => self.replied(call, reply)?,
                None => at += 1,
            }
        }
        Ok(())
    }

    fn departs(&mut self, effect: EffectId, request: &Request) -> Checked {
        if let Request::Domain(domid, DomainAct::Destroy) = request {
            self.domains.destroys(*domid, &self.world)?;
        }
        if !self.swarm.strict {
            return Ok(());
        }
        let ledger = &self.ledger;
        let starts = |place: usize| {
            let mut ops = ledger.pending_of(place);
            let first = ops.next().map(|op| op.asked.action);
            matches!(first, Some(Action::VmStart | Action::VmResume)) && ops.next().is_none()
        };
        let place = self.place(self.machine.subject(effect));
        self.traffic.departs((effect, place), request, &self.domains, starts)
    }

    fn start(&mut self, effect: EffectId, request: Request) {
        match request {
            Request::Append(entries) => {
                if let Some(key) = self.begun_by(&entries) {
                    self.begins.insert(effect, key);
                }
                self.journal.push(effect, entries);
            }
            Request::Storage(StorageCall::Attach { .. } | StorageCall::Activate { .. }) if self.stuck => {
                self.stuck = false;
                self.struck.count("stuck storage");
                self.world.start_with(effect, request, Fate::AnsweredLate(STUCK));
            }
            request if self.odd_request => {
                let before: u64 = self.world.tally().iter().map(|(_, count)| count).sum();
                let odds = std::mem::replace(&mut self.world.config_mut().odd_requests, 1);
                self.ask_host(effect, request);
                self.world.config_mut().odd_requests = odds;
                let after: u64 = self.world.tally().iter().map(|(_, count)| count).sum();
                if after > before && self.ledger.pending().next().is_none() && !self.machine.is_at_rest() {
                    self.sometimes.hit(Property::FaultInRepair);
                }
                self.odd_request = before == after;
            }
            request => self.ask_host(effect, request),
        }
    }

    fn ask_host(&mut self, effect: EffectId, request: Request) {
        if self.schedule.chooses() {
            self.world.hold(effect, request);
        } else {
            self.world.start(effect, request);
        }
    }

    /// What was appended in this turn goes to the disk.
    pub(super) fn end_turn(&mut self) {
        self.turn = 0;
        let (mono, latency) = (self.now().mono, self.sync_takes());
        self.journal.end_turn(mono, latency);
    }

    fn sync_takes(&mut self) -> u64 {
        if self.slow && self.journal.next().is_none() && !self.journal.is_idle() {
            self.slow = false;
            self.struck.count("slow disk");
            return 45 * SECOND;
        }
        self.swarm.sync
    }

    /// The task that an append of a fresh intent is to begin: the first that is asked of that VM.
    fn begun_by(&self, entries: &[Entry]) -> Option<Key> {
        let [Entry { key, value: Some(value) }] = entries else { return None };
        let place = self.domains.named(key.strip_prefix("intent/")?.parse().ok()?)?;
        let intent: Intent = serde_json::from_str(value).ok()?;
        let fresh = !intent.committed && !intent.abandoned;
        let (key, op) = self.ledger.pending().find(|(_, op)| op.asked.place == place)?;
        (fresh && is_for(op.asked.action, &intent.goal)).then_some(key)
    }

    /// What the journal has made durable by now.
    pub(super) fn synced(&mut self) -> Checked {
        let (mono, full, latency) = (self.now().mono, self.world.disk().full, self.sync_takes());
        let outcomes = self.journal.synced(mono, latency, full);
        self.read_records()?;
        for (effect, outcome) in outcomes {
            let begun = self.begins.remove(&effect);
            if matches!(outcome, Outcome::Refused(_)) {
                self.sometimes.hit(Property::NoSpace);
                begun.into_iter().for_each(|key| self.haste.refused(key));
            }
            if let Some(input) = self.landed(effect, outcome)? {
                self.inbox.push_back(input);
            }
        }
        Ok(())
    }

    pub(super) fn read_records(&mut self) -> Checked {
        for key in self.journal.take_changed() {
            self.shelf.changed(&key, self.journal.records())?;
            if !self.journal.records().contains_key(&key) {
                self.watcher.removed(&key);
            }
        }
        self.finished();
        self.shelf.move_epochs(&mut self.world, &self.swarm.shapes);
        Ok(())
    }

    /// Look at what the last step may have touched; at everything now and then.
    pub(super) fn look(&mut self) -> Checked {
        // An epoch is a disk's and a VM's; the host keeps them by disk only.
        let counts = |breach: &&Breach| !matches!(breach, Breach::EpochOpen(disk) if disk == SHARED);
        if let Some(breach) = self.world.breaches().iter().find(counts) {
            return Err(Violation::new("S3", breach.to_string()));
        }
        self.domains.look(&self.world, &mut self.events)?;
        let mono = self.now().mono;
        for event in std::mem::take(&mut self.events) {
            self.note(|| format!("  domain {} of vm {}: {:?}", event.domid, event.place, event.what));
            self.mark(Happens::Domain, Some(event.place), || event.to_string());
            self.happened(&event);
            if self.swarm.strict {
                self.strictly(&event)?;
            }
            self.ledger.happened(&event, mono, &self.swarm)?;
            self.shelf.owns(&event, &self.swarm.shapes)?;
        }
        if self.steps.is_multiple_of(32) || self.phase > Phase::Enduring {
            storage::check(&self.world)?;
            storage::check_memory(&self.world)?;
        }
        if self.steps.is_multiple_of(256) {
            self.machine.check_all();
        }
        if self.odd_process && self.world.config().odd_processes == 1 {
            let odd = ["fails", "dies", "hangs"].iter().map(|kind| self.world.tally().of(kind)).sum::<u64>();
            if odd > self.struck_processes() {
                self.odd_process = false;
                self.world.config_mut().odd_processes = self.swarm.host.odd_processes;
            }
        }
        Ok(())
    }

    /// A VM whose records are damaged is left alone, unless a client wants its domain gone.
    fn strictly(&mut self, event: &Event) -> Checked {
        self.leaves_alone(event)?;
        if !self.traffic.makes_late(event.place) {
            self.shelf.wants(event, &self.swarm.shapes)?;
        }
        self.shown.happened(event, self.ledger.is_doomed(event.place), self.steps);
        // A suspend that has failed is told of when its guest runs on.
        let mut asked = self.ledger.pending_of(event.place).map(|op| op.asked.action);
        let nobody_asked = match event.what {
            What::Resumed => asked.all(|action| action == Action::VmSuspend),
            _ => asked.next().is_none(),
        };
        self.traffic.happened(event, nobody_asked)
    }

    fn leaves_alone(&self, event: &Event) -> Checked {
        // Until somebody writes it anew.
        let stands = |damaged: &&Damaged| self.journal.records().get(&damaged.key).map(String::as_str) == damaged.is;
        let mut damaged = self.damaged.iter().filter(|damaged| damaged.place == event.place).filter(stands);
        let Some(Damaged { key, poweroff, .. }) = damaged.next() else { return Ok(()) };
        // What has stopped by itself may be cleared away.
        let stopped = |domid| self.world.hypervisor().get(domid).is_none_or(|domain| domain.info.shutdown.is_some());
        if stopped(event.domid) {
            return Ok(());
        }
        let ours = matches!(event.what, What::Made | What::Dying | What::Paused | What::Unpaused | What::Renamed);
        if !ours || self.ledger.is_doomed(event.place) || self.ledger.powered_off(event.place) != *poweroff {
            return Ok(());
        }
        let text =
            format!("domain {} of vm {}: {:?}, and its record {key} is damaged", event.domid, event.place, event.what);
        Err(Violation::new("law 13", text))
    }

    /// A call that a client makes now.
    pub(super) fn call(&mut self, client: ClientId, who: Who, tag: String, call: Call) -> Input {
        let number = CallId(self.next_call);
        self.next_call += 1;
        self.open.insert(number, Open { who, client, mono: self.now().mono, step: self.steps });
        let request = xenops_core::interface::Request { debug_info: tag.as_str().into(), call };
        Input::Call { call: number, client, request }
    }

    fn hash_input(&mut self, input: &Input) {
        let hash = &mut self.hash;
        hash.write_u64(self.world.now().mono);
        std::mem::discriminant(input).hash(hash);
        match input {
            Input::Call { call, client, request } => {
                (call, client).hash(hash);
                request.call.method().hash(hash);
            }
            Input::Hangup { client } => client.hash(hash),
            Input::Done { effect, outcome } => {
                effect.hash(hash);
                hash_outcome(outcome, hash);
            }
            Input::Noticed { token } => token.hash(hash),
            Input::Everything | Input::Tick => {}
        }
    }

    fn hash_effect(&mut self, effect: &Effect) {
        let hash = &mut self.hash;
        std::mem::discriminant(effect).hash(hash);
        match effect {
            Effect::Do { effect, request, deadline } => {
                (effect, deadline).hash(hash);
                request.hash(hash);
            }
            Effect::Abort { effect, deadline } => (effect, deadline).hash(hash),
            Effect::Reply { call, reply } => {
                call.hash(hash);
                match reply {
                    Ok(answer) => answer.kind().hash(hash),
                    Err(error) => error.to_string().hash(hash),
                }
            }
        }
    }

    /// How many steps of processes went wrong before the one that is being waited for.
    fn struck_processes(&self) -> u64 {
        self.processes_struck
    }
}

/// Whether what was asked for begins with an intent of this goal.
fn is_for(action: Action, goal: &Goal) -> bool {
    use Action::{VbdPlug, VbdUnplug, VbdUnplugForce, VifPlug, VifUnplug, VifUnplugForce, VmSuspend};
    match goal {
        Goal::VbdPlug(_) => action == VbdPlug,
        Goal::VbdUnplug(_) => matches!(action, VbdUnplug | VbdUnplugForce),
        Goal::VifPlug(_) => action == VifPlug,
        Goal::VifUnplug(_) => matches!(action, VifUnplug | VifUnplugForce),
        Goal::Suspend(_) => action == VmSuspend,
        _ => false,
    }
}

/// A machine that is read from a snapshot of this one.
fn copied(machine: &Machine) -> Machine {
    let snapshot = serde_json::to_string(machine).expect("a machine is plain data");
    let copy: Machine = serde_json::from_str(&snapshot).expect("a snapshot is a machine's");
    // What decides nothing in the inputs that are left of this run may decide something in those of another.
    assert!(format!("{copy:?}") == format!("{machine:?}"), "a machine is all in its snapshot");
    copy
}

fn hash_outcome(outcome: &Outcome, hash: &mut xenops_core::host::hash::Fingerprint) {
    std::mem::discriminant(outcome).hash(hash);
    match outcome {
        Outcome::Ok(Reply::Found(found)) => found.hash(hash),
        Outcome::Ok(Reply::Domains(domains)) => domains.hash(hash),
        Outcome::Ok(Reply::Held(which, process)) => (which, process).hash(hash),
        Outcome::Ok(reply) => std::mem::discriminant(reply).hash(hash),
        Outcome::Refused(fault) | Outcome::Unknown(fault) => fault.hash(hash),
        Outcome::Aborted => {}
    }
}

/// The shortest time that something which is paced may take.
pub(super) const MOMENT: u64 = MILLISECOND;

/// The reply at this place, which is taken out, if there is one.
pub(crate) fn take_reply(effects: &mut Effects, at: usize) -> Option<(CallId, Result<Answer, Error>)> {
    if !matches!(effects[at], Effect::Reply { .. }) {
        return None;
    }
    let Effect::Reply { call, reply } = effects.remove(at) else { return None };
    Some((call, reply))
}
