//! The daemon and the command line: what does, where core decides.

pub mod clock;
pub mod failure;
pub mod log;
pub mod options;
