//! What the simulated host is: a plain distribution's, as in Debian 12 with Xen 4.17.

use super::config::Config;
use xenops_core::host::HostFacts;
use xenops_core::interface::host::{ChipsetInfo, CpuInfo, Host, Hypervisor};

const FEATURES: &str = "1fc9cbf5-f6f83203-2991cbf5-00000123-00000007-00000009-00000000-00000000-00001000-8c000400";
const FEATURES_PV: &str = "17c9cbf5-f6f83203-2191cbf5-00000123-00000006-00000008-00000000-00000000-00001000-8c000000";

/// For the daemon.
pub(super) fn facts(config: &Config) -> HostFacts {
    HostFacts {
        cpus: config.cpus,
        hvm: true,
        pv: true,
        hap: true,
        shadow: false,
        iommu: false,
        features_pv: FEATURES_PV.to_owned(),
        features_hvm: FEATURES.to_owned(),
        block_script: "/etc/xen/scripts/block".to_owned(),
        vif_script: "/etc/xen/scripts/vif-bridge".to_owned(),
        guest_helper: "/usr/libexec/xenops/guest-helper".to_owned(),
        qemu: "/usr/libexec/xen-qemu-system-i386".to_owned(),
        hvmloader: "/usr/lib/xen-4.17/boot/hvmloader".to_owned(),
        pv_shim: "/usr/lib/xen-4.17/boot/xen-shim".to_owned(),
        pygrub: "/usr/lib/xen-4.17/bin/pygrub".to_owned(),
        eliloader: "/usr/lib/xen-4.17/bin/eliloader".to_owned(),
        hooks: "/etc/xapi.d".to_owned(),
    }
}

/// For clients.
pub(super) fn host(config: &Config) -> Host {
    Host {
        cpu_info: CpuInfo {
            cpu_count: i64::from(config.cpus),
            socket_count: 1,
            threads_per_core: 1,
            nr_nodes: 1,
            vendor: "GenuineIntel".to_owned(),
            speed: "2400.000".to_owned(),
            modelname: "Simulated CPU".to_owned(),
            family: "6".to_owned(),
            model: "85".to_owned(),
            stepping: "4".to_owned(),
            flags: "fpu de tsc msr pae mce cx8 apic sep mca cmov pat clflush acpi mmx fxsr sse sse2 ht".to_owned(),
            features: FEATURES.to_owned(),
            features_pv: FEATURES_PV.to_owned(),
            features_hvm: FEATURES.to_owned(),
            features_pv_host: FEATURES_PV.to_owned(),
            features_hvm_host: FEATURES.to_owned(),
        },
        hypervisor: Hypervisor {
            version: "4.17.7".to_owned(),
            capabilities: "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64".to_owned(),
        },
        chipset_info: ChipsetInfo { iommu: false, hvm: true },
    }
}
