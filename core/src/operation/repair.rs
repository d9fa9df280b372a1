//! From what recovery decided to its plan. A repair is looked at when it has ended, like any operation.

use super::plan::{restart, tear_down};
use super::{Step, Subject, devices};
use crate::backend::MicroOp;
use crate::recovery::Repair;

/// The steps of a repair. None runs hooks but a restart, which is a reboot.
pub(super) fn repair(wanted: &Repair, subject: &Subject) -> Vec<Step> {
    match wanted {
        Repair::Shutdown | Repair::FinishPoweroff => clear(false, subject),
        Repair::FinishSuspend => clear(true, subject),
        Repair::Clean { suspended } => vec![MicroOp::VmClean { suspended: *suspended }.into()],
        Repair::Restart { delay } => restart(*delay, subject),
        Repair::Unpause => vec![MicroOp::VmUnpause.into()],
        Repair::FastResume => vec![MicroOp::VmFastResume.into()],
        Repair::Pause => vec![MicroOp::VmPause.into()],
        Repair::SoftReset => vec![MicroOp::VmSoftReset.into()],
        Repair::DestroyDomains(domids) => vec![MicroOp::VmDestroyDomains(domids.clone()).into()],
        Repair::ForgetImage => vec![MicroOp::VmForgetImage.into()],
        Repair::Unplug { vbds, vifs } => devices::unplug(vbds.iter(), vifs.iter()).into_iter().collect(),
        Repair::Deactivate { vbds, vifs } => devices::withdraw(vbds, vifs).into_iter().collect(),
        Repair::Eject(vbds) => devices::eject(vbds).into_iter().collect(),
        Repair::SetQos(vbds) => devices::set_qos(vbds).into_iter().collect(),
        Repair::Remove => vec![MicroOp::VmRemove.into()],
        Repair::Rename(to) => vec![MicroOp::VmRename(*to).into()],
    }
}

/// VmExtra outlives the domain either way, so that an interruption shows; only `VmClean` drops it.
fn clear(suspended: bool, subject: &Subject) -> Vec<Step> {
    let mut steps = tear_down(subject);
    if mutant!(FragmentUnmarked) {
        let unmark = MicroOp::VmSetActionRequest(crate::backend::ActionRequest::None);
        steps.insert(0, Step::BestEffort(Box::new(unmark.into())));
    }
    steps.push(MicroOp::VmClean { suspended }.into());
    steps
}
