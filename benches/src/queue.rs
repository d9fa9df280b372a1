//! The machine's queues and its workers on their own: on many VMs operations wait, and take turns.

use std::collections::VecDeque;
use xenops_core::machine::budget::{Budget, Purse, Turn};
use xenops_core::machine::queues::Queues;

/// As large as an operation that waits, with its task.
pub type Item = [u64; 8];

/// Queues that fill and empty, and workers that serve them.
pub struct Turns {
    vms: u64,
    queues: Queues<Item>,
    budget: Budget<u64>,
    served: VecDeque<u64>,
}

impl Turns {
    /// So many VMs, on which nothing waits, and four workers.
    pub fn new(vms: usize) -> Turns {
        let (queues, budget, served) = (Queues::default(), Budget::new(4), VecDeque::new());
        Turns { vms: vms as u64, queues, budget, served }
    }

    /// Every queue fills to this depth, one VM after the other; an item's first number is its place in its queue.
    pub fn fill(&mut self, depth: usize) {
        for place in 0..depth as u64 {
            (0..self.vms).for_each(|vm| self.queues.push(vm, [place, 0, 0, 0, 0, 0, 0, 0]));
        }
    }

    /// Each VM lines up for a worker with the first of its queue, and again for the next, until nothing waits.
    pub fn empty(&mut self, mut begins: impl FnMut(u64, Item)) {
        for vm in (0..self.vms).filter(|vm| !self.queues.is_empty(*vm)) {
            self.served.extend(self.budget.draw(Purse::Pool, Turn::New, vm));
        }
        while let Some(vm) = self.served.pop_front() {
            begins(vm, self.queues.pop(vm).expect("who lines up has something to do"));
            self.budget.give_back(Purse::Pool);
            if !self.queues.is_empty(vm) {
                self.served.extend(self.budget.draw(Purse::Pool, Turn::New, vm));
            }
            self.served.extend(std::iter::from_fn(|| self.budget.next_turn()).map(|(_, vm)| vm));
        }
    }
}
