//! QEMU's command line, as a stock QEMU with Xen support understands it.
//!
//! A plain host has nobody who keeps UEFI variables or a TPM's state: UEFI guests boot with fresh variables, and a
//! virtual TPM, virtual GPUs and extra emulated PCI devices are not there.

use super::process::internal;
use super::{device_model, guest, overhead, script};
use crate::backend::{Context, Failure};
use crate::host::DomId;
use crate::interface::device_number::{Bus, DeviceNumber};
use crate::interface::extra::QemuFrontend;
use crate::interface::vbd::{Kind, Mode};
use crate::interface::vm::{BuilderInfo, HvmInfo, VideoCard};
use crate::interface::{Network, VmExtra};

/// Emulated NICs at most.
const MOST_NICS: usize = 8;

/// Where QEMU is reached, as libxl and its tools know it, and once more for others.
fn control(args: &mut Vec<String>, context: &Context, domid: DomId, attach: bool) {
    push(args, "-xen-domid", domid.to_string());
    args.push("-no-shutdown".to_owned());
    for (id, name) in [("libxl-cmd", "qmp-libxl"), ("event-cmd", "qmp-event")] {
        let path = format!("/var/run/xen/{name}-{domid}");
        push(args, "-chardev", format!("socket,id={id},path={path},server=on,wait=off"));
        push(args, "-mon", format!("chardev={id},mode=control"));
    }
    args.extend(["-nodefaults", "-no-user-config"].map(str::to_owned));
    if attach {
        args.push("-xen-attach".to_owned());
    }
    let name = if context.vm.name.is_empty() { format!("Domain-{domid}") } else { escape(&context.vm.name) };
    push(args, "-name", name);
}

fn push(args: &mut Vec<String>, flag: &str, value: impl Into<String>) {
    args.extend([flag.to_owned(), value.into()]);
}

/// A comma within a value is doubled.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

/// For a guest that needs QEMU for its disks only.
pub(super) fn for_disks(context: &Context, domid: DomId) -> Vec<String> {
    let mut args = Vec::new();
    control(&mut args, context, domid, true);
    push(&mut args, "-vnc", "none");
    push(&mut args, "-display", "none");
    args.push("-nographic".to_owned());
    push(&mut args, "-machine", "xenpv");
    push(&mut args, "-m", overhead::mib(context.vm.memory_static_max).to_string());
    args
}

/// For a fully virtualised guest.
pub(super) fn for_hvm(context: &Context, domid: DomId, extra: &VmExtra, restore: bool) -> Result<Vec<String>, Failure> {
    let BuilderInfo::Hvm(info) = guest::kind(context) else {
        return Err(internal("guest is not fully virtualised"));
    };
    let mut args = Vec::new();
    control(&mut args, context, domid, false);
    display(&mut args, domid, info);
    push(&mut args, "-serial", info.serial.as_deref().unwrap_or("pty"));
    let boot = if info.boot_order.is_empty() { "cd" } else { &info.boot_order };
    push(&mut args, "-boot", format!("order={}", escape(boot)));
    if guest::flag(&extra.platformdata, "usb", true)? {
        args.push("-usb".to_owned());
        if guest::flag(&extra.platformdata, "usb_tablet", true)? {
            push(&mut args, "-usbdevice", "tablet");
        }
    }
    if !info.acpi {
        args.push("-no-acpi".to_owned());
    }
    if context.vm.vcpu_max > 1 {
        push(&mut args, "-smp", format!("{},maxcpus={}", context.vm.vcpus.max(1), context.vm.vcpu_max));
    }
    nics(&mut args, context, domid, extra, boot.contains('n'));
    if restore {
        push(&mut args, "-incoming", format!("exec:cat {}", saved_state(domid)));
    }
    push(&mut args, "-machine", "xenfv,suppress-vmdesc=on");
    let max = overhead::mib(context.vm.memory_static_max);
    push(&mut args, "-m", max.saturating_sub(overhead::video(guest::kind(context))).to_string());
    disks(&mut args, context, extra);
    if context.vm.has_vendor_device {
        push(&mut args, "-device", "xen-pvdevice,device-id=0xc000");
    }
    Ok(args)
}

/// Where the host puts the state that an image holds.
fn saved_state(domid: DomId) -> String {
    format!("/var/run/xen/qemu-resume.{domid}")
}

/// Where QEMU puts its state on suspend, and the host finds it.
pub(super) fn state_to_save(domid: DomId) -> String {
    format!("/var/run/xen/qemu-save.{domid}")
}

/// Files that QEMU and its helpers leave behind.
pub(super) fn files(domid: DomId) -> Vec<String> {
    let sockets = ["qmp-libxl", "qmp-event", "vnc"].map(|name| format!("/var/run/xen/{name}-{domid}"));
    sockets.into_iter().chain([saved_state(domid), state_to_save(domid)]).collect()
}

fn display(args: &mut Vec<String>, domid: DomId, info: &HvmInfo) {
    let vnc = match &info.vnc_ip {
        Some(address) => format!("{address}:0,to=99"),
        None => format!("unix:/var/run/xen/vnc-{domid}"),
    };
    push(args, "-vnc", vnc);
    push(args, "-display", "none");
    if let Some(keymap) = &info.keymap {
        push(args, "-k", keymap);
    }
    let card = if info.video == VideoCard::StandardVga { "VGA" } else { "cirrus-vga" };
    push(args, "-device", format!("{card},vgamem_mb={}", info.video_mib));
}

/// The option ROM boots from the network. Where nothing does it only costs the guest's time at boot, and the guest its
/// start where the host has no such file.
fn nics(args: &mut Vec<String>, context: &Context, domid: DomId, extra: &VmExtra, bootable: bool) {
    let rom = if bootable { "" } else { ",romfile=" };
    let model = escape(extra.platformdata.get("nic_type").map_or("rtl8139", String::as_str));
    let mut none = true;
    for vif in context.vifs.iter().take(MOST_NICS) {
        let (Network::Local(bridge), Ok(devid)) = (&vif.backend, u32::try_from(vif.position)) else { continue };
        none = false;
        push(args, "-device", format!("{model},id=nic{devid},netdev=net{devid},mac={}{rom}", escape(&vif.mac)));
        let tap = script::tap(domid, devid);
        let bridge = escape(bridge);
        push(args, "-netdev", format!("type=tap,id=net{devid},ifname={tap},br={bridge},script=no,downscript=no"));
    }
    if none {
        push(args, "-net", "none");
    }
}

/// Disks that were recorded as QEMU's when they were plugged. A fixed disk that may not be written is left to the
/// paravirtual driver: IDE has no such thing.
fn disks(args: &mut Vec<String>, context: &Context, extra: &VmExtra) {
    for (id, index, frontend) in &extra.qemu_vbds {
        let Some(vbd) = context.vbd(&id.device) else { continue };
        let path = match frontend {
            QemuFrontend::Name(path) => Some(escape(path)),
            QemuFrontend::Empty => None,
            QemuFrontend::Nbd { .. } | QemuFrontend::Device { .. } => continue,
        };
        let number = u32::try_from(*index).ok().map(|disk| DeviceNumber { bus: Bus::Ide, disk, partition: 0 });
        let Some(key) = number.and_then(|number| number.xenstore_key()) else { continue };
        if vbd.ty == Kind::Cdrom {
            let drive = device_model::drive(key);
            let medium = path.map_or(String::new(), |path| format!(",file={path},format=raw"));
            push(args, "-drive", format!("if=none,readonly=on,id={drive}{medium}"));
            let (bus, unit) = (index / 2, index % 2);
            push(args, "-device", format!("ide-cd,id={drive},drive={drive},bus=ide.{bus},unit={unit}"));
        } else if let (Some(path), Mode::ReadWrite) = (path, vbd.mode) {
            let drive = format!("file={path},if=ide,index={index},media=disk,format=raw,cache=writeback");
            push(args, "-drive", drive);
        }
    }
}
