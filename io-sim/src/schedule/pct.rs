//! Priorities: the highest goes, and now and then falls behind all others.

use super::Ready;
use crate::fleet::pick;
use crate::world::{Choices, Concern};
use std::collections::BTreeMap;

/// Moves of one operation, roughly.
const MOVES: u32 = 80;

/// The priorities of chains.
#[derive(Clone, Debug)]
pub(super) struct Pct {
    priorities: BTreeMap<u32, i64>,
    /// One change in so many moves.
    every: u32,
    /// Moves until the next change, if there is one.
    until: Option<u32>,
    /// Behind all others by now.
    lowest: i64,
}

impl Pct {
    pub(super) fn draw(operations: u32, choices: &mut Choices) -> Pct {
        // A few in the whole run find what needs a few; a run is many operations, each of which may need them.
        let changes = pick(choices, Concern::Schedule, &[10, 2, 40, 160]);
        let every = (operations * MOVES / changes).max(1);
        let mut pct = Pct { priorities: BTreeMap::new(), every, until: None, lowest: 0 };
        pct.draw_change(choices);
        pct
    }

    fn draw_change(&mut self, choices: &mut Choices) {
        self.until = choices.choose(Concern::Schedule, self.every * 2).checked_sub(1);
    }

    pub(super) fn pick(&mut self, ready: &[Ready], choices: &mut Choices) -> usize {
        let mut best: Option<(usize, i64)> = None;
        for (at, ready) in ready.iter().enumerate() {
            let draw = || i64::from(choices.choose(Concern::Schedule, 1 << 16));
            let priority = *self.priorities.entry(ready.lane).or_insert_with(draw);
            if best.is_none_or(|(_, highest)| priority > highest) {
                best = Some((at, priority));
            }
        }
        let (at, _) = best.expect("something is ready");
        match &mut self.until {
            Some(0) => {
                self.lowest -= 1;
                self.priorities.insert(ready[at].lane, self.lowest);
                self.draw_change(choices);
            }
            Some(until) => *until -= 1,
            None => {}
        }
        at
    }
}
