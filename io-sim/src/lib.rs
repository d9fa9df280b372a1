//! A simulated Xen host and the seeded simulator that drives the machine on it.

pub mod action;
pub mod admit;
pub mod canon;
pub mod client;
pub mod explore;
pub mod farm;
pub mod fault;
pub mod fleet;
pub mod journal;
pub mod ledger;
pub mod local;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod oracle;
pub mod panic;
pub mod relive;
pub mod report;
pub mod run;
pub mod shared;
pub mod shrink;
pub mod sometimes;
pub mod swarm;
pub mod trace;
pub mod watcher;
pub mod workload;
pub mod world;
