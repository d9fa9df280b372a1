//! What the benchmarks share. There are none yet.
