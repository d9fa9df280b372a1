//! The daemon and the command line: what does, where core decides.

pub mod cli;
