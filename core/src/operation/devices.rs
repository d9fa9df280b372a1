//! The parts of plans that are about devices.

use super::{Step, Subject};
use crate::backend::MicroOp;
use crate::interface::{Metadata, Vbd, Vif, vbd};
use std::sync::Arc;

fn set_vbd(device: &str, active: bool) -> Step {
    MicroOp::VbdSetActive(device.to_owned(), active).into()
}

fn set_vif(device: &str, active: bool) -> Step {
    MicroOp::VifSetActive(device.to_owned(), active).into()
}

fn take_vbd(device: &str, force: bool) -> Step {
    MicroOp::VbdUnplug { device: device.to_owned(), force }.into()
}

fn take_vif(device: &str, force: bool) -> Step {
    MicroOp::VifUnplug { device: device.to_owned(), force }.into()
}

/// The flag brackets the plug: set before, cleared only when storage and network are free again.
pub(super) fn plug_vbd(device: &str) -> Vec<Step> {
    vec![set_vbd(device, true), MicroOp::VbdPlug(device.to_owned()).into()]
}

pub(super) fn plug_vif(device: &str) -> Vec<Step> {
    vec![set_vif(device, true), MicroOp::VifPlug(device.to_owned()).into()]
}

pub(super) fn unplug_vbd(device: &str, force: bool) -> Vec<Step> {
    vec![take_vbd(device, force), set_vbd(device, false)]
}

pub(super) fn unplug_vif(device: &str, force: bool) -> Vec<Step> {
    vec![take_vif(device, force), set_vif(device, false)]
}

/// Disks of one mode. Those for writing are plugged first: storage cannot make a reader a writer later.
fn of_mode(subject: &Subject, mode: vbd::Mode) -> impl Iterator<Item = &Arc<Vbd>> {
    subject.vbds.iter().filter(move |vbd| vbd.mode == mode)
}

/// An epoch is a VM's on a disk. Of several rows that name the disk the one that is plugged first opens it.
fn opens_epoch(subject: &Subject, vbd: &Vbd) -> bool {
    let in_order = of_mode(subject, vbd::Mode::ReadWrite).chain(of_mode(subject, vbd::Mode::ReadOnly));
    let mut same = in_order.filter(|other| other.backend == vbd.backend);
    vbd.backend.is_some() && same.next().is_some_and(|first| first.id == vbd.id)
}

fn begin_and_plug(subject: &Subject, vbd: &Vbd, label: &'static str) -> Option<Step> {
    let device = &vbd.id.device;
    let mut steps = plug_vbd(device);
    if opens_epoch(subject, vbd) {
        steps.insert(1, MicroOp::VbdEpochBegin(device.clone()).into());
    }
    Step::serial(label, steps)
}

fn activate_vif(vif: &Arc<Vif>) -> Option<Step> {
    Step::serial("VIF.activate_and_plug", plug_vif(&vif.id.device))
}

pub(super) fn plug_for_start(subject: &Subject) -> Option<Step> {
    let begin = |mode, group, each| {
        Step::parallel(group, of_mode(subject, mode).filter_map(|vbd| begin_and_plug(subject, vbd, each)).collect())
    };
    let mut disks = [
        begin(vbd::Mode::ReadWrite, "VBDs.activate_epoch_and_plug RW", "VBD.activate_epoch_and_plug RW"),
        begin(vbd::Mode::ReadOnly, "VBDs.activate_epoch_and_plug RO", "VBD.activate_epoch_and_plug RO"),
    ];
    if mutant!(ReadersFirst) {
        disks.reverse();
    }
    let disks = Step::serial("VBDs.acticate_epoch_and_plug RW+RO", disks.into_iter().flatten().collect());
    let mut vifs: Vec<_> = subject.vifs.iter().collect();
    vifs.sort_by_key(|vif| vif.position);
    let vifs = vifs.into_iter().filter_map(activate_vif);
    Step::parallel("Devices.plug (no qemu)", disks.into_iter().chain(vifs).collect())
}

/// Without new epochs: a disk that is not persistent keeps its state over a suspend.
pub(super) fn plug_for_resume(subject: &Subject) -> Vec<Step> {
    let activate = |mode, group, each| {
        let plugs = of_mode(subject, mode).filter_map(|vbd| Step::serial(each, plug_vbd(&vbd.id.device)));
        Step::parallel(group, plugs.collect())
    };
    let groups = [
        activate(vbd::Mode::ReadWrite, "VBDs.activate_and_plug RW", "VBD.activate_and_plug RW"),
        activate(vbd::Mode::ReadOnly, "VBDs.activate_and_plug RO", "VBD.activate_and_plug RO"),
        Step::parallel("VIFs.activate_and_plug", subject.vifs.iter().filter_map(activate_vif).collect()),
    ];
    groups.into_iter().flatten().collect()
}

/// By force: the guest is not asked any more.
pub(super) fn unplug<'a>(
    vbds: impl Iterator<Item = &'a String>,
    vifs: impl Iterator<Item = &'a String>,
) -> Option<Step> {
    let steps = vbds.map(|device| take_vbd(device, true)).chain(vifs.map(|device| take_vif(device, true)));
    Step::parallel("Devices.unplug", steps.collect())
}

pub(super) fn unplug_all(subject: &Subject) -> Option<Step> {
    unplug(subject.vbds.iter().map(|vbd| &vbd.id.device), subject.vifs.iter().map(|vif| &vif.id.device))
}

/// What may be left of a plug or unplug that stopped half way, storage included; then the flag.
pub(super) fn withdraw(vbds: &[String], vifs: &[String]) -> Option<Step> {
    let vbds = vbds.iter().filter_map(|device| Step::serial("VBD.deactivate", unplug_vbd(device, true)));
    let vifs = vifs.iter().filter_map(|device| Step::serial("VIF.deactivate", unplug_vif(device, true)));
    Step::parallel("Devices.deactivate", vbds.chain(vifs).collect())
}

pub(super) fn deactivate_all(subject: &Subject) -> Option<Step> {
    let end = |vbd: &Arc<Vbd>| {
        let epoch = vbd.backend.is_some().then(|| MicroOp::VbdEpochEnd(vbd.id.device.clone()).into());
        let steps = epoch.into_iter().chain([set_vbd(&vbd.id.device, false)]);
        Step::serial("VBD.epoch_and_deactivate", steps.collect())
    };
    let vifs = subject.vifs.iter().map(|vif| set_vif(&vif.id.device, false));
    Step::parallel("Devices.deactivate", subject.vbds.iter().filter_map(end).chain(vifs).collect())
}

pub(super) fn end_epochs(subject: &Subject) -> Option<Step> {
    let disks = subject.vbds.iter().filter(|vbd| vbd.backend.is_some());
    Step::parallel("VBD.epoch_end", disks.map(|vbd| MicroOp::VbdEpochEnd(vbd.id.device.clone()).into()).collect())
}

/// The row of this disk goes, or will name another: what was behind it is no longer the VM's.
pub(super) fn forsake(subject: &Subject, device: &str) -> Option<Step> {
    let other = |vbd: &&Arc<Vbd>| vbd.id.device != device;
    forsake_unless(subject, |vbd| subject.vbds.iter().filter(other).any(|other| other.backend == vbd.backend))
}

/// Of all disks those stay the VM's for which this holds.
pub(super) fn forsake_unless(subject: &Subject, stays: impl Fn(&Vbd) -> bool) -> Option<Step> {
    let disks = subject.vbds.iter().filter(|vbd| vbd.backend.is_some() && !stays(vbd));
    Step::parallel("VBD.epoch_end", disks.map(|vbd| MicroOp::VbdForsake(vbd.id.device.clone()).into()).collect())
}

pub(super) fn remove_vbd(subject: &Subject, device: &str) -> Vec<Step> {
    forsake(subject, device).into_iter().chain([set_vbd(device, false)]).collect()
}

pub(super) fn remove_vif(device: &str) -> Vec<Step> {
    vec![set_vif(device, false)]
}

/// Devices that the VM has and an import has not.
pub(super) fn unflag_missing(subject: &Subject, metadata: &Metadata) -> Option<Step> {
    let vbd = |vbd: &&Arc<Vbd>| !metadata.vbds.iter().any(|new| new.id.device == vbd.id.device);
    let vif = |vif: &&Arc<Vif>| !metadata.vifs.iter().any(|new| new.id.device == vif.id.device);
    let vbds = subject.vbds.iter().filter(vbd).map(|vbd| set_vbd(&vbd.id.device, false));
    let vifs = subject.vifs.iter().filter(vif).map(|vif| set_vif(&vif.id.device, false));
    Step::parallel("Devices.deactivate", vbds.chain(vifs).collect())
}

pub(super) fn eject(drives: &[String]) -> Option<Step> {
    Step::parallel("VBDs.eject", drives.iter().map(|device| MicroOp::VbdEject(device.clone()).into()).collect())
}

pub(super) fn set_qos(devices: &[String]) -> Option<Step> {
    Step::parallel("VBDs.set_qos", devices.iter().map(|device| MicroOp::VbdSetQos(device.clone()).into()).collect())
}
