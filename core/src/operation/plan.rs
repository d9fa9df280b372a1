//! From an operation to its plan.
//!
//! Upstream's order and grouping, with these differences, all of which make what a crash leaves tell
//! where the operation stood:
//!
//! * `Commit` stands before the first step that cannot be undone. Start and resume have none: until
//!   their end they can be undone whole, after it there is nothing to finish.
//! * A power-off keeps VmExtra while it destroys and drops it last, with `VmClean`: as long as flags,
//!   datapaths or epochs may be left, something that a look can see is left too.
//! * A resume forgets its image only when the guest is complete, and before it can run: a crash in
//!   between leaves a guest that has not run and an image that says the same.

use super::repair::repair;
use super::{Operation, Step, Subject, devices};
use crate::backend::{ActionRequest, Hook, MicroOp, Reason};
use crate::interface::{Disk, Vbd};

/// The steps of an operation. Those that the machine carries out itself between two looks have none.
pub fn plan(op: &Operation, subject: &Subject) -> Vec<Step> {
    match op {
        Operation::Start { force } => start(*force, subject),
        Operation::Poweroff { timeout } => poweroff(*timeout, subject),
        Operation::Reboot { timeout } => reboot(*timeout, subject),
        Operation::Suspend { disk } => suspend(disk, subject),
        Operation::Resume { disk } => resume(disk, subject),
        Operation::VbdHotplug(device) => devices::plug_vbd(device),
        Operation::VbdHotunplug(device, force) => devices::unplug_vbd(device, *force),
        Operation::VifHotplug(device) => devices::plug_vif(device),
        Operation::VifHotunplug(device, force) => devices::unplug_vif(device, *force),
        Operation::Atomic(op) => atomic(op),
        Operation::Remove => vec![MicroOp::VmRemove.into()],
        // A disk that was unplugged from a guest that runs on has its epoch still, and only the row names it; a suspended
        // VM's device is flagged as one that its resume plugs.
        Operation::RemoveVbd(device) => devices::remove_vbd(subject, device),
        Operation::RemoveVif(device) => devices::remove_vif(device),
        Operation::ReplaceVbd(new) => devices::forsake(subject, &new.id.device).into_iter().collect(),
        Operation::Rename(to) => vec![MicroOp::VmRename(*to).into()],
        Operation::ImportMetadata(metadata) => {
            let stays = |vbd: &Vbd| metadata.vbds.iter().any(|new| new.backend == vbd.backend);
            let forsake = devices::forsake_unless(subject, stays);
            forsake.into_iter().chain(devices::unflag_missing(subject, metadata)).collect()
        }
        Operation::Repair(wanted) => repair(wanted, subject),
    }
}

/// On its own even the destruction of a domain has a point of no return.
fn atomic(op: &MicroOp) -> Vec<Step> {
    let commit = matches!(op, MicroOp::VmDestroy).then_some(Step::Commit);
    commit.into_iter().chain([op.clone().into()]).collect()
}

fn hook(hook: Hook, reason: &'static str) -> Step {
    MicroOp::VmHookScript(hook, reason.into()).into()
}

fn start(force: bool, subject: &Subject) -> Vec<Step> {
    let mut steps = vec![hook(Hook::PreStart, "none"), MicroOp::VmCreate.into(), MicroOp::VmBuild { force }.into()];
    steps.extend(devices::plug_for_start(subject));
    // QEMU is told of emulated disks on its command line: the device model comes after the plugs.
    steps.push(MicroOp::VmCreateDeviceModel { restore: false }.into());
    steps.push(MicroOp::VmSetActionRequest(ActionRequest::None).into());
    if mutant!(StartUnpauses) {
        steps.push(MicroOp::VmUnpause.into());
    }
    steps
}

fn poweroff(timeout: Option<u64>, subject: &Subject) -> Vec<Step> {
    let reason = if timeout.is_some() { "clean-shutdown" } else { "hard-shutdown" };
    let mut steps = vec![hook(Hook::PreDestroy, reason)];
    steps.extend(timeout.map(|timeout| MicroOp::VmShutdownDomain { reason: Reason::Poweroff, timeout }.into()));
    if !mutant!(PoweroffNotCommitted) {
        steps.push(Step::Commit);
    }
    steps.extend(tear_down(subject));
    steps.extend(devices::deactivate_all(subject));
    steps.push(MicroOp::VmClean { suspended: false }.into());
    steps.push(hook(Hook::PostDestroy, reason));
    steps
}

fn reboot(timeout: Option<u64>, subject: &Subject) -> Vec<Step> {
    let reason = if timeout.is_some() { "clean-reboot" } else { "hard-reboot" };
    let mut steps = Vec::new();
    steps.extend(timeout.map(|timeout| MicroOp::VmShutdownDomain { reason: Reason::Reboot, timeout }.into()));
    steps.push(hook(Hook::PreDestroy, reason));
    if !mutant!(RebootNotCommitted) {
        steps.push(Step::Commit);
    }
    steps.extend(tear_down(subject));
    steps.extend(devices::end_epochs(subject));
    steps.push(hook(Hook::PostDestroy, reason));
    steps.push(hook(Hook::PreReboot, "none"));
    steps.extend(start(false, subject));
    steps.push(MicroOp::VmUnpause.into());
    steps
}

/// As a reboot that did not ask the guest.
pub(super) fn restart(delay: u64, subject: &Subject) -> Vec<Step> {
    let delay = (delay > 0).then(|| MicroOp::VmDelay(delay).into());
    delay.into_iter().chain(reboot(None, subject)).collect()
}

fn suspend(disk: &Disk, subject: &Subject) -> Vec<Step> {
    let mut steps = vec![hook(Hook::PreSuspend, "suspend"), MicroOp::VmSave(disk.clone()).into()];
    // VmSave has made image and VmExtra durable, in this order: they are the truth about the image, and
    // this only keeps a cancellation from what follows.
    steps.push(Step::Commit);
    steps.push(hook(Hook::PreDestroy, "suspend"));
    steps.extend(tear_down(subject));
    steps.push(hook(Hook::PostDestroy, "suspend"));
    steps
}

fn resume(disk: &Disk, subject: &Subject) -> Vec<Step> {
    let mut steps =
        vec![MicroOp::VmCreate.into(), hook(Hook::PreResume, "none"), MicroOp::VmRestore(disk.clone()).into()];
    steps.extend(devices::plug_for_resume(subject));
    steps.push(MicroOp::VmCreateDeviceModel { restore: true }.into());
    steps.push(MicroOp::VmSetActionRequest(ActionRequest::None).into());
    steps.push(MicroOp::VmForgetImage.into());
    steps.push(hook(Hook::PostResume, "none"));
    steps
}

/// From a domain, whatever is left of it, to none. Each step is content with nothing to do.
pub(super) fn tear_down(subject: &Subject) -> Vec<Step> {
    // Paused so that the guest cannot interfere while its emulators die; an unbuilt domain refuses.
    let mut steps = vec![Step::BestEffort(Box::new(MicroOp::VmPause.into())), MicroOp::VmDestroyDeviceModel.into()];
    steps.extend(devices::unplug_all(subject));
    steps.push(MicroOp::VmDestroy.into());
    steps
}

#[cfg(test)]
mod tests;
