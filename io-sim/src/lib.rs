//! A simulated Xen host and the seeded simulator that drives the machine on it.

pub mod world;
