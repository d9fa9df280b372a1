//! Xen's own libraries, called. This module is the only one with unsafe code; what it offers is safe.
//!
//! The functions are C's, found in `libxenctrl` and `libxenguest` when the program runs. Their types are written down
//! in [`functions`] from the headers, which promise them for the releases that are known; that each release's library
//! is only ever used on the hypervisor of that release is checked when an interface is opened.
#![allow(unsafe_code)]

mod calls;
mod functions;
mod image;
mod interface;
mod logger;
mod process;
mod stream;

pub use calls::Policy;
pub use functions::Libraries;
pub use image::DomainImage;
pub use interface::Interface;
pub use logger::{Level, Listener, Quiet};
pub use process::inherit;
