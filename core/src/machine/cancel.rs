//! Cancellation: of a task that waits, at once; of one that runs, through its requests in flight.

use super::flight::ABORT_PATIENCE;
use super::slot::{Job, Seat};
use super::updates::Object;
use super::{Effect, Effects, Machine, TaskId};
use crate::backend::Failure;
use crate::host::{Fault, Outcome};

impl Machine {
    /// Cancel a task if it can be; it ends when all that it had in flight has.
    pub(super) fn cancel(&mut self, task: TaskId, patience: u64, effects: &mut Effects) {
        let Some(record) = self.tasks.get_mut(task) else { return };
        let Some(vm) = record.vm else { return };
        if !record.cancellable {
            return;
        }
        record.cancelling = true;
        if let Some(queued) = self.queues.remove(vm, |queued| queued.task == task) {
            if mutant!(CancelledStaysQueued) {
                self.queues.push(vm, queued);
            }
            return self.finish_task(vm, task, Err(Failure::Refused(Fault::Cancelled)), effects);
        }
        if self.slot(vm).active().is_some_and(|active| active.task == Some(task)) {
            self.stop(vm, patience, effects);
        }
    }

    /// Stop the plan that runs on a VM: nothing new but what is shielded, and abort what is in flight.
    pub(super) fn stop(&mut self, vm: u64, patience: u64, effects: &mut Effects) {
        let by = self.now.mono.saturating_add(patience);
        let slot = self.slot_mut(vm);
        if matches!(slot.job, Job::Rows(_)) {
            return;
        }
        let Some(active) = slot.active_mut() else { return };
        active.cancelling = true;
        active.forced |= patience < ABORT_PATIENCE;
        for (_, effect, shielded) in &active.flights {
            if (!shielded || patience < ABORT_PATIENCE) && !mutant!(CancelWithoutAbort) {
                effects.push(Effect::Abort { effect: *effect, deadline: by });
            }
        }
        let mut refused = Vec::new();
        self.budget.forget(|parked| {
            let forgets = parked.vm == vm && !parked.shielded && matches!(parked.seat, Seat::Leaf(_));
            refused.extend(forgets.then_some(parked.seat));
            forgets
        });
        refused.into_iter().for_each(|seat| self.refuse(vm, seat, effects));
    }

    fn refuse(&mut self, vm: u64, seat: Seat, effects: &mut Effects) {
        let stepped = self.step(vm, seat, Outcome::Refused(Fault::Cancelled));
        self.advance(vm, seat, stepped, effects);
    }

    /// A step is to begin: count it, and say whether it must not.
    pub(super) fn cancel_point(&mut self, vm: u64, task: Option<TaskId>, counted: bool, cancelling: bool) -> bool {
        let Some(task) = task else { return cancelling };
        if counted && self.tasks.cancel_point(task) {
            self.slot_mut(vm).active_mut().expect("its plan runs").cancelling = true;
            return true;
        }
        cancelling
    }

    /// From here the operation is finished, not undone.
    pub(super) fn no_longer_cancellable(&mut self, task: Option<TaskId>) {
        let Some(task) = task else { return };
        if let Some(record) = self.tasks.get_mut(task)
            && record.cancellable
        {
            record.cancellable = false;
            record.cancelling = false;
            self.updates.add(Object::Task(task));
        }
    }
}
