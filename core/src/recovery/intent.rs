//! What was wanted of a VM: written before the first effect of an operation, gone when the VM is sensible again.

use crate::host::{DomId, Uuid};
use crate::interface::Disk;
use serde::{Deserialize, Serialize};

/// The intent record, `intent/<uuid>` in the journal.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct Intent {
    /// What for.
    pub goal: Goal,
    /// Past the point of no return: to be finished, not undone.
    pub committed: bool,
    /// The operation has failed or was cancelled. What it left is settled, but nothing is started for it any more:
    /// a start that failed once would fail for ever.
    #[serde(default)]
    pub abandoned: bool,
    /// The VM's domain when this was written. A reboot tells by it the old domain from the new one.
    #[serde(default)]
    pub domid: Option<DomId>,
    /// The boot of the host in which this was written. After another one nothing is started for it: the VM may have
    /// been started elsewhere since.
    #[serde(default)]
    pub boot: u64,
}

impl Intent {
    /// Whether it has begun to take this domain apart: there is no way back for it, whoever goes on.
    pub fn takes_apart(&self, domid: Option<DomId>) -> bool {
        self.committed && self.domid == domid && matches!(self.goal, Goal::Poweroff | Goal::Reboot)
    }
}

impl Goal {
    /// Whether the VM is known by something else afterwards, or by nothing.
    pub fn changes_identity(&self) -> bool {
        matches!(self, Goal::Remove | Goal::Rename(_))
    }
}

/// What an operation is to end in.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub enum Goal {
    /// A complete domain, or nothing.
    Start,
    /// No domain; flags cleared, epochs ended. Committed with the first destructive micro-op.
    Poweroff,
    /// A complete, running domain again. Committed with the old domain's destruction: then it starts anew.
    Reboot,
    /// No domain and a complete image. The image is complete once VmExtra says so, or this is committed.
    Suspend(Disk),
    /// A complete domain, or no domain and the image still good. Never committed: until the guest is complete all
    /// can be undone, and then only the image's memory in VmExtra is left to be forgotten.
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
    /// A small change of a running VM. Recovery does not look at it: it need not be durable.
    Tune,
}
