//! The daemon and the command line: what does, where core decides.

pub mod bell;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod config;
pub mod connection;
pub mod daemon;
pub mod database;
pub mod driver;
pub mod failure;
pub mod guest;
pub mod host;
pub mod inbox;
pub mod instance;
pub mod last_words;
pub mod listener;
pub mod log;
pub mod options;
pub mod recorder;
#[cfg(test)]
mod scratch;
pub mod xen;
pub mod xenstore;
