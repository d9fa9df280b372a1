//! The host and its daemon.

use std::path::Path;
use xenops_core::interface::{Host, Query};

/// What the host is made of.
pub fn lines(host: &Host, memory_mib: i64) -> String {
    let cpu = &host.cpu_info;
    let nodes = if cpu.nr_nodes < 0 { "unknown".to_owned() } else { cpu.nr_nodes.to_string() };
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let entries = [
        ("Hypervisor", format!("Xen {}", host.hypervisor.version)),
        ("Guests", host.hypervisor.capabilities.clone()),
        ("Processor", cpu.modelname.clone()),
        ("CPUs", format!("{} in {} sockets, {} threads a core", cpu.cpu_count, cpu.socket_count, cpu.threads_per_core)),
        ("NUMA nodes", nodes),
        ("Memory", format!("{memory_mib} MiB")),
        ("HVM", yes(host.chipset_info.hvm)),
        ("IOMMU", yes(host.chipset_info.iommu)),
    ];
    entries.into_iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect()
}

/// Which daemon answers, and where.
pub fn query(query: &Query, socket: &Path) -> String {
    let Query { name, vendor, version, instance_id, .. } = query;
    format!("{name} {version} by {vendor}, instance {instance_id}, at {}\n", socket.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenops_core::interface::host::{ChipsetInfo, CpuInfo, Hypervisor};

    #[test]
    fn a_host() {
        let unknown = || "unknown".to_owned();
        let host = Host {
            cpu_info: CpuInfo {
                cpu_count: 8,
                socket_count: 1,
                threads_per_core: 2,
                nr_nodes: -1,
                vendor: "GenuineIntel".into(),
                speed: "2399.998".into(),
                modelname: "Xeon".into(),
                family: unknown(),
                model: unknown(),
                stepping: unknown(),
                flags: unknown(),
                features: unknown(),
                features_pv: unknown(),
                features_hvm: unknown(),
                features_pv_host: unknown(),
                features_hvm_host: unknown(),
            },
            hypervisor: Hypervisor { version: "4.17.5".into(), capabilities: "xen-3.0-x86_64".into() },
            chipset_info: ChipsetInfo { iommu: false, hvm: true },
        };
        assert_eq!(
            lines(&host, 16384),
            "Hypervisor  Xen 4.17.5\nGuests      xen-3.0-x86_64\nProcessor   Xeon\n\
             CPUs        8 in 1 sockets, 2 threads a core\nNUMA nodes  unknown\nMemory      16384 MiB\n\
             HVM         yes\nIOMMU       no\n"
        );
    }

    #[test]
    fn a_daemon() {
        let name = |text: &str| text.to_owned();
        let answer = Query {
            name: name("xenops"),
            vendor: name("XCP"),
            version: name("0.1"),
            features: Vec::new(),
            instance_id: name("i"),
        };
        assert_eq!(query(&answer, Path::new("/s")), "xenops 0.1 by XCP, instance i, at /s\n");
    }
}
