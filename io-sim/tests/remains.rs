//! What a VM leaves behind when something happens at the wrong moment: nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use xenops_core::host::time::{MILLISECOND, SECOND};
use xenops_core::host::{Batch, DomainAct, Request, Role, Uuid};
use xenops_core::interface::{Call, DeviceId, Disk};
use xenops_core::machine::EffectId;
use xenops_io_sim::fleet::{DiskShape, Guest, Shape};
use xenops_io_sim::local::Local;
use xenops_io_sim::world::{Choices, Config, Pace, World};

const ID: Uuid = Uuid(*b"\x5e\xed\0\0\0\0\x40\0\x80\0\0\0\0\0\0\x0a");

/// A VM with one disk of the storage.
fn shape(guest: Guest) -> Shape {
    let disk = DiskShape {
        device: "xvda",
        backend: Some(Disk::Vdi("sr/disk".to_owned())),
        writable: true,
        drive: false,
        persistent: true,
        prioritised: false,
        first: true,
    };
    Shape {
        ids: [ID, Uuid(ID.0.map(|byte| !byte))],
        guest,
        disks: vec![disk],
        ..Shape::draw(0, &mut Choices::nothing())
    }
}

fn host(shape: &Shape) -> Local {
    let world = World::new(Config { pace: Pace::Natural, ..Config::default() }, Choices::nothing());
    let mut local = Local::new(world, 4);
    local.ask(Call::VmImportMetadata { metadata: shape.metadata(ID) }).unwrap();
    local
}

/// The epoch of a disk ends with its row, if it does not end with its VM's domain.
#[test]
fn a_disk_that_is_removed_from_a_running_vm_can_be_had_again() {
    let shape = shape(Guest::Pv);
    let mut local = host(&shape);
    let disk = || DeviceId::new(ID.text(), "xvda");
    for _ in 0..2 {
        local.do_task(Call::VmStart { id: ID.text(), paused: false }).unwrap();
        local.do_task(Call::VbdUnplug { id: disk(), force: true }).unwrap();
        local.ask(Call::VbdRemove { id: disk() }).unwrap();
        local.do_task(Call::VmShutdown { id: ID.text(), delay: None }).unwrap();
        local.ask(Call::VbdAdd { vbd: Arc::new(shape.vbd(ID, &shape.disks[0])) }).unwrap();
    }
    assert_eq!(local.world.breaches(), []);
}

/// What a row no longer names when its VM stops is ended when the row is replaced.
#[test]
fn a_disk_that_is_replaced_in_its_row_can_be_had_again() {
    let shape = shape(Guest::Pv);
    let mut other = shape.clone();
    other.disks[0].backend = Some(Disk::Vdi("sr/other".to_owned()));
    let replace: [fn(&mut Local, &Shape); 2] = [
        |local, shape| drop(local.ask(Call::VmImportMetadata { metadata: shape.metadata(ID) }).unwrap()),
        |local, shape| drop(local.ask(Call::VbdAdd { vbd: Arc::new(shape.vbd(ID, &shape.disks[0])) }).unwrap()),
    ];
    for replace in replace {
        let mut local = host(&shape);
        local.do_task(Call::VmStart { id: ID.text(), paused: false }).unwrap();
        replace(&mut local, &other);
        local.do_task(Call::VmShutdown { id: ID.text(), delay: None }).unwrap();
        assert_eq!(local.world.storage().epochs().next(), None);
        replace(&mut local, &shape);
        local.do_task(Call::VmStart { id: ID.text(), paused: false }).unwrap();
        assert_eq!(local.world.breaches(), []);
    }
}

/// A medium comes and goes without epochs: those are of the row's disk, from its VM's start to its end.
#[test]
fn media_that_come_and_go_leave_no_epoch() {
    let mut shape = shape(Guest::Hvm);
    shape.disks[0].device = "hdc";
    shape.disks[0].drive = true;
    shape.disks[0].writable = false;
    let mut local = host(&shape);
    let drive = || DeviceId::new(ID.text(), "xvdc");
    for _ in 0..2 {
        local.do_task(Call::VmStart { id: ID.text(), paused: false }).unwrap();
        local.do_task(Call::VbdEject { id: drive() }).unwrap();
        for disk in ["sr/other", "sr/disk"] {
            local.do_task(Call::VbdInsert { id: drive(), disk: Disk::Vdi(disk.to_owned()) }).unwrap();
            assert_eq!(local.world.storage().epochs().collect::<Vec<_>>(), ["sr/disk"]);
        }
        local.do_task(Call::VmReboot { id: ID.text(), delay: None }).unwrap();
        local.do_task(Call::VbdEject { id: drive() }).unwrap();
        local.do_task(Call::VmShutdown { id: ID.text(), delay: None }).unwrap();
        assert_eq!((local.world.breaches(), local.world.storage().epochs().next()), (&[][..], None));
    }
}

/// A boot loader may go on for a moment when its daemon has been killed, and the next daemon may be quick.
#[test]
fn the_boot_loader_of_a_killed_daemon_leaves_no_files() {
    let shape = shape(Guest::PvBootloader);
    let mut local = host(&shape);
    local.call(Call::VmStart { id: ID.text(), paused: false });
    let runs = |local: &Local| local.world.processes().iter().any(|process| process.spawn.role == Role::Bootloader);
    while !runs(&local) {
        local.pass(MILLISECOND);
    }
    local.restart();
    local.pass(60 * SECOND);
    assert!(local.world.disk().left.is_empty(), "{:?}", local.world.disk().left);
    assert!(local.world.hypervisor().of(ID).next().is_none());
}

/// A script that fails for ever is not tried for ever at the same pace, and who asks is told what is wrong. Fails when
/// `give_up` leaves a VM alone for as long each time, or does not say why its repair failed.
#[test]
fn h04_a_script_that_fails_for_ever_is_tried_seldom_and_told_of() {
    const HOUR: u64 = 3600 * SECOND;
    let mut shape = shape(Guest::Pv);
    shape.disks[0].backend = Some(Disk::Local("/srv/disk.img".to_owned()));
    let mut local = host(&shape);
    local.do_task(Call::VmStart { id: ID.text(), paused: false }).unwrap();
    *local.world.choices() = Choices::seeded(1);
    local.world.config_mut().odd_processes = 1;
    let shutdown = || Call::VmShutdown { id: ID.text(), delay: None };
    let failed = local.do_task(shutdown()).expect_err("its script fails");
    assert!(failed.to_string().contains("hotplug script for removing"), "{failed}");
    local.pass(6 * HOUR);
    let before = local.requests;
    local.pass(6 * HOUR);
    let tried = local.requests - before;
    assert!((10..1000).contains(&tried), "{tried} requests in six hours");
    let told = local.do_task(Call::VmStart { id: ID.text(), paused: false }).expect_err("what is there must go first");
    let told = told.to_string();
    assert!(told.contains("needs attention") && told.contains("hotplug script for removing"), "{told}");
    local.world.config_mut().odd_processes = 0;
    local.do_task(shutdown()).unwrap();
    assert_eq!(local.world.attachments().loops().count(), 0);
    local.do_task(Call::VmStart { id: ID.text(), paused: false }).unwrap();
}

/// Somebody else asks the host for this, and has it.
fn meddle(local: &mut Local, request: Request) {
    local.world.start(EffectId(u64::MAX), request);
    while local.world.take_outcome().is_none() {
        local.world.run_until(local.world.next_event().unwrap());
    }
}

/// A daemon that has listed no domains yet sees one whose xenstore has gone; that the domain follows is news as well.
#[test]
fn a_domain_that_goes_before_any_list_is_missed() {
    let mut local = host(&shape(Guest::Pv));
    local.do_task(Call::VmStart { id: ID.text(), paused: false }).unwrap();
    local.do_task(Call::VmUnpause { id: ID.text() }).unwrap();
    local.pass(30 * SECOND);
    local.restart();
    local.pass(30 * SECOND);
    let domid = local.world.hypervisor().of(ID).next().unwrap();
    let mut batch = Batch::new();
    batch.remove(format!("/local/domain/{domid}")).remove(format!("/vm/{ID}"));
    meddle(&mut local, Request::Store(batch));
    local.pass(30 * SECOND);
    local.do_task(Call::VmStart { id: ID.text(), paused: false }).expect_err("a guest runs that nobody knows");
    meddle(&mut local, Request::Domain(domid, DomainAct::Destroy));
    local.pass(30 * SECOND);
    local.do_task(Call::VmStart { id: ID.text(), paused: false }).unwrap();
}
