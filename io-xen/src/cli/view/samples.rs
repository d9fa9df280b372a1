//! A VM for the tables' tests, made as a user would make it.

use std::sync::Arc;
use xenops_core::interface::vm::{DomainType, State};
use xenops_core::interface::{Metadata, PowerState, Vbd, Vif, Vm, vbd, vif};
use xenops_core::xl;

fn metadata() -> Metadata {
    let text = "name='web'; uuid='04efbb51-2bce-495f-9d86-75fc70ba01e0'; memory=256; vcpus=2; kernel='/k'
        disk=['phy:/dev/vg/web,xvda,w', 'sm:sr/vdi,xvdb,r', ',xvdc:cdrom,r']
        vif=['mac=00:16:3e:00:00:01,bridge=xenbr1']";
    xl::parse(text, Default::default()).unwrap().0
}

pub(super) fn vm() -> Vm {
    metadata().vm
}

/// Its disks; the second is not plugged.
pub(super) fn vbds() -> Vec<(Arc<Vbd>, vbd::State)> {
    let state = |vbd: &Vbd| vbd::State {
        active: true,
        plugged: vbd.id.device != "xvdb",
        qos_target: None,
        backend_present: vbd.backend.clone(),
    };
    metadata().vbds.into_iter().map(|vbd| (Arc::new(vbd.clone()), state(&vbd))).collect()
}

/// Its network interface.
pub(super) fn vifs() -> Vec<(Arc<Vif>, vif::State)> {
    let state = || vif::State {
        active: true,
        plugged: true,
        kthread_pid: 0,
        media_present: true,
        device: Some("vif7.0".into()),
        pvs_rules_active: false,
    };
    metadata().vifs.into_iter().map(|vif| (Arc::new(vif), state())).collect()
}

/// What it is doing when it runs as configured.
pub(super) fn running() -> State {
    State {
        power_state: PowerState::Running,
        domids: vec![7],
        memory_target: 256 << 20,
        memory_actual: 256 << 20,
        memory_limit: 257 << 20,
        vcpu_target: 2,
        domain_type: DomainType::Pv,
        ..State::halted()
    }
}
