//! Xen: its control library, found and loaded at run time, and what a host is asked of it.
//!
//! [`Hypervisor`] is what the daemon calls, from its blocking pool. Below it stand, each on its own: where the
//! libraries are looked for ([`library`]), how the structures of each version lie in memory ([`layout`]), what an error
//! number means ([`errno`]), and the calls themselves ([`foreign`]), the one place where code of another language runs.

pub mod acts;
mod cpuinfo;
pub mod errno;
pub mod foreign;
pub mod hypervisor;
pub mod layout;
pub mod library;
pub mod params;
mod survey;

pub use hypervisor::Hypervisor;
pub use survey::Survey;
