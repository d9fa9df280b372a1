//! Operations: what stands in a VM's queue, and the plan of micro-ops that each becomes.
//!
//! Plans are pure functions of the operation and a snapshot of the VM's rows.

mod devices;
#[cfg(test)]
pub(crate) mod fixture;
pub mod goal;
pub mod name;
pub mod plan;
mod repair;
pub mod step;
pub mod subject;

pub use plan::plan;
pub use step::Step;
pub use subject::Subject;

use crate::backend::MicroOp;
use crate::interface::Disk;
use crate::recovery::Repair;
use serde::{Deserialize, Serialize};

/// A unit of a VM's queue. Durations are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// Create, build, plug, clear the mark; left paused.
    Start {
        /// Build although something speaks against it.
        force: bool,
    },
    /// Destroy the domain; with a time-out ask the guest first.
    Poweroff {
        /// For the guest's own shutdown.
        timeout: Option<u64>,
    },
    /// Poweroff and start, as one.
    Reboot {
        /// For the guest's own shutdown.
        timeout: Option<u64>,
    },
    /// Save to an image and destroy.
    Suspend {
        /// The image's place.
        disk: Disk,
    },
    /// Restore from an image; left paused.
    Resume {
        /// The image's place.
        disk: Disk,
    },
    /// Set active, plug.
    VbdHotplug(String),
    /// Unplug, clear active.
    VbdHotunplug(String, bool),
    /// Set active, plug.
    VifHotplug(String),
    /// Unplug, clear active.
    VifHotunplug(String, bool),
    /// One micro-op on its own.
    Atomic(Box<MicroOp>),
    /// Remove all rows of a VM without a domain; the machine removes them at the plan's end.
    Remove,
    /// Give a disk's row another disk; the machine does it.
    ReplaceVbd(std::sync::Arc<crate::interface::Vbd>),
    /// Remove the row of a disk that is not plugged; the machine does it.
    RemoveVbd(String),
    /// Remove the row of a network interface that is not plugged; the machine does it.
    RemoveVif(String),
    /// Give the VM another identity; the machine moves its rows at the plan's end.
    Rename(crate::host::Uuid),
    /// Replace the VM's rows; carried out by the machine between two looks.
    ImportMetadata(Box<crate::interface::Metadata>),
    /// What recovery decided.
    Repair(Repair),
}
