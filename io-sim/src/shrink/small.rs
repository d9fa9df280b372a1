//! Small runs: few operations, and of each concern a few special choices or none.
//!
//! What a seed found among a thousand choices often happens with ten: but not the same ten, for a choice that is taken
//! away moves all that comes after it. So the rule is looked for anew where everything is small.

use crate::world::Choices;

/// A run with so few choices is taken apart at once.
pub(super) const ENOUGH: usize = 40;

/// How many operations, at most.
const OPERATIONS: [u32; 5] = [3, 5, 8, 14, 24];

/// Small runs that are tried, at most.
const MOST: u64 = 200_000;

/// The next one.
pub(super) fn choices(round: &mut u64) -> Option<Choices> {
    let number = *round;
    *round += 1;
    (number < MOST).then(|| Choices::sparse(number, OPERATIONS[number as usize % OPERATIONS.len()]))
}
