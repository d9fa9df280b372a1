//! The guest helper, `xenops-guest`: it builds, saves or restores one guest's memory in a process of its own.
//!
//! What it takes and says is the contract of `xenops_core::backend`'s `xc/helper.rs`. It parses what guests bring along,
//! kernels and images, so it has as little as possible: one descriptor beside the standard three, the hypervisor's
//! devices, and once these are open neither root's name nor its capabilities. It ends when its standard input does.

mod acpi;
pub mod arguments;
mod build;
pub mod confine;
pub mod dialogue;
mod files;
mod hvm_info;
mod plan;
mod policy;
pub mod settings;
pub mod store;
pub mod voice;
pub mod worker;

use std::fmt;

/// The work failed: which step, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// What the field's helpers call this step, or the library's function.
    pub step: &'static str,
    /// As `errno` numbers it.
    pub errno: i32,
    /// For people.
    pub text: String,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.step, self.errno, self.text)
    }
}

/// Frames of the store and the console ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// Of the store.
    pub store: u64,
    /// Of the console.
    pub console: u64,
}
