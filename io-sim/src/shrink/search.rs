//! Takes a tape apart: groups of choices set to 0, what is late cut off, what stands between taken out, the rest lowered.

use super::spent;
use crate::world::Tape;
use std::time::Duration;

/// Where a choice stands.
type Place = (usize, usize);

/// A run as it was made, and after how many inputs it broke its rule.
pub(super) type Made = (Tape, u64);

/// The best so far, and how another is tried: with a tape and inputs at most, to what it came if it breaks the rule.
pub(super) struct Search<F> {
    try_it: F,
    until: Duration,
    best: Tape,
    steps: u64,
}

impl<F: FnMut(&Tape, u64) -> Option<Made>> Search<F> {
    pub(super) fn new((best, steps): Made, until: Duration, try_it: F) -> Search<F> {
        Search { try_it, until, best, steps }
    }

    pub(super) fn is_over(&self) -> bool {
        spent() >= self.until
    }

    /// How many choices are not 0.
    pub(super) fn choices(&self) -> usize {
        count(&self.best)
    }

    pub(super) fn best(&self) -> &Tape {
        &self.best
    }

    /// Inputs after which another is not better any more, with some to spare: what has fewer choices may take longer.
    pub(super) fn most(&self) -> u64 {
        self.steps + self.steps / 2 + 300
    }

    /// One that breaks the rule; whether it is the best.
    pub(super) fn offer(&mut self, (tape, steps): Made) -> bool {
        let better = (count(&tape), steps, weight(&tape)) < (count(&self.best), self.steps, weight(&self.best));
        if better {
            (self.best, self.steps) = (tape, steps);
        }
        better
    }

    fn attempt(&mut self, tape: &Tape) -> bool {
        let most = self.most();
        (self.try_it)(tape, most).is_some_and(|made| self.offer(made))
    }

    /// Fewer operations, and no choices of whole concerns.
    pub(super) fn cut_large_parts(&mut self) {
        self.ask_less();
        for lane in 0..self.best.lanes.len() {
            if !self.is_over() && self.best.lanes[lane].iter().any(|choice| *choice != 0) {
                let mut tape = self.best.clone();
                tape.lanes[lane].clear();
                self.attempt(&tape);
            }
        }
        self.cut_tails();
    }

    /// All of it until nothing gets better.
    pub(super) fn take_apart(&mut self) {
        self.cut_large_parts();
        while !self.is_over() && (self.drop_groups() | self.delete() | self.lower() | self.ask_less()) {
            self.cut_tails();
        }
    }

    /// Clients ask for fewer operations: the fewest that do, by halves.
    fn ask_less(&mut self) -> bool {
        let mut better = false;
        let (mut low, mut high) = (0, self.best.operations.unwrap_or(64));
        while low < high && !self.is_over() {
            let middle = (low + high) / 2;
            let tape = Tape { operations: Some(middle), ..self.best.clone() };
            if self.attempt(&tape) {
                better = true;
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        better
    }

    /// What comes late in a lane may not matter at all.
    fn cut_tails(&mut self) {
        for lane in 0..self.best.lanes.len() {
            let mut part = self.best.lanes[lane].len() / 2;
            while part > 0 && !self.is_over() {
                let mut tape = self.best.clone();
                let keep = tape.lanes[lane].len().saturating_sub(part);
                tape.lanes[lane].truncate(keep);
                if !self.attempt(&tape) {
                    part /= 2;
                }
            }
        }
    }

    /// Set groups of choices to 0, large groups first.
    pub(super) fn drop_groups(&mut self) -> bool {
        let mut better = false;
        let mut size = self.choices().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            loop {
                let all = places(&self.best);
                if at >= all.len() || self.is_over() {
                    break;
                }
                let mut tape = self.best.clone();
                for (lane, place) in &all[at..all.len().min(at + size)] {
                    tape.lanes[*lane][*place] = 0;
                }
                if self.attempt(&tape) {
                    better = true;
                } else {
                    at += size;
                }
            }
            if size == 1 || self.is_over() {
                return better;
            }
            size = size.div_ceil(2);
        }
    }

    /// Lower what is left.
    fn lower(&mut self) -> bool {
        let mut better = false;
        for (lane, place) in places(&self.best) {
            let now = |search: &Self| search.best.lanes[lane].get(place).copied().unwrap_or(0);
            for lower in
                [|_| 1, |choice| choice / 4, |choice| choice / 2, |choice| choice - choice / 8, |choice| choice - 1]
            {
                let choice = now(self);
                if choice <= 1 || self.is_over() {
                    break;
                }
                let mut tape = self.best.clone();
                tape.lanes[lane][place] = lower(choice).max(1);
                better |= self.attempt(&tape);
            }
        }
        better
    }

    /// Take choices out, so that later ones move up: many at once, then fewer.
    pub(super) fn delete(&mut self) -> bool {
        let mut better = false;
        for lane in 0..self.best.lanes.len() {
            for size in [32, 8, 3, 1] {
                let mut at = 0;
                while let Some(last) = self.best.lanes[lane].iter().rposition(|choice| *choice != 0) {
                    // Only what stands before something is worth a try.
                    if at > last || self.is_over() {
                        break;
                    }
                    let mut tape = self.best.clone();
                    let end = tape.lanes[lane].len().min(at + size);
                    tape.lanes[lane].drain(at..end);
                    if self.attempt(&tape) {
                        better = true;
                    } else {
                        at += size;
                    }
                }
            }
        }
        better
    }
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

/// How many those are, and one more where fewer operations are asked for than in any run.
fn count(tape: &Tape) -> usize {
    let special = tape.lanes.iter().flatten().filter(|choice| **choice != 0).count();
    special + usize::from(tape.operations.is_some())
}

fn weight(tape: &Tape) -> u64 {
    let choices = tape.lanes.iter().flatten().map(|choice| u64::from(*choice)).sum::<u64>();
    let length = tape.lanes.iter().map(|lane| lane.len() as u64).sum::<u64>();
    choices + length + u64::from(tape.operations.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_left() {
        let mut tape = Tape::default();
        for (at, choices) in tape.lanes.iter_mut().enumerate() {
            choices.extend((0..80).map(|n| (n * 5 + at as u32) % 11));
        }
        // It takes a choice above 6 in one concern, and any in another that has a choice before it.
        let breaks = |tape: &Tape, _| {
            let one = tape.lanes[1].iter().any(|choice| *choice > 6);
            let other = tape.lanes[3].iter().skip(1).any(|choice| *choice > 0);
            (one && other).then(|| (tape.clone(), tape.lanes[1].len() as u64))
        };
        let mut search = Search::new((tape, 80), spent() + Duration::from_secs(20), breaks);
        search.take_apart();
        assert_eq!(search.choices(), 2);
        assert_eq!((search.best().lanes[1].clone(), search.best().lanes[3].clone()), (vec![7], vec![0, 1]));
    }
}
