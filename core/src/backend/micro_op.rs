//! Micro-ops: the units a plan is made of, named as upstream names its atomics.

use crate::host::DomId;
use crate::interface::{Disk, Network, Pairs, vif};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::hash::{Hash, Hasher};

/// A directory of scripts that run at a moment of a VM's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hook {
    /// `vm-pre-shutdown`
    PreDestroy,
    /// `vm-post-destroy`
    PostDestroy,
    /// `vm-pre-suspend`
    PreSuspend,
    /// `vm-pre-start`
    PreStart,
    /// `vm-pre-reboot`
    PreReboot,
    /// `vm-pre-resume`
    PreResume,
    /// `vm-post-resume`
    PostResume,
}

impl Hook {
    /// Its directory's name.
    pub fn directory(self) -> &'static str {
        match self {
            Hook::PreDestroy => "vm-pre-shutdown",
            Hook::PostDestroy => "vm-post-destroy",
            Hook::PreSuspend => "vm-pre-suspend",
            Hook::PreStart => "vm-pre-start",
            Hook::PreReboot => "vm-pre-reboot",
            Hook::PreResume => "vm-pre-resume",
            Hook::PostResume => "vm-post-resume",
        }
    }
}

/// What a guest is asked to do, or a domain is made to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// `poweroff`
    Poweroff,
    /// `reboot`
    Reboot,
    /// `suspend`
    Suspend,
    /// `s3`
    S3,
}

impl Reason {
    /// The word in `control/shutdown`.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Poweroff => "poweroff",
            Reason::Reboot => "reboot",
            Reason::Suspend => "suspend",
            Reason::S3 => "s3",
        }
    }
}

/// What `action-request` says of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActionRequest {
    /// Absent: the domain is complete.
    None,
    /// `poweroff`: it must go; also the mark of a domain that is not complete.
    Poweroff,
    /// `reboot`
    Reboot,
}

/// A micro-op. Devices are named as their rows are; the rows are in the context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MicroOp {
    /// Read-only: what this VM's world is like.
    Look,
    /// Run a hook directory.
    VmHookScript(Hook, Cow<'static, str>),
    /// Later turns of it: the files that sort after this one.
    VmHookScriptAfter(Hook, Cow<'static, str>, String),
    /// Make the empty, paused domain, its xenstore tree and VmExtra.
    VmCreate,
    /// Build its memory and first state.
    VmBuild {
        /// Build although something speaks against it.
        force: bool,
    },
    /// Start QEMU where the VM needs one.
    VmCreateDeviceModel {
        /// From the state that a suspend saved.
        restore: bool,
    },
    /// Stop QEMU.
    VmDestroyDeviceModel,
    /// Tear domains down (the VM's own, its tombstones, its duplicates) and all that belongs to them. VmExtra stays:
    /// it shows that there is something to clean, or an image.
    VmDestroy,
    /// Clean what a VM without domain must not have: datapaths, open epochs, active flags, and last VmExtra,
    /// which shows until then that there is something to clean.
    VmClean {
        /// Keep VmExtra and active flags: it is suspended.
        suspended: bool,
    },
    /// Later turns of it: open epochs of the disks that come after this one in table order, then VmExtra.
    VmEndEpochsAfter(String),
    /// Tear these domains of the VM down, and what belongs to them; the VM's others and its records stay.
    VmDestroyDomains(Vec<DomId>),
    /// A resumed guest is complete: VmExtra's suspend memory becomes 0, so that its image is not resumed again.
    VmForgetImage,
    /// Stop the vCPUs.
    VmPause,
    /// Let them run.
    VmUnpause,
    /// Ask the guest to stop, and wait.
    VmShutdownDomain {
        /// How.
        reason: Reason,
        /// Nanoseconds for all of it.
        timeout: u64,
    },
    /// Save to an image.
    VmSave(Disk),
    /// Restore from an image.
    VmRestore(Disk),
    /// Undo a suspend in place.
    VmFastResume,
    /// ACPI sleep.
    VmS3Suspend,
    /// Wake from it.
    VmS3Resume,
    /// Soft reset for kexec.
    VmSoftReset,
    /// Nanoseconds of nothing.
    VmDelay(u64),
    /// Write or remove `action-request`.
    VmSetActionRequest(ActionRequest),
    /// Replace the VM's own xenstore data.
    VmSetXsdata(Pairs),
    /// Bring this many vCPUs online.
    VmSetVcpus(u32),
    /// Shadow pool.
    VmSetShadowMultiplier(f64),
    /// Bytes.
    VmSetMemoryDynamicRange(i64, i64),
    /// Allow remote desktop in the guest.
    VmRequestRdp(bool),
    /// Run a script in the guest.
    VmRunScript(String),
    /// Remove what a backend keeps of a VM that goes: `/vm/<uuid>` and VmExtra. Rows go with the operation's end.
    VmRemove,
    /// Give the VM another identity: domain handle, xenstore trees, records.
    VmRename(crate::host::Uuid),
    /// Turns of the save helper's dialogue.
    VmSaveDialogue(SaveTurn),
    /// Attach and activate a disk.
    VbdPlug(String),
    /// Unplug a disk.
    VbdUnplug {
        /// Device.
        device: String,
        /// Without asking the guest.
        force: bool,
    },
    /// The flag that a client sees as `active`.
    VbdSetActive(String, bool),
    /// A disk that is not persistent is reset.
    VbdEpochBegin(String),
    /// Its period ends.
    VbdEpochEnd(String),
    /// The same for a disk that its row will not name any more. One that is still plugged keeps its epoch until it is
    /// not.
    VbdForsake(String),
    /// Put a medium in.
    VbdInsert(String, Disk),
    /// Take it out.
    VbdEject(String),
    /// I/O priority.
    VbdSetQos(String),
    /// Plug a network interface.
    VifPlug(String),
    /// Unplug it.
    VifUnplug {
        /// Device.
        device: String,
        /// Without asking the guest.
        force: bool,
    },
    /// The flag that a client sees as `active`.
    VifSetActive(String, bool),
    /// To another bridge.
    VifMove(String, Network),
    /// Link up or down.
    VifSetCarrier(String, bool),
    /// Port locking.
    VifSetLockingMode(String, vif::LockingMode),
    /// VLAN trunks.
    VifSetTrunks(String, Vec<i64>),
    /// Guest address.
    VifSetIpv4(String, vif::Ipv4Configuration),
    /// Guest address.
    VifSetIpv6(String, vif::Ipv6Configuration),
}

/// Where the save helper's dialogue stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SaveTurn {
    /// The helper.
    pub process: crate::host::Handle,
    /// The image.
    pub stream: crate::host::Handle,
    /// Lines dealt with.
    pub lines: u32,
    /// The guest has suspended.
    pub suspended: bool,
}

// Only names and the few plain fields tell a micro-op in a question's fingerprint; configuration does not change
// under it.
impl Hash for MicroOp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            MicroOp::VmSaveDialogue(turn) => turn.hash(state),
            MicroOp::VmHookScriptAfter(_, _, after) | MicroOp::VmEndEpochsAfter(after) => after.hash(state),
            _ => {}
        }
    }
}
