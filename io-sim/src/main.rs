//! `xenops-sim`: run, replay and shrink simulations.

fn main() {}
