//! What was wanted of a VM: written before the first effect of an operation, gone after the last.

use crate::host::Uuid;
use crate::interface::Disk;
use serde::{Deserialize, Serialize};

/// The intent record, `intent/<uuid>` in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// What for.
    pub goal: Goal,
    /// Past the point of no return: to be finished, not undone.
    pub committed: bool,
}

/// What an operation is to end in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Goal {
    /// A complete domain, or nothing.
    Start,
    /// No domain; flags cleared, epochs ended. Committed with the first destructive micro-op.
    Poweroff,
    /// A complete, running domain again. Committed with the old domain's destruction: then it starts anew.
    Reboot,
    /// No domain and a complete image. Committed once the image is durable and VmExtra says so.
    Suspend(Disk),
    /// A complete domain, or no domain and the image still good. Committed when the guest is complete.
    Resume(Disk),
    /// No rows. Committed at once.
    Remove,
    /// All under the other identity. Committed at once.
    Rename(Uuid),
    /// A disk plugged, or not at all.
    VbdPlug(String),
    /// A disk unplugged.
    VbdUnplug(String),
    /// A network interface plugged, or not at all.
    VifPlug(String),
    /// A network interface unplugged.
    VifUnplug(String),
    /// A small change of a running VM, which needs no repair of its own.
    Tune,
}
