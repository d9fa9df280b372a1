//! What a host answers when it did what it was asked.

use super::{Attached, DomId, DomainInfo, ImageRecord, Memory, Nodes, Process, Role};
use crate::interface::host::Host;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One question's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Found {
    /// A node's value, if it exists.
    Value(Option<String>),
    /// A node's children, if it exists.
    Children(Option<Vec<String>>),
    /// All below the path asked for.
    Tree(Nodes),
}

/// Which reply each request gets is said at `Request`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Unit,
    /// A batch whose guard did not hold; nothing was applied.
    GuardFailed,
    /// Answers in the order of the questions.
    Found(Vec<Found>),
    /// Which condition held, if any did before the wait's end, and what its process showed.
    Held(Option<u32>, Option<Process>),
    /// A new domain's number.
    Domain(DomId),
    /// Domains, by number.
    Domains(Vec<DomainInfo>),
    /// Roles of processes that run for a domain.
    Roles(Vec<Role>),
    /// Names, sorted.
    Names(Vec<String>),
    /// A flag.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// The host's memory.
    Memory(Memory),
    /// The host as clients see it.
    Host(Arc<Host>),
    /// A disk's attachment.
    Attached(Attached),
    /// The next record of an image; `None` at a clean end of the file, which no complete image has.
    Image(Option<ImageRecord>),
}
