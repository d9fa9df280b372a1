//! Plans as data: micro-ops in order, groups side by side, and joins.

use crate::backend::MicroOp;

/// A part of a plan. A group without steps is left out, one with a single step is that step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// One micro-op.
    Do(MicroOp),
    /// One after the other; the first failure ends it.
    Serial(&'static str, Vec<Step>),
    /// Side by side, ten at a time; all are joined, then the first failure in this order is the group's.
    Parallel(&'static str, Vec<Step>),
    /// Its failure is nobody's.
    BestEffort(Box<Step>),
}
