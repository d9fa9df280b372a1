//! A uniform walk: each VM goes in proportion to what it has still before it.
//!
//! Nobody knows that of a run; it is guessed: as many moves for each operation that has not ended as operations of this
//! run took so far on average, less those already made. A guess that is off by half still lets the long go on where
//! equal odds would have the short ones done first.

use super::Ready;
use crate::world::{Choices, Concern};

/// Moves of an operation, before any has ended.
const GUESS: u64 = 60;

/// What each VM has made, and what it takes.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Moves of each VM since an operation of it ended.
    made: Vec<u64>,
    /// Operations that have ended, and their moves together.
    ended: (u64, u64),
    weights: Vec<u64>,
}

impl Walk {
    pub(super) fn new(vms: usize) -> Walk {
        Walk { made: vec![0; vms], ended: (1, GUESS), weights: Vec::new() }
    }

    pub(super) fn moved(&mut self, place: usize) {
        self.made[place] += 1;
    }

    pub(super) fn operation_ended(&mut self, place: usize) {
        self.ended.0 += 1;
        self.ended.1 += std::mem::take(&mut self.made[place]);
    }

    pub(super) fn pick(&mut self, ready: &[Ready], pending: impl Fn(usize) -> u64, choices: &mut Choices) -> usize {
        let mean = (self.ended.1 / self.ended.0).max(1);
        let left = |place: usize| (pending(place) * mean).saturating_sub(self.made[place]).max(1);
        self.weights.clear();
        // Several moves of one VM share what it has.
        self.weights.extend(ready.iter().map(|one| match one.place {
            Some(place) => {
                let beside = ready.iter().filter(|other| other.place == one.place).count() as u64;
                (left(place) / beside).max(1)
            }
            None => 1,
        }));
        let mut rest = u64::from(choices.choose(Concern::Schedule, self.weights.iter().sum::<u64>() as u32));
        for (at, weight) in self.weights.iter().enumerate() {
            if rest < *weight {
                return at;
            }
            rest -= weight;
        }
        ready.len() - 1
    }
}
