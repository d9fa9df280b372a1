//! What makes a VM sensible: one pure, total function of record, intent and observation.

pub mod decide;
pub mod intent;
pub mod verdict;

pub use decide::Record;
pub use intent::{Goal, Intent};
pub use verdict::{Repair, Sensible, Verdict};
