//! What clients have asked for and not been told of yet, and what a result permits the world to be.

mod claims;
mod starts;

use crate::action::Action::{self, *};
use crate::client::Asked;
use crate::fleet::Shape;
use crate::oracle::domains::{Event, What};
use crate::oracle::records::Shelf;
use crate::oracle::{Checked, Violation, state};
use crate::swarm::Swarm;
use crate::world::World;
use crate::world::hypervisor::Domain;
use claims::claims;
use starts::{restarts, too_soon};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use xenops_core::host::{Canonical, DomId, ShutdownCode};
use xenops_core::recovery::Goal;

/// What names something that was asked for, within one life of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A task.
    Task(u64),
    /// A call that is answered when it is done.
    Call(u64),
}

/// Something that was asked for.
#[derive(Clone, Debug)]
pub struct Op {
    /// What.
    pub asked: Asked,
    /// When, in the order of everything that disturbs a VM.
    seq: u64,
    /// The domain that ran undisturbed when it was asked.
    intact: Option<DomId>,
    /// A cancellation was asked for.
    pub cancelled: bool,
    /// It was seen to be past the point of no return.
    pub committed: bool,
    /// Its task was destroyed, or nobody listened: nobody need be told when it ends.
    pub unwatched: bool,
    /// The task that went well before it, though it was asked for later.
    pub overtaken: Option<u64>,
    /// Faults that had struck when it was asked.
    pub faults: u64,
}

/// What is known of one VM beside what is asked of it.
#[derive(Clone, Debug, Default)]
struct Place {
    /// The last thing that excuses a change, in the order of all of them.
    disturbed: u64,
    /// The last thing that somebody else did to its domain.
    external: u64,
    /// The last hard power-off asked.
    poweroff: u64,
    /// A reboot was asked for and its daemon has gone.
    reboot_lost: bool,
    /// The domain whose guest stopped, where its lists say that it starts again.
    restarts: Option<DomId>,
    /// It was asked to run since its domain was made.
    run_asked: bool,
    /// When its latest domain was made and stopped, and the domain.
    made: u64,
    stopped: u64,
    before: Option<(u64, u64, ShutdownCode)>,
    /// Something that makes a domain was asked at any time: what is late may still come.
    start_asked: bool,
    /// A client has asked for a domain since the guest stopped: it may be made late.
    asked_again: bool,
    /// A domain whose guest has suspended for a suspend that is over.
    owed: Option<DomId>,
    /// A domain that must not be disturbed.
    intact: Option<DomId>,
    /// Somebody else is about to end its domain.
    doomed: bool,
    /// This daemon has seen its latest domain made.
    known: bool,
}

/// Places of VMs in a machine are numbered from here on.
const FIRST_PLACE: u64 = 1 << 32;

/// What has been asked for.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    ops: BTreeMap<Key, Op>,
    ended: BTreeMap<u64, bool>,
    places: Vec<Place>,
    seq: u64,
    /// Who is told when something ends could not listen: what it is told next may have been so for long.
    untold: bool,
    /// The clock was set: what the daemon knows of run times after a restart is uncertain.
    pub clock_set: bool,
    /// Something has gone wrong, or may at any time, that may keep a VM in doubt for long.
    pub troubled: bool,
}

/// What came of it, as far as a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It went well.
    Well,
    /// It did not.
    Badly,
    /// It was cancelled.
    Cancelled,
}

fn makes_domain(action: Action) -> bool {
    matches!(action, VmStart | VmResume | VmCreate | VmRebootClean | VmRebootHard)
}

fn lets_run(action: Action) -> bool {
    matches!(action, VmUnpause | VmRebootClean | VmRebootHard | VmFastResume)
}

fn is_reboot(action: Action) -> bool {
    matches!(action, VmRebootClean | VmRebootHard)
}

/// VMs of which a reboot is on record that one of these keys would have marked as given up.
pub fn reboots(behind: &BTreeSet<String>, shelf: &Shelf, swarm: &Swarm) -> impl Iterator<Item = usize> {
    let is_wanted = |shape: &Shape| {
        let unsaid = shape.ids.iter().filter(|id| behind.contains(&format!("intent/{id}")));
        let mut intents = unsaid.filter_map(|id| shelf.of(*id)?.intent.as_ref());
        intents.any(|intent| intent.goal == Goal::Reboot && !intent.abandoned)
    };
    swarm.shapes.iter().enumerate().filter(move |(_, shape)| is_wanted(shape)).map(|(place, _)| place)
}

impl Ledger {
    /// What decides which rules hold from here on, in a hash.
    pub fn fingerprint<H: Canonical>(&self, hash: &mut H) {
        let Ledger { ops, ended: _, places, seq: _, untold, clock_set, troubled } = self;
        (untold, clock_set, troubled).hash(hash);
        hash.unordered(places.iter().enumerate(), |hash, (n, place)| {
            hash.write_u64(FIRST_PLACE + n as u64);
            let Place {
                disturbed,
                external,
                poweroff,
                reboot_lost,
                restarts,
                run_asked,
                made,
                stopped,
                before,
                start_asked,
                owed,
                intact,
                doomed,
                asked_again,
                known,
            } = place;
            (reboot_lost, restarts, run_asked, made, stopped, before, start_asked, intact, doomed).hash(hash);
            (owed, asked_again, known).hash(hash);
            for op in ops.values().filter(|op| op.asked.place == n) {
                let Op { asked, seq, intact, cancelled, committed, unwatched, overtaken, faults: _ } = op;
                (asked.action, intact, cancelled, committed, unwatched, overtaken.is_some()).hash(hash);
                (disturbed <= seq, external <= seq, poweroff > seq).hash(hash);
            }
        });
    }

    /// For so many VMs.
    pub fn new(places: usize) -> Ledger {
        Ledger { places: vec![Place::default(); places], troubled: true, ..Ledger::default() }
    }

    /// On a host on which something may go wrong at any time, or not before it is said.
    pub fn on(self, troubled: bool) -> Ledger {
        Ledger { troubled, ..self }
    }

    /// What is asked for and has not ended.
    pub fn pending(&self) -> impl Iterator<Item = (Key, &Op)> {
        self.ops.iter().map(|(key, op)| (*key, op))
    }

    /// What is asked of one VM and has not ended.
    pub fn pending_of(&self, place: usize) -> impl Iterator<Item = &Op> {
        self.ops.values().filter(move |op| op.asked.place == place)
    }

    /// One of them.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Op> {
        self.ops.get_mut(&key)
    }

    /// How many lives' worth of reasons there are to restart a VM.
    pub fn wants_restart(&self, place: usize) -> bool {
        self.places[place].restarts.is_some() || self.places[place].reboot_lost
    }

    /// Its guest has crashed soon after its start, so that its lists do not start it again.
    pub fn is_suppressed(&self, place: usize, swarm: &Swarm) -> bool {
        let Some((made, stopped, code)) = self.places[place].before else { return false };
        let early = stopped.saturating_sub(made) < swarm.settings.minimum_reboot_delay;
        code == ShutdownCode::Crash && early && restarts(code, place, swarm)
    }

    /// Its guest has stopped soon after its start, and its next start has waited for it.
    pub fn was_held_back(&self, place: usize, mono: u64, swarm: &Swarm) -> bool {
        let Some((made, stopped, _)) = self.places[place].before else { return false };
        let early = stopped.saturating_sub(made) < swarm.settings.minimum_reboot_delay;
        early && mono.saturating_sub(stopped) >= swarm.settings.reboot_delay
    }

    /// Somebody else is about to end its domain, or has.
    pub fn is_doomed(&self, place: usize) -> bool {
        self.places[place].doomed
    }

    /// A hard power-off was asked for since.
    pub fn is_broken_by_poweroff(&self, op: &Op) -> bool {
        self.places[op.asked.place].poweroff > op.seq
    }

    /// Something is about to be asked for, whatever comes of it.
    pub fn asking(&mut self, asked: &Asked) {
        self.seq += 1;
        let place = &mut self.places[asked.place];
        if asked.action.disturbs() {
            place.disturbed = self.seq;
            place.intact = None;
        }
        place.run_asked |= lets_run(asked.action);
        place.start_asked |= makes_domain(asked.action);
        place.asked_again |= makes_domain(asked.action);
        if asked.action == VmShutdownHard {
            place.poweroff = self.seq;
        }
    }

    /// It is under way.
    pub fn asked(&mut self, key: Key, asked: Asked, intact: Option<DomId>, faults: u64) {
        if asked.action.disturbs() {
            self.places[asked.place].intact = None;
        }
        let intact = intact.filter(|_| !self.places[asked.place].doomed);
        let (cancelled, committed, unwatched, overtaken) = (false, false, false, None);
        let op = Op { seq: self.seq, asked, intact, cancelled, committed, unwatched, overtaken, faults };
        self.ops.insert(key, op);
    }

    /// The domain of a VM of which nothing is asked yet, and which runs.
    pub fn intact(&self, place: usize, view: &View) -> Option<DomId> {
        let (id, _) = state::standing(view.world, view.shelf, &view.swarm.shapes[place]);
        let (domid, domain) = state::living(view.world, id).next()?;
        // Nor does a daemon before this one want something of it that it has not finished.
        let wanted = view.shelf.of(id).is_some_and(|records| records.intent.is_some());
        let alone = self.pending_of(place).next().is_none() && !wanted;
        (alone && state::is_intact(view.world, domid, domain)).then_some(domid)
    }

    /// Nobody will be told when it ends.
    pub fn unwatch(&mut self, key: Key) {
        if let Some(op) = self.ops.get_mut(&key) {
            op.unwatched = true;
        }
    }

    /// Nobody will be told what came of it.
    pub fn forget(&mut self, key: Key) {
        self.ops.remove(&key);
    }

    /// Somebody else did something to a VM's domain.
    pub fn external(&mut self, place: usize) {
        self.seq += 1;
        let seq = self.seq;
        let place = &mut self.places[place];
        (place.disturbed, place.external, place.intact, place.doomed) = (seq, seq, None, true);
    }

    /// Somebody else has asked a domain to stop, with a word that only the daemon obeys.
    pub fn asked_to_stop(&mut self, place: usize, domid: DomId, mono: u64, swarm: &Swarm) {
        self.external(place);
        let restarts = restarts(ShutdownCode::Poweroff, place, swarm).then_some(domid);
        let place = &mut self.places[place];
        place.before = Some((place.made, mono, ShutdownCode::Poweroff));
        (place.stopped, place.asked_again, place.restarts) = (mono, false, restarts);
    }

    /// When a client last asked for a hard power-off, in the order of everything.
    pub fn powered_off(&self, place: usize) -> u64 {
        self.places[place].poweroff
    }

    /// Nobody is told of anything until `told_again`.
    pub fn untold(&mut self) {
        self.untold = true;
    }

    /// Somebody listens. What they are told now is claimed of a moment that has passed if nobody did until now, and of
    /// some they are not told any more.
    pub fn told_again(&mut self) {
        if std::mem::take(&mut self.untold) {
            self.seq += 1;
            for place in &mut self.places {
                (place.disturbed, place.external) = (self.seq, self.seq);
            }
            self.ops.values_mut().for_each(|op| op.unwatched = true);
        }
    }

    /// Whether a task has ended before, as far as anybody was told.
    pub fn task_ended(&self, task: u64) -> bool {
        self.ended.contains_key(&task)
    }

    /// It has ended.
    pub fn ended(&mut self, key: Key, how: Ended, view: &View) -> Result<Option<Op>, Violation> {
        if let Key::Task(task) = key
            && self.ended.insert(task, how == Ended::Well).is_some()
        {
            return Err(Violation::new("S29", format!("task {task} has ended twice")));
        }
        let Some(op) = self.ops.remove(&key) else { return Ok(None) };
        if let (Key::Task(task), Ended::Well) = (key, how) {
            self.overtakes(task, &op);
        }
        let place = &self.places[op.asked.place];
        if how == Ended::Cancelled && op.committed && !self.is_broken_by_poweroff(&op) {
            let text = format!("{} could not be cancelled any more, and was", op.asked.action.name());
            return Err(Violation::new("S31", text));
        }
        if place.external <= op.seq {
            let stopped = place.before.map(|(_, _, code)| code);
            if op.asked.action == VmSuspend && how == Ended::Well && stopped != Some(ShutdownCode::Suspend) {
                let text = format!("VM.suspend went well and its guest had stopped so: {stopped:?}");
                return Err(Violation::new("H47", text));
            }
            match how {
                Ended::Well => claims(&op, view)?,
                _ => self.undisturbed(&op, view)?,
            }
        }
        self.settle(op.asked.place, view);
        Ok(Some(op))
    }

    /// What was asked of the same VM before has come to its end by now, whether anybody was told yet or not.
    fn overtakes(&mut self, task: u64, op: &Op) {
        for (_, earlier) in self.ops.range_mut(Key::Task(0)..Key::Task(task)) {
            if earlier.asked.place == op.asked.place && earlier.asked.id == op.asked.id {
                earlier.overtaken = Some(task);
            }
        }
    }

    /// What failed before its point of no return left alone what ran.
    fn undisturbed(&self, op: &Op, view: &View) -> Checked {
        let place = &self.places[op.asked.place];
        // Who does not ask may not have been told that there was no way back: it is on record.
        let records = view.swarm.shapes[op.asked.place].ids.iter().filter_map(|id| view.shelf.of(*id));
        let committed = op.committed
            || records.filter_map(|records| records.intent.as_ref()).any(|intent| intent.takes_apart(op.intact));
        let Some(domid) = op.intact.filter(|_| place.disturbed <= op.seq && !committed) else { return Ok(()) };
        let domain = view.world.hypervisor().get(domid);
        let still = domain.is_some_and(|domain| state::is_intact(view.world, domid, domain));
        // Nobody knew whether it was paused in the end: it may be.
        let paused = |domain: &Domain| domain.info.paused && state::is_complete(view.world, domid, domain);
        // Its image is durable, and only that could not be said any more: it is suspended after all.
        let image = view.world.images().get(&view.swarm.shapes[op.asked.place].image());
        let durable = image.is_some_and(|image| image.complete() && image.synced == image.parts.len());
        // Or what may yet complete it is waited for before the guest runs on.
        let waits = |domain: &Domain| {
            domain.info.shutdown == Some(ShutdownCode::Suspend) && state::is_complete(view.world, domid, domain)
        };
        let suspended = op.asked.action == VmSuspend && (durable || domain.is_some_and(waits));
        if still || suspended || (op.asked.action == VmPause && domain.is_some_and(paused)) {
            return Ok(());
        }
        let text = format!("{} failed and cost the running domain {domid}", op.asked.action.name());
        Err(Violation::new("L4", text))
    }

    /// Nothing is asked of a VM any more: what runs now must not be disturbed.
    fn settle(&mut self, place: usize, view: &View) {
        if self.ops.values().any(|op| op.asked.place == place) {
            return;
        }
        let (id, _) = state::standing(view.world, view.shelf, &view.swarm.shapes[place]);
        let mut living = state::living(view.world, id);
        let whole = |domid: DomId, domain: &Domain| {
            let rests = domain.info.paused && domain.info.shutdown.is_none();
            state::is_intact(view.world, domid, domain) || rests && state::is_complete(view.world, domid, domain)
        };
        let intact = living.next().filter(|(domid, domain)| whole(*domid, domain));
        // What the daemon before has not finished is still to come.
        let wanted = view.shelf.of(id).is_some_and(|records| records.intent.is_some());
        // So is what it has asked for and not waited for to the end.
        let late = |(domid, _): &(DomId, &Domain)| view.world.will_act_on(*domid);
        // And what its guest's own reset in place, of which nobody is told, has it do.
        let resets = intact.is_some_and(|(domid, _)| self.places[place].restarts == Some(domid));
        let disturbed = self.places[place].doomed || wanted || resets || intact.as_ref().is_some_and(late);
        let alone = living.next().is_none() && !disturbed;
        self.places[place].intact = intact.map(|(domid, _)| domid).filter(|_| alone);
    }

    /// What failed could not be marked so where the disk did not take the mark, one of these keys: the next daemon obeys
    /// it once more.
    pub fn reboots_stay(&mut self, behind: &BTreeSet<String>, shelf: &Shelf, swarm: &Swarm) {
        for place in reboots(behind, shelf, swarm) {
            self.places[place].reboot_lost = true;
        }
    }

    /// The daemon is gone, and with it what clients were to be told.
    pub fn crashed(&mut self, host_too: bool) {
        for op in std::mem::take(&mut self.ops).into_values() {
            let place = &mut self.places[op.asked.place];
            place.reboot_lost |= is_reboot(op.asked.action) && !host_too;
            place.intact = None;
        }
        self.places.iter_mut().for_each(|place| place.known = false);
        self.ended.clear();
        if host_too {
            self.seq += 1;
            for place in &mut self.places {
                *place = Place { disturbed: self.seq, external: self.seq, ..Place::default() };
            }
        }
    }

    /// All is at rest: what was lost is settled.
    pub fn rested(&mut self) {
        self.ops.retain(|_, op| !op.unwatched);
        for place in &mut self.places {
            place.reboot_lost = false;
            place.restarts = None;
        }
    }

    /// Something happened to a VM's domain; there must have been a reason.
    pub fn happened(&mut self, event: &Event, mono: u64, swarm: &Swarm) -> Checked {
        self.seq += 1;
        let asked_now = |wanted: fn(Action) -> bool, ops: &BTreeMap<Key, Op>| {
            ops.values().any(|op| op.asked.place == event.place && wanted(op.asked.action))
        };
        let makes = asked_now(makes_domain, &self.ops);
        let runs = asked_now(lets_run, &self.ops);
        let resumes = asked_now(|action| action == VmResume, &self.ops);
        let suspends = asked_now(|action| action == VmSuspend, &self.ops);
        let (seq, clock_set, troubled) = (self.seq, self.clock_set, self.troubled);
        let place = &mut self.places[event.place];
        if place.intact == Some(event.domid) && !matches!(event.what, What::Stopped(_)) {
            let text = format!("domain {} of vm {} ran, nobody asked, and {:?}", event.domid, event.place, event.what);
            return Err(Violation::new("L5", text));
        }
        match event.what {
            What::Made => {
                if !(makes || place.reboot_lost || place.restarts.is_some() || place.start_asked) {
                    return Err(Violation::new("S26", format!("vm {} was started and nobody asked", event.place)));
                }
                // A daemon that did not see it made asks the clock.
                let misled = clock_set && !place.known;
                if !(makes || place.reboot_lost || place.asked_again || misled) {
                    too_soon(place, mono, swarm)?;
                }
                place.run_asked = runs || place.reboot_lost || place.restarts.is_some();
                place.start_asked = makes;
                (place.doomed, place.known) = (false, true);
                // A guest that is resumed has been started long ago.
                place.made = if resumes { 0 } else { mono };
            }
            What::Unpaused => {
                if !(place.run_asked || place.reboot_lost || place.restarts.is_some()) {
                    return Err(Violation::new("S25", format!("vm {} was let run and nobody asked", event.place)));
                }
                // One that has stopped may still be let run; that does not start its guest again.
                place.restarts = place.restarts.filter(|stopped| *stopped == event.domid);
                place.reboot_lost &= runs;
            }
            What::Stopped(code) => {
                (place.intact, place.stopped, place.asked_again) = (None, mono, false);
                // One that suspends because it was asked to is to run on if that comes to nothing.
                if troubled || code != ShutdownCode::Suspend || !suspends {
                    place.disturbed = seq;
                }
                // What was asked of it before, its next start perhaps held back since, comes whatever it does meanwhile.
                let asked = place.restarts.filter(|domid| *domid == event.domid);
                let since = place.before.filter(|_| asked.is_some()).map_or(mono, |(_, since, _)| since);
                place.before = Some((place.made, since, code));
                place.restarts = restarts(code, event.place, swarm).then_some(event.domid).or(asked);
            }
            // Nobody waits for it any more: it is to run on.
            What::Suspended if !(troubled || suspends || place.doomed) => place.owed = Some(event.domid),
            What::Resumed => place.owed = None,
            What::Dying => {
                place.disturbed = seq;
                let wanted = self.ops.values().any(|op| op.asked.place == event.place);
                if place.owed.take() == Some(event.domid) && !(wanted || place.doomed) {
                    let text = format!("vm {} suspended as it was asked to, and was lost", event.place);
                    return Err(Violation::new("H42", text));
                }
            }
            // Who is about to end it begins so, in his own time.
            What::Paused if place.doomed => (place.disturbed, place.external) = (seq, seq),
            What::Paused | What::Suspended | What::Renamed | What::Gone(..) => {}
        }
        Ok(())
    }
}

/// What the ledger looks at.
pub struct View<'a> {
    /// The world.
    pub world: &'a World,
    /// The records.
    pub shelf: &'a Shelf,
    /// The run.
    pub swarm: &'a Swarm,
}
