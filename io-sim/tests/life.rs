//! A VM's whole life on a simulated host without faults, seen as a client sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use xenops_core::host::time::SECOND;
use xenops_core::interface::vm::State;
use xenops_core::interface::{Answer, Call, Disk, PowerState, Vbd, Vif, Vm};
use xenops_io_sim::local::Local;
use xenops_io_sim::world::{Choices, Config, Pace, World};

const ID: &str = "04efbb51-2bce-495f-9d86-75fc70ba01e0";

fn vm(kind: &str) -> Arc<Vm> {
    let pv = r#"{"boot":["Direct",{"kernel":"/boot/vmlinuz","cmdline":"root=/dev/xvda"}]}"#;
    let ty = match kind {
        "HVM" => r#"["HVM",{}]"#.to_owned(),
        kind => format!("[\"{kind}\",{pv}]"),
    };
    let text = format!(
        r#"{{"id":"{ID}","name":"guest","ssidref":0,"xsdata":{{}},"platformdata":{{}},"bios_strings":{{}},"ty":{ty},
        "suppress_spurious_page_faults":false,"memory_static_max":268435456,"memory_dynamic_max":268435456,
        "memory_dynamic_min":268435456,"vcpu_max":2,"vcpus":2,"scheduler_params":{{"affinity":[]}},
        "on_crash":["Start"],"on_shutdown":["Shutdown"],"on_reboot":["Start"],"pci_msitranslate":false,
        "pci_power_mgmt":false}}"#
    );
    Arc::new(serde_json::from_str(&text).unwrap())
}

fn vbd() -> Arc<Vbd> {
    let text = format!(r#"{{"id":["{ID}","xvda"],"position":["Xen",0,0],"backend":["Local","/images/guest.img"]}}"#);
    Arc::new(serde_json::from_str(&text).unwrap())
}

fn vif() -> Arc<Vif> {
    Arc::new(serde_json::from_str(&format!(r#"{{"id":["{ID}","0"],"mac":"00:16:3e:00:00:02"}}"#)).unwrap())
}

fn host(pace: Pace) -> Local {
    Local::new(World::new(Config { pace, ..Config::default() }, Choices::nothing()), 4)
}

fn furnish(local: &mut Local, kind: &str) {
    local.ask(Call::VmAdd { vm: vm(kind) }).unwrap();
    local.ask(Call::VbdAdd { vbd: vbd() }).unwrap();
    local.ask(Call::VifAdd { vif: vif() }).unwrap();
}

fn state(local: &mut Local) -> State {
    let Answer::Vm(_, state) = local.ask(Call::VmStat { id: ID.into() }).unwrap() else { panic!("a stat") };
    *state
}

fn expect(local: &mut Local, power: PowerState) -> State {
    let state = state(local);
    assert_eq!(state.power_state, power);
    local.machine.check_all();
    state
}

fn life(kind: &str, pace: Pace) {
    let id = || ID.to_owned();
    let disk = || Disk::Local("/images/guest.suspend".into());
    let mut local = host(pace);
    furnish(&mut local, kind);
    expect(&mut local, PowerState::Halted);

    local.do_task(Call::VmStart { id: id(), paused: false }).unwrap();
    let first = expect(&mut local, PowerState::Paused);
    assert_eq!(first.domids.len(), 1);
    local.do_task(Call::VmUnpause { id: id() }).unwrap();
    local.pass(30 * SECOND);
    expect(&mut local, PowerState::Running);

    local.do_task(Call::VmReboot { id: id(), delay: Some(60.0) }).unwrap();
    let second = expect(&mut local, PowerState::Running);
    assert_ne!(first.domids, second.domids, "a reboot makes a new domain");
    local.pass(30 * SECOND);

    local.restart();
    let third = expect(&mut local, PowerState::Running);
    assert_eq!(second.domids, third.domids, "the daemon's death does not disturb its guests");

    local.do_task(Call::VmSuspend { id: id(), suspend_vdi: disk() }).unwrap();
    expect(&mut local, PowerState::Suspended);
    local.do_task(Call::VmResume { id: id(), suspend_vdi: disk() }).unwrap();
    expect(&mut local, PowerState::Paused);
    local.do_task(Call::VmUnpause { id: id() }).unwrap();
    local.pass(30 * SECOND);
    expect(&mut local, PowerState::Running);

    local.do_task(Call::VmShutdown { id: id(), delay: Some(60.0) }).unwrap();
    expect(&mut local, PowerState::Halted);
    local.ask(Call::VmRemove { id: id() }).unwrap();
    assert_eq!(local.ask(Call::VmList).unwrap(), Answer::Vms(Vec::new()));
    assert!(local.records.is_empty(), "nothing stays on record: {:?}", local.records);
    assert!(local.world.breaches().is_empty(), "{:?}", local.world.breaches());
}

#[test]
fn a_pv_guest_lives() {
    life("PV", Pace::Instant);
    life("PV", Pace::Natural);
}

#[test]
fn a_pvh_guest_lives() {
    life("PVH", Pace::Instant);
    life("PVH", Pace::Natural);
}

#[test]
fn an_hvm_guest_lives() {
    life("HVM", Pace::Instant);
    life("HVM", Pace::Natural);
}

#[test]
fn a_start_needs_few_requests() {
    let mut local = host(Pace::Instant);
    furnish(&mut local, "PV");
    let before = local.requests;
    local.do_task(Call::VmStart { id: ID.into(), paused: false }).unwrap();
    let requests = local.requests - before;
    assert!(requests <= 40, "a start of a PV guest with a disk and a NIC took {requests} requests");
}
