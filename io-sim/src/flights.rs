//! Requests in flight, their deadlines, and those that outlasted them: as any driver keeps them.

use std::collections::{BTreeMap, BTreeSet};
use xenops_core::machine::EffectId;

/// What was known of a request when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The machine waits for it.
    InTime,
    /// The machine has been told that nobody knows.
    Late,
    /// It was never asked for, or has ended before.
    Unasked,
}

/// Every request that the host has not answered.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    deadlines: BTreeMap<EffectId, u64>,
    order: BTreeSet<(u64, EffectId)>,
    stragglers: BTreeSet<EffectId>,
}

impl Flights {
    /// One begins, to be over by this monotonic nanosecond; whether its number is fresh.
    pub fn depart(&mut self, effect: EffectId, deadline: u64) -> bool {
        self.order.insert((deadline, effect));
        self.deadlines.insert(effect, deadline).is_none() && !self.stragglers.contains(&effect)
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

    /// One has ended.
    pub fn land(&mut self, effect: EffectId) -> Landing {
        if let Some(deadline) = self.deadlines.remove(&effect) {
            self.order.remove(&(deadline, effect));
            return Landing::InTime;
        }
        if self.stragglers.remove(&effect) { Landing::Late } else { Landing::Unasked }
    }

    /// One that should have ended by now, once; it is a straggler from then on.
    pub fn overdue(&mut self, mono: u64) -> Option<EffectId> {
        let (deadline, effect) = *self.order.first()?;
        if deadline > mono {
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

    /// How many are in flight, stragglers too.
    pub fn len(&self) -> usize {
        self.deadlines.len() + self.stragglers.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
