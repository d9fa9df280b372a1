//! What recovery finds of a VM.

use crate::host::{DomId, Uuid};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The function's answer.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Nothing need be done.
    Sensible(Sensible),
    /// This would make it so. The text is the tell: what was seen, or which intent asks for it.
    Repair(Repair, Cow<'static, str>),
    /// Nothing safe can be done; an administrator must look. The text says what was seen.
    Stuck(Cow<'static, str>),
    /// It has a domain that belongs to another instance, of this name, and is left to that one.
    Foreign(String),
}

/// The states that a VM may rest in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sensible {
    /// No domain, nothing left of one.
    Halted,
    /// One complete domain, running.
    Running,
    /// One complete domain, paused.
    Paused,
    /// No domain, a complete image.
    Suspended,
    /// A crashed domain kept for its administrator.
    PreservedCrash,
}

/// What can be done to make a VM sensible.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub enum Repair {
    /// Tear its domains down, then clean; it ends halted.
    Shutdown,
    /// As a client's poweroff from its first destructive step on: no hooks, flags cleared, epochs ended.
    FinishPoweroff,
    /// Tear its domain down and keep VmExtra; it ends suspended.
    FinishSuspend,
    /// No domain: clean what is left. The flag: it is suspended, VmExtra and active flags stay.
    Clean {
        /// Keep what a suspended VM needs.
        suspended: bool,
    },
    /// Reboot without asking the guest; first wait this many nanoseconds.
    Restart {
        /// Nanoseconds.
        delay: u64,
    },
    /// Let a complete, paused domain of an interrupted reboot run.
    Unpause,
    /// Undo a suspend in place, or take back the request for it.
    FastResume,
    /// Keep a crashed domain, paused.
    Pause,
    /// Soft reset.
    SoftReset,
    /// Tear these domains down beside the one that stays: what is left of destroyed ones, duplicates that never ran.
    DestroyDomains(Vec<DomId>),
    /// The guest is complete again: its image must not be resumed once more.
    ForgetImage,
    /// Take devices away that are no longer online: disks, then network interfaces, by row name.
    Unplug {
        /// Disks.
        vbds: Vec<String>,
        /// Network interfaces.
        vifs: Vec<String>,
    },
    /// Take away what is left of devices that were not plugged in the end, and clear their active flags.
    Deactivate {
        /// Disks.
        vbds: Vec<String>,
        /// Network interfaces.
        vifs: Vec<String>,
    },
    /// Take out of these drives what is half in them.
    Eject(Vec<String>),
    /// Set I/O priorities.
    SetQos(Vec<String>),
    /// Remove all rows.
    Remove,
    /// Go on with a rename.
    Rename(Uuid),
}

impl Repair {
    /// Whether no domain that is there now is left of the VM.
    pub fn clears(&self) -> bool {
        matches!(self, Repair::Shutdown | Repair::FinishPoweroff | Repair::FinishSuspend | Repair::Restart { .. })
    }
}
