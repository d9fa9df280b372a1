//! Every plan as a picture, and what holds of all of them.

use super::*;
use crate::interface::vbd;
use crate::operation::fixture::{disk, nic, subject};
use crate::recovery::Repair;
use proptest::prelude::*;

fn bare() -> Subject {
    subject(vec![], vec![])
}

/// One disk and one interface: most groups are a single step, and so are no groups.
fn plain() -> Subject {
    subject(vec![disk("xvda", vbd::Mode::ReadWrite, true)], vec![nic("0", 0)])
}

/// Rows out of order, a reader before the writers, an empty drive.
fn full() -> Subject {
    subject(
        vec![
            disk("xvdd", vbd::Mode::ReadOnly, false),
            disk("xvda", vbd::Mode::ReadWrite, true),
            disk("xvdb", vbd::Mode::ReadWrite, true),
        ],
        vec![nic("1", 1), nic("0", 0)],
    )
}

fn micro_op(op: &MicroOp) -> String {
    let word = |set: bool, word: &str| if set { format!(" {word}") } else { String::new() };
    match op {
        MicroOp::VmHookScript(hook, reason) => format!("{} {} {reason}", op.name(), hook.directory()),
        MicroOp::VmBuild { force } => format!("{}{}", op.name(), word(*force, "force")),
        MicroOp::VmCreateDeviceModel { restore } => format!("{}{}", op.name(), word(*restore, "restore")),
        MicroOp::VmClean { suspended } => format!("{}{}", op.name(), word(*suspended, "suspended")),
        MicroOp::VmShutdownDomain { reason, timeout } => format!("{} {} {timeout}", op.name(), reason.word()),
        MicroOp::VmSetActionRequest(to) => format!("{} {to:?}", op.name()),
        MicroOp::VmSave(disk) | MicroOp::VmRestore(disk) => format!("{} {disk}", op.name()),
        MicroOp::VmDelay(time) => format!("{} {time}", op.name()),
        MicroOp::VmDestroyDomains(domids) => format!("{} {domids:?}", op.name()),
        MicroOp::VmRename(to) => format!("{} {to}", op.name()),
        MicroOp::VbdSetActive(device, active) | MicroOp::VifSetActive(device, active) => {
            format!("{} {device} {active}", op.name())
        }
        MicroOp::VbdUnplug { device, force } | MicroOp::VifUnplug { device, force } => {
            format!("{} {device}{}", op.name(), word(*force, "force"))
        }
        MicroOp::VbdPlug(device)
        | MicroOp::VifPlug(device)
        | MicroOp::VbdEpochBegin(device)
        | MicroOp::VbdEpochEnd(device)
        | MicroOp::VbdForsake(device)
        | MicroOp::VbdSetQos(device) => format!("{} {device}", op.name()),
        _ => op.name().to_owned(),
    }
}

fn draw(steps: &[Step], indent: usize, picture: &mut String) {
    for step in steps {
        let (line, inner) = match step {
            Step::Do(op) => (micro_op(op), &[][..]),
            Step::Serial(label, inner) => (format!("serial: {label}"), inner.as_slice()),
            Step::Parallel(label, inner) => (format!("parallel: {label}"), inner.as_slice()),
            Step::BestEffort(inner) => ("best effort".to_owned(), std::slice::from_ref(&**inner)),
            Step::Commit => ("-- commit --".to_owned(), &[][..]),
        };
        picture.push_str(&format!("{:indent$}{line}\n", ""));
        draw(inner, indent + 2, picture);
    }
}

#[track_caller]
fn shows(op: Operation, subject: &Subject, expected: &str) {
    let mut picture = String::new();
    draw(&plan(&op, subject), 0, &mut picture);
    // The first line stands behind the quotation mark; the source's own indentation is that of the least indented.
    let indent = |line: &str| line.len() - line.trim_start().len();
    let margin = expected.lines().skip(1).map(indent).min().unwrap_or(0);
    let expected: String = expected
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| format!("{}\n", &line[margin.min(indent(line))..]))
        .collect();
    assert_eq!(picture, expected, "{op:?}");
}

#[test]
fn start() {
    shows(
        Operation::Start { force: true },
        &full(),
        "VM_hook_script vm-pre-start none
         VM_create
         VM_build force
         parallel: Devices.plug (no qemu)
           serial: VBDs.acticate_epoch_and_plug RW+RO
             parallel: VBDs.activate_epoch_and_plug RW
               serial: VBD.activate_epoch_and_plug RW
                 VBD_set_active xvda true
                 VBD_epoch_begin xvda
                 VBD_plug xvda
               serial: VBD.activate_epoch_and_plug RW
                 VBD_set_active xvdb true
                 VBD_epoch_begin xvdb
                 VBD_plug xvdb
             serial: VBD.activate_epoch_and_plug RO
               VBD_set_active xvdd true
               VBD_plug xvdd
           serial: VIF.activate_and_plug
             VIF_set_active 0 true
             VIF_plug 0
           serial: VIF.activate_and_plug
             VIF_set_active 1 true
             VIF_plug 1
         VM_create_device_model
         VM_set_domain_action_request None",
    );
    shows(
        Operation::Start { force: false },
        &bare(),
        "VM_hook_script vm-pre-start none
         VM_create
         VM_build
         VM_create_device_model
         VM_set_domain_action_request None",
    );
}

#[test]
fn poweroff() {
    shows(
        Operation::Poweroff { timeout: Some(7) },
        &full(),
        "VM_hook_script vm-pre-shutdown clean-shutdown
         VM_shutdown_domain poweroff 7
         -- commit --
         best effort
           VM_pause
         VM_destroy_device_model
         parallel: Devices.unplug
           VBD_unplug xvdd force
           VBD_unplug xvda force
           VBD_unplug xvdb force
           VIF_unplug 1 force
           VIF_unplug 0 force
         VM_destroy
         parallel: Devices.deactivate
           VBD_set_active xvdd false
           serial: VBD.epoch_and_deactivate
             VBD_epoch_end xvda
             VBD_set_active xvda false
           serial: VBD.epoch_and_deactivate
             VBD_epoch_end xvdb
             VBD_set_active xvdb false
           VIF_set_active 1 false
           VIF_set_active 0 false
         VM_clean
         VM_hook_script vm-post-destroy clean-shutdown",
    );
    shows(
        Operation::Poweroff { timeout: None },
        &bare(),
        "VM_hook_script vm-pre-shutdown hard-shutdown
         -- commit --
         best effort
           VM_pause
         VM_destroy_device_model
         VM_destroy
         VM_clean
         VM_hook_script vm-post-destroy hard-shutdown",
    );
}

#[test]
fn reboot() {
    shows(
        Operation::Reboot { timeout: Some(9) },
        &plain(),
        "VM_shutdown_domain reboot 9
         VM_hook_script vm-pre-shutdown clean-reboot
         -- commit --
         best effort
           VM_pause
         VM_destroy_device_model
         parallel: Devices.unplug
           VBD_unplug xvda force
           VIF_unplug 0 force
         VM_destroy
         VBD_epoch_end xvda
         VM_hook_script vm-post-destroy clean-reboot
         VM_hook_script vm-pre-reboot none
         VM_hook_script vm-pre-start none
         VM_create
         VM_build
         parallel: Devices.plug (no qemu)
           serial: VBD.activate_epoch_and_plug RW
             VBD_set_active xvda true
             VBD_epoch_begin xvda
             VBD_plug xvda
           serial: VIF.activate_and_plug
             VIF_set_active 0 true
             VIF_plug 0
         VM_create_device_model
         VM_set_domain_action_request None
         VM_unpause",
    );
}

#[test]
fn suspend_and_resume() {
    let image = Disk::Local("/image".into());
    shows(
        Operation::Suspend { disk: image.clone() },
        &plain(),
        "VM_hook_script vm-pre-suspend suspend
         VM_save /image
         -- commit --
         VM_hook_script vm-pre-shutdown suspend
         best effort
           VM_pause
         VM_destroy_device_model
         parallel: Devices.unplug
           VBD_unplug xvda force
           VIF_unplug 0 force
         VM_destroy
         VM_hook_script vm-post-destroy suspend",
    );
    shows(
        Operation::Resume { disk: image },
        &full(),
        "VM_create
         VM_hook_script vm-pre-resume none
         VM_restore /image
         parallel: VBDs.activate_and_plug RW
           serial: VBD.activate_and_plug RW
             VBD_set_active xvda true
             VBD_plug xvda
           serial: VBD.activate_and_plug RW
             VBD_set_active xvdb true
             VBD_plug xvdb
         serial: VBD.activate_and_plug RO
           VBD_set_active xvdd true
           VBD_plug xvdd
         parallel: VIFs.activate_and_plug
           serial: VIF.activate_and_plug
             VIF_set_active 1 true
             VIF_plug 1
           serial: VIF.activate_and_plug
             VIF_set_active 0 true
             VIF_plug 0
         VM_create_device_model restore
         VM_set_domain_action_request None
         VM_forget_image
         VM_hook_script vm-post-resume none",
    );
}

#[test]
fn devices() {
    shows(Operation::VbdHotplug("xvdc".into()), &full(), "VBD_set_active xvdc true\nVBD_plug xvdc");
    shows(Operation::VbdHotunplug("xvdc".into(), false), &full(), "VBD_unplug xvdc\nVBD_set_active xvdc false");
    shows(Operation::VifHotplug("2".into()), &full(), "VIF_set_active 2 true\nVIF_plug 2");
    shows(Operation::VifHotunplug("2".into(), true), &full(), "VIF_unplug 2 force\nVIF_set_active 2 false");
    shows(Operation::RemoveVif("0".into()), &full(), "VIF_set_active 0 false");
    let removed = "VBD_epoch_end xvda\nVBD_set_active xvda false";
    shows(Operation::RemoveVbd("xvda".into()), &plain(), removed);
}

#[test]
fn single_steps() {
    shows(Operation::Atomic(Box::new(MicroOp::VmPause)), &full(), "VM_pause");
    shows(Operation::Remove, &full(), "VM_remove");
}

#[test]
fn repairs() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let show = |repair, expected: &str| shows(Operation::Repair(repair), &plain(), expected);
    let clear = "best effort
           VM_pause
         VM_destroy_device_model
         parallel: Devices.unplug
           VBD_unplug xvda force
           VIF_unplug 0 force
         VM_destroy
         VM_clean";
    show(Repair::Shutdown, clear);
    show(Repair::FinishPoweroff, clear);
    show(Repair::FinishSuspend, &format!("{clear} suspended"));
    show(Repair::Clean { suspended: false }, "VM_clean");
    show(Repair::Clean { suspended: true }, "VM_clean suspended");
    show(Repair::Unpause, "VM_unpause");
    show(Repair::FastResume, "VM_fast_resume");
    show(Repair::Pause, "VM_pause");
    show(Repair::SoftReset, "VM_softreboot");
    show(Repair::DestroyDomains(vec![4, 7]), "VM_destroy [4, 7]");
    show(Repair::ForgetImage, "VM_forget_image");
    show(Repair::Remove, "VM_remove");
    let (vbds, vifs) = (names(&["xvda"]), names(&["0"]));
    show(
        Repair::Unplug { vbds: vbds.clone(), vifs: vifs.clone() },
        "parallel: Devices.unplug
           VBD_unplug xvda force
           VIF_unplug 0 force
         ",
    );
    show(
        Repair::Deactivate { vbds, vifs },
        "parallel: Devices.deactivate
           serial: VBD.deactivate
             VBD_unplug xvda force
             VBD_set_active xvda false
           serial: VIF.deactivate
             VIF_unplug 0 force
             VIF_set_active 0 false
         ",
    );
    show(Repair::SetQos(names(&["xvda"])), "VBD_set_qos xvda");
    let to = "04efbb51-2bce-495f-9d86-75fc70ba01e1".parse().unwrap();
    show(Repair::Rename(to), "VM_rename 04efbb51-2bce-495f-9d86-75fc70ba01e1");
}

#[test]
fn a_restart_is_a_hard_reboot_that_may_wait() {
    let at_once = plan(&Operation::Repair(Repair::Restart { delay: 0 }), &full());
    assert_eq!(at_once, plan(&Operation::Reboot { timeout: None }, &full()));
    let later = plan(&Operation::Repair(Repair::Restart { delay: 15 }), &full());
    assert_eq!(later[0], MicroOp::VmDelay(15).into());
    assert_eq!(later[1..], at_once);
}

#[test]
fn weights_are_upstreams() {
    let image = Disk::Local("/image".into());
    let weights = |op| plan(&op, &plain()).iter().map(Step::weight).collect::<Vec<_>>();
    assert_eq!(weights(Operation::Suspend { disk: image.clone() }), [1, 10, 0, 1, 1, 1, 1, 1, 1]);
    assert_eq!(weights(Operation::Resume { disk: image }), [1, 1, 10, 1, 1, 1, 1, 1, 1]);
}

/// When a step begins and ends, if groups run side by side as long as they may.
struct Span {
    op: MicroOp,
    begin: u32,
    end: u32,
}

fn spans(step: &Step, clock: &mut u32, all: &mut Vec<Span>) {
    match step {
        Step::Do(op) => {
            all.push(Span { op: op.clone(), begin: *clock, end: *clock + 1 });
            *clock += 1;
        }
        Step::Serial(_, inner) => inner.iter().for_each(|step| spans(step, clock, all)),
        Step::BestEffort(inner) => spans(inner, clock, all),
        Step::Parallel(_, inner) => {
            let begin = *clock;
            for step in inner {
                let mut own = begin;
                spans(step, &mut own, all);
                *clock = (*clock).max(own);
            }
        }
        Step::Commit => {}
    }
}

fn timeline(op: &Operation, subject: &Subject) -> Vec<Span> {
    let (mut clock, mut all) = (0, Vec::new());
    plan(op, subject).iter().for_each(|step| spans(step, &mut clock, &mut all));
    all
}

fn collapsed(steps: &[Step]) -> bool {
    steps.iter().all(|step| match step {
        Step::Serial(_, inner) | Step::Parallel(_, inner) => inner.len() > 1 && collapsed(inner),
        _ => true,
    })
}

fn arbitrary_subject() -> impl Strategy<Value = Subject> {
    let disks = prop::collection::vec((any::<bool>(), any::<bool>()), 0..25);
    let nics = prop::collection::vec(-3..8i64, 0..12);
    (disks, nics).prop_map(|(disks, nics)| {
        let mode = |ro| if ro { vbd::Mode::ReadOnly } else { vbd::Mode::ReadWrite };
        let disks = disks.into_iter().enumerate().map(|(i, (ro, full))| disk(&format!("d{i}"), mode(ro), full));
        let nics = nics.into_iter().enumerate().map(|(i, position)| nic(&i.to_string(), position));
        subject(disks.collect(), nics.collect())
    })
}

fn every_operation() -> Vec<Operation> {
    let disk = Disk::Local("/image".into());
    vec![
        Operation::Start { force: false },
        Operation::Poweroff { timeout: None },
        Operation::Poweroff { timeout: Some(1) },
        Operation::Reboot { timeout: None },
        Operation::Reboot { timeout: Some(1) },
        Operation::Suspend { disk: disk.clone() },
        Operation::Resume { disk },
        Operation::Repair(Repair::Shutdown),
        Operation::Repair(Repair::FinishPoweroff),
        Operation::Repair(Repair::FinishSuspend),
        Operation::Repair(Repair::Restart { delay: 1 }),
    ]
}

/// When this comes to its end, and when that begins; `None` where the plan has them not.
fn end_of(all: &[Span], what: impl Fn(&MicroOp) -> bool) -> Option<u32> {
    all.iter().filter(|span| what(&span.op)).map(|span| span.end).max()
}

fn begin_of(all: &[Span], what: impl Fn(&MicroOp) -> bool) -> Option<u32> {
    all.iter().filter(|span| what(&span.op)).map(|span| span.begin).min()
}

fn is_plug(op: &MicroOp) -> bool {
    matches!(op, MicroOp::VbdPlug(_) | MicroOp::VifPlug(_))
}

fn is_unplug(op: &MicroOp) -> bool {
    matches!(op, MicroOp::VbdUnplug { force: true, .. } | MicroOp::VifUnplug { force: true, .. })
}

proptest! {
    #[test]
    fn groups_have_two_members_or_more(subject in arbitrary_subject()) {
        for op in every_operation() {
            prop_assert!(collapsed(&plan(&op, &subject)), "{op:?}");
        }
    }

    #[test]
    fn writers_are_plugged_before_readers(subject in arbitrary_subject()) {
        let of_mode = |op: &MicroOp, mode| {
            matches!(op, MicroOp::VbdPlug(device)
                if subject.vbds.iter().any(|vbd| vbd.id.device == *device && vbd.mode == mode))
        };
        for op in every_operation() {
            let all = timeline(&op, &subject);
            let writers = end_of(&all, |op| of_mode(op, vbd::Mode::ReadWrite));
            let readers = begin_of(&all, |op| of_mode(op, vbd::Mode::ReadOnly));
            if let (Some(writers), Some(readers)) = (writers, readers) {
                prop_assert!(writers <= readers, "{op:?}");
            }
        }
    }

    #[test]
    fn what_a_start_plugs_a_shutdown_takes_away_before_the_domain_goes(subject in arbitrary_subject()) {
        let devices = subject.vbds.len() + subject.vifs.len();
        for op in every_operation() {
            let all = timeline(&op, &subject);
            if let Some(destroy) = begin_of(&all, |op| matches!(op, MicroOp::VmDestroy)) {
                prop_assert_eq!(all.iter().filter(|span| is_unplug(&span.op)).count(), devices);
                prop_assert!(end_of(&all, is_unplug).is_none_or(|end| end <= destroy), "{op:?}");
                prop_assert!(begin_of(&all, is_unplug) >= end_of(&all, |op| *op == MicroOp::VmPause) || devices == 0);
            }
            if let Some(model) = begin_of(&all, |op| matches!(op, MicroOp::VmCreateDeviceModel { .. })) {
                prop_assert_eq!(all.iter().filter(|span| is_plug(&span.op)).count(), devices);
                prop_assert!(end_of(&all, is_plug).is_none_or(|end| end <= model), "{op:?}");
            }
        }
    }

    #[test]
    fn a_domain_is_complete_last_and_runs_only_after_a_reboot(subject in arbitrary_subject()) {
        for op in every_operation() {
            let all = timeline(&op, &subject);
            let complete = end_of(&all, |op| *op == MicroOp::VmSetActionRequest(ActionRequest::None));
            prop_assert_eq!(complete.is_some(), begin_of(&all, |op| *op == MicroOp::VmCreate).is_some());
            if let Some(complete) = complete {
                let work = |op: &MicroOp| is_plug(op) || matches!(op, MicroOp::VmBuild { .. } | MicroOp::VmRestore(_)
                    | MicroOp::VmCreateDeviceModel { .. });
                prop_assert!(end_of(&all, work) < Some(complete), "{op:?}");
            }
            let runs = begin_of(&all, |op| *op == MicroOp::VmUnpause);
            prop_assert_eq!(runs.is_some(), op.goal() == Some(crate::recovery::Goal::Reboot), "{:?}", op);
            prop_assert!(runs.is_none() || runs >= complete, "{op:?}");
        }
    }

    #[test]
    fn epochs_begun_are_ended_and_interfaces_come_by_position(subject in arbitrary_subject()) {
        let epochs = |op: &Operation, wanted: fn(&MicroOp) -> Option<&String>| {
            let mut names: Vec<_> = timeline(op, &subject).iter().filter_map(|span| wanted(&span.op).cloned()).collect();
            names.sort();
            names
        };
        let begun = epochs(&Operation::Start { force: false }, |op| match op {
            MicroOp::VbdEpochBegin(device) => Some(device),
            _ => None,
        });
        for op in [Operation::Poweroff { timeout: None }, Operation::Reboot { timeout: None }] {
            let ended = epochs(&op, |op| match op {
                MicroOp::VbdEpochEnd(device) => Some(device),
                _ => None,
            });
            prop_assert_eq!(&ended, &begun);
        }
        let positions: Vec<_> = timeline(&Operation::Start { force: false }, &subject)
            .iter()
            .filter_map(|span| match &span.op {
                MicroOp::VifPlug(device) => subject.vifs.iter().find(|vif| vif.id.device == *device),
                _ => None,
            })
            .map(|vif| vif.position)
            .collect();
        prop_assert!(positions.is_sorted());
    }

    #[test]
    fn nothing_is_destroyed_before_it_is_committed(subject in arbitrary_subject()) {
        for op in every_operation().into_iter().filter(|op| !matches!(op, Operation::Repair(_))) {
            let steps = plan(&op, &subject);
            let commit = steps.iter().position(|step| *step == Step::Commit).unwrap_or(steps.len());
            let (mut clock, mut before) = (0, Vec::new());
            steps[..commit].iter().for_each(|step| spans(step, &mut clock, &mut before));
            let destroys = |op: &MicroOp| is_unplug(op)
                || matches!(op, MicroOp::VmPause | MicroOp::VmDestroyDeviceModel | MicroOp::VmDestroy);
            prop_assert!(begin_of(&before, destroys).is_none(), "{op:?}");
        }
    }
}
