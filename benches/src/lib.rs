//! What the benchmarks and the counts share: a fleet, what happens to it, and a client of the real daemon.

pub mod caller;
pub mod fleet;
pub mod queue;
pub mod recording;
pub mod refusals;
