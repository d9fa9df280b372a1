//! The daemon dies, or a client cancels, between any two questions of an operation.

use super::world::World;
use super::*;
use crate::host::{Exit, ImageRecord, Role, ShutdownCode, StorageCall};
use crate::interface::vm::{PvBoot, PvIndirectBoot};

fn full(kind: BuilderInfo) -> World {
    world(kind, of_each_kind(), vec![nic(0)])
}

fn drives() -> World {
    let mut disks = of_each_kind();
    disks.extend([disk("hda", file("/d.img"), Kind::Disk), disk("hdc", None, Kind::Cdrom)]);
    world(hvm(), disks, vec![nic(0), nic(1)])
}

/// Tear down what there is, then clean, as every repair of a VM that is to be halted does.
fn repair(world: &mut World, why: &str) {
    world.ok(MicroOp::VmDestroy);
    world.ok(MicroOp::VmClean { suspended: false });
    assert_empty(world, why);
    assert!(world.epochs.is_empty() && world.context.extra.is_none(), "{why}");
    assert!(!world.store.keys().any(|path| path.contains(UUID)), "{why}");
}

// Fails when `device::add` leaves the device out of dom0's own list.
#[test]
fn h01_a_start_that_was_cut_short_is_torn_down() {
    for new in [|| full(pv()), || full(BuilderInfo::Pvh(pv_info())), drives] {
        for at in 0.. {
            let mut world = new();
            let ops = starting(&world);
            let died = world.die_in(ops, at);
            repair(&mut world, &format!("died after {at}"));
            if !died {
                assert!(at > 40, "a start has {at} steps");
                break;
            }
        }
    }
}

// Fails when `clean` does not end epochs, or `unplug` forgets a disk before its script has run.
#[test]
fn h06_a_power_off_that_was_cut_short_is_finished() {
    for new in [|| full(pv()), drives] {
        for at in 0.. {
            let mut world = running(new());
            let mut ops = tearing_down(&world);
            let vbds = world.context.vbds.iter().map(|vbd| vbd.id.device.clone());
            ops.extend(vbds.flat_map(|vbd| [MicroOp::VbdEpochEnd(vbd.clone()), MicroOp::VbdSetActive(vbd, false)]));
            ops.push(MicroOp::VmClean { suspended: false });
            let died = world.die_in(ops, at);
            repair(&mut world, &format!("died after {at}"));
            if !died {
                assert!(at > 40, "a power-off has {at} steps");
                break;
            }
        }
    }
}

// Fails when `finish` records the image before its end, or before it is durable.
#[test]
fn h11_a_vm_reads_suspended_only_with_a_whole_image() {
    for at in 0.. {
        let mut world = running(full(hvm()));
        world.guest.stops = Some(ShutdownCode::Suspend);
        world.check = Some(|world| {
            let recorded = world.context.extra.as_ref().is_some_and(|extra| extra.suspend_memory_bytes != 0);
            let whole = world.image.last() == Some(&ImageRecord::EndOfImage) && world.synced;
            assert!(whole || !recorded, "{:?}", world.trace);
        });
        let mut ops = vec![MicroOp::VmSave(image())];
        ops.extend(tearing_down(&world));
        let died = world.die_in(ops, at);
        let suspended = world.context.extra.as_ref().is_some_and(|extra| extra.suspend_memory_bytes != 0);
        if suspended {
            world.ok(MicroOp::VmDestroy);
            world.ok(MicroOp::VmClean { suspended: true });
            assert_empty(&world, &format!("died after {at}"));
            assert!(world.context.extra.is_some());
            assert_eq!(world.get(&format!("/vm/{UUID}/devices/vbd/xvda")), Some("1"));
        } else {
            world.context.domid = Some(7);
            world.ok(MicroOp::VmFastResume);
            assert_eq!(world.domains[&7].shutdown, None, "died after {at}: it runs on");
        }
        if !died {
            break;
        }
    }
}

// Fails when `create` or `restore` drops what the record says of the image.
#[test]
fn h05_a_resume_that_was_cut_short_keeps_its_image() {
    for at in 0.. {
        let mut world = running(full(pv()));
        world.guest.stops = Some(ShutdownCode::Suspend);
        world.ok(MicroOp::VmSave(image()));
        for op in tearing_down(&world) {
            world.ok(op);
        }
        world.context.domid = None;
        let (extra, saved) = (world.context.extra.clone(), world.image.clone());
        let mut ops = vec![MicroOp::VmCreate, MicroOp::VmRestore(image())];
        ops.extend(plugging(&world, true));
        let died = world.die_in(ops, at);
        world.ok(MicroOp::VmDestroy);
        world.ok(MicroOp::VmClean { suspended: true });
        assert_empty(&world, &format!("died after {at}"));
        let bytes = |extra: &Option<Arc<crate::interface::VmExtra>>| extra.as_ref().map(|e| e.suspend_memory_bytes);
        assert_eq!((bytes(&world.context.extra), &world.image), (bytes(&extra), &saved));
        if !died {
            break;
        }
    }
}

// Fails when `then_always` cleans up through a host that a cancellation reaches, `save` withdraws its request only
// when the guest did not answer, or `script` can be cancelled half way.
#[test]
fn h45_whoever_is_cancelled_lets_go_of_what_the_daemon_holds() {
    let boot = PvIndirectBoot { devices: vec![Disk::Vdi("sr/boot".to_owned())], ..PvIndirectBoot::default() };
    let kind = BuilderInfo::Pv(PvInfo { boot: PvBoot::Indirect(boot), ..pv_info() });
    let hook = MicroOp::VmHookScript(crate::backend::Hook::PreStart, "none".into());
    let table: Vec<(Vec<MicroOp>, MicroOp)> = vec![
        (vec![MicroOp::VmCreate], MicroOp::VmBuild { force: false }),
        (vec![MicroOp::VmCreate], hook),
        (vec![], MicroOp::VbdPlug("xvdb".to_owned())),
        (vec![], MicroOp::VbdUnplug { device: "xvdb".to_owned(), force: true }),
        (vec![], MicroOp::VmSave(image())),
        (vec![], MicroOp::VmDestroy),
    ];
    for (before, op) in table {
        for at in 0.. {
            let mut world = full(kind.clone());
            world.guest.stops = Some(ShutdownCode::Suspend);
            world.hooks = vec![("10".to_owned(), Exit::Code(0))];
            if before.is_empty() {
                world = running(world);
            }
            before.iter().for_each(|op| drop(world.ok(op.clone())));
            if matches!(op, MicroOp::VbdPlug(_)) {
                world.ok(MicroOp::VbdUnplug { device: "xvdb".to_owned(), force: true });
            }
            world.cancelled_after = Some(at);
            let result = world.run(op.clone());
            let count = |word: &str| world.trace.iter().filter(|line| line.starts_with(word)).count();
            assert!(count("spawn Hotplug") <= count("wait exited"), "{op:?} after {at}");
            let roles = world.processes.values().map(|(spawn, _)| spawn.role);
            let held: Vec<_> = roles.filter(|role| *role != Role::DeviceModel).collect();
            assert!(held.is_empty() && world.streams.is_empty(), "{op:?} after {at}: {held:?}");
            assert!(!world.datapaths.iter().any(|dp| dp.starts_with("xenopsd/")), "{op:?} after {at}");
            assert_ne!(world.get("/local/domain/7/control/shutdown"), Some("suspend"), "{op:?} after {at}");
            match result {
                Ok(_) => break,
                Err(failure) => assert!(failure.is_cancelled(), "{op:?} after {at}: {failure:?}"),
            }
        }
    }
}

// Fails when `clean` ends epochs of a VM that is only suspended.
#[test]
fn an_epoch_outlives_a_suspend() {
    let mut world = running(world(pv(), stored(), Vec::new()));
    world.guest.stops = Some(ShutdownCode::Suspend);
    world.ok(MicroOp::VmSave(image()));
    world.ok(MicroOp::VmDestroy);
    world.ok(MicroOp::VmClean { suspended: true });
    assert_eq!(world.epochs.len(), 1);
    let ended = StorageCall::EpochEnd { vdi: "sr/vdi".to_owned() };
    assert!(!world.trace.contains(&words::request(&crate::host::Request::Storage(ended))));
}
