//! Requests in flight, their deadlines, and those that outlasted them.

use std::collections::{BTreeSet, HashMap, HashSet};
use xenops_core::machine::EffectId;

/// What was known of a request when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The machine waits for it.
    InTime,
    /// The machine has been told that nobody knows.
    Late,
}

/// Every request that the host has not answered.
#[derive(Debug, Default)]
pub struct Flights {
    deadlines: HashMap<EffectId, u64>,
    order: BTreeSet<(u64, EffectId)>,
    stragglers: HashSet<EffectId>,
}

impl Flights {
    /// One begins, to be over by this monotonic nanosecond.
    pub fn depart(&mut self, effect: EffectId, deadline: u64) {
        self.deadlines.insert(effect, deadline);
        self.order.insert((deadline, effect));
    }

    /// One is to be over sooner.
    pub fn hasten(&mut self, effect: EffectId, deadline: u64) {
        if let Some(present) = self.deadlines.get_mut(&effect)
            && deadline < *present
        {
            self.order.remove(&(*present, effect));
            self.order.insert((deadline, effect));
            *present = deadline;
        }
    }

    /// One has ended; nothing where it had ended before.
    pub fn land(&mut self, effect: EffectId) -> Option<Landing> {
        if let Some(deadline) = self.deadlines.remove(&effect) {
            self.order.remove(&(deadline, effect));
            return Some(Landing::InTime);
        }
        self.stragglers.remove(&effect).then_some(Landing::Late)
    }

    /// One that should have ended by now, once; it is a straggler from then on.
    pub fn overdue(&mut self, mono_ns: u64) -> Option<EffectId> {
        let (deadline, effect) = *self.order.first()?;
        if deadline > mono_ns {
            return None;
        }
        self.order.pop_first();
        self.deadlines.remove(&effect);
        self.stragglers.insert(effect);
        Some(effect)
    }

    /// The first deadline.
    pub fn next(&self) -> Option<u64> {
        self.order.first().map(|(deadline, _)| *deadline)
    }

    /// Whether none is waited for.
    pub fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ends_once_in_time_or_late() {
        let mut flights = Flights::default();
        let [a, b, c] = [1, 2, 3].map(EffectId);
        flights.depart(a, 10);
        flights.depart(b, 20);
        flights.depart(c, 30);
        flights.hasten(c, 15);
        flights.hasten(c, 40);
        assert_eq!((flights.next(), flights.overdue(9)), (Some(10), None));
        assert_eq!((flights.overdue(16), flights.overdue(16), flights.overdue(16)), (Some(a), Some(c), None));
        assert_eq!((flights.land(b), flights.land(b)), (Some(Landing::InTime), None));
        assert!(flights.is_empty() && flights.next().is_none());
        assert_eq!(
            (flights.land(a), flights.land(a), flights.land(c)),
            (Some(Landing::Late), None, Some(Landing::Late))
        );
    }
}
