//! `xenops`: the command line.

fn main() {}
