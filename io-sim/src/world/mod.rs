//! A deterministic model of everything that a host can be asked: one Xen host, its dom0 and its guests.
//!
//! [`World`](world::World) takes requests and gives outcomes and notices. It knows no time but the one it is run
//! until, and no chance but its [`Choices`](choice::Choices).

pub mod choice;
pub mod config;
pub mod console;
pub mod device;
pub mod disk;
pub mod fate;
pub mod guest;
pub mod hypervisor;
pub mod image;
pub mod lineage;
pub mod network;
pub mod pace;
pub mod process;
pub mod script;
pub mod storage;
mod stray;
pub mod tally;
pub mod traits;
#[expect(clippy::module_inception, reason = "the noun is the whole")]
pub mod world;
pub mod xenstore;

mod act;
mod apply;
pub mod backend;
mod bring;
pub mod broken;
mod effect;
mod event;
mod facts;
mod fingerprint;
mod frontend;
mod helper;
mod path;
mod qemu;
mod rights;
mod tree;
mod wait;

pub use choice::{Choices, Concern, Tape};
pub use config::Config;
pub use fate::Fate;
pub use lineage::{Breach, Lineage};
pub use pace::Pace;
pub use world::World;

#[cfg(test)]
mod tests;
