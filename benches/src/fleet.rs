//! VMs with two disks and a NIC each, all alike but for their names.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use xenops_core::interface::Call;
use xenops_io_sim::local::Local;
use xenops_io_sim::world::{Choices, Config, Pace, World};

/// How many the figures are about.
pub const FLEET: usize = 1000;

/// The nth VM's name.
pub fn id(n: usize) -> String {
    format!("be4c0000-0000-4000-8000-{n:012x}")
}

/// The nth VM, as a client adds it: a PV guest of 32 MiB.
pub fn vm(n: usize) -> Value {
    const MEMORY: u64 = 32 << 20;
    let boot = json!(["Direct", {"kernel": "/boot/vmlinuz", "cmdline": "root=/dev/xvda"}]);
    json!({
        "id": id(n), "name": format!("guest {n}"), "ssidref": 0, "xsdata": {"vm-data": ""},
        "platformdata": {"acpi": "1", "apic": "true", "pae": "true", "viridian": "false"}, "bios_strings": {},
        "ty": ["PV", {"boot": boot, "framebuffer": false, "framebuffer_ip": null, "vncterm": true}],
        "suppress_spurious_page_faults": false, "memory_static_max": MEMORY, "memory_dynamic_max": MEMORY,
        "memory_dynamic_min": MEMORY, "vcpu_max": 2, "vcpus": 2, "scheduler_params": {"affinity": []},
        "on_crash": ["Start"], "on_shutdown": ["Shutdown"], "on_reboot": ["Start"], "pci_msitranslate": false,
        "pci_power_mgmt": false
    })
}

/// Its disks.
pub fn vbds(n: usize) -> [Value; 2] {
    ["xvda", "xvdb"].map(|name| {
        let position = json!(["Xen", u32::from(name == "xvdb"), 0]);
        json!({"id": [id(n), name], "position": position, "backend": ["Local", format!("/images/{n}.{name}")]})
    })
}

/// Its NIC.
pub fn vif(n: usize) -> Value {
    json!({"id": [id(n), "0"], "mac": format!("00:16:3e:00:{:02x}:{:02x}", n >> 8, n & 255)})
}

/// A daemon in one hand with an instant host, with so many VMs that are halted.
pub fn local(vms: usize) -> Local {
    let config = Config { pace: Pace::Instant, ..Config::default() };
    let mut local = Local::new(World::new(config, Choices::nothing()), 4);
    for n in 0..vms {
        let mut add = |call| drop(local.ask(call).expect("a halted vm and its devices can be added"));
        add(Call::VmAdd { vm: Arc::new(typed(vm(n))) });
        vbds(n).into_iter().for_each(|vbd| add(Call::VbdAdd { vbd: Arc::new(typed(vbd)) }));
        add(Call::VifAdd { vif: Arc::new(typed(vif(n))) });
    }
    local
}

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the fleet's objects are well-formed")
}
