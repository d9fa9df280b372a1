//! What a host is, as its hypervisor and its processor tell.

use super::cpuinfo::CpuText;
use super::errno::CallError;
use super::foreign::Interface;
use super::layout::Physical;
use xenops_core::interface::host::{ChipsetInfo, CpuInfo, Host, Hypervisor};

/// Feature sets by Xen's numbers.
const HARDWARE: u32 = 1;
const PV: u32 = 2;
const HVM: u32 = 3;
const PV_MOST: u32 = 4;
const HVM_MOST: u32 = 5;

/// What a host can do.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Its hardware.
    pub physical: Physical,
    /// The hardware's features.
    pub features: String,
    /// What a PV guest gets by default.
    pub features_pv: String,
    /// What an HVM guest gets by default.
    pub features_hvm: String,
    /// What a PV guest can have at most.
    pub features_pv_most: String,
    /// What an HVM guest can have at most.
    pub features_hvm_most: String,
}

impl Survey {
    pub(super) fn of(interface: &Interface) -> Result<Survey, CallError> {
        let physical = interface.physical()?;
        let features = |index: u32, possible: bool| match possible {
            true => interface.features(index).map(|set| words(&set)),
            false => Ok(String::new()),
        };
        Ok(Survey {
            features: features(HARDWARE, true)?,
            features_pv: features(PV, physical.pv)?,
            features_hvm: features(HVM, physical.hvm)?,
            features_pv_most: features(PV_MOST, physical.pv)?,
            features_hvm_most: features(HVM_MOST, physical.hvm)?,
            physical,
        })
    }
}

/// A feature set's text.
fn words(set: &[u32]) -> String {
    set.iter().map(|word| format!("{word:08x}")).collect::<Vec<_>>().join("-")
}

/// What HOST.stat answers.
pub(super) fn host(interface: &Interface, survey: &Survey, cpu: &CpuText) -> Result<Host, CallError> {
    let Survey { physical, .. } = survey;
    let release = interface.version()?;
    Ok(Host {
        cpu_info: cpu_info(survey, cpu),
        hypervisor: Hypervisor {
            version: format!("{release}{}", interface.extra_version()?),
            capabilities: interface.capabilities()?,
        },
        chipset_info: ChipsetInfo { iommu: physical.iommu, hvm: physical.hvm },
    })
}

fn cpu_info(survey: &Survey, cpu: &CpuText) -> CpuInfo {
    let Survey { physical, .. } = survey;
    let of_socket = physical.threads_per_core.max(1) * physical.cores_per_socket.max(1);
    CpuInfo {
        cpu_count: i64::from(physical.cpus),
        socket_count: i64::from(physical.cpus / of_socket),
        threads_per_core: i64::from(physical.threads_per_core),
        nr_nodes: i64::from(physical.nodes),
        vendor: cpu.get("vendor_id"),
        speed: cpu.get("cpu MHz"),
        modelname: cpu.get("model name"),
        family: cpu.get("cpu family"),
        model: cpu.get("model"),
        stepping: cpu.get("stepping"),
        flags: cpu.get("flags"),
        features: survey.features.clone(),
        features_pv: survey.features_pv_most.clone(),
        features_hvm: survey.features_hvm_most.clone(),
        features_pv_host: survey.features_pv.clone(),
        features_hvm_host: survey.features_hvm.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenops_core::host::Memory;

    #[test]
    fn processors_are_counted_and_described() {
        let physical = Physical {
            threads_per_core: 2,
            cores_per_socket: 4,
            cpus: 16,
            max_cpu: 15,
            nodes: 2,
            memory: Memory::default(),
            hvm: true,
            pv: true,
            hap: true,
            shadow: false,
            iommu: false,
            grants: 2,
        };
        let survey = Survey {
            physical,
            features: words(&[0x1fc3, 0]),
            features_pv: "a".into(),
            features_hvm: "b".into(),
            features_pv_most: "c".into(),
            features_hvm_most: "d".into(),
        };
        let info = cpu_info(&survey, &CpuText::parse("vendor_id : GenuineIntel\nmodel\t: 85\n"));
        assert_eq!((info.cpu_count, info.socket_count, info.threads_per_core, info.nr_nodes), (16, 2, 2, 2));
        assert_eq!(info.features, "00001fc3-00000000");
        assert_eq!((&*info.vendor, &*info.model, &*info.stepping), ("GenuineIntel", "85", "unknown"));
        assert_eq!(
            [info.features_pv, info.features_hvm, info.features_pv_host, info.features_hvm_host],
            ["c", "d", "a", "b"]
        );
    }
}
