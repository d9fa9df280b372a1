//! Small typed changes of a VM's records; several micro-ops of one group may each make one.

use crate::interface::extra::BuildInfo;
use crate::interface::{Vif, VmExtra, vm::BuilderInfo};
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A change of one record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// VmExtra.
    Extra(ExtraChange),
    /// A network interface's row.
    Vif(Arc<Vif>),
}

/// A change of VmExtra.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExtraChange {
    /// A fresh record.
    Create(Arc<VmExtra>),
    /// No record any more.
    Drop,
    /// The domain is built.
    Built(Box<BuildInfo>, Box<BuilderInfo>),
    /// Bytes of memory in the image; 0 when there is none.
    SuspendMemory(i64),
    /// QEMU's disk: device, index, path (`None`: an empty drive).
    QemuDisk(String, i64, Option<String>),
    /// QEMU has it no more.
    NoQemuDisk(String),
    /// Attached, as the storage answered (JSON text), not yet activated.
    Attached(String, String),
    /// Activated, or detached.
    NotAttached(String),
    /// The platform device's id and revision.
    XenPlatform(i64, i64),
    /// The guest set its clock.
    TimeOffset(String),
    /// Paravirtual drivers were seen, or have gone.
    PvDrivers(bool),
}

// A replayed procedure asks for the same change of the same record; which one is enough to tell.
impl Hash for Change {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        if let Change::Extra(change) = self {
            std::mem::discriminant(change).hash(state);
        }
    }
}
