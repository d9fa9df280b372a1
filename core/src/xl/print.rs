//! From a VM with its devices to a file that describes it.

use super::config::MIB;
use super::lexer::FILE_BYTES;
use super::problem::Spot;
use super::{action, disk, nic, parse, passthrough};
use crate::host::Uuid;
use crate::interface::vm::{Action, BuilderInfo, PvBoot, PvInfo, Tpm};
use crate::interface::{Metadata, Value, Vm};
use std::fmt::{Display, Write};

/// A VM as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// The file.
    pub text: String,
    /// What the VM has that the file cannot say, by the names of the fields; when it is empty, reading the
    /// file gives the VM back.
    pub lost: Vec<String>,
}

/// The file that describes a VM as well as a file can.
pub fn print(metadata: &Metadata) -> Printed {
    let mut file = File::default();
    let vm = &metadata.vm;
    file.text("uuid", &vm.id);
    file.text("name", &vm.name);
    builder(&mut file, &vm.ty);
    sizes(&mut file, vm);
    actions(&mut file, vm);
    list(
        &mut file,
        "disk",
        metadata.vbds.iter().map(|vbd| (disk::write(vbd), format!("disk {}", vbd.id.device))),
        |text| {
            // On which bus a disk is does not matter here, only that there is one.
            disk::read((Spot::START, text), &vm.id, false, &mut Vec::new()).is_ok()
        },
    );
    list(
        &mut file,
        "vif",
        metadata.vifs.iter().map(|vif| (nic::write(vif), format!("network interface {}", vif.id.device))),
        |text| nic::read((Spot::START, text), &vm.id, 0, &mut Vec::new()).is_ok(),
    );
    list(
        &mut file,
        "pci",
        metadata.pcis.iter().map(|pci| (passthrough::write(pci), format!("device {}", pci.address))),
        |text| passthrough::read((Spot::START, text), &vm.id, 0, &mut Vec::new()).is_ok(),
    );
    file.number("pci_msitranslate", i64::from(vm.pci_msitranslate));
    file.number("pci_power_mgmt", i64::from(vm.pci_power_mgmt));
    file.number("has_vendor_device", i64::from(vm.has_vendor_device));
    file.finish(metadata)
}

fn builder(file: &mut File, ty: &BuilderInfo) {
    match ty {
        BuilderInfo::Hvm(info) => {
            file.text("builder", "hvm");
            file.text("boot", &info.boot_order);
            if let Some(Tpm::Vtpm(id)) = &info.tpm {
                file.text("vtpm", &id.text());
            }
        }
        BuilderInfo::Pv(info) => {
            file.text("builder", "linux");
            boot(file, info);
        }
        BuilderInfo::PvInPvh(info) => {
            file.text("type", "pvh");
            file.number("pvshim", 1);
            boot(file, info);
        }
        BuilderInfo::Pvh(info) => {
            file.text("type", "pvh");
            boot(file, info);
        }
    }
}

fn boot(file: &mut File, info: &PvInfo) {
    match &info.boot {
        PvBoot::Direct(direct) => {
            file.text("kernel", &direct.kernel);
            file.text("root", &direct.cmdline);
            if let Some(ramdisk) = &direct.ramdisk {
                file.text("ramdisk", ramdisk);
            }
        }
        PvBoot::Indirect(indirect) => {
            file.text("bootloader", &indirect.bootloader);
            for (key, arguments) in [
                ("bootloader_args", &indirect.bootloader_args),
                ("root", &indirect.legacy_args),
                ("extra", &indirect.extra_args),
            ] {
                if !arguments.is_empty() {
                    file.text(key, arguments);
                }
            }
        }
    }
}

fn sizes(file: &mut File, vm: &Vm) {
    file.number("vcpus", vm.vcpus);
    if vm.vcpu_max != vm.vcpus {
        file.number("maxvcpus", vm.vcpu_max);
    }
    file.number("memory", vm.memory_dynamic_max / MIB);
    if vm.memory_static_max != vm.memory_dynamic_max {
        file.number("maxmem", vm.memory_static_max / MIB);
    }
}

fn actions(file: &mut File, vm: &Vm) {
    for (key, actions, default) in [
        ("on_poweroff", &vm.on_shutdown, Action::Shutdown),
        ("on_reboot", &vm.on_reboot, Action::Start),
        ("on_crash", &vm.on_crash, Action::Shutdown),
        ("on_soft_reset", &vm.on_softreboot, Action::Softreboot),
    ] {
        if let Some(word) = action::write(actions).filter(|_| actions[..] != [default]) {
            file.text(key, word);
        }
    }
}

/// A list of devices, without those that a file cannot describe.
fn list(file: &mut File, key: &str, elements: impl Iterator<Item = (String, String)>, is_read: impl Fn(&str) -> bool) {
    let mut quoted = Vec::new();
    for (text, name) in elements {
        match quote(&text).filter(|_| is_read(&text)) {
            Some(text) => quoted.push(text),
            None => file.lost.push(name),
        }
    }
    match quoted.as_slice() {
        [] => {}
        [one] => file.line(key, format_args!("[ {one} ]")),
        many => file.line(key, format_args!("[\n    {},\n]", many.join(",\n    "))),
    }
}

#[derive(Default)]
struct File {
    text: String,
    lost: Vec<String>,
}

impl File {
    fn line(&mut self, key: &str, value: impl Display) {
        writeln!(self.text, "{key} = {value}").expect("a string takes any text");
    }

    /// What has no quotes that fit is left out, and found missing at the end.
    fn text(&mut self, key: &str, text: &str) {
        if let Some(quoted) = quote(text) {
            self.line(key, quoted);
        }
    }

    fn number(&mut self, key: &str, number: i64) {
        self.line(key, number);
    }

    /// Reads the file again: what does not come back is lost.
    fn finish(mut self, metadata: &Metadata) -> Printed {
        match parse(&self.text, Uuid::default()) {
            Ok((again, _)) => compare("", &Value::of(metadata), &Value::of(&again), &mut self.lost),
            Err(error) => self.lost.push(format!("all, as reading it fails at {error}")),
        }
        Printed { text: self.text, lost: self.lost }
    }
}

fn quote(text: &str) -> Option<String> {
    let quote = ['\'', '"'].into_iter().find(|quote| !text.contains(*quote))?;
    let fits = text.len() < FILE_BYTES && !text.contains(|c: char| c.is_control() && c != '\t');
    fits.then(|| format!("{quote}{text}{quote}"))
}

/// Names what differs, as deep as both sides have the same shape.
fn compare(path: &str, before: &Value, after: &Value, lost: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (before, after) {
        _ if before == after => {}
        (Value::Dict(fields), Value::Dict(others)) => {
            for (name, field) in fields {
                compare(&below(name), field, after.get(name).unwrap_or(&Value::Null), lost);
            }
            lost.extend(others.iter().filter(|(name, _)| before.get(name).is_none()).map(|(name, _)| below(name)));
        }
        (Value::List(items), Value::List(others)) if items.len() == others.len() => {
            // A variant's payload goes by the name of the variant's field.
            let is_variant = matches!(items.as_slice(), [Value::String(_), Value::Dict(_)]);
            for (i, (item, other)) in items.iter().zip(others).enumerate() {
                compare(&if is_variant { path.to_owned() } else { below(&i.to_string()) }, item, other, lost);
            }
        }
        _ => lost.push(path.to_owned()),
    }
}
