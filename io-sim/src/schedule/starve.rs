//! One of them waits while anything else may go, for a while.

use super::{Move, Ready, Sort};
use crate::fleet::pick;
use crate::world::{Choices, Concern};

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// All that is one VM's.
    Vm(usize),
    /// One chain: what a worker is at.
    Lane(u32),
    /// All that is about the same.
    Sort(Sort),
    /// What the machine would hear of: outcomes of one VM's requests and notices of it, while the host goes on.
    Ears(Option<usize>),
}

/// Who waits, and for how long.
#[derive(Clone, Debug, Default)]
pub(super) struct Starve {
    victim: Option<Victim>,
    /// Times that others may go before.
    patience: u32,
    /// How often they have.
    passed: u32,
    /// Moves until somebody else waits.
    until: u32,
}

impl Starve {
    pub(super) fn pick(&mut self, ready: &[Ready], choices: &mut Choices) -> usize {
        if self.until == 0 {
            self.draw(ready, choices);
        }
        self.until -= 1;
        let waits: Vec<bool> = ready.iter().map(|one| self.waits(one)).collect();
        let others = waits.iter().filter(|waits| !**waits).count();
        let starved = others < ready.len();
        if starved && (others == 0 || self.passed >= self.patience) {
            self.passed = 0;
            return waits.iter().position(|waits| *waits).expect("one of them waits");
        }
        self.passed += u32::from(starved);
        let nth = choices.choose(Concern::Schedule, others as u32) as usize;
        let mut others = waits.iter().enumerate().filter(|(_, waits)| !**waits);
        others.nth(nth).expect("there are so many").0
    }

    fn draw(&mut self, ready: &[Ready], choices: &mut Choices) {
        let one = pick(choices, Concern::Schedule, ready);
        self.victim = match choices.choose(Concern::Schedule, 5) {
            0 => None,
            1 => one.place.map(Victim::Vm),
            2 => Some(Victim::Lane(one.lane)),
            3 => Some(Victim::Sort(one.sort)),
            _ => Some(Victim::Ears(one.place)),
        };
        self.patience = pick(choices, Concern::Schedule, &[40, 10, 200]);
        self.until = pick(choices, Concern::Schedule, &[200, 50, 1000]);
        self.passed = 0;
    }

    fn waits(&self, one: &Ready) -> bool {
        match self.victim {
            None => false,
            Some(Victim::Vm(place)) => one.place == Some(place),
            Some(Victim::Lane(lane)) => one.lane == lane,
            Some(Victim::Sort(sort)) => one.sort == sort,
            Some(Victim::Ears(place)) => one.place == place && matches!(one.what, Move::Hear(_) | Move::Notice(_)),
        }
    }
}
