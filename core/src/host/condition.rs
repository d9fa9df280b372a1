//! Waiting as one request: until any condition holds, or until a moment.

use super::{DomId, DomainInfo, Handle, Process};
use serde::{Deserialize, Serialize};

/// Something that can come true without us.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// The node exists.
    Present(String),
    /// The node does not exist.
    Absent(String),
    /// The node has this value.
    Equals(String, String),
    /// The node exists with another value than this.
    Differs(String, String),
    /// The process has ended, or was never known.
    Exited(Handle),
    /// The process has said more than this many lines, or has ended.
    Said(Handle, u32),
    /// The domain has shut down, or is gone.
    Stopped(DomId),
    /// The host has this much free memory, in KiB.
    FreeMemory(u64),
}

/// A wait for any of several conditions. Without conditions it is a delay.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wait {
    /// The first that holds, in this order, is the answer.
    pub any: Vec<Condition>,
    /// Monotonic nanoseconds at which to give up (`Reply::Held(None, ..)`).
    pub until: u64,
}

/// What conditions are about; both hosts show theirs through it.
pub trait View {
    /// A xenstore value.
    fn value(&self, path: &str) -> Option<&str>;
    /// A domain.
    fn domain(&self, domid: DomId) -> Option<&DomainInfo>;
    /// A process of this daemon's life: number of lines said, and whether it has ended.
    fn process(&self, process: Handle) -> Option<&Process>;
    /// KiB of free memory.
    fn free_memory(&self) -> u64;
}

impl Condition {
    /// Whether it is true now.
    pub fn holds(&self, view: &dyn View) -> bool {
        match self {
            Condition::Present(path) => view.value(path).is_some(),
            Condition::Absent(path) => view.value(path).is_none(),
            Condition::Equals(path, value) => view.value(path) == Some(value),
            Condition::Differs(path, value) => view.value(path).is_some_and(|v| v != value),
            Condition::Exited(process) => view.process(*process).is_none_or(|p| p.exit.is_some()),
            Condition::Said(process, lines) => {
                view.process(*process).is_none_or(|p| p.exit.is_some() || p.lines.len() > *lines as usize)
            }
            Condition::Stopped(domid) => view.domain(*domid).is_none_or(|d| d.shutdown.is_some() || d.dying),
            Condition::FreeMemory(kib) => view.free_memory() >= *kib,
        }
    }

    /// The process it asks about, whose lines and end go with the answer.
    pub fn process(&self) -> Option<(Handle, u32)> {
        match self {
            Condition::Exited(process) => Some((*process, 0)),
            Condition::Said(process, lines) => Some((*process, *lines)),
            _ => None,
        }
    }
}

impl Wait {
    /// The first condition that holds now.
    pub fn held(&self, view: &dyn View) -> Option<usize> {
        self.any.iter().position(|condition| condition.holds(view))
    }
}
