//! `xenopsd`: the daemon.

fn main() {}
