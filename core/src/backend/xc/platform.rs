//! The platform keys that a domain finds in xenstore.

use crate::interface::vm::{BuilderInfo, Vm};
use crate::interface::{Pairs, VmExtra};

/// Flags that hvmloader understands as digits only.
const DIGITS: [&str; 3] = ["acpi", "acpi_s3", "acpi_s4"];

/// The record's platform flags, completed.
pub(super) fn of(vm: &Vm, extra: &VmExtra, kind: &BuilderInfo) -> Pairs {
    let mut platform = extra.platformdata.clone();
    let shim = matches!(kind, BuilderInfo::PvInPvh(_));
    platform.set("vcpu/number", vm.vcpu_max.to_string());
    // The shim brings its guest's vCPUs online by itself.
    platform.set("vcpu/current", if shim { vm.vcpu_max } else { vm.vcpus }.to_string());
    if let Some(priority) = vm.scheduler_params.priority {
        platform.set("vcpu/weight", priority.weight.to_string());
        platform.set("vcpu/cap", priority.cap.to_string());
    }
    if let BuilderInfo::Hvm(info) = kind {
        default(&mut platform, "acpi", if info.acpi { "1" } else { "0" });
        platform.set("device-model", "qemu_xen".to_owned());
    }
    default(&mut platform, "acpi_s3", "0");
    default(&mut platform, "acpi_s4", "0");
    if let Some(id) = &vm.generation_id {
        platform.set("generation-id", id.clone());
    }
    for (key, value) in &mut platform.0 {
        if DIGITS.contains(&key.as_str()) {
            match value.as_str() {
                "true" => *value = "1".to_owned(),
                "false" => *value = "0".to_owned(),
                _ => {}
            }
        }
    }
    platform
}

fn default(platform: &mut Pairs, key: &str, value: &str) {
    if platform.get(key).is_none() {
        platform.set(key, value.to_owned());
    }
}
