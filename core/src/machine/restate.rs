//! Records of which nobody knows how they stand on disk: they are written once more, as they are in memory.
//!
//! An append that has had its time may still become durable later, against what clients were told since. Appends become
//! durable in their order, so one more of the same keys, sent when no other of this VM is on its way, settles it.

use super::flight::Owner;
use super::slot::Job;
use super::timers::Alarm;
use super::{Effects, Machine};
use crate::host::time::SECOND;
use crate::host::{Outcome, Request};

impl Machine {
    /// Whether a VM at rest has such records. They come before anything else of it; who waits for the operation that
    /// has ended is told all the same.
    pub(super) fn restates(&mut self, vm: u64, effects: &mut Effects) -> bool {
        let Some(slot) = self.vms.get(vm) else { return false };
        if slot.unsure.is_empty() || !matches!(slot.job, Job::Rest) {
            return false;
        }
        self.finish_ended(vm, effects);
        let slot = self.slot(vm);
        if slot.unsure_after > self.now.mono || self.client_rows_in_flight(vm) {
            return true;
        }
        let entries = slot.unsure.iter().flat_map(|row| slot.rows.restated(&slot.text, row)).collect();
        self.slot_mut(vm).job = Job::Restate;
        self.send(Request::Append(entries), Owner::Restate(vm), None, effects);
        true
    }

    pub(super) fn restated(&mut self, vm: u64, outcome: &Outcome, effects: &mut Effects) {
        let after = self.now.mono + SECOND;
        let slot = self.slot_mut(vm);
        slot.job = Job::Rest;
        if matches!(outcome, Outcome::Ok(_)) {
            slot.unsure.clear();
        } else {
            slot.unsure_after = after;
            self.timers.set(after, Alarm::Look(vm));
        }
        self.drive(vm, effects);
    }
}
