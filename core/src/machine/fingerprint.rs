//! A machine's state in one hash, for explorers: two machines with the same one go on in the same way.
//!
//! Left out is what decides nothing: numbers of tasks, calls, updates, effects, handles and alarms, the stream of
//! updates, what clients are shown of a task's course, why an operation has failed once it has, drawn identities, the wall clock, and how long ago something
//! was answered. What is configured is the same for all machines of an exploration.

use super::budget::Purse;
use super::drive::MOST_DOUBLINGS;
use super::flight::{Flight, Owner, Parked};
use super::slot::{Active, Glance, Job, Queued, Seat, Slot};
use super::timers::Alarm;
use super::{EffectId, Machine, TaskId};
use crate::backend::Failure;
use crate::host::{Canonical, Token, Uuid};
use std::hash::Hash;

/// What an effect's outcome bears on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// What this VM is doing: its plan, or its look.
    Course(Uuid),
    /// This VM's watch.
    Watch(Uuid),
    /// The list of all domains.
    List,
    /// The mark in an intent of which nothing is expected any more.
    Mark,
    /// Nothing.
    Nothing,
    /// More than that.
    Other,
}

/// What a VM is about, from one of its looks to the next, by the number of the look or of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// A look.
    Look(u64),
    /// A plan.
    Plan(u64),
}

impl Machine {
    /// Its whole state.
    pub fn fingerprint<H: Canonical>(&self, hash: &mut H) {
        let Machine {
            config: _,
            now: _,
            entropy: _,
            instance: _,
            vms,
            by_id: _,
            tasks: _,
            updates: _,
            flights,
            queues: _,
            budget,
            timers,
            waiting,
            observers: _,
            domains,
            handles: _,
            looks: _,
            aside: _,
        } = self;
        hash.unordered(vms.iter(), |hash, (vm, slot)| self.vm(vm, slot, hash));
        hash.unordered(flights.iter(), |hash, (_, flight)| {
            let Flight { owner, purse } = flight;
            self.owner(owner, hash);
            self.purse_of(*purse, hash);
        });
        hash.unordered(timers.iter(), |hash, (at, alarm)| {
            at.hash(hash);
            self.alarm(alarm, hash);
        });
        budget.used().hash(hash);
        budget.parked().for_each(|parked| {
            let Parked { vm, seat, request, shielded } = parked;
            self.place(*vm, hash);
            self.seat(*seat, hash);
            (request, shielded).hash(hash);
        });
        waiting.counts().hash(hash);
        domains.fingerprint(self.now.mono, hash);
    }

    /// What an effect in flight is for: no two have the same. One that was answered before it had ended is for nothing.
    pub fn purpose<H: Canonical>(&self, effect: EffectId, hash: &mut H) {
        let flight = self.flights.get(effect.0);
        flight.is_some().hash(hash);
        flight.iter().for_each(|flight| self.owner(&flight.owner, hash));
    }

    /// What the outcome of an effect in flight bears on.
    pub fn bearing(&self, effect: EffectId) -> Bearing {
        match self.flights.get(effect.0).map(|flight| &flight.owner) {
            Some(Owner::Domains) => Bearing::List,
            Some(Owner::Watch(vm)) => self.vms.get(*vm).map_or(Bearing::Other, |slot| Bearing::Watch(slot.id)),
            Some(Owner::Nobody) => Bearing::Nothing,
            Some(Owner::Abandon(_)) => Bearing::Mark,
            Some(
                Owner::Seat(vm, Seat::Leaf(_) | Seat::Look)
                | Owner::Record(vm, ..)
                | Owner::Commit(vm, _)
                | Owner::Intent(vm, _)
                | Owner::Rows(vm, _),
            ) => self.vms.get(*vm).map_or(Bearing::Other, |slot| Bearing::Course(slot.id)),
            _ => Bearing::Other,
        }
    }

    /// Which look a VM takes, or which plan it is in: meanwhile a notice asks for no more than one look after it,
    /// and where that is to come anyway it changes nothing. None where a notice may do more.
    pub fn stretch(&self, vm: Uuid) -> Option<Stretch> {
        let vm = *self.by_id.get(&vm)?;
        let slot = self.vms.get(vm)?;
        match slot.job {
            _ if slot.glance.is_some() || !self.queues.is_empty(vm) => None,
            Job::Look { started, .. } => Some(Stretch::Look(started)),
            Job::Begin(_) | Job::Run(_) | Job::Rows(_) if slot.look_wanted && slot.verdict.is_none() => {
                Some(Stretch::Plan(slot.seen_at))
            }
            _ => None,
        }
    }

    /// Whether the list of all domains will be asked for once more when the one on its way has come.
    pub fn lists_again(&self) -> bool {
        self.domains.is_wanted()
    }

    /// The VM that an effect in flight is for; none where it is for several.
    pub fn subject(&self, effect: EffectId) -> Option<Uuid> {
        let vm = match &self.flights.get(effect.0)?.owner {
            Owner::Seat(vm, _)
            | Owner::Record(vm, ..)
            | Owner::Commit(vm, _)
            | Owner::Intent(vm, _)
            | Owner::Settle(vm)
            | Owner::Abandon(vm)
            | Owner::Restate(vm)
            | Owner::Watch(vm)
            | Owner::Rows(vm, _)
            | Owner::Client { vm, .. } => *vm,
            Owner::WatchDomains | Owner::Domains | Owner::Call(..) | Owner::Nobody => return None,
        };
        self.vms.get(vm).map(|slot| slot.id)
    }

    /// The VM that a notice is about; none where it is about several.
    pub fn noticed_vm(&self, token: Token) -> Option<Uuid> {
        self.vms.get(token.0).map(|slot| slot.id)
    }

    /// The notice that a VM has, if there is such a VM.
    pub fn notice_of(&self, vm: Uuid) -> Option<Token> {
        self.by_id.get(&vm).copied().map(Token)
    }

    /// Whether a task is not there, or has ended.
    pub fn has_ended(&self, task: TaskId) -> bool {
        self.tasks.get(task).is_none_or(|task| !matches!(task.state, super::tasks::State::Pending(_)))
    }

    /// By its identity: its number is its place in a table.
    fn place<H: Canonical>(&self, vm: u64, hash: &mut H) {
        self.vms.get(vm).map(|slot| slot.id).hash(hash);
    }

    fn seat<H: Canonical>(&self, seat: Seat, hash: &mut H) {
        std::mem::discriminant(&seat).hash(hash);
        if let Seat::Leaf(node) = seat {
            node.hash(hash);
        }
    }

    fn purse_of<H: Canonical>(&self, purse: Option<Purse>, hash: &mut H) {
        purse.map(|purse| purse as u32).hash(hash);
    }

    fn alarm<H: Canonical>(&self, alarm: &Alarm, hash: &mut H) {
        std::mem::discriminant(alarm).hash(hash);
        match alarm {
            Alarm::Look(vm) => self.place(*vm, hash),
            Alarm::Expire(task) => self.task(Some(TaskId(*task)), hash),
            Alarm::Call(_) | Alarm::Domains => {}
        }
    }

    /// A task by what it is of: one VM has one that runs or has ended, and others that wait in order.
    fn task<H: Canonical>(&self, task: Option<TaskId>, hash: &mut H) {
        let task = task.and_then(|task| self.tasks.get(task));
        task.map(|task| (task.cancelling, task.cancellable)).hash(hash);
        if let Some(vm) = task.and_then(|task| task.vm) {
            self.place(vm, hash);
        }
    }

    fn owner<H: Canonical>(&self, owner: &Owner, hash: &mut H) {
        std::mem::discriminant(owner).hash(hash);
        match owner {
            Owner::Seat(vm, seat) => {
                self.place(*vm, hash);
                self.seat(*seat, hash);
            }
            Owner::Record(vm, node, row) => {
                self.place(*vm, hash);
                node.hash(hash);
                std::mem::discriminant(row).hash(hash);
            }
            Owner::Commit(vm, node) => {
                self.place(*vm, hash);
                node.hash(hash);
            }
            Owner::Intent(vm, before) => {
                self.place(*vm, hash);
                before.hash(hash);
            }
            Owner::Settle(vm) | Owner::Abandon(vm) | Owner::Restate(vm) | Owner::Watch(vm) => self.place(*vm, hash),
            Owner::Rows(vm, rows) => {
                self.place(*vm, hash);
                rows.len().hash(hash);
            }
            Owner::Client { vm, row, call: _, answer: _ } => {
                self.place(*vm, hash);
                hash.debug(row);
            }
            Owner::Call(_, kind) => std::mem::discriminant(kind).hash(hash),
            Owner::WatchDomains | Owner::Domains | Owner::Nobody => {}
        }
    }

    fn vm<H: Canonical>(&self, vm: u64, slot: &Slot, hash: &mut H) {
        let Slot {
            id,
            text: _,
            rows,
            aside,
            job,
            look_wanted,
            look_after,
            look_pause,
            look_alarm,
            seen,
            seen_at,
            verdict,
            glance,
            askers,
            repairs,
            stragglers,
            ended,
            made,
            constructing,
            watched,
            unsure,
            unsure_after,
            given_up,
            // Only told.
            trouble: _,
            // Only names.
            handles: _,
        } = slot;
        let later = |at: &u64| (*at).max(self.now.mono);
        (id, aside, look_wanted, later(look_after), later(look_pause), look_alarm.is_some()).hash(hash);
        rows.fingerprint(hash);
        (verdict, repairs, given_up.min(&MOST_DOUBLINGS), stragglers.len(), askers.len(), watched).hash(hash);
        (made.map(|(domid, made)| (domid, made.mono)), constructing.map(|at| later(&at))).hash(hash);
        seen.is_some().hash(hash);
        if let Some(seen) = seen {
            hash.shared(seen);
        }
        if let Some(Glance { procedure, started, askers, name }) = glance {
            (seen_at > started, askers.len(), *name == self.slot(vm).text).hash(hash);
            procedure.iter().for_each(|procedure| procedure.fingerprint(hash));
        }
        if let Some(ended) = ended {
            self.task(ended.task, hash);
            // Of a failure only that it answers a cancellation, for who asked; the rest is only told.
            ended.result.as_ref().map(|_| ()).map_err(Failure::is_cancelled).hash(hash);
        }
        unsure.len().hash(hash);
        if !unsure.is_empty() {
            later(unsure_after).hash(hash);
            hash.debug(unsure);
        }
        self.queues.iter(vm).for_each(|Queued { op, task }| {
            hash.debug(op);
            self.task(Some(*task), hash);
        });
        std::mem::discriminant(job).hash(hash);
        match job {
            Job::Rest | Job::Settle | Job::Restate => {}
            Job::Look { procedure, started } => {
                (seen_at > started).hash(hash);
                procedure.iter().for_each(|procedure| procedure.fingerprint(hash));
            }
            Job::Begin(active) | Job::Run(active) | Job::Rows(active) => self.in_progress(active, hash),
        }
    }

    fn in_progress<H: Canonical>(&self, active: &Active, hash: &mut H) {
        let Active {
            op,
            task,
            run,
            // Its plan has been made of it, and each micro-op has what it needs of it.
            subject: _,
            domid,
            result,
            cancelling,
            forced,
            flights,
            expiry,
            subtasks: _,
            changes,
        } = active;
        hash.debug(op);
        self.task(*task, hash);
        run.fingerprint(hash);
        (domid, result.is_some(), cancelling, forced, expiry.is_some()).hash(hash);
        hash.unordered(flights, |hash, (node, _, shielded)| (node, shielded).hash(hash));
        changes.iter().for_each(|(node, change)| (node, change).hash(hash));
    }
}
