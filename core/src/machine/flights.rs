//! Requests in flight, their deadlines, and those that outlasted them: what every driver of the machine keeps.

use super::EffectId;
use std::collections::{BTreeMap, BTreeSet};

/// What was known of a request when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The machine waits for it.
    InTime,
    /// The machine has been told that nobody knows.
    Late,
}

/// Every request that the host has not answered. Times are monotonic nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// None: it was overdue, and is a straggler.
    deadlines: BTreeMap<EffectId, Option<u64>>,
    order: BTreeSet<(u64, EffectId)>,
}

impl Flights {
    /// One begins, to be over by `deadline`; whether no other has its number.
    pub fn depart(&mut self, effect: EffectId, deadline: u64) -> bool {
        self.order.insert((deadline, effect));
        self.deadlines.insert(effect, Some(deadline)).is_none()
    }

    /// One is to be over sooner.
    pub fn hasten(&mut self, effect: EffectId, deadline: u64) {
        if let Some(Some(present)) = self.deadlines.get_mut(&effect)
            && deadline < *present
        {
            self.order.remove(&(*present, effect));
            self.order.insert((deadline, effect));
            *present = deadline;
        }
    }

    /// One has ended; nothing where it was never asked for, or had ended before.
    pub fn land(&mut self, effect: EffectId) -> Option<Landing> {
        let Some(deadline) = self.deadlines.remove(&effect)? else { return Some(Landing::Late) };
        self.order.remove(&(deadline, effect));
        Some(Landing::InTime)
    }

    /// One that should have ended by now, once; it is a straggler from then on.
    pub fn overdue(&mut self, mono: u64) -> Option<EffectId> {
        let (_, effect) = self.order.first().filter(|(deadline, _)| *deadline <= mono).copied()?;
        self.order.pop_first();
        self.deadlines.insert(effect, None);
        Some(effect)
    }

    /// The first deadline; none where the machine waits for nothing.
    pub fn next(&self) -> Option<u64> {
        self.order.first().map(|(deadline, _)| *deadline)
    }

    /// Those that have not ended and their deadlines; stragglers have none.
    pub fn iter(&self) -> impl Iterator<Item = (EffectId, Option<u64>)> {
        self.deadlines.iter().map(|(effect, deadline)| (*effect, *deadline))
    }

    /// How many have not ended, stragglers too.
    pub fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Whether all have ended.
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
        assert!(flights.depart(a, 10) && flights.depart(b, 20) && flights.depart(c, 30));
        flights.hasten(c, 15);
        flights.hasten(c, 40);
        assert_eq!((flights.next(), flights.overdue(9)), (Some(10), None));
        assert_eq!((flights.overdue(16), flights.overdue(16), flights.overdue(16)), (Some(a), Some(c), None));
        assert_eq!((flights.land(b), flights.land(b)), (Some(Landing::InTime), None));
        assert_eq!((flights.next(), flights.len()), (None, 2));
        assert!(!flights.depart(a, 50), "a straggler has that number");
        assert_eq!(
            (flights.land(a), flights.land(a), flights.land(c)),
            (Some(Landing::InTime), None, Some(Landing::Late))
        );
        assert!(flights.is_empty() && flights.next().is_none());
    }
}
