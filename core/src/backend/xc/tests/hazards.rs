//! Hazards of the manual's list, by their numbers.

use super::world::World;
use super::*;
use crate::backend::{Hook, Reason};
use crate::host::time::SECOND;
use crate::host::{Exit, Fault, ImageRecord, Outcome, Process, Request, ShutdownCode};
use crate::interface::VmExtra;
use crate::interface::extra::Profile;

fn suspended(disks: Vec<Arc<Vbd>>) -> World {
    let mut world = running(world(pv(), disks, Vec::new()));
    world.guest.stops = Some(ShutdownCode::Suspend);
    world.ok(MicroOp::VmSave(image()));
    world.ok(MicroOp::VmDestroy);
    world.context.domid = None;
    world
}

// Fails when `create` writes `action-request` in a batch of its own.
#[test]
fn h02_a_domain_with_a_tree_is_marked_from_the_first() {
    let mut world = plain(pv());
    world.check = Some(|world| {
        let marked = world.get("/local/domain/7/action-request") == Some("poweroff");
        assert_eq!(world.get("/local/domain/7").is_some(), marked);
    });
    world.ok(MicroOp::VmCreate);
    world.ok(MicroOp::VmBuild { force: false });
}

// Fails when `clean` drops the record before it tears the domain down.
#[test]
fn h03_while_there_is_a_domain_there_is_a_record() {
    let mut world = running(plain(pv()));
    world.check = Some(|world| {
        let named = world.store.keys().any(|path| path.starts_with(&format!("/vm/{UUID}/domains/")));
        let there = named || !world.domains.is_empty();
        assert!(!there || world.context.extra.is_some(), "{:?}", world.trace);
    });
    world.ok(MicroOp::VmDestroy);
    world.ok(MicroOp::VmClean { suspended: false });
    assert_eq!(world.context.extra, None);
}

// Fails when `forget` leaves the domain's number out, or `next` goes by the hypervisor's list alone.
#[test]
fn h04_a_destruction_that_was_cut_short_is_finished() {
    for at in 0.. {
        let mut world = running(world(pv(), of_each_kind(), vec![nic(0), nic(1)]));
        let died = world.die_in([MicroOp::VmDestroy], at);
        world.ok(MicroOp::VmDestroy);
        assert_empty(&world, &format!("died after {at}"));
        if !died {
            assert!(at > 30, "the destruction has {at} steps");
            break;
        }
    }
}

// Fails when `release` takes a script's failure for its end, or `tear_down` lets it keep the domain.
#[test]
fn h04_a_script_that_fails_is_run_again() {
    let mut world = running(plain(pv()));
    world.interfere = Some(|request| match request {
        Request::Spawn(spawn) if spawn.args == ["remove"] => Some(Outcome::Ok(crate::host::Reply::Unit)),
        Request::Wait(wait) if matches!(wait.any[..], [crate::host::Condition::Exited(_)]) => {
            Some(Outcome::Ok(crate::host::Reply::Held(None, None)))
        }
        _ => None,
    });
    let failed = "hotplug script for removing xvda did not end in time".to_owned();
    let unplug = MicroOp::VbdUnplug { device: "xvda".to_owned(), force: true };
    assert_eq!(error(world.run(unplug)), Error::InternalError(failed.clone()));
    assert_eq!(error(world.run(MicroOp::VmDestroy)), Error::InternalError(failed));
    assert!(world.domains.is_empty() && world.loops.len() == 2 && world.context.extra.is_some());
    let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
    assert_eq!(seen.leftovers, [7]);
    world.interfere = None;
    world.ok(MicroOp::VmDestroy);
    assert_empty(&world, "the script works again");
}

// Fails when `release` runs the script of a loop device without asking whether that is the disk's still.
#[test]
fn h04_a_loop_device_that_is_anothers_by_now_is_left_alone() {
    for unplugged in [true, false] {
        let mut world = running(plain(pv()));
        // The daemon before this one has freed it, and was killed before it could say so.
        world.loops.insert("/dev/loop0".to_owned(), "/another.img".to_owned());
        world.loops.remove("/dev/loop1");
        if unplugged {
            for device in ["xvda", "xvdb"] {
                world.ok(MicroOp::VbdUnplug { device: device.to_owned(), force: true });
            }
        }
        world.ok(MicroOp::VmDestroy);
        assert_eq!(world.loops.remove("/dev/loop0").as_deref(), Some("/another.img"));
        assert_empty(&world, "what was its own is free");
    }
}

// Fails when `release` goes by the script's status alone.
#[test]
fn h04_a_script_that_fails_and_has_freed_its_loop_device_is_done() {
    let mut world = running(plain(pv()));
    world.interfere = Some(|request| match request {
        // Somebody else has freed it before the script does.
        Request::Wait(wait) if matches!(wait.any[..], [crate::host::Condition::Exited(_)]) => {
            let process = Process { lines: Vec::new(), exit: Some(Exit::Code(1)) };
            Some(Outcome::Ok(crate::host::Reply::Held(Some(0), Some(process))))
        }
        _ => None,
    });
    world.ok(MicroOp::VbdUnplug { device: "xvda".to_owned(), force: true });
    world.interfere = None;
    world.ok(MicroOp::VmDestroy);
    assert_empty(&world, "nothing is left");
}

// Fails when `create` uses whatever record there is.
#[test]
fn h05_a_stale_record_says_nothing_of_a_new_life() {
    let mut world = plain(hvm());
    let stale = VmExtra { profile: Some(Profile::QemuTrad), last_start_time: 1.0, ..VmExtra::default() };
    world.context.extra = Some(Arc::new(stale));
    world.ok(MicroOp::VmCreate);
    let extra = world.context.extra.unwrap();
    assert_eq!((extra.profile, extra.last_start_time as u64), (Some(Profile::QemuUpstreamCompat), 1_755_731_999));
}

// Fails when `create` makes a record for a suspended VM too.
#[test]
fn h05_a_suspended_vm_keeps_its_record() {
    let mut world = suspended(Vec::new());
    let before = world.context.extra.clone();
    world.trace.clear();
    world.ok(MicroOp::VmCreate);
    assert_eq!(world.context.extra, before);
    assert!(!world.trace.contains(&"record extra: create".to_owned()));
}

// Fails when `destroy` lets go of what xenstore names only.
#[test]
fn h07_storage_that_no_device_uses_is_let_go() {
    let mut world = running(plain(pv()));
    world.datapaths.insert("vbd/7/xvdz".to_owned());
    world.datapaths.insert("vbd/70/xvda".to_owned());
    world.ok(MicroOp::VmDestroy);
    assert_eq!(world.datapaths.iter().collect::<Vec<_>>(), ["vbd/70/xvda"]);
}

// Fails when `unplug` leaves the storage alone where there is no device.
#[test]
fn h07_a_plug_that_stopped_after_its_attach_is_undone() {
    let mut world = running(world(pv(), stored(), Vec::new()));
    world.ok(MicroOp::VbdUnplug { device: "xvda".to_owned(), force: true });
    assert!(world.die_in([MicroOp::VbdPlug("xvda".to_owned())], 2));
    assert_eq!(world.datapaths.len(), 1);
    world.context.domid = Some(7);
    // Its row may have changed meanwhile.
    world.context.vbds = vec![disk("xvda", file("/a.img"), Kind::Disk)].into();
    world.ok(MicroOp::VbdUnplug { device: "xvda".to_owned(), force: true });
    assert!(world.datapaths.is_empty());
}

// Fails when `device_model::start` makes its directory after the process.
#[test]
fn h09_a_device_model_is_found_however_early_the_daemon_dies() {
    for at in 0.. {
        let mut world = world(hvm(), Vec::new(), Vec::new());
        world.ok(MicroOp::VmCreate);
        world.ok(MicroOp::VmBuild { force: false });
        let died = world.die_in([MicroOp::VmCreateDeviceModel { restore: false }], at);
        world.ok(MicroOp::VmDestroy);
        assert_empty(&world, &format!("died after {at}"));
        if !died {
            break;
        }
    }
}

// Fails when `rename` does not look at the target first.
#[test]
fn h12_a_name_that_is_taken_is_not_given_away() {
    let other = "04efbb51-2bce-495f-9d86-75fc70ba01e0".parse().unwrap();
    for taken in [true, false] {
        let mut world = running(plain(pv()));
        if taken {
            world.add_domain(9, other, false);
        } else {
            world.write(&format!("/vm/{}/uuid", other.text()), &other.text());
        }
        let before = world.store.clone();
        assert_eq!(error(world.run(MicroOp::VmRename(other))), Error::AlreadyExists("VM".to_owned(), other.text()));
        assert_eq!((world.domains[&7].handle, &world.store), (world.context.id, &before));
    }
}

// Fails when `rename` gives up on a domain that has the new handle already.
#[test]
fn h12_a_rename_that_was_cut_short_is_finished() {
    let to = "04efbb51-2bce-495f-9d86-75fc70ba01e0".parse().unwrap();
    for at in 0..6 {
        let mut world = running(plain(pv()));
        let nodes = world.store.len();
        world.die_in([MicroOp::VmRename(to)], at);
        world.context.domid = Some(7);
        if world.get(&format!("/vm/{UUID}")).is_some() {
            world.ok(MicroOp::VmRename(to));
        }
        assert_eq!(world.domains[&7].handle, to);
        assert_eq!(world.get("/local/domain/7/vm"), Some(format!("/vm/{}", to.text()).as_str()));
        assert_eq!(world.get(&format!("/vm/{}/devices/vbd/xvda", to.text())), Some("1"));
        // Beside what it had: from where it came.
        let mark = format!("/xapi/{}/renamed-from", to.text());
        assert_eq!(world.store.remove(&mark).as_deref(), Some(UUID));
        assert_eq!(world.store.len(), nodes);
        assert!(!world.store.iter().any(|(path, value)| path.contains(UUID) || value.contains(UUID)));
    }
}

// Fails when `rename` takes any other domain under the new name for another VM's, though its own is there already.
#[test]
fn h12_a_rename_that_was_cut_short_is_finished_beside_a_stranger() {
    let to = "04efbb51-2bce-495f-9d86-75fc70ba01e0".parse().unwrap();
    for stranger in [to, UUID.parse().unwrap()] {
        let mut world = running(plain(pv()));
        world.domains.get_mut(&7).unwrap().handle = to;
        world.add_domain(9, stranger, true);
        world.ok(MicroOp::VmRename(to));
        assert_eq!([7, 9].map(|domid| world.domains[&domid].handle), [to; 2]);
        assert_eq!(world.get("/local/domain/7/vm"), Some(format!("/vm/{}", to.text()).as_str()));
    }
}

// Fails when `rename` does not know that it has moved all already: its target then counts as taken, for ever.
#[test]
fn h12_a_rename_whose_rows_did_not_follow_is_done() {
    let to = "04efbb51-2bce-495f-9d86-75fc70ba01e0".parse().unwrap();
    let mut world = running(plain(pv()));
    world.ok(MicroOp::VmRename(to));
    let moved = world.store.clone();
    world.ok(MicroOp::VmRename(to));
    assert_eq!(world.store, moved);
}

// Fails when `create` makes the record after the domain.
#[test]
fn h18_the_record_is_there_before_the_domain() {
    let mut world = plain(pv());
    world.check = Some(|world| assert!(world.domains.is_empty() || world.context.extra.is_some()));
    world.ok(MicroOp::VmCreate);
}

// Fails when `Device::online` goes by `hotplug-status` alone.
#[test]
fn h34_an_unplug_that_is_granted_late_is_seen() {
    let mut world = running(plain(pv()));
    world.guest.refuses = Some("in use");
    let rejected = error(world.run(MicroOp::VbdUnplug { device: "xvdb".to_owned(), force: false }));
    let id = format!("{UUID}.xvdb");
    assert_eq!(rejected, Error::DeviceDetachRejected("VBD".to_owned(), id, "in use".to_owned()));
    let online = |world: &mut World| match world.ok(MicroOp::Look) {
        Product::Seen(seen) => seen.domains[0].device(true, "xvdb").map(|device| (device.online, device.unplug_asked)),
        other => panic!("{other:?}"),
    };
    assert_eq!(online(&mut world), Some((true, true)));
    world.write("/local/domain/0/backend/vbd/7/51728/state", "6");
    assert_eq!(online(&mut world), Some((false, true)));
    world.ok(MicroOp::VbdUnplug { device: "xvdb".to_owned(), force: true });
    assert_eq!((online(&mut world), world.loops.len()), (None, 1));
}

// Fails when a script that says "busy" counts as any other failure.
#[test]
fn h36_a_disk_that_another_vm_uses_is_refused() {
    let mut world = plain(pv());
    world.ok(MicroOp::VmCreate);
    world.ok(MicroOp::VmBuild { force: false });
    world.ok(MicroOp::VbdSetActive("xvda".to_owned(), true));
    world.guest.busy = true;
    let params = vec!["xvda".to_owned(), "is in use".to_owned()];
    let refused = error(world.run(MicroOp::VbdPlug("xvda".to_owned())));
    assert_eq!(refused, Error::StorageBackendError("VDI_IN_USE".to_owned(), params));
}

// Fails when `destroy` takes the first domain only.
#[test]
fn h37_all_domains_of_a_vm_are_destroyed() {
    let mut world = running(plain(pv()));
    for domid in [8, 9] {
        world.add_domain(domid, world.context.id, false);
    }
    world.add_domain(12, "04efbb51-2bce-495f-9d86-75fc70ba01e0".parse().unwrap(), false);
    world.ok(MicroOp::VmDestroy);
    assert_eq!(world.domains.keys().collect::<Vec<_>>(), [&12]);
}

// Fails when `destroy_some` goes on with the others, or takes what they share with it.
#[test]
fn h37_only_the_duplicates_are_destroyed() {
    let mut world = running(plain(pv()));
    world.add_domain(9, world.context.id, false);
    world.ok(MicroOp::VmDestroyDomains(vec![9]));
    assert_eq!(world.domains.keys().collect::<Vec<_>>(), [&7]);
    assert_eq!(world.get(&format!("/xapi/{UUID}/private/vbd/51712/vbd-id")), Some("xvda"));
    assert!(world.context.extra.is_some());
}

// Fails when a save takes any stop for a suspend.
#[test]
fn h47_a_guest_that_dies_is_not_saved() {
    for code in [ShutdownCode::Crash, ShutdownCode::Poweroff, ShutdownCode::Reboot] {
        let mut world = running(plain(pv()));
        world.guest.stops = Some(code);
        let failed = error(world.run(MicroOp::VmSave(image())));
        assert_eq!(failed, Error::FailedToSuspend(UUID.to_owned(), 1200.0));
        assert_eq!(world.context.extra.as_ref().unwrap().suspend_memory_bytes, 0);
        assert!(world.processes.is_empty() && world.streams.is_empty());
        assert!(!world.image.contains(&ImageRecord::EndOfImage));
    }
}

// Fails when a request to suspend that nobody takes is left for later.
#[test]
fn h47_a_guest_that_does_not_answer_does_not_suspend_later() {
    let mut world = running(plain(pv()));
    world.guest.obeys = false;
    let failed = error(world.run(MicroOp::VmSave(image())));
    assert_eq!(failed, Error::FailedToAcknowledgeSuspendRequest);
    assert_eq!(world.get("/local/domain/7/control/shutdown"), None);
}

// Fails when `Condition::Stopped` holds for a power-off only.
#[test]
fn h48_a_guest_that_reboots_when_it_is_to_power_off_has_stopped() {
    for code in [ShutdownCode::Reboot, ShutdownCode::Crash] {
        let mut world = running(plain(pv()));
        world.guest.stops = Some(code);
        world.ok(MicroOp::VmShutdownDomain { reason: Reason::Poweroff, timeout: 60 * SECOND });
        assert_eq!(world.domains[&7].shutdown, Some(code));
    }
}

// Fails when a clean unplug waits on for a guest that has stopped.
#[test]
fn h49_a_guest_that_stops_consents_to_everything() {
    let mut world = running(plain(pv()));
    world.guest.closes = false;
    world.domains.get_mut(&7).unwrap().shutdown = Some(ShutdownCode::Crash);
    world.ok(MicroOp::VbdUnplug { device: "xvda".to_owned(), force: false });
    assert_eq!(world.loops.len(), 1);
}

// Fails when `unplug` asks for a domain.
#[test]
fn h49_without_domain_nothing_is_plugged() {
    let mut world = plain(pv());
    world.ok(MicroOp::VbdUnplug { device: "xvda".to_owned(), force: false });
    world.ok(MicroOp::VifUnplug { device: "0".to_owned(), force: false });
    assert_eq!(world.requests, 0);
}

// Fails when `forget` takes the private keys of a device that another domain of the VM has too.
#[test]
fn h62_domains_side_by_side_keep_what_they_share() {
    let mut world = running(plain(pv()));
    world.add_domain(9, world.context.id, false);
    world.context.domid = Some(9);
    world.write("/local/domain/9/vm", &format!("/vm/{UUID}"));
    world.ok(MicroOp::VbdPlug("xvda".to_owned()));
    world.ok(MicroOp::VmDestroyDomains(vec![9]));
    assert_eq!(world.get(&format!("/xapi/{UUID}/private/vbd/51712/vbd-id")), Some("xvda"));
}

// Fails when a turn of `clean`, `destroy` or `hook` is longer than a history may be.
#[test]
fn h65_many_devices_and_hooks_are_dealt_with_in_turns() {
    let mut disks: Vec<_> =
        (0..100).map(|n| disk(&format!("d{n}"), Some(Disk::Vdi(format!("sr/{n}"))), Kind::Disk)).collect();
    disks.push(disk("d100", None, Kind::Cdrom));
    let mut world = running(world(pv(), disks, (0..8).map(nic).collect()));
    assert_eq!((world.epochs.len(), world.datapaths.len()), (100, 100));
    world.ok(MicroOp::VmDestroy);
    assert_empty(&world, "destroyed");
    world.ok(MicroOp::VmClean { suspended: false });
    assert!(world.epochs.is_empty() && world.context.extra.is_none());
    world.hooks = (0..50).map(|n| (format!("{n:03}"), Exit::Code(0))).collect();
    world.ok(MicroOp::VmHookScript(Hook::PreStart, "none".into()));
    assert_eq!(world.trace.iter().filter(|line| line.starts_with("spawn Hook")).count(), 50);
}

// Fails when a hook's wait has no end, or its process is not ended.
#[test]
fn h67_a_hook_that_hangs_fails_the_operation() {
    let mut world = plain(pv());
    world.hooks = vec![("10-hangs".to_owned(), Exit::Code(0))];
    world.interfere = Some(|request| match request {
        Request::Spawn(_) => Some(Outcome::Ok(crate::host::Reply::Unit)),
        Request::Wait(_) => Some(Outcome::Ok(crate::host::Reply::Held(None, None))),
        _ => None,
    });
    let failed = error(world.run(MicroOp::VmHookScript(Hook::PreStart, "none".into())));
    assert_eq!(failed, Error::InternalError("hook vm-pre-start/10-hangs did not end in time".to_owned()));
    assert_eq!(world.trace.last().map(String::as_str), Some("forget process"));
}

// Fails when `finish` records the image before it is durable.
#[test]
fn h70_an_image_that_is_not_on_disk_is_none() {
    let mut world = running(plain(pv()));
    world.guest.stops = Some(ShutdownCode::Suspend);
    world.interfere = Some(|request| {
        matches!(request, Request::SyncImage(_)).then(|| Outcome::Refused(Fault::Io("no space".to_owned())))
    });
    assert_eq!(world.run(MicroOp::VmSave(image())), Err(Failure::Refused(Fault::Io("no space".to_owned()))));
    assert_eq!(world.context.extra.as_ref().unwrap().suspend_memory_bytes, 0);
    assert!(world.processes.is_empty() && world.streams.is_empty());
}

// Fails when the helper's end is taken for the image's.
#[test]
fn h70_a_full_disk_is_the_images_error() {
    let mut world = running(plain(pv()));
    world.guest.stops = Some(ShutdownCode::Suspend);
    world.guest.helper_fails = Some("xc_domain_save 28 No space left on device");
    assert_eq!(error(world.run(MicroOp::VmSave(image()))), Error::IoError);
    assert_eq!(world.context.extra.as_ref().unwrap().suspend_memory_bytes, 0);
}

// Fails when `set_action_request` writes into whatever has the domain's number now.
#[test]
fn h50_a_number_that_is_another_vms_by_now_is_left_alone() {
    let mut world = running(plain(pv()));
    world.write("/local/domain/7/vm", "/vm/04efbb51-2bce-495f-9d86-75fc70ba01e0");
    let gone = Error::does_not_exist("domain", UUID);
    assert_eq!(error(world.run(MicroOp::VmSetActionRequest(ActionRequest::Poweroff))), gone);
    let shutdown = MicroOp::VmShutdownDomain { reason: Reason::Reboot, timeout: 1 << 40 };
    assert_eq!(error(world.run(shutdown)), gone);
    world.ok(MicroOp::VbdUnplug { device: "xvdb".to_owned(), force: true });
    assert_eq!(error(world.run(MicroOp::VbdPlug("xvdb".to_owned()))), gone);
}

// Fails when `create` does not require that no back end of the number's last domain stands.
#[test]
fn h50_a_number_whose_last_domain_is_not_cleaned_up_is_not_used() {
    let mut world = plain(pv());
    let left = "/local/domain/0/backend/vbd/7/51712/node";
    world.write(left, "/dev/loop3");
    // This host has no other number to give.
    let failed = error(world.run(MicroOp::VmCreate)).to_string();
    assert!(failed.contains("back ends of earlier domains still have the 8 domain numbers"), "{failed}");
    assert_eq!((world.domains.len(), world.get(left)), (0, Some("/dev/loop3")));
    world.remove("/local/domain/0/backend/vbd/7");
    world.ok(MicroOp::VmCreate);
}

// Fails when `tear_down` does not ask whose a number is that only `/vm/<uuid>/domains` still names.
#[test]
fn h50_remains_whose_number_is_reused_are_only_unlisted() {
    let mut world = running(plain(pv()));
    world.domains.clear();
    world.write("/local/domain/7/vm", "/vm/04efbb51-2bce-495f-9d86-75fc70ba01e0");
    world.datapaths.insert("vbd/7/xvda".to_owned());
    let mut expected = world.store.clone();
    world.ok(MicroOp::VmDestroy);
    let gone = |path: &String| path.contains("/domains/7") || path.contains("/hotplug/7");
    expected.retain(|path, _| !gone(path));
    assert_eq!((world.datapaths.len(), world.store), (1, expected));
}

// Fails when `release_devices` does not ask whose the number of a domain that is gone is by then.
#[test]
fn h50_a_number_that_is_reused_while_back_ends_close_is_left_alone() {
    let mut world = running(plain(pv()));
    world.domains.clear();
    world.meanwhile = Some(|world| {
        world.write("/local/domain/7/vm", "/vm/04efbb51-2bce-495f-9d86-75fc70ba01e0");
        world.remove("/local/domain/0/backend/vbd/7/51712");
        world.write("/local/domain/0/backend/vbd/7/51712/params", "/another.img");
    });
    world.ok(MicroOp::VmDestroy);
    assert_eq!(world.get("/local/domain/0/backend/vbd/7/51712/params"), Some("/another.img"));
    assert!(world.loops.contains_key("/dev/loop0"), "no script has run of it");
    assert_eq!(world.get(&format!("/vm/{UUID}/domains/7")), None);
}

// Fails when `next` goes by `/vm/<uuid>/domains` alone: libxl takes that along with a domain that it destroys.
#[test]
fn h04_what_xl_destroyed_is_cleaned_up_with_its_devices() {
    for vifs in [vec![nic(0)], Vec::new()] {
        let disks = if vifs.is_empty() { Vec::new() } else { vec![disk("xvda", file("/a.img"), Kind::Disk)] };
        let mut world = running(world(pv(), disks, vifs));
        world.domains.clear();
        for path in ["/local/domain/7", "/libxl/7", &format!("/vm/{UUID}")] {
            world.remove(path);
        }
        let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
        assert_eq!(seen.leftovers, [7]);
        world.context.domid = None;
        world.ok(MicroOp::VmClean { suspended: false });
        assert_empty(&world, "destroyed by xl");
        let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
        assert_eq!(*seen, crate::backend::Observation::default());
    }
}
