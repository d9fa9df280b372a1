//! What is always so of our own state, between any two inputs.

use super::Machine;
use super::slot::Job;

impl Machine {
    /// Cheap enough for every input, in every build. What comes from outside is never asserted here.
    pub(super) fn check(&self) {
        let (drawn, reserve, _) = self.budget.state();
        assert!(self.flights.len() >= (drawn + reserve) as usize, "a worker is held by a request in flight");
        assert!(self.by_id.len() == self.vms.len(), "every place has one identity");
    }

    /// All of it, of every VM and task: for tests and simulations.
    pub fn check_all(&self) {
        self.check();
        for (id, vm) in &self.by_id {
            assert_eq!(self.slot(*vm).id, *id, "a place is found by its identity");
        }
        for (vm, slot) in self.vms.iter() {
            let running = matches!(slot.job, Job::Run(_));
            assert!(slot.rows.vm.is_some() || slot.rows.extra.is_none() || !slot.aside.is_empty() || running);
            if let Some(active) = slot.active() {
                assert!(slot.ended.is_none() || active.task.is_none(), "one operation at a time");
            }
            for queued in self.queues.iter(vm) {
                // A client may have destroyed it; what is there is pending.
                let task = self.tasks.get(queued.task);
                assert!(task.is_none_or(|task| matches!(task.state, super::tasks::State::Pending(_))));
            }
        }
    }

    /// Whether nothing is in flight, queued, wanted or to be given up: only a client or the host can change anything.
    pub fn is_at_rest(&self) -> bool {
        let rests = |vm: u64, slot: &super::slot::Slot| {
            slot.is_settled() && self.queues.is_empty(vm) && !slot.is_constructing(self.now.mono)
        };
        let sure = |slot: &super::slot::Slot| slot.unsure.is_empty();
        self.flights.is_empty()
            && !self.domains.is_wanted()
            && self.vms.iter().all(|(vm, slot)| sure(slot) && (rests(vm, slot) || slot.rows.vm.is_none()))
    }
}
