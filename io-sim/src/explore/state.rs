//! One state: the machine, its host, what is between them, and what the oracle knows.

use super::scope::{Budget, WORKERS};
use crate::action::Action;
use crate::canon::{Digest, EPOCH, Names};
use crate::client::Asked;
use crate::journal::Journal;
use crate::ledger::{Key, Ledger, View};
use crate::oracle::domains::{Domains, Event, What};
use crate::oracle::records::Shelf;
use crate::oracle::rest::{self, Picture};
use crate::oracle::{Checked, Violation, state, storage};
use crate::shared::Shared;
use crate::swarm::Swarm;
use crate::timeline::{Kind as Happens, Scene, words};
use crate::trace::Trace;
use crate::world::{Choices, Fate, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use xenops_core::host::{Entry, Fault, Outcome, Reply, Request, Token};
use xenops_core::machine::effect::straggler_token;
use xenops_core::machine::{CallId, Config, EffectId, Effects, Flights, Input, Landing, Machine, TaskId};

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
pub(super) enum Who {
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
    pub(super) flights: Flights,
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
    pub(super) calls: BTreeMap<CallId, Who>,
    pub(super) next_call: u64,
    pub(super) life: u8,
    pub(super) ledger: Shared<Ledger>,
    pub(super) shelf: Shared<Shelf>,
    pub(super) domains: Shared<Domains>,
    pub(super) events: Vec<Event>,
    pub(super) records: Shared<BTreeMap<String, Digest>>,
    pub(super) names: Shared<Names>,
    pub(super) first: Arc<Picture>,
    /// Notices that the last move has raised, whether they were raised before or not.
    pub(super) raised: Vec<Token>,
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
            raised: Vec::new(),
            steps: 0,
            trace: Trace::default(),
            swarm,
        };
        state.carry_out(effects)?;
        Ok(state)
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        let (mono, step) = self.at();
        self.trace.line(mono, step, text);
    }

    pub(super) fn at(&self) -> (u64, u64) {
        (self.world.now().mono - EPOCH.min(self.world.now().mono), u64::from(self.steps))
    }

    /// For whoever is told the story: something that happened.
    pub(super) fn mark(&mut self, kind: Happens, vm: Option<usize>, text: impl FnOnce() -> String) {
        let at = self.at();
        if let Some(story) = self.trace.story() {
            story.mark(at, kind, vm, text());
        }
    }

    /// For the same: how all stands now.
    pub(super) fn show(&mut self, about: Option<EffectId>) {
        let at = self.at();
        if let Some(story) = self.trace.story() {
            story.look(at, about, Scene::of(&self.world, self.journal.records()));
        }
    }

    pub(super) fn view(&self) -> View<'_> {
        View { world: &self.world, shelf: &self.shelf, swarm: &self.swarm }
    }

    /// What the host has to say is taken from it.
    pub(super) fn drain(&mut self) {
        while let Some(answered) = self.world.take_outcome() {
            self.answered.push(answered);
        }
        while let Some(token) = self.world.take_notice() {
            self.raised.push(token);
            if !self.notices.contains(&token) {
                self.notices.push(token);
            }
        }
    }

    fn discard(&mut self) {
        while self.world.take_outcome().is_some() || self.world.take_notice().is_some() {}
    }

    /// The host does what it was asked; an append is durable.
    pub(super) fn host_does(&mut self, at: usize, fate: Fate) -> Checked {
        let Waiting { effect, request, .. } = self.asked.remove(at);
        self.note(|| format!("  host does {effect:?}: {fate:?}"));
        let at = self.at();
        if let Some(story) = self.trace.story() {
            let kind = if fate == Fate::Plain { Happens::Host } else { Happens::Fault };
            story.at_work(at, effect, kind, &words::fate(&fate));
        }
        match request {
            Request::Append(entries) => self.append(effect, entries, fate)?,
            request => self.world.start_with(effect, request, fate),
        }
        self.drain();
        self.look()
    }

    fn append(&mut self, effect: EffectId, entries: Vec<Entry>, fate: Fate) -> Checked {
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
        let at = self.at();
        if let Some(story) = self.trace.story() {
            story.at_work(at, effect, Happens::Host, "the host does not begin it");
        }
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

    /// Records that are not durable yet.
    pub(super) fn behind(&self) -> BTreeSet<String> {
        let appends = self.asked.iter().filter_map(|waiting| match &waiting.request {
            Request::Append(entries) => Some(entries),
            _ => None,
        });
        appends.flatten().map(|entry| entry.key.clone()).collect()
    }

    /// The daemon is killed and starts again. Among how many things the host chose each time.
    pub(super) fn daemon_dies(&mut self, script: &[u32]) -> Result<Vec<u32>, Violation> {
        self.note(|| "DAEMON KILLED".to_owned());
        self.gone("the daemon is killed");
        let behind = self.behind();
        *self.world.choices() = Choices::scripted(script.to_vec());
        self.world.daemon_crash();
        self.discard();
        self.look()?;
        self.ledger.crashed(false);
        self.ledger.reboots_stay(&behind, &self.shelf, &self.swarm);
        self.starts_again()
    }

    /// The host is reset, and all on it starts again.
    pub(super) fn host_dies(&mut self, script: &[u32]) -> Result<Vec<u32>, Violation> {
        self.note(|| "HOST RESET".to_owned());
        self.gone("the host is reset: all domains are gone, and what was not durable");
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

    fn gone(&mut self, what: &str) {
        let at = self.at();
        if let Some(story) = self.trace.story() {
            story.killed(at, what);
        }
    }

    fn starts_again(&mut self) -> Result<Vec<u32>, Violation> {
        self.life += 1;
        self.world.daemon_starts();
        self.discard();
        self.look()?;
        self.show(None);
        self.mark(Happens::Start, None, || "a daemon starts: it reads its records and looks at the host".to_owned());
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
            return Err(Violation::new("S3", breach.to_string()));
        }
        if self.domains.has_looked(&self.world) {
            return Ok(());
        }
        self.domains.look(&self.world, &mut self.events)?;
        let mono = self.world.now().mono;
        let swarm = self.swarm.clone();
        for event in std::mem::take(&mut self.events) {
            self.note(|| format!("  domain {} of vm {}: {:?}", event.domid, event.place, event.what));
            self.mark(Happens::Domain, Some(event.place), || event.to_string());
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
        rest::epochs(&self.world, &self.swarm.shapes, &states)?;
        storage::check(&self.world)?;
        storage::check_memory(&self.world)?;
        let place = |n: usize| rest::told(&self.world, &self.shelf, &self.swarm.shapes[n]);
        let mut told: Vec<String> =
            states.iter().enumerate().map(|(n, sensible)| format!("{sensible:?}{}", place(n))).collect();
        self.note(|| format!("at rest: {told:?}"));
        self.mark(Happens::Rest, None, || format!("all is at rest: {told:?}"));
        told.sort_unstable();
        Ok(told)
    }

    /// Every VM is taken away, in order; then the host must be as it was at first.
    pub fn clear(&mut self) -> Checked {
        self.mark(Happens::Rest, None, || "every vm is taken away".to_owned());
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
