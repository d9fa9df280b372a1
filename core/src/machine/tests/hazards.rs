//! Hazards of the manual's list that hold by the machine's shape, by their numbers.

use super::rig::{A, B, C, Open, Rig, domain, vm};
use crate::backend::xc::create::fresh_extra;
use crate::backend::{Hook, MicroOp};
use crate::host::time::SECOND;
use crate::host::{DomainAct, DomainInfo, Entry, Fault, Now, Outcome, Reply, Request, StorageCall, Token, Uuid};
use crate::interface::extra::QemuFrontend;
use crate::interface::{Answer, Call, Disk, Error, PowerState, Vbd, Vif, Vm, vbd, vif};
use crate::machine::{Effects, Input, Machine, TaskId};
use crate::operation::{Operation, Step};
use std::sync::Arc;

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn looks_at(rig: &Rig, id: &str) -> bool {
    rig.asked.contains(&Request::FindDomains(uuid(id)))
}

fn wait() -> Step {
    MicroOp::VmDelay(SECOND).into()
}

/// An operation without an intent or a state that it wants.
fn delays() -> Operation {
    Operation::Atomic(Box::new(MicroOp::VmDelay(SECOND)))
}

/// Records of a VM of which one cannot be used.
fn unusable() -> Vec<Entry> {
    let config = serde_json::to_string(&vm(A)).unwrap();
    let records = [(format!("VM/{A}/config"), config), (format!("extra/{A}"), "{".to_owned())];
    records.map(|(key, value)| Entry { key, value: Some(value) }).to_vec()
}

fn disk(id: &str, device: &str) -> Arc<Vbd> {
    let backend = Some(Disk::Vdi("sr/disk".to_owned()));
    Arc::new(Vbd { id: vbd::Id::new(id, device), backend, ..Vbd::default() })
}

fn rename(rig: &mut Rig, from: &str, to: &str) {
    rig.call(Call::DebugTrigger { cmd: "rename".to_owned(), args: vec![from.to_owned(), to.to_owned()] });
}

// Fails when `ask` sends each change of a record at once: the later one is of what the record was before the earlier.
#[test]
fn h11_two_changes_of_one_record_both_stay() {
    let mut rig = Rig::new(4, &[A]);
    rig.ask(Call::VbdAdd { vbd: disk(A, "hda") });
    let vm_place = rig.place(A);
    let mut extra = fresh_extra(&vm(A), Now::default());
    extra.suspend_memory_bytes = 1;
    extra.qemu_vbds.push((vbd::Id::new(A, "hda"), 0, QemuFrontend::Empty));
    rig.machine.slot_mut(vm_place).rows.extra = Some(Arc::new(extra));
    rig.domid = Some(7);
    rig.holds = |request| matches!(request, Request::Append(_) | Request::Storage(_));
    let unplug = MicroOp::VbdUnplug { device: "hda".to_owned(), force: true };
    let both = Step::Parallel("p", vec![MicroOp::VmForgetImage.into(), unplug.into()]);
    rig.run(A, delays(), vec![both]);
    for _ in 0..2 {
        let appends = rig.open.iter().filter(|open| matches!(open.request, Request::Append(_)));
        let appends: Vec<_> = appends.map(|open| open.effect).collect();
        assert_eq!(appends.len(), 1);
        rig.done(appends[0], Outcome::Ok(Reply::Unit));
    }
    let extra = rig.machine.slot(vm_place).rows.extra.clone().unwrap();
    assert_eq!((extra.suspend_memory_bytes, extra.qemu_vbds.len()), (0, 0));
}

// Fails when `rename` leaves `slot.id` as it was.
#[test]
fn h19_a_renamed_vms_notices_are_about_its_new_name() {
    let mut rig = Rig::new(4, &[A]);
    let vm = rig.place(A);
    rename(&mut rig, A, C);
    assert_eq!(rig.place(C), vm);
    rig.asked.clear();
    rig.mono += SECOND;
    rig.tell(Input::Noticed { token: Token(vm) });
    assert!(looks_at(&rig, C) && !looks_at(&rig, A), "{:?}", rig.asked);
    // What happens to a domain is told by the list, which has its name of now.
    rig.asked.clear();
    rig.mono += SECOND;
    rig.holds = |request| !matches!(request, Request::ListDomains);
    rig.domains.push(domain(C));
    rig.tell(Input::Noticed { token: Token::DOMAINS });
    assert!(looks_at(&rig, C), "{:?}", rig.asked);
}

// Fails when `everything` wants no look of each VM.
#[test]
fn h20_lost_notices_have_everything_looked_at_and_watched_anew() {
    let mut rig = Rig::new(4, &[A, B]);
    rig.mono += SECOND;
    rig.tell(Input::Everything);
    assert!(looks_at(&rig, A) && looks_at(&rig, B), "{:?}", rig.asked);
    assert!(rig.asked.contains(&Request::Watch(Token::DOMAINS, Vec::new())));
}

// Fails when `watching` looks no more: what its guest does between a look and the watch is heard of by nobody.
#[test]
fn h18_a_vm_is_looked_at_once_more_when_its_watch_stands() {
    let (mut rig, mut effects) = (Rig::new(4, &[A]), Effects::new());
    let vm = rig.place(A);
    rig.machine.watching(vm, Outcome::Ok(Reply::Unit), &mut effects);
    assert!(rig.machine.slot(vm).look_wanted && !rig.machine.is_at_rest());
}

// Fails when `rename` leaves the old identity in `by_id`.
#[test]
fn h23_what_waits_on_a_vm_goes_with_it_to_its_new_name() {
    let mut rig = Rig::new(4, &[A]);
    let first = rig.delay(A);
    rename(&mut rig, A, C);
    let second = rig.delay(A);
    assert_eq!(rig.waits().len(), 1);
    rig.wait_ends();
    assert!(!rig.is_pending(first) && rig.is_pending(second));
    assert_eq!((rig.machine.by_id.len(), rig.waits().len()), (1, 1), "one name, one queue, and it has gone on");
    let third = rig.delay(C);
    assert_eq!(rig.waits().len(), 1);
    rig.wait_ends();
    rig.wait_ends();
    assert!(!rig.is_pending(second) && !rig.is_pending(third));
}

// Fails when `drive` does not ask whether the VM's job is at rest.
#[test]
fn h24_a_hard_power_off_begins_when_what_it_ends_has_ended() {
    let mut rig = Rig::new(4, &[A]);
    let delay = rig.delay(A);
    rig.asked.clear();
    let poweroff = rig.task(Call::VmShutdown { id: A.to_owned(), delay: None });
    let waits = rig.waits();
    assert_eq!(rig.aborted, waits);
    assert!(rig.asked.is_empty(), "two at once: {:?}", rig.asked);
    rig.holds = |_| false;
    rig.done(waits[0], Outcome::Aborted);
    assert!(rig.is_cancelled(delay) && !rig.is_pending(poweroff));
}

// Fails when `context` takes the VM's rows of now for a plan that runs.
#[test]
fn h25_an_operation_keeps_the_rows_that_it_began_with() {
    let mut rig = Rig::new(4, &[A]);
    rig.ask(Call::VbdAdd { vbd: disk(A, "xvda") });
    rig.delay(A);
    rig.ask(Call::VmAdd { vm: Arc::new(Vm { name: "renamed".to_owned(), ..vm(A) }) });
    let name = |machine: &Machine, vm| machine.context(vm, None).unwrap().vm.name.clone();
    let place = rig.place(A);
    assert_eq!(name(&rig.machine, place), "vm");
    let removal = rig.call(Call::VbdRemove { id: vbd::Id::new(A, "xvda") });
    assert_eq!(rig.reply(removal), None, "it waits for its turn");
    rig.wait_ends();
    assert_eq!(rig.reply(removal), Some(Ok(Answer::Unit)));
    assert_eq!(name(&rig.machine, place), "renamed");
}

// Fails when `client_row` gives the running operation the new rows too.
#[test]
fn h26_a_disk_that_is_added_under_way_is_no_part_of_it() {
    let mut rig = Rig::new(4, &[A]);
    rig.holds = |request| matches!(request, Request::CreateDomain(_));
    rig.task(Call::VmStart { id: A.to_owned(), paused: false });
    rig.ask(Call::VbdAdd { vbd: disk(A, "xvda") });
    let slot = rig.machine.slot(rig.place(A));
    assert_eq!((slot.rows.vbds.len(), slot.active().unwrap().subject.vbds.len()), (1, 0));
    // It is not plugged, and so nothing of it can be left.
    rig.holds = |_| false;
    let effect = rig.open[0].effect;
    rig.done(effect, Outcome::Refused(Fault::NoMemory(1)));
    let plugs = |request: &Request| matches!(request, Request::Storage(StorageCall::Attach { .. }));
    assert!(!rig.asked.iter().any(plugs), "{:?}", rig.asked);
}

// Fails when `begin_next` waits until nothing of any VM is in flight.
#[test]
fn h28_one_vm_that_is_stuck_keeps_no_other() {
    let mut rig = Rig::new(2, &[A, B]);
    rig.holds = |request| matches!(request, Request::CreateDomain(_));
    let stuck = rig.task(Call::VmStart { id: A.to_owned(), paused: false });
    rig.task(Call::VmStart { id: B.to_owned(), paused: false });
    assert_eq!(rig.open.len(), 2, "both have written their records and ask for a domain");
    assert!(rig.is_pending(stuck));
    let Answer::Vms(all) = rig.ask(Call::VmList) else { panic!("a list") };
    assert_eq!(all.len(), 2);
}

// Fails when `issue` draws on the pool for a wait.
#[test]
fn h29_who_waits_takes_no_worker() {
    let mut rig = Rig::new(1, &[A, B, C]);
    rig.delay(A);
    rig.delay(B);
    assert_eq!(rig.waits().len(), 2);
    rig.holds = |request| request.is_wait() || matches!(request, Request::CreateDomain(_));
    rig.task(Call::VmStart { id: C.to_owned(), paused: false });
    assert_eq!(rig.open.len(), 3, "the one worker is free: {:?}", rig.open);
}

// Fails when `stop` forgets what waits for a worker whoever it is of.
#[test]
fn h39_a_cancellation_takes_back_what_waits_for_a_worker_of_its_own_vm_only() {
    let mut rig = Rig::new(1, &[A, B, C]);
    rig.holds = |request| matches!(request, Request::CreateDomain(_));
    let [_, b, c] = [A, B, C].map(|id| rig.task(Call::VmStart { id: id.to_owned(), paused: false }));
    assert_eq!(rig.open.len(), 1, "there is one worker: {:?}", rig.open);
    rig.cancel(c);
    assert!(rig.is_cancelled(c) && rig.is_pending(b));
    let first = rig.open[0].effect;
    rig.done(first, Outcome::Refused(Fault::NoMemory(0)));
    let made = |open: &Open| matches!(&open.request, Request::CreateDomain(spec) if spec.handle.text() == B);
    assert!(rig.open.len() == 1 && rig.open.iter().all(made), "{:?}", rig.open);
}

// Fails when `power_state` does not ask whether the VM reboots.
#[test]
fn h32_a_vm_that_reboots_runs_in_lists_too() {
    let mut rig = Rig::new(4, &[A]);
    rig.run(A, Operation::Reboot { timeout: None }, vec![wait()]);
    let Answer::Vm(_, state) = rig.ask(Call::VmStat { id: A.to_owned() }) else { panic!("a vm's state") };
    let Answer::Vms(all) = rig.ask(Call::VmList) else { panic!("a list") };
    assert_eq!((state.power_state, all[0].1.power_state), (PowerState::Running, PowerState::Running));
}

// Fails when `stop` does not mark the plan as cancelled: the step whose failure is nobody's swallows it.
#[test]
fn h38_a_cancellation_outlives_a_step_whose_failure_is_nobodys() {
    let mut rig = Rig::new(4, &[A]);
    let swallows = Step::Serial("s", vec![Step::BestEffort(Box::new(wait())), wait()]);
    let task = rig.run(A, delays(), vec![Step::Parallel("p", vec![swallows, wait()]), wait()]);
    let waits = rig.waits();
    rig.cancel(task);
    assert_eq!((rig.aborted.len(), &rig.aborted), (2, &waits));
    waits.into_iter().for_each(|effect| rig.done(effect, Outcome::Aborted));
    assert_eq!(rig.waits(), [], "no other step begins");
    assert!(rig.is_cancelled(task));
}

// Fails when `stop` aborts only the first flight.
#[test]
fn h39_a_cancellation_reaches_all_children_and_waits_for_them() {
    let mut rig = Rig::new(4, &[A]);
    let task = rig.run(A, delays(), vec![Step::Parallel("p", vec![wait(), wait(), wait()])]);
    let waits = rig.waits();
    assert_eq!(waits.len(), 3);
    rig.cancel(task);
    assert_eq!(rig.aborted, waits);
    for effect in waits {
        assert!(rig.is_pending(task));
        rig.done(effect, Outcome::Aborted);
    }
    assert!(rig.is_cancelled(task));
}

// Fails when `committed` leaves its task cancellable.
#[test]
fn h42_past_its_point_of_no_return_nothing_is_cancelled() {
    let mut rig = Rig::new(4, &[A]);
    let suspend = Operation::Suspend { disk: Disk::Local("/image".to_owned()) };
    let task = rig.run(A, suspend, vec![Step::Commit, wait()]);
    rig.cancel(task);
    assert!(rig.aborted.is_empty() && rig.is_pending(task));
}

// Fails when `stop` does not note that it is a hard power-off.
#[test]
fn h24_a_point_of_no_return_holds_off_a_cancellation_and_no_hard_power_off() {
    let goes_on = |ask: fn(&mut Rig, TaskId)| {
        let mut rig = Rig::new(4, &[A]);
        rig.holds = |request| matches!(request, Request::Append(_)) || request.is_wait();
        let suspend = Operation::Suspend { disk: Disk::Local("/image".to_owned()) };
        let task = rig.run(A, suspend, vec![Step::Commit, wait()]);
        ask(&mut rig, task);
        let commit = rig.open.iter().find(|open| matches!(open.request, Request::Append(_))).unwrap().effect;
        rig.done(commit, Outcome::Ok(Reply::Unit));
        !rig.waits().is_empty()
    };
    assert!(goes_on(|rig, task| rig.cancel(task)), "it came while the mark was on its way, and has lost");
    let powers_off = |rig: &mut Rig, _| {
        rig.task(Call::VmShutdown { id: A.to_owned(), delay: None });
    };
    assert!(!goes_on(powers_off));
}

// Fails when `cancel` leaves the operation in its queue.
#[test]
fn h44_a_cancelled_operation_that_waits_does_nothing() {
    let mut rig = Rig::new(4, &[A]);
    rig.delay(A);
    let start = rig.task(Call::VmStart { id: A.to_owned(), paused: false });
    rig.cancel(start);
    assert!(rig.is_cancelled(start), "at once");
    assert_eq!(rig.waits().len(), 1, "what runs is not meant");
    rig.wait_ends();
    assert!(!rig.asked.iter().any(|request| matches!(request, Request::Hooks(_) | Request::CreateDomain(_))));
}

// Fails when `patience` gives the storage an hour, or `stop` does not shorten what is in flight.
#[test]
fn h68_storage_that_never_answers_keeps_nobody_for_ever() {
    let mut rig = Rig::new(1, &[A, B]);
    rig.ask(Call::VbdAdd { vbd: disk(A, "xvda") });
    rig.holds = |request| matches!(request, Request::Storage(_) | Request::CreateDomain(_));
    let removal = rig.call(Call::VbdRemove { id: vbd::Id::new(A, "xvda") });
    let open = rig.open[0].clone();
    assert!(matches!(open.request, Request::Storage(_)) && open.deadline <= rig.mono + 600 * SECOND);
    rig.task(Call::VmShutdown { id: A.to_owned(), delay: None });
    assert_eq!(rig.open[0].deadline, rig.mono + 2 * SECOND, "a hard power-off does not wait for it");
    rig.mono += 2 * SECOND;
    rig.done(open.effect, Outcome::Unknown(Fault::TimedOut));
    assert!(matches!(rig.reply(removal), Some(Err(_))));
    // The power-off has met the same storage by now, and another VM has the one worker.
    rig.task(Call::VmStart { id: B.to_owned(), paused: false });
    assert!(rig.open.iter().any(|open| matches!(open.request, Request::CreateDomain(_))), "{:?}", rig.open);
}

// Fails when `ask` refuses a shielded request of a cancelled plan.
#[test]
fn h74_a_cancelled_operation_cleans_up_all_the_same() {
    let mut rig = Rig::new(4, &[A]);
    rig.hooks = vec!["10-hangs".to_owned()];
    let task = rig.run(A, delays(), vec![MicroOp::VmHookScript(Hook::PreStart, "none".into()).into()]);
    let hook = rig.waits()[0];
    rig.cancel(task);
    rig.asked.clear();
    rig.done(hook, Outcome::Aborted);
    assert!(matches!(rig.asked.first(), Some(Request::Forget(_))), "{:?}", rig.asked);
    assert_eq!(rig.state(task).error(), Some(Error::Cancelled(task.to_string())));
}

// Fails when `begin` does not ask `check_begin`.
#[test]
fn what_an_operation_needs_is_asked_when_its_turn_comes() {
    let mut rig = Rig::new(4, &[A]);
    rig.delay(A);
    let start = rig.task(Call::VmStart { id: A.to_owned(), paused: false });
    rig.domains.push(domain(A));
    rig.wait_ends();
    assert!(rig.state(start).error().is_some(), "a guest runs by now");
    let begins = |request: &Request| matches!(request, Request::Hooks(_) | Request::CreateDomain(_));
    assert!(!rig.asked.iter().any(begins), "{:?}", rig.asked);
}

// Fails when `add_vm` keeps the identity as the client has written it.
#[test]
fn an_identity_in_capital_letters_is_that_of_the_same_vm() {
    let mut rig = Rig::new(4, &[A]);
    let config = Arc::new(Vm { name: "again".to_owned(), id: A.to_uppercase(), ..vm(A) });
    assert_eq!(rig.ask(Call::VmAdd { vm: config }), Answer::Text(A.to_owned()));
    assert_eq!(rig.machine.vms.iter().count(), 1);
    let config = &rig.machine.slot(rig.place(A)).rows.vm;
    assert_eq!(config.as_ref().map(|vm| (vm.id.as_str(), vm.name.as_str())), Some((A, "again")));
}

// Fails when `decide` of the machine leaves a power-off unfinished for a record that cannot be used.
#[test]
fn a_power_off_is_finished_whatever_records_cannot_be_used() {
    let now = Now { boot: 1, ..Now::default() };
    let intent = Operation::Poweroff { timeout: None }.intent(Some(7), now, None).map(|mut intent| {
        intent.committed = true;
        serde_json::to_string(&intent).unwrap()
    });
    let records = unusable().into_iter().chain([Entry { key: format!("intent/{A}"), value: intent }]);
    let rig = Rig::opened(4, records.collect(), vec![domain(A)]);
    assert!(rig.asked.contains(&Request::Domain(7, DomainAct::Destroy)), "{:?}", rig.asked);
}

// Fails when `looked` does not count the looks that fail.
#[test]
fn who_waits_for_a_vm_that_cannot_be_looked_at_is_told_so_after_a_while() {
    let mut rig = Rig::new(4, &[A]);
    let delay = rig.delay(A);
    let start = rig.task(Call::VmStart { id: A.to_owned(), paused: false });
    rig.holds = |request| matches!(request, Request::FindDomains(_)) || request.is_wait();
    rig.wait_ends();
    for _ in 0..8 {
        assert!(rig.is_pending(delay) && rig.is_pending(start), "its vm may not be sensible");
        let look = rig.open.iter().find(|open| matches!(open.request, Request::FindDomains(_))).unwrap().effect;
        rig.done(look, Outcome::Refused(Fault::Lost("the hypervisor".to_owned())));
        rig.mono += SECOND;
        rig.tell(Input::Tick);
    }
    let error = rig.state(start).error().expect("it is refused").to_string();
    assert!(error.contains("vm needs attention") && error.contains("the hypervisor"), "{error}");
    assert!(!rig.is_pending(delay), "what has ended is said to have");
}

// Fails when `check_devices` does not ask, for a plug or an unplug, whether its device is there.
#[test]
fn a_device_that_was_removed_before_its_plug_began_is_said_not_to_exist() {
    let (xvda, nic) = (vbd::Id::new(A, "xvda"), vif::Id::new(A, "0"));
    let table = [
        (Call::VbdPlug { id: xvda.clone() }, "vbd.xvda"),
        (Call::VbdUnplug { id: xvda.clone(), force: true }, "vbd.xvda"),
        (Call::VifPlug { id: nic.clone() }, "vif.0"),
        (Call::VifUnplug { id: nic.clone(), force: true }, "vif.0"),
    ];
    for (call, name) in table {
        let mut rig = Rig::new(4, &[A]);
        rig.ask(Call::VbdAdd { vbd: disk(A, "xvda") });
        rig.ask(Call::VifAdd { vif: Arc::new(Vif { id: nic.clone(), ..Vif::default() }) });
        rig.delay(A);
        rig.call(Call::VbdRemove { id: xvda.clone() });
        rig.call(Call::VifRemove { id: nic.clone() });
        let task = rig.task(call);
        rig.wait_ends();
        let gone = Error::does_not_exist("VM", format!("{A}/{name}"));
        assert_eq!(rig.state(task).error(), Some(gone));
    }
}

// Fails when `abandon` marks the intent of what its VM is known by: where the rows were gone, the mark is all that is left.
#[test]
fn a_removal_of_which_nobody_knows_whether_it_is_done_leaves_no_mark() {
    let mut rig = Rig::new(4, &[A]);
    let removes = |request: &Request| {
        let Request::Append(entries) = request else { return false };
        entries.iter().any(|entry| entry.key.ends_with("/config") && entry.value.is_none())
    };
    rig.holds = |request| matches!(request, Request::Append(entries) if entries.len() > 1);
    rig.call(Call::VmRemove { id: A.to_owned() });
    let first = rig.open[0].clone();
    assert!(removes(&first.request), "{:?}", rig.open);
    rig.asked.clear();
    rig.done(first.effect, Outcome::Unknown(Fault::Lost("the answer".to_owned())));
    let appends = || rig.asked.iter().filter(|request| matches!(request, Request::Append(_)));
    assert!(appends().count() > 0 && appends().all(removes), "it is removed once more: {:?}", rig.asked);
}

// Fails when `decide` of the machine does not ask whether a record of the VM cannot be used.
#[test]
fn a_vm_of_which_a_record_cannot_be_used_is_left_as_it_is() {
    let half_built = DomainInfo { paused: true, cpu_time: 0, ..domain(A) };
    let mut rig = Rig::opened(4, unusable(), vec![half_built]);
    let start = rig.task(Call::VmStart { id: A.to_owned(), paused: true });
    let error = rig.state(start).error().expect("it is refused").to_string();
    assert!(error.contains("a hard shutdown drops it"), "{error}");
    let leaves = |request: &Request| request.is_read_only() || matches!(request, Request::Watch(..));
    assert!(rig.asked.iter().all(leaves), "{:?}", rig.asked);

    rig.domains.clear();
    let shutdown = rig.task(Call::VmShutdown { id: A.to_owned(), delay: None });
    assert!(!rig.is_pending(shutdown) && rig.state(shutdown).error().is_none(), "{:?}", rig.state(shutdown));
    let dropped = |request: &Request| {
        let key = format!("extra/{A}");
        matches!(request, Request::Append(entries) if entries.iter().any(|entry| entry.key == key && entry.value.is_none()))
    };
    assert!(rig.asked.iter().any(dropped), "{:?}", rig.asked);
    assert!(rig.machine.slot(rig.place(A)).aside.is_empty(), "it can be started again");
}
