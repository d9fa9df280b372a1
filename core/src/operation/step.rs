//! Plans as data: micro-ops in order, groups side by side, and joins.

use crate::backend::MicroOp;
use crate::host::time::SECOND;

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
    /// The point of no return: the intent is marked committed, durably, before what follows.
    Commit,
}

impl From<MicroOp> for Step {
    fn from(op: MicroOp) -> Step {
        Step::Do(op)
    }
}

impl Step {
    /// Steps one after the other, if there are any.
    pub(super) fn serial(label: &'static str, steps: Vec<Step>) -> Option<Step> {
        Step::grouped(Step::Serial, label, steps)
    }

    /// Steps side by side, if there are any.
    pub(super) fn parallel(label: &'static str, steps: Vec<Step>) -> Option<Step> {
        Step::grouped(Step::Parallel, label, steps)
    }

    fn grouped(group: fn(&'static str, Vec<Step>) -> Step, label: &'static str, mut steps: Vec<Step>) -> Option<Step> {
        if steps.len() > 1 { Some(group(label, steps)) } else { steps.pop() }
    }

    /// Its share of the operation's progress, relative to its fellows at the top of the plan.
    pub fn weight(&self) -> u32 {
        match self {
            Step::Do(MicroOp::VmSave(_) | MicroOp::VmRestore(_)) => 10,
            Step::Commit => 0,
            _ => 1,
        }
    }

    /// Nanoseconds after which its task has had its time: upstream's for a micro-op, and what its own waits add.
    pub fn expiry(&self) -> u64 {
        const LEAF: u64 = 1200 * SECOND;
        match self {
            Step::Do(MicroOp::VmRunScript(_)) => 86_400 * SECOND + LEAF,
            Step::Do(MicroOp::VmShutdownDomain { timeout, .. }) => timeout.saturating_add(LEAF),
            Step::Do(MicroOp::VmDelay(delay)) => delay.saturating_add(LEAF),
            Step::Do(MicroOp::VmSave(_) | MicroOp::VmRestore(_)) => 86_400 * SECOND,
            Step::Do(_) => LEAF,
            Step::BestEffort(step) => step.expiry(),
            Step::Commit => 0,
            Step::Serial(_, steps) => steps.iter().map(Step::expiry).fold(0, u64::saturating_add),
            // Ten at a time, each ten as long as its longest.
            Step::Parallel(_, steps) => steps
                .chunks(10)
                .map(|chunk| chunk.iter().map(Step::expiry).max().unwrap_or(0))
                .fold(0, u64::saturating_add),
        }
    }
}
