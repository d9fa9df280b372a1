//! What happens sometimes, told from what the oracle sees: domains, records, tasks.

use super::{Run, Who};
use crate::action::Action::{VmRebootClean, VmRebootHard, VmShutdownHard, VmSuspend};
use crate::client::Asked;
use crate::ledger::{Ended, Op};
use crate::oracle::domains::{Event, What};
use crate::oracle::{Checked, Violation, state};
use crate::sometimes::Property;
use xenops_core::host::{DomId, ShutdownCode, Uuid};
use xenops_core::interface::task::Task;
use xenops_core::recovery::Goal;

/// Seconds that a task has at least for what it does: one step's.
const LEAST: f64 = 1200.0;

impl Run {
    /// What a domain's event is worth beside the rules. Asked before the ledger learns of it.
    pub(super) fn happened(&mut self, event: &Event) {
        let mono = self.now().mono;
        match event.what {
            What::Made => self.made(event.place, mono),
            What::Resumed => self.resumed(event.place),
            What::Gone(true, false) => {
                self.lifetimes += 1;
                if self.ledger.is_suppressed(event.place, &self.swarm) {
                    self.sometimes.hit(Property::CrashSuppressed);
                }
            }
            What::Stopped(code) => self.guest_stopped(event.place, event.domid, code),
            _ => {}
        }
    }

    fn made(&mut self, place: usize, mono: u64) {
        let rebooted = |op: &Op| matches!(op.asked.action, VmRebootClean | VmRebootHard);
        if self.ledger.pending_of(place).any(rebooted) || !self.ledger.wants_restart(place) {
            return;
        }
        self.sometimes.hit(Property::RebootedItself);
        if self.ledger.was_held_back(place, mono, &self.swarm) {
            self.sometimes.hit(Property::RebootHeldBack);
        }
    }

    fn resumed(&mut self, place: usize) {
        if self.ledger.pending_of(place).any(|op| op.asked.action == VmSuspend) {
            self.sometimes.hit(Property::SuspendUndone);
        }
    }

    /// A guest has stopped; what that may mean.
    fn guest_stopped(&mut self, place: usize, _domid: DomId, code: ShutdownCode) {
        self.guests_stopped += 1;
        let queued = |op: &Op| matches!(op.asked.action, VmRebootClean | VmRebootHard);
        if code != ShutdownCode::Suspend && self.ledger.pending_of(place).any(queued) {
            self.sometimes.hit(Property::GuestBeforeReboot);
        }
    }

    /// A daemon starts: what the one before has not finished.
    pub(super) fn take_over(&mut self) {
        let intents = self.shelf.iter().filter_map(|(vm, records)| Some((vm, records.intent.clone()?)));
        let unfinished = |intent: &xenops_core::recovery::Intent| intent.committed || intent.goal != Goal::Reboot;
        self.unfinished =
            intents.filter(|(_, intent)| unfinished(intent)).map(|(vm, intent)| (vm, intent.goal)).collect();
    }

    /// Records have changed: what was not finished may be now.
    pub(super) fn finished(&mut self) {
        if self.unfinished.is_empty() {
            return;
        }
        let done = |vm: &Uuid| self.shelf.of(*vm).is_none_or(|records| records.intent.is_none());
        let finished: Vec<Uuid> = self.unfinished.keys().copied().filter(done).collect();
        for vm in finished {
            let Some(goal) = self.unfinished.remove(&vm) else { continue };
            let row = self.shelf.of(vm).is_some_and(|records| records.row);
            let image = self.shelf.of(vm).and_then(|records| records.image).is_some_and(|bytes| bytes > 0);
            let domain = state::living(&self.world, vm).next().is_some();
            let property = match goal {
                Goal::Poweroff if row && !domain => Property::PoweroffFinished,
                Goal::Reboot if domain => Property::RestartAfterCrash,
                Goal::Suspend(_) if image && !domain => Property::SuspendedByCrash,
                Goal::Remove if !row => Property::RemovedByCrash,
                Goal::Rename(to) if self.shelf.of(to).is_some_and(|records| records.row) => Property::RenamedByCrash,
                _ => continue,
            };
            self.sometimes.hit(property);
        }
    }

    /// What nobody cancelled is not cancelled before it has had its time.
    pub(super) fn had_its_time(&self, op: &Op, how: Ended, shown: &Task) -> Checked {
        if how != Ended::Cancelled || self.is_to_end(op) || self.ledger.clock_set || self.age(shown) >= LEAST {
            return Ok(());
        }
        let text = format!("{} was cancelled after {:.0} s, and nobody asked", op.asked.action.name(), self.age(shown));
        Err(Violation::new("H65", text))
    }

    /// Somebody wants it to end: it was cancelled, or is to be, or a hard power-off of its VM is asked for.
    fn is_to_end(&self, op: &Op) -> bool {
        let of_its_vm = |asked: &Asked| asked.action == VmShutdownHard && asked.place == op.asked.place;
        let mut open = self.open.values().filter_map(|open| match &open.who {
            Who::Client(_, asked) => asked.as_ref(),
            _ => None,
        });
        let mut pending = self.ledger.pending_of(op.asked.place).map(|op| &op.asked);
        op.cancelled
            || op.asked.triggered
            || self.ledger.is_broken_by_poweroff(op)
            || open.any(of_its_vm)
            || pending.any(of_its_vm)
    }

    /// Seconds from when a task was asked for.
    fn age(&self, shown: &Task) -> f64 {
        self.world.now().wall as f64 / 1e9 - shown.ctime
    }

    /// A task has ended; `shown` is how clients see it then.
    pub(super) fn task_ended(&mut self, op: &Op, how: Ended, shown: &Task) {
        if how != Ended::Cancelled {
            return;
        }
        let property = if shown.subtasks.is_empty() { Property::CancelledQueued } else { Property::CancelledRunning };
        self.sometimes.hit(property);
        if self.ledger.is_broken_by_poweroff(op) && !op.cancelled {
            self.sometimes.hit(Property::PoweroffBroke);
        }
        if !self.is_to_end(op) && !self.ledger.clock_set && self.age(shown) >= LEAST {
            self.sometimes.hit(Property::Expired);
        }
    }
}
