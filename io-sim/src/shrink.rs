//! From a run that breaks a rule to a short one: fewer choices that are not 0, then lower ones.

use crate::run::{self, Outcome};
use crate::swarm::Profile;
use crate::trace::Trace;
use crate::world::{Choices, Tape};
use std::time::{Duration, Instant};

/// What was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The choices.
    pub tape: Tape,
    /// How many of them are not 0.
    pub choices: usize,
    /// How many were at first.
    pub first: usize,
}

/// Where a choice stands.
type Place = (usize, usize);

struct Search {
    seed: u64,
    profile: Profile,
    rule: &'static str,
    until: Instant,
    best: Tape,
}

/// Look for fewer choices under which this seed breaks the same rule; `None` if it breaks none.
pub fn shrink(seed: u64, profile: Profile, time: Duration) -> Option<Shrunk> {
    let outcome = run::run(seed, Choices::seeded(seed), profile, Trace::default());
    let rule = outcome.violation.as_ref()?.rule;
    let first = places(&outcome.tape).len();
    let mut search = Search { seed, profile, rule, until: Instant::now() + time, best: outcome.tape };
    search.cut_tails();
    while search.drop_groups() | search.lower() | search.delete() {}
    search.cut_tails();
    let choices = places(&search.best).len();
    Some(Shrunk { tape: search.best, choices, first })
}

/// Choices that are not 0.
fn places(tape: &Tape) -> Vec<Place> {
    let lanes = tape.lanes.iter().enumerate();
    lanes
        .flat_map(|(lane, choices)| {
            choices.iter().enumerate().filter(|(_, choice)| **choice != 0).map(move |(at, _)| (lane, at))
        })
        .collect()
}

impl Search {
    fn over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether these choices break the same rule; then they are the best so far.
    fn try_it(&mut self, tape: Tape) -> bool {
        let Outcome { violation, tape: made, .. } =
            run::run(self.seed, Choices::taped(tape), self.profile, Trace::default());
        let same = violation.is_some_and(|violation| violation.rule == self.rule);
        let smaller = || (places(&made).len(), weight(&made)) < (places(&self.best).len(), weight(&self.best));
        if same && smaller() {
            self.best = made;
            return true;
        }
        false
    }

    /// What comes late in a lane may not matter at all.
    fn cut_tails(&mut self) {
        for lane in 0..self.best.lanes.len() {
            let mut part = self.best.lanes[lane].len() / 2;
            while part > 0 && !self.over() {
                let mut tape = self.best.clone();
                let keep = tape.lanes[lane].len().saturating_sub(part);
                tape.lanes[lane].truncate(keep);
                if !self.try_it(tape) {
                    part /= 2;
                }
            }
        }
    }

    /// Set groups of choices to 0, large groups first.
    fn drop_groups(&mut self) -> bool {
        let mut better = false;
        let mut size = places(&self.best).len().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            loop {
                let all = places(&self.best);
                if at >= all.len() || self.over() {
                    break;
                }
                let mut tape = self.best.clone();
                for (lane, place) in &all[at..all.len().min(at + size)] {
                    tape.lanes[*lane][*place] = 0;
                }
                if self.try_it(tape) {
                    better = true;
                } else {
                    at += size;
                }
            }
            if size == 1 || self.over() {
                return better;
            }
            size = size.div_ceil(2);
        }
    }

    /// Lower what is left.
    fn lower(&mut self) -> bool {
        let mut better = false;
        for (lane, place) in places(&self.best) {
            for divisor in [8, 2] {
                let Some(choice) = self.best.lanes[lane].get(place).copied().filter(|_| !self.over()) else { break };
                if choice > 1 {
                    let mut tape = self.best.clone();
                    tape.lanes[lane][place] = (choice / divisor).max(1);
                    better |= self.try_it(tape);
                }
            }
        }
        better
    }

    /// Take choices out, so that later ones move up.
    fn delete(&mut self) -> bool {
        let mut better = false;
        for lane in 0..self.best.lanes.len() {
            let mut at = 0;
            while at < self.best.lanes[lane].len() && !self.over() {
                // Zeros between others are cheap; only what stands before something is worth a try.
                if places(&self.best).iter().all(|(of, place)| *of != lane || *place < at) {
                    break;
                }
                let mut tape = self.best.clone();
                tape.lanes[lane].remove(at);
                if self.try_it(tape) {
                    better = true;
                } else {
                    at += 1;
                }
            }
        }
        better
    }
}

fn weight(tape: &Tape) -> u64 {
    tape.lanes.iter().flatten().map(|choice| u64::from(*choice)).sum::<u64>()
        + tape.lanes.iter().map(|lane| lane.len() as u64).sum::<u64>()
}
