//! Time-outs and switches that the daemon's configuration sets. Durations are nanoseconds.

use crate::host::time::SECOND;
use serde::{Deserialize, Serialize};

/// Upstream's keys, by upstream's names; each default is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `queue`: this instance's name, which its domains carry.
    pub instance: String,
    /// `hotplug_timeout`
    pub hotplug_timeout: u64,
    /// `qemu_dm_ready_timeout`
    pub qemu_dm_ready_timeout: u64,
    /// `domain_shutdown_ack_timeout`
    pub domain_shutdown_ack_timeout: u64,
    /// `vm-suspend-ack-timeout`
    pub vm_suspend_ack_timeout: u64,
    /// `vm-suspend-timeout`
    pub vm_suspend_timeout: u64,
    /// `additional-ballooning-timeout`
    pub additional_ballooning_timeout: u64,
    /// `default-vbd-backend-kind`
    pub default_vbd_backend_kind: String,
    /// `pvinpvh-xen-cmdline`
    pub pvinpvh_xen_cmdline: String,
    /// `xen-platform-pci-bar-uc`
    pub xen_platform_pci_bar_uc: bool,
    /// `vm-guest-agent-xenstore-quota-bytes`
    pub guest_agent_quota_bytes: u64,
    /// A guest that stops within this time of its start is not simply started again.
    pub minimum_reboot_delay: u64,
    /// How long an early reboot is held back.
    pub reboot_delay: u64,
    /// How long a hook may run (upstream: for ever).
    pub hook_timeout: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            instance: "org.xen.xapi.xenops.classic".to_owned(),
            hotplug_timeout: 300 * SECOND,
            qemu_dm_ready_timeout: 300 * SECOND,
            domain_shutdown_ack_timeout: 60 * SECOND,
            vm_suspend_ack_timeout: 30 * SECOND,
            vm_suspend_timeout: 1200 * SECOND,
            additional_ballooning_timeout: 120 * SECOND,
            default_vbd_backend_kind: "vbd".to_owned(),
            pvinpvh_xen_cmdline: "pv-shim console=xen".to_owned(),
            xen_platform_pci_bar_uc: false,
            guest_agent_quota_bytes: 26_214_400,
            minimum_reboot_delay: 120 * SECOND,
            reboot_delay: 15 * SECOND,
            hook_timeout: 1200 * SECOND,
        }
    }
}
