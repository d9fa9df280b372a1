//! VM configuration files in the style of `xl`: text to a VM with its devices, and back.
//!
//! A file is lines of `key = value`, a value being a string in quotes, an integer, or a list of strings
//! between brackets; `#` begins a comment. What a key means is what it means in Xen's own `xl.cfg`, but that
//! `root` is the kernel's whole command line. Whatever the bytes, memory and time stay bounded.

mod action;
mod config;
mod device;
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
pub use device::{disk, medium, nic};
pub use nearest::nearest;
pub use print::{Printed, print};
pub use problem::{Error, Spot, Warning};
