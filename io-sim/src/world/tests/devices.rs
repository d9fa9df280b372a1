//! Back ends and hotplug scripts, as they were seen to behave on a plain distribution's host.

use super::*;
use crate::world::device::{DeviceKey, Kind};

const DISK: u32 = 51712;

fn back(kind: &str, domid: DomId, devid: u32, leaf: &str) -> String {
    format!("/local/domain/0/backend/{kind}/{domid}/{devid}/{leaf}")
}

fn daemon() -> Daemon {
    Daemon::new(Config::default(), Choices::nothing())
}

fn disk<'a>(params: &'a str, mode: &'a str) -> [(&'a str, &'a str); 3] {
    [("params", params), ("mode", mode), ("type", "phy")]
}

#[test]
fn block_needs_a_probed_back_end_for_a_file_and_a_path_at_all() {
    let cases = [
        ("/srv/a.img", "1", Some("error"), 1),
        ("/srv/a.img", "2", Some("connected"), 0),
        ("/dev/vg/a", "1", Some("connected"), 0),
        ("", "2", Some("error"), 1),
        ("/srv/missing.img", "2", Some("error"), 1),
    ];
    for (params, state, status, code) in cases {
        let mut daemon = daemon();
        daemon.world.disk_mut().missing.insert("/srv/missing.img".to_owned());
        let domid = daemon.create(VM);
        daemon.directories(domid, "vbd", DISK, &disk(params, "w"));
        daemon.wait(Condition::Equals(back("vbd", domid, DISK, "state"), "2".to_owned()));
        daemon.store(&[(&back("vbd", domid, DISK, "state"), state)]);
        assert_eq!(daemon.script(1, domid, "vbd", DISK, "add"), Some(Exit::Code(code)), "{params:?} {state}");
        assert_eq!(daemon.value(&back("vbd", domid, DISK, "hotplug-status")).as_deref(), status, "{params:?} {state}");
    }
}

#[test]
fn a_second_add_changes_nothing_and_remove_frees_the_loop_device() {
    let mut daemon = daemon();
    let domid = daemon.create(VM);
    daemon.directories(domid, "vbd", DISK, &disk("/srv/a.img", "w"));
    for handle in [1, 2] {
        assert_eq!(daemon.script(handle, domid, "vbd", DISK, "add"), Some(Exit::Code(0)));
        assert_eq!(daemon.world.attachments().loops().collect::<Vec<_>>(), [(0, "/srv/a.img")]);
    }
    assert_eq!(daemon.value(&back("vbd", domid, DISK, "node")).as_deref(), Some("/dev/loop0"));
    assert_eq!(daemon.value(&back("vbd", domid, DISK, "physical-device")).as_deref(), Some("7:0"));
    assert_eq!(daemon.script(3, domid, "vbd", DISK, "remove"), Some(Exit::Code(0)));
    assert_eq!(daemon.world.attachments().loops().count(), 0);
    assert_eq!(daemon.value(&back("vbd", domid, DISK, "hotplug-status")).as_deref(), Some("connected"));
}

// A daemon that was killed before it could say that a disk is gone leaves `node` behind: the next one must not free by
// it what is another's by then.
#[test]
fn remove_frees_whatever_loop_device_is_named_and_fails_where_that_is_free() {
    let mut daemon = daemon();
    let (one, other) = (daemon.create(VM), daemon.create(Uuid([8; 16])));
    let behind = |file: &str| Request::IsBehind { file: file.to_owned(), device: "/dev/loop0".to_owned() };
    daemon.directories(one, "vbd", DISK, &disk("/srv/a.img", "w"));
    assert_eq!(daemon.script(1, one, "vbd", DISK, "add"), Some(Exit::Code(0)));
    assert_eq!(daemon.ask(behind("/srv/a.img")), Reply::Flag(true));
    assert_eq!(daemon.script(2, one, "vbd", DISK, "remove"), Some(Exit::Code(0)));
    assert_eq!(daemon.ask(behind("/srv/a.img")), Reply::Flag(false));
    daemon.directories(other, "vbd", DISK, &disk("/srv/b.img", "w"));
    assert_eq!(daemon.script(3, other, "vbd", DISK, "add"), Some(Exit::Code(0)));
    assert_eq!(daemon.ask(behind("/srv/b.img")), Reply::Flag(true), "the lowest free number is the next");
    assert_eq!(daemon.script(4, one, "vbd", DISK, "remove"), Some(Exit::Code(0)), "another's goes");
    assert_eq!(daemon.world.attachments().loops().count(), 0);
    assert_eq!(daemon.world.breaches(), [Breach::LoopFreed(0, "/srv/b.img".to_owned())], "and the world tells");
    assert_eq!(daemon.script(5, other, "vbd", DISK, "remove"), Some(Exit::Code(1)), "and its own script fails");
    assert_eq!(daemon.value(&back("vbd", other, DISK, "hotplug-status")).as_deref(), Some("error"));
}

#[test]
fn another_program_may_take_a_loop_device_that_was_freed() {
    let mut daemon = Daemon::new(Config { loop_takers: 1, ..Config::default() }, Choices::seeded(1));
    let domid = daemon.create(VM);
    daemon.directories(domid, "vbd", DISK, &disk("/srv/a.img", "w"));
    for handle in [1, 3] {
        assert_eq!(daemon.script(handle, domid, "vbd", DISK, "add"), Some(Exit::Code(0)));
        assert_eq!(daemon.script(handle + 1, domid, "vbd", DISK, "remove"), Some(Exit::Code(0)));
    }
    assert_eq!(daemon.world.attachments().loops().count(), 0);
    assert_eq!(daemon.world.breaches().len(), 1, "the second frees what is named, which is not the back end's");
}

// What `xl destroy` does with devices that libxl has plugged, in the order in which it does it.
#[test]
fn somebody_else_takes_devices_away() {
    for closes in [true, false] {
        let mut daemon = daemon();
        let domid = daemon.start_pv(VM);
        if closes {
            daemon.world.close_back_ends(domid);
            for (kind, devid) in [("vbd", DISK), ("vif", 0)] {
                assert_eq!(daemon.value(&back(kind, domid, devid, "state")).as_deref(), Some("6"), "{kind}: from 4");
                assert_eq!(daemon.value(&back(kind, domid, devid, "online")).as_deref(), Some("0"));
            }
            assert_eq!(daemon.world.attachments().loops().count(), 1, "its script has not run yet");
        }
        daemon.world.lose_back_ends(domid);
        for (kind, devid) in [("vbd", DISK), ("vif", 0)] {
            assert_eq!(daemon.value(&back(kind, domid, devid, "state")), None, "{kind}");
        }
        assert_eq!((daemon.world.attachments().loops().count(), daemon.world.devices().iter().count()), (0, 0));
        assert_eq!(daemon.world.nics().vifs().count(), 0);
    }
}

#[test]
fn a_front_end_that_begins_anew_is_connected_again() {
    for at_once in [false, true] {
        let mut daemon = Daemon::new(Config { pace: Pace::Natural, ..Config::default() }, Choices::nothing());
        let domid = daemon.start_pv(VM);
        daemon.rest();
        for (kind, devid) in [("vbd", DISK), ("vif", 0)] {
            let key = DeviceKey { domid, kind: if kind == "vif" { Kind::Vif } else { Kind::Vbd }, devid };
            daemon.world.frontend_reloads(key, at_once);
            let front = format!("/local/domain/{domid}/device/{kind}/{devid}/state");
            // Only netback goes along with one that does not close first; nobody asks blkback to.
            let first = if at_once && kind == "vif" { "1" } else { "5" };
            assert_eq!(daemon.value(&front).as_deref(), Some(first), "{kind}");
            daemon.wait(Condition::Equals(back(kind, domid, devid, "state"), "2".to_owned()));
            daemon.wait(Condition::Equals(back(kind, domid, devid, "state"), "4".to_owned()));
            daemon.wait(Condition::Equals(front, "4".to_owned()));
            daemon.rest();
            let device = daemon.world.devices().get(key).unwrap();
            assert!(device.live && device.connected, "{kind}");
        }
    }
}

#[test]
fn a_front_end_that_its_guest_removes_takes_the_back_end_along() {
    let mut daemon = Daemon::new(Config { pace: Pace::Natural, ..Config::default() }, Choices::nothing());
    let domid = daemon.start_pv(VM);
    daemon.rest();
    // blkback says nothing of it.
    for (kind, name, devid, state) in [(Kind::Vbd, "vbd", DISK, "4"), (Kind::Vif, "vif", 0, "6")] {
        let key = DeviceKey { domid, kind, devid };
        daemon.world.frontend_removed(key);
        daemon.rest();
        assert_eq!(daemon.value(&format!("/local/domain/{domid}/device/{name}/{devid}/state")), None, "{name}");
        assert_eq!(daemon.value(&back(name, domid, devid, "state")).as_deref(), Some(state), "{name}");
        assert!(!daemon.world.devices().get(key).unwrap().live, "{name}");
    }
}

#[test]
fn a_device_model_may_end_before_it_says_that_it_runs() {
    let mut tape = Tape::default();
    tape.lanes[Concern::Fault as usize] = vec![1, 3];
    let mut daemon = Daemon::new(Config { odd_processes: 2, ..Config::default() }, Choices::taped(tape));
    let domid = daemon.create(VM);
    daemon.directories(domid, "qdisk", DISK, &[("params", "aio:/srv/a.img"), ("type", "qdisk")]);
    let program = daemon.world.facts().qemu.clone();
    let process = Handle(1);
    let role = Role::DeviceModel;
    let (args, env) = (Vec::new(), Vec::new());
    let spawn = Spawn { process, role, domid: Some(domid), program, args, env, scratch: None, stream: None };
    daemon.ask(Request::Spawn(Box::new(spawn)));
    let shown = daemon.wait(Condition::Exited(process)).unwrap();
    assert_eq!(shown.exit, Some(Exit::Code(1)));
    assert_eq!(daemon.value(&format!("/local/domain/0/device-model/{domid}/state")), None);
    assert_eq!(daemon.value(&back("qdisk", domid, DISK, "state")).as_deref(), Some("2"), "it had begun to serve");
    let key = DeviceKey { domid, kind: Kind::Qdisk, devid: DISK };
    assert!(!daemon.world.devices().get(key).unwrap().live);
}

#[test]
fn remove_after_the_directory_leaks_and_makes_it_again() {
    let mut daemon = daemon();
    let domid = daemon.create(VM);
    daemon.directories(domid, "vbd", DISK, &disk("/srv/a.img", "w"));
    daemon.script(1, domid, "vbd", DISK, "add");
    daemon.remove(back("vbd", domid, DISK, "").trim_end_matches('/'));
    assert_eq!(daemon.script(2, domid, "vbd", DISK, "remove"), Some(Exit::Code(1)));
    assert_eq!(daemon.value(&back("vbd", domid, DISK, "hotplug-status")).as_deref(), Some("error"));
    assert_eq!(daemon.world.attachments().loops().count(), 1);
}

#[test]
fn sharing_is_refused_between_vms_where_one_writes() {
    let cases = [("w", "w", false), ("w", "r", false), ("r", "w", false), ("r", "r", true), ("w", "w!", true)];
    for (first, second, fine) in cases {
        for same_vm in [false, true] {
            let mut daemon = daemon();
            let one = daemon.create(VM);
            let other = daemon.create(if same_vm { VM } else { Uuid([8; 16]) });
            for (handle, domid, mode) in [(1, one, first), (2, other, second)] {
                daemon.directories(domid, "vbd", DISK, &disk("/srv/shared.img", mode));
                daemon.script(handle, domid, "vbd", DISK, "add");
            }
            let status = daemon.value(&back("vbd", other, DISK, "hotplug-status"));
            let expected = if fine || same_vm { "connected" } else { "busy" };
            assert_eq!(status.as_deref(), Some(expected), "{first} {second} same vm: {same_vm}");
            // Even a closed back end is in the way until its directory goes.
            daemon.remove(&format!("/local/domain/0/backend/vbd/{one}"));
            daemon.directories(other, "vbd", DISK + 16, &disk("/srv/shared.img", second));
            assert_eq!(daemon.script(3, other, "vbd", DISK + 16, "add"), Some(Exit::Code(0)), "{first} {second}");
        }
    }
}

/// What the back end says at last, and whether a driver still has the device.
fn hard_removal(kind: &str, close: bool, run: bool) -> (Option<String>, bool) {
    let mut daemon = daemon();
    let domid = daemon.start_pv(VM);
    let (devid, key) = match kind {
        "vbd" => (DISK, DeviceKey { domid, kind: Kind::Vbd, devid: DISK }),
        _ => (0, DeviceKey { domid, kind: Kind::Vif, devid: 0 }),
    };
    assert_eq!(daemon.value(&back(kind, domid, devid, "state")).as_deref(), Some("4"));
    if !run {
        daemon.act(domid, DomainAct::Pause);
    }
    daemon.store(&[(&back(kind, domid, devid, "online"), "0")]);
    if close {
        daemon.store(&[(&back(kind, domid, devid, "state"), "5")]);
    }
    daemon.remove(&format!("/local/domain/{domid}/device/{kind}/{devid}"));
    (
        daemon.value(&back(kind, domid, devid, "state")),
        daemon.world.devices().get(key).is_some_and(|device| device.live),
    )
}

#[test]
fn hard_removal_ends_in_6_only_if_the_back_end_was_closing_or_is_netback() {
    for run in [false, true] {
        assert_eq!(hard_removal("vbd", false, run), (Some("4".to_owned()), false));
        assert_eq!(hard_removal("vbd", true, run), (Some("6".to_owned()), false));
        assert_eq!(hard_removal("vif", false, run), (Some("6".to_owned()), false));
        assert_eq!(hard_removal("vif", true, run), (Some("6".to_owned()), false));
    }
}

#[test]
fn clean_removal_needs_the_guest() {
    let mut daemon = daemon();
    let domid = daemon.start_pv(VM);
    daemon.act(domid, DomainAct::Pause);
    for (kind, devid) in [("vbd", DISK), ("vif", 0)] {
        daemon.store(&[(&back(kind, domid, devid, "online"), "0"), (&back(kind, domid, devid, "state"), "5")]);
        daemon.rest();
        assert_eq!(daemon.value(&back(kind, domid, devid, "state")).as_deref(), Some("5"), "{kind}, paused");
    }
    daemon.act(domid, DomainAct::Unpause);
    for (kind, devid) in [("vbd", DISK), ("vif", 0)] {
        daemon.wait(Condition::Equals(back(kind, domid, devid, "state"), "6".to_owned()));
        daemon.wait(Condition::Equals(format!("/local/domain/{domid}/device/{kind}/{devid}/state"), "6".to_owned()));
    }
    assert!(daemon.world.devices().iter().all(|(_, device)| !device.live));
    assert_eq!(daemon.world.nics().vifs().count(), 0, "the interface is gone already");
    assert_eq!(daemon.script(9001, domid, "vif", 0, "offline type_if=vif"), Some(Exit::Code(0)));
}

#[test]
fn vif_bridge_needs_its_interface_and_its_bridge() {
    let mut daemon = daemon();
    daemon.world.nics_mut().missing.insert("nobridge".to_owned());
    let domid = daemon.create(VM);
    daemon.directories(domid, "vif", 0, &[("bridge", "xenbr0")]);
    daemon.directories(domid, "vif", 1, &[("bridge", "nobridge")]);
    let path = format!("backend/vif/{domid}/0");
    let process = daemon.run(1, Role::Hotplug, domid, "online type_if=vif", &[("XENBUS_PATH", &path)]);
    assert_eq!(process.exit, Some(Exit::Code(1)), "without vif in its environment");
    assert_eq!(daemon.value(&back("vif", domid, 0, "hotplug-status")), None);
    assert_eq!(daemon.script(2, domid, "vif", 1, "online type_if=vif"), Some(Exit::Code(1)));
    assert_eq!(daemon.value(&back("vif", domid, 1, "hotplug-status")).as_deref(), Some("error"));
    assert_eq!(daemon.script(3, domid, "vif", 0, "online type_if=vif"), Some(Exit::Code(0)));
    assert_eq!(daemon.value(&back("vif", domid, 0, "hotplug-status")).as_deref(), Some("connected"));
    assert_eq!(daemon.script(4, domid, "vif", 0, "add type_if=tap"), Some(Exit::Code(1)), "no QEMU has made it");
    let link = Request::Link { interface: format!("vif{domid}.0"), bridge: Some("xenbr1".to_owned()), up: None };
    daemon.ask(link);
    assert_eq!(daemon.world.nics().port(&format!("vif{domid}.0")).and_then(|p| p.bridge.as_deref()), Some("xenbr1"));
}

#[test]
fn a_qdisk_is_served_by_its_own_domains_qemu_only() {
    let mut daemon = daemon();
    let (one, other) = (daemon.create(VM), daemon.create(Uuid([8; 16])));
    for domid in [one, other] {
        daemon.directories(domid, "qdisk", DISK, &[("params", "aio:/srv/a.img"), ("type", "qdisk")]);
    }
    let spawn = |handle, domid: DomId, program| Spawn {
        process: Handle(handle),
        role: Role::DeviceModel,
        domid: Some(domid),
        program,
        args: ["-netdev", "type=tap,id=net0,ifname=vif1.0-emu,br=xenbr0"].map(str::to_owned).to_vec(),
        env: Vec::new(),
        scratch: None,
        stream: None,
    };
    let qemu = daemon.world.facts().qemu.clone();
    daemon.ask(Request::Spawn(Box::new(spawn(1, one, qemu))));
    daemon.wait(Condition::Equals(format!("/local/domain/0/device-model/{one}/state"), "running".to_owned()));
    assert_eq!(daemon.value(&back("qdisk", one, DISK, "state")).as_deref(), Some("2"));
    assert_eq!(daemon.value(&back("qdisk", one, DISK, "hotplug-status")).as_deref(), Some("connected"));
    assert_eq!(daemon.value(&back("qdisk", other, DISK, "state")).as_deref(), Some("1"));
    assert!(daemon.world.nics().port("vif1.0-emu").is_some());
    assert_eq!(daemon.ask(Request::Processes(one)), Reply::Roles(vec![Role::DeviceModel]));
    assert!(matches!(daemon.ask(Request::Qmp(one, "query-vnc".to_owned(), String::new())), Reply::Text(_)));
    daemon.world.daemon_crash();
    assert_eq!(daemon.ask(Request::Processes(one)), Reply::Roles(vec![Role::DeviceModel]), "it outlives the daemon");
    daemon.ask(Request::Kill(one, Role::DeviceModel));
    assert_eq!(daemon.ask(Request::Processes(one)), Reply::Roles(vec![]));
    assert!(daemon.world.nics().port("vif1.0-emu").is_none());
}

#[test]
fn a_guest_that_needs_its_disk_says_so() {
    let mut daemon = Daemon::new(Config::default(), Choices::nothing());
    let domid = daemon.start_pv(VM);
    daemon.world.hypervisor.get_mut(domid).unwrap().guest.traits.unplugs = traits::Unplugs::Refuses;
    daemon.store(&[(&back("vbd", domid, DISK, "online"), "0"), (&back("vbd", domid, DISK, "state"), "5")]);
    let error = format!("/local/domain/{domid}/error/device/vbd/{DISK}/error");
    daemon.wait(Condition::Present(error));
    assert_eq!(daemon.value(&back("vbd", domid, DISK, "state")).as_deref(), Some("5"));
}

#[test]
fn a_front_end_connects_only_where_it_may_write() {
    let mut daemon = daemon();
    let domid = daemon.create(VM);
    daemon.build(domid);
    daemon.directories(domid, "vif", 0, &[("bridge", "xenbr0")]);
    let mut batch = Batch::new();
    for leaf in ["", "/state", "/backend"] {
        let path = format!("/local/domain/{domid}/device/vif/0{leaf}");
        batch.changes.push(xenops_core::host::Change::SetPerms(path, Perms::readable(0, domid)));
    }
    daemon.ask(Request::Store(batch));
    daemon.act(domid, DomainAct::Unpause);
    daemon.rest();
    assert_eq!(daemon.value(&back("vif", domid, 0, "state")).as_deref(), Some("2"));
}

// As they were read on Debian 12 with Xen 4.17 and Linux 6.1 (`xenops-sim admit`).
#[test]
fn back_and_front_ends_say_of_themselves_what_linuxs_say() {
    let mut daemon = daemon();
    let domid = daemon.start_pv(VM);
    let (disk, nic) = (back("vbd", domid, DISK, ""), back("vif", domid, 0, ""));
    let front = |class: &str, devid: u32| format!("/local/domain/{domid}/device/{class}/{devid}/");
    for (directory, keys) in [
        (disk, &["feature-max-indirect-segments", "multi-queue-max-queues", "feature-persistent", "sector-size"][..]),
        (nic, &["feature-sg", "feature-rx-copy", "feature-ctrl-ring", "multi-queue-max-queues"][..]),
        (front("vbd", DISK), &["protocol", "feature-persistent", "ring-ref", "event-channel"][..]),
        (front("vif", 0), &["request-rx-copy", "rx-ring-ref", "event-channel-rx", "multi-queue-num-queues"][..]),
    ] {
        for key in keys {
            assert!(daemon.value(&format!("{directory}{key}")).is_some(), "{directory}{key}");
        }
    }
    let balloon = format!("/local/domain/{domid}/control/feature-balloon");
    assert_eq!(daemon.value(&balloon), None, "a kernel without an agent does not tell that it follows its target");
    assert!(daemon.value(&format!("/local/domain/{domid}/control/feature-suspend")).is_some());
}
