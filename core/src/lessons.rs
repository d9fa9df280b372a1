//! Lessons of others: each hazard and each public report, with the rule, the tests and the mutants that hold it off.
//!
#![doc = include_str!("lessons.md")]
