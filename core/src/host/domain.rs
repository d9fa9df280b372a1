//! Domains as the hypervisor has them.

use super::Uuid;
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// A domain's number; 0 is dom0.
pub type DomId = u32;

/// What kind of container a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Flavour {
    /// Paravirtualised.
    Pv,
    /// Fully virtualised, with a device model.
    Hvm,
    /// Hardware-assisted without a device model; also the container of a PV guest in a PVH shim.
    Pvh,
}

/// Why a domain stopped, as Xen numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ShutdownCode {
    /// 0
    Poweroff,
    /// 1
    Reboot,
    /// 2
    Suspend,
    /// 3
    Crash,
    /// 4
    Watchdog,
    /// 5
    SoftReset,
    /// Any number that has no name.
    Other(u8),
}

/// What `xc_domain_create` is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DomainSpec {
    /// The VM.
    pub handle: Uuid,
    /// Its container.
    pub flavour: Flavour,
    /// Hardware-assisted paging; containers other than PV only.
    pub hap: bool,
    /// An IOMMU context, for passthrough.
    pub iommu: bool,
    /// Nested virtualisation.
    pub nested_virt: bool,
    /// A virtual performance monitoring unit.
    pub vpmu: bool,
    /// Security label.
    pub ssidref: u32,
    /// Most vCPUs it may ever have.
    pub max_vcpus: u32,
    /// Grant table size in frames.
    pub max_grant_frames: u32,
    /// Maptrack table size in frames; 0 is Xen's default.
    pub max_maptrack_frames: u32,
    /// x86 emulation flags, as Xen's interface numbers the bits.
    pub emulation_flags: u32,
    /// x86 misc flags; bit 0 is relaxed MSR access.
    pub misc_flags: u32,
}

/// What `xc_domain_getinfolist` tells of one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainInfo {
    /// Its number.
    pub domid: DomId,
    /// The VM it says it is.
    pub handle: Uuid,
    /// Paused by the toolstack.
    pub paused: bool,
    /// Being torn down by Xen.
    pub dying: bool,
    /// Whether it has stopped, and why.
    pub shutdown: Option<ShutdownCode>,
    /// A hardware container (HVM or PVH).
    pub hvm: bool,
    /// Pages of 4 KiB that it has.
    pub total_pages: u64,
    /// Pages of 4 KiB that it may have.
    pub max_pages: u64,
    /// Nanoseconds of CPU time used by all its vCPUs.
    pub cpu_time: u64,
    /// vCPUs online.
    pub vcpus: u32,
}

/// One thing done to a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DomainAct {
    /// Stop its vCPUs. Pausing a paused domain changes nothing: hosts hide Xen's counter.
    Pause,
    /// Let its vCPUs run.
    Unpause,
    /// Tear it down; answered when it has left the list.
    Destroy,
    /// Declare it shut down, as its guest would.
    Shutdown(ShutdownCode),
    /// Undo a suspend: the guest's call returns "cancelled" and it runs on.
    Resume,
    /// Forget the guest's state but keep its memory, for kexec.
    SoftReset,
    /// Name another VM as its owner.
    SetHandle(Uuid),
    /// Limit its memory, in KiB.
    SetMaxMem(u64),
    /// Make room for this many vCPUs.
    MaxVcpus(u32),
    /// Limit a PV domain's memory map, in KiB.
    MemmapLimit(u64),
    /// Shadow or HAP pool, in MiB.
    ShadowAllocation(u32),
    /// For each vCPU in order, the physical CPUs that it is bound to; numbers that the host lacks are dropped, and
    /// an empty list is no binding.
    HardAffinity(Vec<Vec<u32>>),
    /// Scheduler parameters; skipped by a host whose scheduler has none.
    Schedule {
        /// Relative share, 256 is normal.
        weight: u32,
        /// Percent of one CPU; 0 is no limit.
        cap: u32,
    },
    /// HVM timer mode.
    TimerMode(u32),
    /// Wake an HVM guest from ACPI S3.
    AcpiWake,
    /// A fresh event channel for dom0 to bind; answers `Reply::Number`, the port.
    AllocUnbound,
    /// Whether an HVM guest has set the callback that paravirtual drivers need; answers `Reply::Flag`.
    HasPvCallback,
    /// Tell an HVM guest the event channels of its store and console rings, after a soft reset.
    Channels {
        /// Port of the store ring.
        store: u64,
        /// Port of the console ring.
        console: u64,
    },
    /// Ask for the domain's present shadow pool; answers `Reply::Number`, MiB.
    GetShadowAllocation,
}

// Of CPU time only whether there is any: how much means nothing to anybody here.
impl Hash for DomainInfo {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let DomainInfo { domid, handle, paused, dying, shutdown, hvm, total_pages, max_pages, cpu_time, vcpus } = self;
        (domid, handle, paused, dying, shutdown, hvm).hash(state);
        (total_pages, max_pages, *cpu_time > 0, vcpus).hash(state);
    }
}

impl DomainInfo {
    /// Whether its vCPUs may run.
    pub fn runnable(&self) -> bool {
        !self.paused && !self.dying && self.shutdown.is_none()
    }
}
