//! Devices of a running VM: those that have gone, those that never came, those with another priority than wanted.

use super::decide::repair;
use super::{Goal, Record, Repair, Verdict};
use crate::backend::{DeviceSeen, DomainSeen, Observation, ionice_words};
use crate::host::Role;
use crate::interface::Vbd;
use crate::interface::vm::BuilderInfo;
use std::sync::Arc;

/// Xenbus has closed: nothing passes between the ends any more.
const CLOSED: u32 = 6;

/// What is to be done about the devices of a complete domain.
pub(super) fn tend(domain: &DomainSeen, record: &Record, seen: &Observation) -> Option<Verdict> {
    let vbds: Vec<_> = vbd_names(record).filter(|name| is_torn(domain, seen, true, name)).cloned().collect();
    let vifs: Vec<_> = vif_names(record).filter(|name| is_torn(domain, seen, false, name)).cloned().collect();
    if !(vbds.is_empty() && vifs.is_empty()) {
        return Some(repair(Repair::Unplug { vbds, vifs }, "a device is there that is not in use any more"));
    }
    let plugged = |disk, name: &str| domain.device(disk, name).is_some();
    unflag(record, seen, plugged).or_else(|| half_inserted(domain, record)).or_else(|| prioritise(domain, record))
}

/// Drives with a medium that an unfinished insert or eject has left half in.
fn half_inserted(domain: &DomainSeen, record: &Record) -> Option<Verdict> {
    let half = |name: &&String| domain.device(true, name).is_some_and(|device| device.half_inserted);
    let drives: Vec<_> = vbd_names(record).filter(half).cloned().collect();
    let tell = "a drive has a medium half in it";
    (!drives.is_empty()).then_some(repair(Repair::Eject(drives), tell))
}

/// The flag of a device that an unfinished operation was about and that is not plugged.
pub(super) fn unflag(record: &Record, seen: &Observation, plugged: impl Fn(bool, &str) -> bool) -> Option<Verdict> {
    let (disk, name) = match record.goal()? {
        Goal::VbdPlug(name) | Goal::VbdUnplug(name) => (true, name),
        Goal::VifPlug(name) | Goal::VifUnplug(name) => (false, name),
        _ => return None,
    };
    let flags = if disk { &seen.active_vbds } else { &seen.active_vifs };
    if plugged(disk, name) || !flags.contains(name) || (disk && is_no_device(record, name)) {
        return None;
    }
    let (vbds, vifs) = if disk { (vec![name.clone()], vec![]) } else { (vec![], vec![name.clone()]) };
    Some(repair(Repair::Deactivate { vbds, vifs }, "a device is flagged active that was not plugged"))
}

/// A suspended guest has all that it needs to run on: none of its devices was taken away, and QEMU is there.
pub(super) fn whole(domain: &DomainSeen, record: &Record, seen: &Observation) -> bool {
    let torn = |disk, name: &String| is_torn(domain, seen, disk, name);
    let needs_model = is_hvm(record) || domain.devices.iter().any(|device| device.kind == "qdisk");
    !vbd_names(record).any(|name| torn(true, name))
        && !vif_names(record).any(|name| torn(false, name))
        && (!needs_model || domain.roles.contains(&Role::DeviceModel))
}

/// A device is there that is not in use any more.
fn is_torn(domain: &DomainSeen, seen: &Observation, disk: bool, name: &str) -> bool {
    match domain.device(disk, name) {
        Some(device) => has_gone(device, domain),
        // The storage holds what no device uses: a plug or an unplug that stopped half way.
        None => disk && holds(seen, domain, name),
    }
}

/// Its script has taken it away or never ran, or the guest has granted at last what it first refused, or has removed its
/// end: the kernel ends its own end then, and nothing brings either back. One that is only closed may be opened again, by
/// a driver that is loaded anew or by the kernel after a boot loader.
fn has_gone(device: &DeviceSeen, domain: &DomainSeen) -> bool {
    let closed = matches!(device.backend_state, None | Some(CLOSED));
    if mutant!(LateUnplugForgotten) && device.unplug_asked {
        return false;
    }
    if device.frontend_state.is_none() {
        return true;
    }
    // QEMU takes up its disks without a script, in its own time.
    let coming = device.kind == "qdisk" && domain.roles.contains(&Role::DeviceModel) && !closed;
    (!device.online && !coming) || (device.unplug_asked && (device.frontend_state == Some(CLOSED) || closed))
}

/// A drive without medium, which only HVM guests have: elsewhere it is active and there is nothing to plug.
fn is_no_device(record: &Record, name: &str) -> bool {
    let row = record.vbds.iter().find(|vbd| vbd.id.device == name);
    matches!(record.goal(), Some(Goal::VbdPlug(_))) && row.is_some_and(|vbd| vbd.backend.is_none()) && !is_hvm(record)
}

fn is_hvm(record: &Record) -> bool {
    let booted = record.extra.and_then(|extra| extra.ty.as_ref()).unwrap_or(&record.vm.ty);
    matches!(booted, BuilderInfo::Hvm(_))
}

fn holds(seen: &Observation, domain: &DomainSeen, name: &str) -> bool {
    seen.datapaths.contains(&format!("vbd/{}/{name}", domain.info.domid))
}

fn prioritise(domain: &DomainSeen, record: &Record) -> Option<Verdict> {
    let differs = |vbd: &&Arc<Vbd>| {
        let now = domain.device(true, &vbd.id.device).and_then(|device| device.qos.as_deref());
        vbd.qos.as_ref().zip(now).is_some_and(|(wanted, now)| now.trim() != ionice_words(wanted))
    };
    let vbds: Vec<_> = record.vbds.iter().filter(differs).map(|vbd| vbd.id.device.clone()).collect();
    let tell = "a disk has another i/o priority than its row";
    (!vbds.is_empty()).then_some(repair(Repair::SetQos(vbds), tell))
}

fn vbd_names<'a>(record: &Record<'a>) -> impl Iterator<Item = &'a String> {
    record.vbds.iter().map(|vbd| &vbd.id.device)
}

fn vif_names<'a>(record: &Record<'a>) -> impl Iterator<Item = &'a String> {
    record.vifs.iter().map(|vif| &vif.id.device)
}
