//! Recovery against a small model of one VM's world, in which a plan can stop between any two effects.

mod convergence;
mod crashes;
mod hazards;
mod stops;
pub(crate) mod world;
