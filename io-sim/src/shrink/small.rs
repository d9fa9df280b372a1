//! Other runs that may break the same rule with less: small ones, and what is best so far with a part shaken out.
//!
//! What a seed found among a thousand choices often happens with ten, but not the same ten: a choice that is taken away
//! moves all that comes after it, and a fault that struck between two requests strikes elsewhere. So the rule is looked
//! for anew where nearly nothing is special, and where the moments of faults are drawn once more.

use crate::world::{Choices, Concern, Tape};

/// How many operations a small run has, at most.
const OPERATIONS: [u32; 5] = [3, 5, 8, 14, 24];

/// From here on a choice is taken for a moment.
const MOMENT: u32 = 16;

/// The next to try: most of them are what is best, shaken.
pub(super) fn next(best: &Tape, number: u64) -> Choices {
    if number.is_multiple_of(4) {
        return Choices::sparse(number, OPERATIONS[(number / 4) as usize % OPERATIONS.len()]);
    }
    Choices::taped(shaken(best, number))
}

/// With lanes or choices left out, and moments moved: every other time so boldly that little but what the run is like
/// and what strikes is left.
fn shaken(best: &Tape, number: u64) -> Tape {
    let mut dice = Choices::seeded(number);
    let mut roll = |sides: u32| dice.choose(Concern::Config, sides);
    let mut tape = best.clone();
    let bold = roll(2) == 0;
    for (lane, choices) in tape.lanes.iter_mut().enumerate() {
        let stays = lane == Concern::Config as usize || lane == Concern::Fault as usize;
        // As it is, without anything, without the half, a quarter or an eighth of it.
        let one_in = match roll(8) {
            0..4 if !bold || stays => continue,
            6.. => 8,
            5 => 4,
            4 => 2,
            _ => 1,
        };
        choices.iter_mut().filter(|choice| **choice != 0).for_each(|choice| {
            if roll(one_in) == 0 {
                *choice = 0;
            }
        });
    }
    let moments = &mut tape.lanes[Concern::Fault as usize];
    for choice in moments.iter_mut().filter(|choice| **choice >= MOMENT) {
        *choice = match roll(4) {
            0 => *choice,
            1 => choice.saturating_sub(roll(40)),
            // In a shorter run it strikes earlier.
            2 => roll((*choice + 1).min(300)),
            _ => roll(*choice + 1),
        };
    }
    if bold || roll(2) == 0 {
        tape.operations = Some(1 + roll(tape.operations.unwrap_or(24).min(24)));
    }
    tape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shaken_has_no_more_than_before() {
        let mut tape = Tape::default();
        for (at, choices) in tape.lanes.iter_mut().enumerate() {
            choices.extend((0..50).map(|n| (n * 7 + at as u32) % 40));
        }
        let special = |tape: &Tape| tape.lanes.iter().flatten().filter(|choice| **choice != 0).count();
        let mut least = usize::MAX;
        for number in 0..200 {
            let shaken = shaken(&tape, number);
            assert!(special(&shaken) <= special(&tape) && shaken == super::shaken(&tape, number));
            least = least.min(special(&shaken));
        }
        assert!(least < special(&tape) / 3);
    }
}
