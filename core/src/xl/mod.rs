//! VM configuration files in the style of `xl`: text to a VM with its devices, and back.
//!
//! A file is `key = value` lines; README and `docs` of Xen's own `xl.cfg` apply where the keys are the
//! same. Everything here is pure and bounded, whatever the bytes.

mod action;
mod config;
mod disk;
mod element;
mod keys;
mod lexer;
mod nearest;
mod nic;
mod passthrough;
mod print;
mod problem;
mod syntax;
#[cfg(test)]
mod tests;

pub use config::parse;
pub use nearest::nearest;
pub use print::{Printed, print};
pub use problem::{Error, Spot, Warning};
