//! Devices and settings of a running VM, question by question.

use super::world::World;
use super::*;
use crate::interface::vif::{Ipv4Configuration, LockingMode};
use crate::interface::{Maybe, Pairs, Value, VmExtra};

fn unplug(device: &str, force: bool) -> MicroOp {
    MicroOp::VbdUnplug { device: device.to_owned(), force }
}

/// An HVM guest with a disk and two drives, the second empty.
fn with_drives() -> World {
    let disks = vec![
        disk("hda", file("/boot.img"), Kind::Disk),
        disk("hdc", file("/cd.iso"), Kind::Cdrom),
        disk("hdd", None, Kind::Cdrom),
    ];
    running(world(hvm(), disks, vec![nic(0)]))
}

#[test]
fn a_disk_is_plugged_and_unplugged() {
    let mut world = running(world(pv(), vec![disk("xvda", file("/a.img"), Kind::Disk)], Vec::new()));
    let expected = r#"
        read 5
        store back/vbd/7/51712/online=0 back/vbd/7/51712/state=5
        wait 51712/state="6" | 51712/state gone | 51712/error there | domain 7 stopped
        is /a.img behind /dev/loop0
        spawn Hotplug block remove
        wait exited
        forget process
        store -7/device -back/vbd -0/error -7/error -7/xenserver -scratch/hotplug -scratch/private -hidden/7 (9)"#;
    assert_eq!(trace(&mut world, unplug("xvda", false)), lines(expected));
    let expected = r#"
        store -7/device -hidden/7 -back/vbd -scratch/private +7/device +hidden/7 +back/vbd +scratch/hotplug \
        +scratch/private (38)
        wait 51712/state gone | 51712/state!="1"
        spawn Hotplug block add
        wait exited
        forget process
        read 2"#;
    assert_eq!(trace(&mut world, MicroOp::VbdPlug("xvda".to_owned())), lines(expected));
    let expected = r#"
        read 5
        store back/vbd/7/51712/online=0 back/vbd/7/51712/state=5 -7/device/vbd/51712
        wait 51712/state="6" | 51712/state gone
        is /a.img behind /dev/loop0
        spawn Hotplug block remove
        wait exited
        forget process
        store -7/device -back/vbd -0/error -7/error -7/xenserver -scratch/hotplug -scratch/private -hidden/7 (9)"#;
    world.guest.closes = false;
    assert_eq!(trace(&mut world, unplug("xvda", true)), lines(expected));
    assert!(world.loops.is_empty());
}

#[test]
fn a_disk_of_the_storage_is_attached_first_and_let_go_last() {
    let vdi = Some(Disk::Vdi("sr/vdi".to_owned()));
    let mut world = running(world(pv(), vec![disk("xvda", vdi, Kind::Disk)], Vec::new()));
    let trace_of_unplug = trace(&mut world, unplug("xvda", true));
    assert!(trace_of_unplug.contains("forget process\ndestroy vbd/7/xvda\nstore -7/device"), "{trace_of_unplug}");
    assert!(world.datapaths.is_empty());
    let plugged = trace(&mut world, MicroOp::VbdPlug("xvda".to_owned()));
    let expected = "
        read 1
        attach vbd/7/xvda sr/vdi rw
        record extra: attached
        activate vbd/7/xvda
        store ";
    assert!(plugged.starts_with(&lines(expected)), "{plugged}");
    assert!(plugged.ends_with("record extra: not attached"), "{plugged}");
    assert_eq!(world.get("/local/domain/0/backend/vbd/7/51712/params"), Some("/dev/sr/vdi"));
    world.ok(unplug("xvda", true));
    world.ok(MicroOp::VbdSetActive("xvda".to_owned(), false));
    assert_eq!(trace(&mut world, MicroOp::VbdPlug("xvda".to_owned())), "read 1");
    assert!(world.datapaths.is_empty(), "a disk that is not active is left alone");
}

#[test]
fn what_is_plugged_already_or_not_wanted() {
    let mut world = running(plain(pv()));
    let before = world.store.clone();
    world.ok(MicroOp::VbdPlug("xvda".to_owned()));
    world.ok(MicroOp::VifPlug("0".to_owned()));
    assert_eq!(world.store, before);
    world.ok(unplug("xvda", true));
    world.ok(MicroOp::VbdSetActive("xvda".to_owned(), false));
    let before = world.store.clone();
    world.ok(MicroOp::VbdPlug("xvda".to_owned()));
    assert_eq!(world.store, before);
    let missing = Error::does_not_exist("VM", format!("{UUID}/vbd.xvdz"));
    assert_eq!(error(world.run(MicroOp::VbdPlug("xvdz".to_owned()))), missing);
    world.context.extra = None;
    assert_eq!(error(world.run(MicroOp::VifPlug("0".to_owned()))), Error::does_not_exist("extra", UUID));
}

#[test]
fn a_disk_without_a_name_of_its_own_gets_a_number() {
    let disks = vec![disk("xvdc", file("/a"), Kind::Disk), disk("whatever", file("/b"), Kind::Disk)];
    let world = running(world(pv(), disks, Vec::new()));
    assert_eq!(world.get("/local/domain/0/backend/vbd/7/51760/params"), Some("/b"));
    assert_eq!(world.get("/local/domain/0/backend/vbd/7/51760/dev"), Some("xvdd"));
}

#[test]
fn a_network_interface_is_plugged_and_unplugged() {
    let mut world = running(plain(hvm()));
    let expected = r#"
        read 5
        store back/vif/7/0/online=0 back/vif/7/0/state=5 -7/device/vif/0
        wait 0/state="6" | 0/state gone
        spawn Hotplug vif-bridge offline type_if=vif
        wait exited
        forget process
        spawn Hotplug vif-bridge remove type_if=tap
        wait exited
        forget process
        store -7/device -back/vif -0/error -7/error -7/xenserver -scratch/hotplug -scratch/private -hidden/7 (8)"#;
    assert_eq!(trace(&mut world, MicroOp::VifUnplug { device: "0".to_owned(), force: true }), lines(expected));
    world.ok(MicroOp::VifPlug("0".to_owned()));
    assert_eq!(world.get("/local/domain/0/backend/vif/7/0/type"), Some("vif"), "QEMU has no twin of a late one");
    let remote = Network::Remote("x".to_owned(), "y".to_owned());
    let row = Arc::new(Vif { backend: remote, ..nic(0).as_ref().clone() });
    world.context.vifs = vec![row].into();
    let unimplemented = Error::Unimplemented("network driver domains".to_owned());
    assert_eq!(error(world.run(MicroOp::VifPlug("0".to_owned()))), unimplemented);
}

// Fails when the devices of a domain that goes are closed whatever state they were seen in: a domain that somebody else
// destroys takes its back ends to 6 meanwhile, and a 5 over that is never answered.
#[test]
fn back_ends_that_close_meanwhile_are_looked_at_again() {
    let disks = ["xvda", "xvdb"].map(|name| disk(name, file("/a.img"), Kind::Disk));
    let mut world = running(world(pv(), disks.to_vec(), Vec::new()));
    world.interfere = Some(|request| match request {
        crate::host::Request::Store(batch) if batch.guards.len() == 2 => {
            Some(crate::host::Outcome::Ok(crate::host::Reply::GuardFailed))
        }
        _ => None,
    });
    let trace = trace(&mut world, MicroOp::VmDestroy);
    let one_by_one = "
        store -0/device-model/7
        store back/vbd/7/51712/online=0 back/vbd/7/51712/state=5 -7/device/vbd/51712
        store back/vbd/7/51728/online=0 back/vbd/7/51728/state=5 -7/device/vbd/51728";
    assert!(trace.contains(&lines(one_by_one)), "{trace}");
    assert!(world.domains.is_empty() && world.get("/local/domain/0/backend/vbd/7/51712/state").is_none());
}

#[test]
fn a_disk_that_qemu_serves() {
    let qdisk: Pairs = [("backend-kind", "qdisk")].into_iter().collect();
    let row = Vbd { extra_backend_keys: qdisk, ..disk("xvda", file("/a.img"), Kind::Disk).as_ref().clone() };
    let mut world = world(pv(), vec![Arc::new(row)], Vec::new());
    start(&mut world);
    let qemu = world.trace.iter().find(|line| line.starts_with("spawn DeviceModel")).unwrap();
    assert!(qemu.ends_with("-xen-attach -name gpv -vnc none -display none -nographic -machine xenpv -m 192"), "{qemu}");
    assert_eq!(world.get("/local/domain/0/backend/qdisk/7/51712/params"), Some("aio:/a.img"));
    assert_eq!(world.get("/local/domain/0/backend/qdisk/7/51712/hotplug-status"), Some("connected"));
    world.ok(MicroOp::VmUnpause);
    assert!(!trace(&mut world, unplug("xvda", true)).contains("spawn"), "no script serves it");
    world.ok(MicroOp::VmDestroyDeviceModel);
    assert!(world.processes.is_empty());
    let late = trace(&mut world, MicroOp::VbdPlug("xvda".to_owned()));
    assert!(late.contains("spawn DeviceModel") && late.ends_with("wait 51712/hotplug-status=\"connected\""), "{late}");
    let other: Pairs = [("backend-kind", "9pfs")].into_iter().collect();
    let row = Vbd { extra_backend_keys: other, ..disk("xvdb", file("/b.img"), Kind::Disk).as_ref().clone() };
    world.context.vbds = vec![Arc::new(row)].into();
    let unimplemented = Error::Unimplemented("disk back end 9pfs".to_owned());
    assert_eq!(error(world.run(MicroOp::VbdPlug("xvdb".to_owned()))), unimplemented);
}

#[test]
fn a_device_model_gets_its_disks_and_nics() {
    let world = with_drives();
    let extra = world.context.extra.as_deref().unwrap();
    let args = super::super::qemu_args::for_hvm(&world.context, 7, extra, false).unwrap().join(" ");
    let expected = "-drive file=/boot.img,if=ide,index=0,media=disk,format=raw,cache=writeback \
        -drive if=none,readonly=on,id=ide-5632,file=/cd.iso,format=raw \
        -device ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0 \
        -drive if=none,readonly=on,id=ide-5696 -device ide-cd,id=ide-5696,drive=ide-5696,bus=ide.1,unit=1";
    assert!(args.ends_with(expected), "{args}");
    let nic = "-device rtl8139,id=nic0,netdev=net0,mac=00:16:3e:00:00:00,romfile= \
        -netdev type=tap,id=net0,ifname=vif7.0-emu,br=xenbr0,script=no,downscript=no -machine xenfv";
    assert!(args.contains(nic), "{args}");
    assert!(args.contains("-vnc 0.0.0.0:0,to=99 -display none -device cirrus-vga,vgamem_mb=4 -serial pty"), "{args}");
    assert!(args.contains("-smp 1,maxcpus=2") && args.contains("-m 188"), "{args}");
    let from_network = BuilderInfo::Hvm(HvmInfo { boot_order: "n".to_owned(), ..HvmInfo::default() });
    let mut world = with_drives();
    world.context.extra = Some(Arc::new(VmExtra { ty: Some(from_network), ..extra.clone() }));
    let extra = world.context.extra.as_deref().unwrap();
    let args = super::super::qemu_args::for_hvm(&world.context, 7, extra, false).unwrap().join(" ");
    assert!(args.contains("-boot order=n ") && !args.contains("romfile"), "{args}");
}

#[test]
fn commas_do_not_get_into_qemus_options() {
    let mut world = with_drives();
    let mut row = vm(hvm());
    row.name = "a,b".to_owned();
    world.context.vm = Arc::new(row);
    let vif = Vif { mac: "x,script=/bin/sh".to_owned(), ..nic(0).as_ref().clone() };
    world.context.vifs = vec![Arc::new(vif)].into();
    let extra = world.context.extra.as_deref().unwrap();
    let args = super::super::qemu_args::for_hvm(&world.context, 7, extra, false).unwrap().join(" ");
    assert!(args.contains("-name a,,b ") && args.contains("mac=x,,script=/bin/sh,romfile= "), "{args}");
}

#[test]
fn a_device_model_that_does_not_come_up() {
    let mut world = world(hvm(), Vec::new(), Vec::new());
    world.ok(MicroOp::VmCreate);
    world.ok(MicroOp::VmBuild { force: false });
    world.interfere = Some(|request| match request {
        crate::host::Request::Wait(_) => {
            let lines = vec!["no such machine".to_owned()];
            let exit = Some(crate::host::Exit::Code(1));
            let said = crate::host::Process { lines, exit };
            Some(crate::host::Outcome::Ok(crate::host::Reply::Held(Some(1), Some(said))))
        }
        _ => None,
    });
    let failed = error(world.run(MicroOp::VmCreateDeviceModel { restore: false }));
    let (name, why) = ("qemu-dm-7".to_owned(), "no such machine".to_owned());
    assert_eq!(failed, Error::FailedToStartEmulator(UUID.to_owned(), name, why));
}

#[test]
fn media_are_ejected_and_inserted() {
    let mut world = with_drives();
    let expected = r#"
        read 5
        Qmp(7, "eject", "{\"force\":true,\"id\":\"ide-5632\"}")
        record extra: qemu disk
        store back/qdisk/7/5632/params=aio: -back/qdisk/7/5632/vdi"#;
    assert_eq!(trace(&mut world, MicroOp::VbdEject("hdc".to_owned())), lines(expected));
    world.ok(MicroOp::VbdEject("hdc".to_owned()));
    let expected = r#"
        read 5
        store scratch/private/qdisk/5632/dp-id=vbd/7/hdc scratch/private/qdisk/5632/vdi-id=sr/iso -back/qdisk/7/5632/vdi
        attach vbd/7/hdc sr/iso ro
        activate vbd/7/hdc
        Qmp(7, "blockdev-change-medium", "{\"filename\":\"/dev/sr/iso\",\"format\":\"raw\",\"id\":\"ide-5632\"}")
        record extra: qemu disk
        store back/qdisk/7/5632/vdi=["VDI","sr/iso"]"#;
    let iso = Disk::Vdi("sr/iso".to_owned());
    assert_eq!(trace(&mut world, MicroOp::VbdInsert("hdc".to_owned(), iso.clone())), lines(expected));
    let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
    assert_eq!(seen.domains[0].device(true, "hdc").unwrap().disk(), Some(iso));
    world.ok(MicroOp::VbdEject("hdc".to_owned()));
    assert!(world.datapaths.is_empty());
    assert_eq!(error(world.run(MicroOp::VbdEject("hda".to_owned()))), Error::MediaNotEjectable);
    world.ok(unplug("hdd", true));
    let disk = Disk::Local("/b.iso".to_owned());
    let insert = MicroOp::VbdInsert("hdd".to_owned(), disk);
    assert_eq!(error(world.run(insert)), Error::DeviceNotConnected);
}

// In `medium::insert`, write `dp-id` beside `params` or `vdi` beside it, leave the `vdi` of a file that is in the drive, or
// drop `half_inserted` from `look`.
#[test]
fn an_insert_cut_short_anywhere_is_seen_and_ejected() {
    for (after, empty) in (0..12).flat_map(|after| [(after, true), (after, false)]) {
        let mut world = with_drives();
        if empty {
            world.ok(MicroOp::VbdEject("hdc".to_owned()));
        }
        world.cancelled_after = Some(after);
        let inserted = world.run(MicroOp::VbdInsert("hdc".to_owned(), Disk::Vdi("sr/iso".to_owned())));
        world.cancelled_after = None;
        let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
        let drive = seen.domains[0].device(true, "hdc").unwrap();
        let holds = drive.vdi.as_ref().is_some_and(|vdi| vdi.contains("sr/iso"));
        assert_eq!(inserted.is_ok(), holds, "cancelled after {after}");
        assert!(world.datapaths.is_empty() || drive.half_inserted || holds, "cancelled after {after}");
        world.ok(MicroOp::VbdEject("hdc".to_owned()));
        assert!(world.datapaths.is_empty(), "cancelled after {after}");
    }
}

#[test]
fn a_pv_guests_drive_comes_and_goes_with_its_medium() {
    let disks = vec![disk("xvdd", None, Kind::Cdrom)];
    let mut world = running(world(pv(), disks, Vec::new()));
    assert!(world.loops.is_empty());
    world.ok(MicroOp::VbdInsert("xvdd".to_owned(), Disk::Local("/a.iso".to_owned())));
    assert_eq!(world.get("/local/domain/0/backend/vbd/7/51760/params"), Some("/a.iso"));
    assert_eq!(world.get("/local/domain/0/backend/vbd/7/51760/mode"), Some("r"));
    world.ok(MicroOp::VbdInsert("xvdd".to_owned(), Disk::Local("/b.iso".to_owned())));
    assert_eq!(world.get("/local/domain/0/backend/vbd/7/51760/params"), Some("/b.iso"));
    world.ok(MicroOp::VbdEject("xvdd".to_owned()));
    assert_eq!((world.loops.len(), world.get("/local/domain/0/backend/vbd/7/51760")), (0, None));
}

#[test]
fn a_network_interface_is_moved_and_its_link_set() {
    let mut world = running(plain(pv()));
    let expected = r#"
        record vif
        read 5
        store back/vif/7/0/bridge=xenbr1 scratch/private/vif/0/bridge=xenbr1
        Link { interface: "vif7.0", bridge: Some("xenbr1"), up: None }"#;
    let network = Network::Local("xenbr1".to_owned());
    assert_eq!(trace(&mut world, MicroOp::VifMove("0".to_owned(), network)), lines(expected));
    let expected = r#"
        read 5
        store 7/device/vif/0/disconnect=1
        Link { interface: "vif7.0", bridge: None, up: Some(false) }
        record vif"#;
    assert_eq!(trace(&mut world, MicroOp::VifSetCarrier("0".to_owned(), false)), lines(expected));
    world.ok(MicroOp::VifSetCarrier("0".to_owned(), true));
    let disabled = MicroOp::VifSetLockingMode("0".to_owned(), LockingMode::Disabled);
    assert!(trace(&mut world, disabled).contains("up: Some(false)"));
    let locked = LockingMode::Locked { ipv4: vec!["10.0.0.1".to_owned()], ipv6: Vec::new() };
    assert!(trace(&mut world, MicroOp::VifSetLockingMode("0".to_owned(), locked)).contains("up: Some(true)"));
    let private = format!("/xapi/{UUID}/private/vif/0");
    assert_eq!(world.get(&format!("{private}/ipv4-allowed")), Some("10.0.0.1"));
    world.ok(MicroOp::VifSetTrunks("0".to_owned(), vec![1, 2]));
    assert_eq!(world.get(&format!("{private}/trunks")), Some("1,2"));
    let address = Ipv4Configuration::Static(vec!["10.0.0.2/24".to_owned()], Maybe(None));
    world.ok(MicroOp::VifSetIpv4("0".to_owned(), address.clone()));
    let settings = "/local/domain/7/xenserver/device/vif/0/static-ip-setting";
    assert_eq!(world.get(&format!("{settings}/address")), Some("10.0.0.2/24"));
    let row = &world.context.vifs[0];
    assert_eq!((&row.ipv4_configuration, row.trunks.len(), row.carrier), (&address, 2, true));
    world.ok(MicroOp::VifSetIpv4("0".to_owned(), Ipv4Configuration::Dhcp));
    assert_eq!(
        (world.get(&format!("{settings}/address")), world.get(&format!("{settings}/enabled"))),
        (None, Some("2"))
    );
}

#[test]
fn a_network_interface_that_is_not_plugged() {
    let mut world = plain(pv());
    let carrier = MicroOp::VifSetCarrier("0".to_owned(), false);
    assert_eq!(trace(&mut world, carrier), "record vif");
    for op in [
        MicroOp::VifSetLockingMode("0".to_owned(), LockingMode::Disabled),
        MicroOp::VifSetTrunks("0".to_owned(), vec![1]),
        MicroOp::VifSetIpv4("0".to_owned(), Ipv4Configuration::Dhcp),
    ] {
        assert_eq!(error(world.run(op)), Error::DeviceNotConnected);
    }
    let row = &world.context.vifs[0];
    assert_eq!((&row.locking_mode, row.trunks.len()), (&LockingMode::Disabled, 0), "trunks: not the row either");
    let halted = world.run(MicroOp::VifMove("0".to_owned(), Network::Local("xenbr1".to_owned())));
    assert_eq!(error(halted), Error::does_not_exist("extra", UUID));
    assert_eq!(world.context.vifs[0].backend, Network::Local("xenbr1".to_owned()));
}

#[test]
fn vcpus_go_on_and_off() {
    let mut world = running(plain(pv()));
    let expected = "
        read 1
        store 7/cpu/1/availability=online";
    assert_eq!(trace(&mut world, MicroOp::VmSetVcpus(2)), lines(expected));
    assert_eq!(trace(&mut world, MicroOp::VmSetVcpus(2)), "read 1");
    world.ok(MicroOp::VmSetVcpus(1));
    assert_eq!(world.get("/local/domain/7/cpu/1/availability"), Some("offline"));
    for wrong in [0, 3] {
        assert_eq!(error(world.run(MicroOp::VmSetVcpus(wrong))), Error::InvalidVcpus(2));
    }
    let mut world = running(plain(hvm()));
    let added = trace(&mut world, MicroOp::VmSetVcpus(2));
    assert!(added.contains(r#"Qmp(7, "device_add", "{\"core-id\":0,\"driver\":\"qemu32-i386-cpu\""#), "{added}");
    let removed = trace(&mut world, MicroOp::VmSetVcpus(1));
    assert!(removed.contains(r#"Qmp(7, "device_del", "{\"id\":\"/machine/unattached/device[1]\"}")"#), "{removed}");
}

#[test]
fn memory_and_shadow_pool_are_tuned() {
    let mut world = running(plain(pv()));
    let grow = MicroOp::VmSetMemoryDynamicRange(160 << 20, 192 << 20);
    let expected = "
        read 1
        domain 7 SetMaxMem(169984)
        store 7/memory/dynamic-min=163840 7/memory/dynamic-max=196608 7/memory/target=163840";
    assert_eq!(trace(&mut world, grow), lines(expected));
    let shrink = MicroOp::VmSetMemoryDynamicRange(64 << 20, 128 << 20);
    let expected = "
        read 1
        store 7/memory/dynamic-min=65536 7/memory/dynamic-max=131072 7/memory/target=131072";
    assert_eq!(trace(&mut world, shrink), lines(expected));
    let unimplemented = Error::Unimplemented("shadow_multiplier for PV domains".to_owned());
    assert_eq!(error(world.run(MicroOp::VmSetShadowMultiplier(2.0))), unimplemented);
    let mut world = running(plain(hvm()));
    let expected = "
        domain 7 GetShadowAllocation
        Memory
        domain 7 ShadowAllocation(8)";
    assert_eq!(trace(&mut world, MicroOp::VmSetShadowMultiplier(2.0)), lines(expected));
    world.memory.free = 0;
    assert_eq!(error(world.run(MicroOp::VmSetShadowMultiplier(4.0))), Error::NotEnoughMemory(12 << 20));
}

#[test]
fn a_guests_own_data_is_replaced() {
    let mut world = running(plain(pv()));
    let data: Pairs = [("vm-data/a", "1"), ("FIST/b", "2"), ("control/c", "3")].into_iter().collect();
    let expected = "store -7/FIST -7/vm-data +7/vm-data +7/FIST (6)";
    assert_eq!(trace(&mut world, MicroOp::VmSetXsdata(data)), expected);
    assert_eq!((world.get("/local/domain/7/vm-data/foo"), world.get("/local/domain/7/FIST/b")), (None, Some("2")));
    assert_eq!(world.get("/local/domain/7/control/c"), None);
    world.ok(MicroOp::VmRequestRdp(true));
    assert_eq!(world.get("/local/domain/7/control/ts"), Some("1"));
}

#[test]
fn a_script_runs_in_the_guest() {
    let mut world = running(plain(pv()));
    let run = MicroOp::VmRunScript("ls".to_owned());
    assert!(matches!(error(world.run(run.clone())), Error::Unimplemented(_)));
    world.write("/local/domain/7/control/feature-xs-batcmd", "1");
    world.interfere = Some(|request| match request {
        crate::host::Request::Wait(_) => Some(crate::host::Outcome::Ok(crate::host::Reply::Held(Some(0), None))),
        crate::host::Request::Read(queries) if queries.len() == 4 => {
            let texts = ["SUCCESS", "3", "out", "err"];
            let found = texts.map(|text| crate::host::Found::Value(Some(text.to_owned())));
            Some(crate::host::Outcome::Ok(crate::host::Reply::Found(found.to_vec())))
        }
        _ => None,
    });
    let result = Value::Dict(vec![
        ("rc".to_owned(), Value::Int(3)),
        ("stdout".to_owned(), Value::String("out".to_owned())),
        ("stderr".to_owned(), Value::String("err".to_owned())),
    ]);
    assert_eq!(world.run(run.clone()), Ok(Product::Result(result)));
    assert_eq!(world.get("/local/domain/7/control/batcmd"), None);
    world.write("/local/domain/7/control/batcmd/state", "IN PROGRESS");
    assert!(matches!(error(world.run(run)), Error::FailedToRunScript(_)));
}

#[test]
fn priorities_are_recorded() {
    use crate::interface::vbd::{Class, Qos, Scheduler};
    let mut world = running(plain(pv()));
    let qos = Some(Qos::Ionice(Scheduler::BestEffort(Class::Low)));
    let row = Vbd { qos, ..disk("xvda", file("/a.img"), Kind::Disk).as_ref().clone() };
    world.context.vbds = vec![Arc::new(row)].into();
    world.ok(MicroOp::VbdSetQos("xvda".to_owned()));
    let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
    assert_eq!(seen.domains[0].device(true, "xvda").unwrap().qos, qos.as_ref().map(crate::backend::ionice_words));
}

#[test]
fn only_fully_virtualised_guests_sleep() {
    let mut world = running(plain(pv()));
    assert!(matches!(error(world.run(MicroOp::VmS3Suspend)), Error::Unimplemented(_)));
    let mut world = running(plain(hvm()));
    let asked = trace(&mut world, MicroOp::VmS3Suspend);
    assert_eq!(asked, "store -7/control/shutdown 7/control/shutdown=s3");
    assert_eq!(trace(&mut world, MicroOp::VmS3Resume), "domain 7 AcpiWake");
}
