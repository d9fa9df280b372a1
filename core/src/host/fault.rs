//! Why a host did not do what it was asked.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A fault. Whether anything was applied is the outcome's to say, not the fault's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// The machine was told to cancel; the host never gives this one.
    Cancelled,
    /// The domain does not exist.
    NoDomain(u32),
    /// A domain with that handle or a node of that name exists already.
    Exists(String),
    /// Not found: a file, a process, a stream, a datapath.
    NotFound(String),
    /// Not enough memory; KiB wanted.
    NoMemory(u64),
    /// No space on the disk or in the quota.
    NoSpace(String),
    /// Reading or writing failed.
    Io(String),
    /// The store's transaction met others too often.
    Conflict,
    /// Another user holds it: a disk, a lock.
    Busy(String),
    /// The storage service's own error: code and parameters.
    Storage(String, Vec<String>),
    /// The host cannot do this at all.
    Unsupported(String),
    /// The request's deadline passed.
    TimedOut,
    /// The connection to the service, or the daemon itself, went away.
    Lost(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Cancelled => f.write_str("cancelled"),
            Fault::NoDomain(domid) => write!(f, "domain {domid} does not exist"),
            Fault::Exists(what) => write!(f, "{what} exists already"),
            Fault::NotFound(what) => write!(f, "{what} not found"),
            Fault::NoMemory(kib) => write!(f, "{kib} KiB of memory are not free"),
            Fault::NoSpace(what) => write!(f, "no space left: {what}"),
            Fault::Io(what) => write!(f, "input/output error: {what}"),
            Fault::Conflict => f.write_str("xenstore transaction conflicted too often"),
            Fault::Busy(what) => write!(f, "{what} is in use"),
            Fault::Storage(code, params) => write!(f, "storage error {code} {params:?}"),
            Fault::Unsupported(what) => write!(f, "this host cannot {what}"),
            Fault::TimedOut => f.write_str("timed out"),
            Fault::Lost(what) => write!(f, "lost {what}"),
            Fault::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Fault {}
