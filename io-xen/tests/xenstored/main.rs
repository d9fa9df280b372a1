//! The xenstore client and the simulated xenstored against the real ones, C and OCaml, on a machine without Xen.
//!
//! They run here with a preloaded stand-in for the hypervisor (`fake.c`). Where they, or a C compiler, are missing the
//! tests say so and pass, unless `XENOPS_REQUIRE_XENSTORED=1` demands them. On Debian they are in `xen-utils-4.17`.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "the modules of a test program")]

mod client;
mod daemon;
mod model;
mod peer;
mod protocol;
mod sequence;
