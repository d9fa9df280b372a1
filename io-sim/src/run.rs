//! One run: the machine on a simulated host, its clients, its faults, and the oracle looking on.

mod calls;
mod crash;
mod endure;
mod faults;
mod order;
mod phases;
mod record;
mod step;
#[cfg(test)]
mod tests;
mod witness;

pub(crate) use step::take_reply;

use crate::client::{Asked, Client};
use crate::fault::{Plan, Struck};
use crate::journal::Journal;
use crate::ledger::{Key, Ledger};
use crate::oracle::domains::{Domains, Event};
use crate::oracle::haste::Haste;
use crate::oracle::records::Shelf;
use crate::oracle::rest::Picture;
use crate::oracle::shown::Shown;
use crate::oracle::traffic::Traffic;
use crate::oracle::{Checked, Violation};
use crate::panic;
use crate::relive::file::Recording;
use crate::schedule::{Ready, Schedule};
use crate::sometimes::{Property, Sometimes};
use crate::swarm::{Profile, Swarm};
use crate::timeline::{Kind as Happens, Scene, Timeline};
use crate::trace::Trace;
use crate::watcher::{Purpose, Watcher};
use crate::world::broken::Part;
use crate::world::{Choices, Tape, World};
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;
use xenops_core::host::hash::Fingerprint;
use xenops_core::host::{DomId, Now, Uuid};
use xenops_core::machine::{CallId, ClientId, EffectId, Effects, Flights, Input, Machine};
use xenops_core::recovery::Goal;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// Of all inputs and effects.
    pub hash: u64,
    /// Inputs of the machine.
    pub steps: u64,
    /// Requests to the host.
    pub requests: u64,
    /// Guests that were built, ran and ended.
    pub lifetimes: u64,
    /// Faults by kind.
    pub struck: Struck,
    /// Completed, failed, cancelled, by name.
    pub operations: BTreeMap<&'static str, [u64; 3]>,
    /// What happens sometimes.
    pub sometimes: Sometimes,
    /// Nanoseconds of virtual time that it took to come to rest beside what was broken, from when clients asked for
    /// nothing new, and then altogether.
    pub rests: [u64; 2],
    /// The choices that were made.
    pub tape: Tape,
    /// Lines, if they were wanted.
    pub trace: Vec<String>,
    /// The story, if it was wanted.
    pub told: Option<Timeline>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Clients ask and faults strike.
    Working,
    /// What is broken stays so, clients go on a little, and nothing new strikes.
    Enduring,
    /// Nobody asks, nothing strikes: all must come to rest.
    Settling,
    /// All VMs are taken away.
    Clearing,
    /// The world must be as it was at first.
    Cleared,
}

/// Whose a call is.
#[derive(Clone, Debug)]
enum Who {
    /// A client's, and what for if it is one of those that are counted.
    Client(usize, Option<Asked>),
    /// The watcher's.
    Watcher(Purpose),
    /// A client's that looks for the task of this call.
    Hunter(usize, u64),
    /// One that clears up, and for which VM.
    Janitor(Chore),
    /// One that asks all the time how VMs stand.
    Gazer,
    /// The worker pool has this size when it is answered.
    Pool(u32),
    /// Nobody waits for it.
    Nobody,
}

/// What the janitor wants.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chore {
    /// How all VMs stand.
    List,
    /// How a VM's disks or network interfaces stand.
    Devices,
    /// How all tasks stand.
    Tasks,
    /// That a VM's domain goes.
    Stop,
    /// That a VM goes.
    Remove(Uuid),
}

/// A call that has not been answered.
#[derive(Clone, Debug)]
struct Open {
    who: Who,
    client: ClientId,
    /// When it was asked, and after how many inputs.
    mono: u64,
    step: u64,
}

/// A moment at which a crash tells more than at any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ripe {
    /// An append is on its way.
    Writing,
    /// The host is at work on a request.
    Flying,
    /// A VM is being removed, renamed or given a row.
    Naming,
}

/// What is next when somebody else's toolstack takes a domain away together with its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theft {
    /// Scripts are run and back ends' directories go.
    BackEnds,
    /// The domain and what xenstore has of it go.
    Domain,
}

/// A record that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Damaged {
    key: String,
    /// What was written.
    was: String,
    /// What stands there; none: it is gone.
    is: Option<&'static str>,
    /// Whose it is.
    place: usize,
    /// When its hard power-off was last asked for.
    poweroff: u64,
    /// Its devices that are flagged active, if it is suspended: what its resume plugs. And in which boot that was.
    flags: Option<(u64, Vec<String>)>,
}

/// Something that will be done after so many more inputs, or when nothing else can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Later {
    /// A client cancels a task.
    Cancel(usize, u64),
    /// A client hangs up.
    HangUp(usize),
    /// A client looks for the task of a call of its own that is answered when it is done, to cancel it.
    Hunt(usize, u64),
    /// The daemon is killed as soon as this is so, or at this input.
    Crash(Ripe, u64),
    /// The disk has space again.
    Space,
    /// The worker pool has its size again.
    Pool,
    /// A record that was damaged is restored, and the daemon started again.
    Mend,
    /// Somebody else's toolstack, which takes a domain away, goes on to its next step.
    Takes(Theft, DomId),
    /// Notices are heard again, all that were missed at once.
    Hear,
    /// A notice comes again.
    Again(u64),
    /// The watcher asks once more: the daemon had too many calls open.
    Listen,
}

/// A run.
pub struct Run {
    seed: u64,
    swarm: Swarm,
    phase: Phase,
    world: World,
    machine: Machine,
    effects: Effects,
    journal: Journal,
    flights: Flights,
    schedule: Schedule,
    /// What may happen next, while it is chosen.
    ready: Vec<Ready>,
    /// What comes next, before anything of the host's.
    inbox: VecDeque<Input>,
    turn: u32,
    life: u64,
    clients: Vec<Client>,
    watcher: Watcher,
    open: BTreeMap<CallId, Open>,
    next_call: u64,
    next_client: u64,
    next_external: u64,
    budget: u32,
    plan: Plan,
    later: BTreeMap<(u64, u64), Later>,
    deaf: bool,
    slow: bool,
    odd_request: bool,
    odd_process: bool,
    stuck: bool,
    damaged: Option<Damaged>,
    processes_struck: u64,
    guests_stopped: u64,
    /// What the daemon before this one wanted and had not finished.
    unfinished: BTreeMap<Uuid, Goal>,
    repeat: bool,
    cut: bool,
    ledger: Ledger,
    haste: Haste,
    /// Appends of intents that are on their way, and what they are to begin.
    begins: BTreeMap<EffectId, Key>,
    traffic: Traffic,
    shown: Shown,
    shelf: Shelf,
    domains: Domains,
    events: Vec<Event>,
    first: Picture,
    batch: Vec<String>,
    /// What the daemon is told, if it is to be kept.
    recorded: Option<Recording>,
    /// After each so many inputs the machine goes on as a copy that was read from its snapshot; 0: never.
    copied_every: u64,
    /// Inputs at most.
    most: u64,
    recovering: u64,
    settled_at: (u64, u64),
    /// What is broken, and of the VM in which place.
    broken: Vec<(usize, Part)>,
    asking_until: u64,
    rests: [u64; 2],
    steps: u64,
    requests: u64,
    lifetimes: u64,
    struck: Struck,
    operations: BTreeMap<&'static str, [u64; 3]>,
    sometimes: Sometimes,
    trace: Trace,
    hash: Fingerprint,
}

/// Run one seed, or one tape.
pub fn run(seed: u64, choices: Choices, profile: Profile, trace: Trace) -> Outcome {
    Run::new(seed, choices, profile, trace).played()
}

/// The same with so many inputs at most: one that takes longer breaks the rule `length`, which is none.
pub fn run_within(seed: u64, choices: Choices, profile: Profile, most: u64) -> Outcome {
    let mut run = Run::new(seed, choices, profile, Trace::default());
    run.most = run.most.min(most);
    run.played()
}

/// Run one seed; after each so many inputs the machine goes on as a copy that was read from its snapshot.
pub fn run_on_copies(seed: u64, profile: Profile, every: u64) -> Outcome {
    let mut run = Run::new(seed, Choices::seeded(seed), profile, Trace::default());
    run.copied_every = every;
    run.played()
}

/// Run one seed, or one tape; and what the last of its daemons is told.
pub fn run_recorded(seed: u64, choices: Choices, profile: Profile) -> (Outcome, Recording) {
    let mut run = Run::new(seed, choices, profile, Trace::default());
    run.record();
    let result = run.ends();
    let recorded = run.recorded.take().expect("it was begun");
    (run.outcome(result.err()), recorded)
}

impl Run {
    fn played(mut self) -> Outcome {
        let result = self.ends();
        self.outcome(result.err())
    }

    fn ends(&mut self) -> Checked {
        panic::caught(|| self.play()).unwrap_or_else(|text| Err(Violation::new("machine", text)))
    }

    fn outcome(mut self, violation: Option<Violation>) -> Outcome {
        for (kind, count) in self.world.tally().iter() {
            match Property::of_host(kind) {
                Some(property) => self.sometimes.hit(property),
                None => self.struck.add(kind, count),
            }
        }
        if let Some(violation) = &violation {
            let (mono, steps) = (self.now().mono, self.steps);
            self.trace.line(mono, steps, || format!("VIOLATION {violation}"));
            self.show(None);
            if let Some(story) = self.trace.story() {
                story.broken((mono, steps), violation);
            }
        }
        let mut hash = self.hash;
        hash.write_u64(self.world.trace());
        Outcome {
            violation,
            hash: hash.finish(),
            steps: self.steps,
            requests: self.requests,
            lifetimes: self.lifetimes,
            struck: self.struck,
            operations: self.operations,
            sometimes: self.sometimes,
            rests: self.rests,
            tape: self.world.choices().made().clone(),
            trace: self.trace.lines().to_vec(),
            told: self.trace.told(),
        }
    }

    fn now(&self) -> Now {
        self.world.now()
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        let (mono, steps) = (self.world.now().mono, self.steps);
        self.trace.line(mono, steps, text);
    }

    /// For whoever is told the story: something that happened to a VM, or to none of them.
    fn mark(&mut self, kind: Happens, vm: Option<usize>, text: impl FnOnce() -> String) {
        let at = (self.world.now().mono, self.steps);
        if let Some(story) = self.trace.story() {
            story.mark(at, kind, vm, text());
        }
    }

    /// For the same: how all stands after what happened last, or after this effect.
    fn show(&mut self, about: Option<EffectId>) {
        let at = (self.world.now().mono, self.steps);
        if let Some(story) = self.trace.story() {
            story.look(at, about, Scene::of(&self.world, self.journal.records()));
        }
    }

    fn later(&mut self, steps: u64, what: Later) {
        let key = (self.steps + steps, self.next_call);
        self.next_call += 1;
        self.later.insert(key, what);
    }
}
