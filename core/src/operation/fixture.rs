//! VMs to test with.

use super::Subject;
use crate::interface::vm::{BuilderInfo, PvBoot, PvDirectBoot, PvInfo, SchedulerParams};
use crate::interface::{Disk, Vbd, Vif, Vm, vbd};
use std::sync::Arc;

pub(crate) fn pv_info(boot: PvDirectBoot) -> PvInfo {
    PvInfo {
        boot: PvBoot::Direct(boot),
        framebuffer: false,
        framebuffer_ip: None,
        vncterm: false,
        vncterm_ip: None,
        pci_passthrough: false,
    }
}

pub(crate) fn vm() -> Vm {
    Vm {
        id: "04efbb51-2bce-495f-9d86-75fc70ba01e0".into(),
        name: "vm".into(),
        ssidref: 0,
        xsdata: Default::default(),
        platformdata: Default::default(),
        bios_strings: Default::default(),
        ty: BuilderInfo::Pv(pv_info(PvDirectBoot { kernel: "/k".into(), cmdline: String::new(), ramdisk: None })),
        suppress_spurious_page_faults: false,
        machine_address_size: None,
        memory_static_max: 1 << 26,
        memory_dynamic_max: 1 << 26,
        memory_dynamic_min: 1 << 26,
        vcpu_max: 1,
        vcpus: 1,
        scheduler_params: SchedulerParams { priority: None, affinity: Vec::new() },
        on_crash: Vec::new(),
        on_shutdown: Vec::new(),
        on_reboot: Vec::new(),
        on_softreboot: Vec::new(),
        pci_msitranslate: false,
        pci_power_mgmt: false,
        has_vendor_device: false,
        generation_id: None,
    }
}

pub(crate) fn disk(device: &str, mode: vbd::Mode, backend: bool) -> Arc<Vbd> {
    let backend = backend.then(|| Disk::Vdi(format!("sr/{device}")));
    Arc::new(Vbd { id: vbd::Id::new(vm().id, device), mode, backend, ..Vbd::default() })
}

pub(crate) fn nic(device: &str, position: i64) -> Arc<Vif> {
    Arc::new(Vif { id: vbd::Id::new(vm().id, device), position, ..Vif::default() })
}

pub(crate) fn subject(vbds: Vec<Arc<Vbd>>, vifs: Vec<Arc<Vif>>) -> Subject {
    Subject { vm: Arc::new(vm()), vbds: vbds.into(), vifs: vifs.into() }
}
