//! What an operation wants, and what it requires of the VM before it begins.

use super::Operation;
use crate::backend::MicroOp;
use crate::host::{DomId, Now};
use crate::interface::PowerState;
use crate::recovery::{Goal, Intent, Repair};

impl Operation {
    /// What its intent record says. `None`: it writes none, and one that is there stays, for it is not yet settled.
    pub fn goal(&self) -> Option<Goal> {
        match self {
            Operation::Start { .. } => Some(Goal::Start),
            Operation::Poweroff { .. } => Some(Goal::Poweroff),
            Operation::Reboot { .. } | Operation::Repair(Repair::Restart { .. }) => Some(Goal::Reboot),
            Operation::Suspend { disk } => Some(Goal::Suspend(disk.clone())),
            Operation::Resume { disk } => Some(Goal::Resume(disk.clone())),
            Operation::VbdHotplug(device) => Some(Goal::VbdPlug(device.clone())),
            Operation::VbdHotunplug(device, _) => Some(Goal::VbdUnplug(device.clone())),
            Operation::VifHotplug(device) => Some(Goal::VifPlug(device.clone())),
            Operation::VifHotunplug(device, _) => Some(Goal::VifUnplug(device.clone())),
            Operation::Atomic(op) => of_atomic(op),
            Operation::Remove => Some(Goal::Remove),
            Operation::Rename(to) => Some(Goal::Rename(*to)),
            Operation::ReplaceVbd(_) | Operation::RemoveVbd(_) | Operation::RemoveVif(_) => None,
            Operation::ImportMetadata(_) | Operation::Repair(_) => None,
        }
    }

    /// The intent to write before its first effect, over the one that is there. `domid` is the VM's domain as last seen.
    pub fn intent(&self, domid: Option<DomId>, now: Now, before: Option<&Intent>) -> Option<Intent> {
        let goal = self.goal()?;
        // A restart was decided on; what it restarts from may be gone already.
        let repairs = matches!(self, Operation::Repair(_));
        let begun = || {
            before.is_some_and(|before| goal == Goal::Poweroff && before.takes_apart(domid))
                && !mutant!(PoweroffStartsOver)
        };
        let committed =
            matches!(goal, Goal::Remove | Goal::Rename(_)) || repairs && !mutant!(RestartUncommitted) || begun();
        let domid = domid.filter(|_| !(repairs && mutant!(RestartForgetsDomain)));
        Some(Intent { goal, committed, abandoned: false, domid, boot: now.boot })
    }

    /// The intent of a reboot that is over when this begins, as it is then to stand.
    ///
    /// A guest that has stopped by itself is not started again for the sake of a reboot that has made it: from here on
    /// that has come to its end, and it is on record before the domain goes that would tell. So it is of one that is
    /// over and whose VM is repaired before it is settled: somebody else may take its domain meanwhile.
    pub fn overtakes(&self, intent: Option<&Intent>) -> Option<Intent> {
        let reboot = intent.filter(|intent| intent.goal == Goal::Reboot)?;
        let over = match self {
            Operation::Repair(Repair::Shutdown) => true,
            Operation::Repair(_) => reboot.abandoned,
            _ => false,
        };
        over.then(|| Intent { abandoned: true, ..reboot.clone() })
    }

    /// Whether a domain of its making may hold the VM's disks: it waits until nothing else can.
    pub fn makes_domain(&self) -> bool {
        matches!(
            self,
            Operation::Start { .. }
                | Operation::Reboot { .. }
                | Operation::Resume { .. }
                | Operation::Repair(Repair::Restart { .. })
        ) || matches!(self, Operation::Atomic(op) if **op == MicroOp::VmCreate)
    }

    /// Whether it writes an image, which a request of before could still spoil.
    pub fn saves(&self) -> bool {
        matches!(self, Operation::Suspend { .. })
            || matches!(self, Operation::Atomic(op) if matches!(**op, MicroOp::VmSave(_)))
    }

    /// Whether what its VM is known by goes: it waits until nothing that was asked for under that name can happen.
    pub fn changes_identity(&self) -> bool {
        matches!(self, Operation::Remove | Operation::Rename(_) | Operation::Repair(Repair::Remove | Repair::Rename(_)))
    }

    /// Power states that it may begin in, and the one that `Bad_power_state` names; `None`: any.
    pub fn expects(&self) -> Option<(&'static [PowerState], PowerState)> {
        use PowerState::{Halted, Paused, Running, Suspended};
        match self {
            Operation::Start { .. } => Some((&[Halted], Halted)),
            Operation::Reboot { .. } => Some((&[Running, Paused], Running)),
            // Images of old carry no memory size: their VM reads as halted.
            Operation::Resume { .. } => Some((&[Suspended, Halted], Suspended)),
            Operation::Remove if mutant!(RunningRemoved) => None,
            Operation::Remove => Some((&[Halted, Suspended], Halted)),
            Operation::Atomic(op) => match **op {
                MicroOp::VbdInsert(..) | MicroOp::VbdEject(_) => Some((&[Running, Paused], Running)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn of_atomic(op: &MicroOp) -> Option<Goal> {
    match op {
        MicroOp::VmCreate | MicroOp::VmBuild { .. } | MicroOp::VmCreateDeviceModel { .. } => Some(Goal::Start),
        MicroOp::VmDestroy | MicroOp::VmDestroyDomains(_) | MicroOp::VmClean { .. } => Some(Goal::Poweroff),
        MicroOp::VmSave(disk) => Some(Goal::Suspend(disk.clone())),
        MicroOp::VmRestore(disk) => Some(Goal::Resume(disk.clone())),
        MicroOp::VmRemove => Some(Goal::Remove),
        MicroOp::VmRename(to) => Some(Goal::Rename(*to)),
        MicroOp::VbdPlug(device) => Some(Goal::VbdPlug(device.clone())),
        MicroOp::VbdUnplug { device, .. } => Some(Goal::VbdUnplug(device.clone())),
        MicroOp::VifPlug(device) => Some(Goal::VifPlug(device.clone())),
        MicroOp::VifUnplug { device, .. } => Some(Goal::VifUnplug(device.clone())),
        MicroOp::Look | MicroOp::VmHookScript(..) | MicroOp::VmDelay(_) => None,
        _ => Some(Goal::Tune),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::Disk;

    #[test]
    fn what_cannot_be_undone_is_committed_at_once() {
        let committed = |op: Operation| op.intent(Some(3), Now::default(), None).is_some_and(|intent| intent.committed);
        assert!(committed(Operation::Remove));
        assert!(committed(Operation::Atomic(Box::new(MicroOp::VmRename(
            "04efbb51-2bce-495f-9d86-75fc70ba01e0".parse().unwrap()
        )))));
        assert!(committed(Operation::Repair(Repair::Restart { delay: 0 })));
        for op in [
            Operation::Start { force: false },
            Operation::Poweroff { timeout: None },
            Operation::Reboot { timeout: None },
            Operation::Suspend { disk: Disk::Local("/image".into()) },
            Operation::Resume { disk: Disk::Local("/image".into()) },
        ] {
            assert!(op.goal().is_some() && !committed(op));
        }
    }

    // Fails when `intent` does not ask what was there before.
    #[test]
    fn h40_a_poweroff_goes_on_with_what_one_before_has_begun() {
        let poweroff = Operation::Poweroff { timeout: None };
        let before = |goal, committed| Intent { goal, committed, abandoned: true, domid: Some(3), boot: 0 };
        let cases = [
            (Some(before(Goal::Poweroff, true)), Some(3), true),
            (Some(before(Goal::Reboot, true)), Some(3), true),
            (Some(before(Goal::Reboot, true)), Some(4), false),
            (Some(before(Goal::Suspend(Disk::Local("/image".into())), true)), Some(3), false),
            (Some(before(Goal::Poweroff, false)), Some(3), false),
            (None, Some(3), false),
        ];
        for (before, domid, committed) in cases {
            let intent = poweroff.intent(domid, Now::default(), before.as_ref()).unwrap();
            assert_eq!(intent.committed, committed, "{before:?}");
        }
    }

    #[test]
    fn repairs_leave_the_intent_that_asks_for_them() {
        for repair in [Repair::Shutdown, Repair::FinishPoweroff, Repair::FinishSuspend, Repair::FastResume] {
            assert_eq!(Operation::Repair(repair).goal(), None);
        }
    }

    #[test]
    fn who_makes_a_domain_or_an_image_waits_for_what_came_before() {
        let (disk, atomic) = (Disk::Local("/image".into()), |op| Operation::Atomic(Box::new(op)));
        let table = [
            (Operation::Start { force: false }, true, false),
            (Operation::Reboot { timeout: None }, true, false),
            (Operation::Resume { disk: disk.clone() }, true, false),
            (Operation::Repair(Repair::Restart { delay: 0 }), true, false),
            (atomic(MicroOp::VmCreate), true, false),
            (Operation::Suspend { disk: disk.clone() }, false, true),
            (atomic(MicroOp::VmSave(disk)), false, true),
            (Operation::Poweroff { timeout: None }, false, false),
            (atomic(MicroOp::VmPause), false, false),
        ];
        for (op, makes_domain, saves) in table {
            assert_eq!((op.makes_domain(), op.saves()), (makes_domain, saves), "{op:?}");
        }
    }

    #[test]
    fn a_reboot_is_over_when_its_guest_has_stopped_by_itself() {
        let intent = |goal, abandoned| Intent { goal, committed: true, abandoned, domid: Some(6), boot: 1 };
        let over = Some(intent(Goal::Reboot, true));
        let repair = Operation::Repair;
        let table = [
            (repair(Repair::Shutdown), Goal::Reboot, false, over.clone()),
            (repair(Repair::FastResume), Goal::Reboot, false, None),
            (repair(Repair::FastResume), Goal::Reboot, true, over),
            (Operation::Poweroff { timeout: None }, Goal::Reboot, true, None),
            (repair(Repair::Shutdown), Goal::Start, false, None),
        ];
        for (op, goal, abandoned, expected) in table {
            assert_eq!(op.overtakes(Some(&intent(goal, abandoned))), expected, "{op:?}");
            assert_eq!(op.overtakes(None), None);
        }
    }

    #[test]
    fn power_states_are_upstreams() {
        use PowerState::{Halted, Paused, Running, Suspended};
        let disk = Disk::Local("/image".into());
        let table = [
            (Operation::Start { force: false }, vec![Halted], Halted),
            (Operation::Reboot { timeout: None }, vec![Running, Paused], Running),
            (Operation::Resume { disk: disk.clone() }, vec![Suspended, Halted], Suspended),
            (Operation::Remove, vec![Halted, Suspended], Halted),
            (Operation::Atomic(Box::new(MicroOp::VbdEject("hdd".into()))), vec![Running, Paused], Running),
        ];
        for (op, accepts, shown) in table {
            assert_eq!(op.expects(), Some((accepts.as_slice(), shown)), "{op:?}");
        }
        for op in [Operation::Poweroff { timeout: None }, Operation::Suspend { disk }] {
            assert_eq!(op.expects(), None, "{op:?}");
        }
    }
}
