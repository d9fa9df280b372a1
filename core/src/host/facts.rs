//! What a host is: told once when the daemon starts, the same for all VMs.

use serde::{Deserialize, Serialize};

/// Properties of a host that change what micro-ops ask of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Physical CPUs.
    pub cpus: u32,
    /// HVM and PVH are possible.
    pub hvm: bool,
    /// PV is possible.
    pub pv: bool,
    /// Hardware-assisted paging.
    pub hap: bool,
    /// Shadow paging.
    pub shadow: bool,
    /// Passthrough.
    pub iommu: bool,
    /// Feature set for PV guests: dash-separated 8-digit hexadecimal words.
    pub features_pv: String,
    /// Feature set for HVM and PVH guests.
    pub features_hvm: String,
    /// `/etc/xen/scripts/block` or what stands for it.
    pub block_script: String,
    /// `/etc/xen/scripts/vif-bridge` or what stands for it.
    pub vif_script: String,
    /// The guest builder, save and restore helper.
    pub guest_helper: String,
    /// QEMU.
    pub qemu: String,
    /// `hvmloader`.
    pub hvmloader: String,
    /// The PV-in-PVH shim.
    pub pv_shim: String,
    /// `pygrub`.
    pub pygrub: String,
    /// `eliloader`.
    pub eliloader: String,
    /// Directory of hook directories, `/etc/xapi.d`.
    pub hooks: String,
}
