//! What makes a VM sensible: one pure, total function of record, intent and observation.

pub mod decide;
mod devices;
pub mod explain;
pub mod intent;
mod record;
mod stop;
pub mod verdict;

pub use decide::decide;
pub use explain::explain;
pub use intent::{Goal, Intent};
pub use record::Record;
pub use verdict::{Repair, Sensible, Verdict};

#[cfg(test)]
pub(crate) mod tests;
