//! The daemon and the command line: what does, where core decides.

pub mod bell;
pub mod clock;
pub mod database;
pub mod failure;
pub mod inbox;
pub mod log;
pub mod options;
#[cfg(test)]
mod scratch;
