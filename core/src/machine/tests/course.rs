//! The course of an operation: how long it may take, what is told of it, what stays of it when it fails.

use super::rig::{A, Rig};
use crate::backend::MicroOp;
use crate::host::time::{MILLISECOND, SECOND};
use crate::host::{Entry, Fault, Outcome, Request, Token};
use crate::interface::{Answer, Call, Disk, Vbd, Vif, task, vbd, vif};
use crate::machine::Input;
use crate::operation::{Operation, Step};
use std::sync::Arc;

fn is_mark(request: &Request) -> bool {
    let marks = |entry: &Entry| entry.value.as_deref().is_some_and(|value| value.contains("\"abandoned\":true"));
    matches!(request, Request::Append(entries) if entries.iter().any(marks))
}

fn start(rig: &mut Rig) {
    rig.task(Call::VmStart { id: A.to_owned(), paused: false });
}

// Fails when `handle` takes a clock as it is.
#[test]
fn a_clock_that_goes_backwards_within_a_boot_stands_still() {
    let mut rig = Rig::new(4, &[A]);
    let late = rig.mono + 5 * SECOND;
    for (mono, taken) in [(late, late), (late - SECOND, late), (late + SECOND, late + SECOND)] {
        rig.mono = mono;
        rig.tell(Input::Tick);
        assert_eq!(rig.machine.now.mono, taken);
    }
}

// Fails when `end_subtask` takes nanoseconds for what is shown.
#[test]
fn a_step_is_shown_with_the_seconds_that_it_took() {
    let mut rig = Rig::new(4, &[A]);
    let delay = rig.delay(A);
    rig.mono += 2500 * MILLISECOND;
    rig.wait_ends();
    let Answer::Task(shown) = rig.ask(Call::TaskStat { id: delay.to_string() }) else { panic!("a task's state") };
    let took = task::State::Completed { duration: 2.5, result: None };
    assert_eq!(shown.subtasks.0.len(), 1);
    assert_eq!(shown.subtasks.get("VM_delay"), Some(&took));
}

// Fails when `answered` does not note a request whose time is over.
#[test]
fn a_request_that_outlasts_its_time_is_remembered_until_it_ends() {
    let mut rig = Rig::new(4, &[A]);
    rig.holds = |request| matches!(request, Request::CreateDomain(_));
    start(&mut rig);
    let create = rig.open[0].effect;
    rig.done(create, Outcome::Unknown(Fault::TimedOut));
    assert!(rig.machine.slot(rig.place(A)).stragglers.contains(&create));
    rig.tell(Input::Noticed { token: crate::machine::effect::straggler_token(create) });
    assert!(rig.machine.slot(rig.place(A)).stragglers.is_empty());
}

// Fails when `abandoned` does not have written once more what nobody knows to be written.
#[test]
fn a_mark_of_which_nobody_knows_whether_it_is_durable_is_overruled() {
    let mut rig = Rig::new(4, &[A]);
    rig.holds = |request| matches!(request, Request::CreateDomain(_)) || is_mark(request);
    start(&mut rig);
    let create = rig.open[0].effect;
    rig.done(create, Outcome::Refused(Fault::NoMemory(1)));
    let mark = rig.open.iter().find(|open| is_mark(&open.request)).expect("its failure is made durable").effect;
    rig.asked.clear();
    rig.done(mark, Outcome::Unknown(Fault::Lost("the answer".to_owned())));
    let clears = |entry: &Entry| entry.key == format!("intent/{A}") && entry.value.is_none();
    let cleared = |request: &Request| matches!(request, Request::Append(entries) if entries.iter().any(clears));
    assert!(rig.asked.iter().any(cleared), "{:?}", rig.asked);
}

// Fails when `commit` writes anything else than that its operation is to be finished.
#[test]
fn a_commit_is_on_record_before_what_follows_it() {
    let mut rig = Rig::new(4, &[A]);
    rig.holds = |request| matches!(request, Request::Append(_)) || request.is_wait();
    let suspend = Operation::Suspend { disk: Disk::Local("/image".to_owned()) };
    rig.run(A, suspend, vec![Step::Commit, MicroOp::VmDelay(SECOND).into()]);
    let [open] = &rig.open[..] else { panic!("one request, not {:?}", rig.open) };
    let Request::Append(entries) = &open.request else { panic!("an append, not {open:?}") };
    let [Entry { key, value: Some(value) }] = &entries[..] else { panic!("one record, not {entries:?}") };
    assert_eq!(*key, format!("intent/{A}"));
    assert!(value.contains("\"Suspend\"") && value.contains("\"committed\":true"), "{value}");
}

// Fails when `constructs` forgets a step.
#[test]
fn a_client_that_builds_a_domain_step_by_step_is_not_done_after_a_step() {
    let atomic = |op| Operation::Atomic(Box::new(op));
    for step in [MicroOp::VmCreate, MicroOp::VmBuild { force: false }, MicroOp::VmCreateDeviceModel { restore: false }]
    {
        assert!(atomic(step).constructs());
    }
    assert!(!atomic(MicroOp::VmPause).constructs() && !Operation::Start { force: false }.constructs());
}

// Fails when `domains_listed` asks again at once.
#[test]
fn a_host_that_cannot_list_its_domains_is_asked_again_a_second_later() {
    let mut rig = Rig::new(4, &[A]);
    rig.holds = |request| *request == Request::ListDomains;
    rig.mono += SECOND;
    rig.tell(Input::Noticed { token: Token::DOMAINS });
    assert!(!rig.machine.is_at_rest());
    let list = rig.open[0].effect;
    rig.done(list, Outcome::Refused(Fault::Lost("the hypervisor".to_owned())));
    assert!(rig.open.is_empty() && !rig.machine.is_at_rest(), "{:?}", rig.open);
    let next = rig.machine.deadline().expect("it asks again");
    assert!((SECOND..2 * SECOND).contains(&(next - rig.mono)), "{next}");
    rig.mono = next;
    rig.tell(Input::Tick);
    assert_eq!(rig.open.len(), 1);
}

// Fails when `import_rows` takes away what the metadata has.
#[test]
fn an_import_brings_its_devices_and_takes_away_all_others() {
    let mut rig = Rig::new(4, &[A]);
    let add = |rig: &mut Rig, disk: &str, nic: &str| {
        rig.ask(Call::VbdAdd { vbd: Arc::new(Vbd { id: vbd::Id::new(A, disk), ..Vbd::default() }) });
        rig.ask(Call::VifAdd { vif: Arc::new(Vif { id: vif::Id::new(A, nic), ..Vif::default() }) });
    };
    add(&mut rig, "xvda", "0");
    let Answer::Text(metadata) = rig.ask(Call::VmExportMetadata { id: A.to_owned() }) else { panic!("a text") };
    rig.ask(Call::VbdRemove { id: vbd::Id::new(A, "xvda") });
    add(&mut rig, "xvdb", "1");
    rig.ask(Call::VmImportMetadata { metadata });
    let rows = &rig.machine.slot(rig.place(A)).rows;
    let disks: Vec<_> = rows.vbds.iter().map(|vbd| vbd.id.device.as_str()).collect();
    let nics: Vec<_> = rows.vifs.iter().map(|vif| vif.id.device.as_str()).collect();
    assert_eq!((disks, nics), (vec!["xvda"], vec!["0"]));
}

// Fails when a plan does not say which micro-ops it is at.
#[test]
fn a_task_is_half_done_when_half_of_its_steps_are() {
    let mut rig = Rig::new(4, &[A]);
    let wait = || MicroOp::VmDelay(SECOND).into();
    let task = rig.run(A, Operation::Atomic(Box::new(MicroOp::VmDelay(SECOND))), vec![wait(), wait()]);
    rig.wait_ends();
    assert_eq!(rig.state(task), task::State::Pending(0.5));
}
