//! A VM's life, question by question.

use super::*;
use crate::backend::Reason;
use crate::host::{ImageRecord, ShutdownCode};
use crate::interface::vm::{Priority, PvBoot, PvIndirectBoot};

const LONG: u64 = 1 << 40;

#[test]
fn create_makes_the_record_the_domain_and_its_tree() {
    let mut world = plain(pv());
    let expected = "
        record extra: create
        create Pv domain
        domain 7 SetMaxMem(137216)
        store -7 -hidden/7 -/libxl +7 +hidden/7 +/libxl +7/action-request +7/vm +7/name +7/cpu +7/memory +7/device \
        +7/feature +7/error +7/drivers +7/control +7/attr +7/xenserver +7/data +7/messages +7/vm-data +7/hvmloader \
        +7/rrd +7/platform +7/domain-type +vm -vm/uuid +vm/uuid -vm/name +vm/name +vm/domains +scratch/hotplug +7/unique-domain-id (83)";
    assert_eq!(trace(&mut world, MicroOp::VmCreate), lines(expected));
    let twice = Error::AlreadyExists("domain".to_owned(), UUID.to_owned());
    assert_eq!(world.run(MicroOp::VmCreate), Err(Failure::Error(twice)));
}

#[test]
fn build_prepares_the_domain_and_runs_the_helper() {
    let mut world = plain(pv());
    world.ok(MicroOp::VmCreate);
    let expected = "
        Memory
        domain 7 MaxVcpus(2)
        domain 7 MemmapLimit(196608)
        domain 7 AllocUnbound
        domain 7 AllocUnbound
        spawn Builder xenops-guest -mode linux_build -domid 7 -store_port 1 -store_domid 0 -console_port 2 \
        -console_domid 0 -mem_max_mib 192 -mem_start_mib 128 --force -image /guest/vmlinux -cmdline console=hvc0 \
        -ramdisk /guest/guest.cpio -features  -flags 0
        wait exited
        forget process
        store +7/memory +7/domid +7/store +7/serial +7/console +/libxl (12)
        introduce 7 ring 778753 port 1
        record extra: built";
    assert_eq!(trace(&mut world, MicroOp::VmBuild { force: true }), lines(expected));
}

#[test]
fn builds_of_other_kinds() {
    let shim = "-mode pvh_build -domid 7 -store_port 1 -store_domid 0 -console_port 2 -console_domid 0 \
        -mem_max_mib 213 -mem_start_mib 148 -image /usr/lib/xen-4.17/boot/xen-shim \
        -cmdline pv-shim console=xen shim_mem=25M -features  -flags 0 \
        -module /guest/vmlinux -cmdline console=hvc0 -module /guest/guest.cpio";
    let pvh = "-mode pvh_build -domid 7 -store_port 1 -store_domid 0 -console_port 2 -console_domid 0 \
        -mem_max_mib 188 -mem_start_mib 124 -image /guest/vmlinux -cmdline console=hvc0 -features  -flags 0 \
        -module /guest/guest.cpio";
    let full = "-mode hvm_build -domid 7 -store_port 1 -store_domid 0 -console_port 2 -console_domid 0 \
        -mem_max_mib 188 -mem_start_mib 124 -image /usr/lib/xen-4.17/boot/hvmloader";
    let table = [(BuilderInfo::PvInPvh(pv_info()), shim), (BuilderInfo::Pvh(pv_info()), pvh), (hvm(), full)];
    for (kind, args) in table {
        let mut world = plain(kind);
        world.ok(MicroOp::VmCreate);
        let trace = trace(&mut world, MicroOp::VmBuild { force: false });
        assert!(trace.contains(&format!("spawn Builder xenops-guest {args}\n")), "{trace}");
        let vcpus = trace.find("MaxVcpus(2)").unwrap();
        assert!(vcpus < trace.find("ShadowAllocation(").unwrap(), "{trace}");
        assert!(trace.contains("TimerMode(1)") && !trace.contains("MemmapLimit"), "{trace}");
    }
}

#[test]
fn a_boot_loaders_kernel_is_built_and_removed() {
    let boot = PvIndirectBoot { devices: vec![Disk::Vdi("sr/boot".to_owned())], ..PvIndirectBoot::default() };
    let info = PvInfo { boot: PvBoot::Indirect(boot), ..pv_info() };
    let mut world = plain(BuilderInfo::Pv(info.clone()));
    world.ok(MicroOp::VmCreate);
    let trace = trace(&mut world, MicroOp::VmBuild { force: false });
    let expected = "
        attach xenopsd/boot/a754076e-097e-419b-8c50-1d5e85e7a3a6 sr/boot ro
        activate xenopsd/boot/a754076e-097e-419b-8c50-1d5e85e7a3a6
        spawn Bootloader pygrub --output-format=simple --output-directory=/var/run/xen/pygrub/a754076e-097e-419b-8c50-1d5e85e7a3a6 -q /dev/sr/boot
        wait exited
        forget process
        destroy xenopsd/boot/a754076e-097e-419b-8c50-1d5e85e7a3a6
        Memory";
    assert!(trace.starts_with(&lines(expected)), "{trace}");
    let removed = "RemoveFiles([\"/var/run/xen/pygrub/a754076e-097e-419b-8c50-1d5e85e7a3a6\"])";
    assert!(trace.ends_with(removed), "{trace}");

    let boot = PvBoot::Indirect(PvIndirectBoot::default());
    let mut world = plain(BuilderInfo::Pv(PvInfo { boot, ..info }));
    world.ok(MicroOp::VmCreate);
    let failed = world.run(MicroOp::VmBuild { force: false });
    assert_eq!(failed, Err(Failure::Error(Error::NoBootableDevice)));
}

#[test]
fn what_a_build_says_when_memory_is_short() {
    let mut world = plain(pv());
    world.ok(MicroOp::VmCreate);
    let short = Err(Failure::Error(Error::NotEnoughMemory(137_216 << 10)));
    world.memory.free = 137_215;
    assert_eq!(world.run(MicroOp::VmBuild { force: false }), short, "nothing is being scrubbed");
    world.memory.scrub = 1;
    world.trace.clear();
    assert_eq!(world.run(MicroOp::VmBuild { force: false }), short, "it does not come free");
    assert_eq!(world.trace, ["Memory", "wait 137216 KiB free"]);
    world.memory.free = 1 << 20;
    world.guest.helper_fails = Some("hvm_build_mem 12 Cannot allocate memory");
    assert_eq!(world.run(MicroOp::VmBuild { force: false }), short, "somebody else was faster");
}

#[test]
fn scheduling_is_set_where_it_differs() {
    let mut world = plain(pv());
    let mut row = vm(pv());
    row.scheduler_params.affinity = vec![vec![0, 1]];
    for (weight, set) in [(256, false), (512, true)] {
        row.scheduler_params.priority = Some(Priority { weight, cap: 0 });
        world.context.vm = Arc::new(row.clone());
        world.context.domid = None;
        world.ok(MicroOp::VmCreate);
        let trace = trace(&mut world, MicroOp::VmBuild { force: false });
        assert_eq!(trace.contains("Schedule"), set);
        assert!(trace.contains("HardAffinity([[0, 1], [0, 1]])"), "{trace}");
    }
}

#[test]
fn a_start_needs_few_questions() {
    let mut world = plain(pv());
    start(&mut world);
    assert!(world.requests <= 36, "{}\n{}", world.requests, world.trace.join("\n"));
}

#[test]
fn a_guest_is_asked_to_stop() {
    let mut world = running(plain(pv()));
    world.guest.stops = Some(ShutdownCode::Poweroff);
    let ask = MicroOp::VmShutdownDomain { reason: Reason::Poweroff, timeout: LONG };
    let expected = r#"
        store -7/control/shutdown 7/control/shutdown=poweroff
        wait control/shutdown="" | control/shutdown gone | domain 7 stopped
        wait domain 7 stopped"#;
    assert_eq!(trace(&mut world, ask.clone()), lines(expected));

    let mut world = running(plain(pv()));
    let before = world.mono;
    let late = Error::FailedToShutdown(UUID.to_owned(), LONG as f64 / 1e9);
    assert_eq!(world.run(ask.clone()), Err(Failure::Error(late)));
    assert_eq!(world.mono - before, LONG, "the time for all of it");
    world.guest.obeys = false;
    let before = world.mono;
    assert_eq!(world.run(ask), Err(Failure::Error(Error::FailedToAcknowledgeShutdownRequest)));
    assert_eq!(world.mono - before, world.context.settings.domain_shutdown_ack_timeout);
}

#[test]
fn a_guest_without_drivers_is_stopped_by_xen() {
    let mut world = running(plain(hvm()));
    world.guest.drivers = false;
    let ask = MicroOp::VmShutdownDomain { reason: Reason::Reboot, timeout: LONG };
    let expected = "
        domain 7 HasPvCallback
        domain 7 Shutdown(Reboot)
        wait domain 7 stopped";
    assert_eq!(trace(&mut world, ask), lines(expected));
}

#[test]
fn a_save_ends_its_image_before_it_is_recorded() {
    let mut world = running(plain(pv()));
    world.guest.stops = Some(ShutdownCode::Suspend);
    let trace = trace(&mut world, MicroOp::VmSave(image()));
    let steps: Vec<_> = trace.lines().filter(|line| !line.starts_with("become")).collect();
    let expected = r#"
        open image Save
        append Signature
        append Xenops
        spawn Saver xenops-guest -mode save -domid 7 -fd {stream}
        wait said more than 0
        append Libxc
        tell done
        wait said more than 1
        wait control/balloon-active gone | control/balloon-active="0"
        store -7/control/shutdown 7/control/shutdown=suspend hidden/7/suspending=1
        wait control/shutdown="" | control/shutdown gone | domain 7 stopped
        wait domain 7 stopped
        find domains
        tell done
        wait said more than 4
        append EndOfImage
        sync image
        find domains
        record extra: image
        forget process
        close stream"#;
    assert_eq!(steps.join("\n"), lines(expected));
    assert_eq!(world.context.extra.as_ref().unwrap().suspend_memory_bytes, 32_768 * 4096);
    let ImageRecord::Xenops(text) = &world.image[1] else { panic!("{:?}", world.image) };
    assert!(text.starts_with(r#"((time 2025-08-20T23:19:59Z)(word_size 64)(vm_str "{\"id\":"#), "{text}");
}

#[test]
fn an_hvm_guests_device_model_is_saved_and_restored() {
    let mut world = running(plain(hvm()));
    world.guest.stops = Some(ShutdownCode::Suspend);
    let saved = trace(&mut world, MicroOp::VmSave(image()));
    let state = r#"
        find domains
        Qmp(7, "stop", "{}")
        Qmp(7, "xen-save-devices-state", "{\"filename\":\"/var/run/xen/qemu-save.7\",\"live\":false}")
        tell done"#;
    assert!(saved.contains(&lines(state)), "{saved}");
    assert!(saved.contains("-mode hvm_save -domid 7 -fd {stream} -dm qemu"), "{saved}");
    assert!(saved.contains("append QemuTrad\nappend EndOfImage\nsync image\n"), "{saved}");
    world.ok(MicroOp::VmDestroy);
    world.context.domid = None;
    world.ok(MicroOp::VmCreate);
    world.ok(MicroOp::VmRestore(image()));
    let started = trace(&mut world, MicroOp::VmCreateDeviceModel { restore: true });
    assert!(started.contains(" -incoming exec:cat /var/run/xen/qemu-resume.7 "), "{started}");
}

#[test]
fn a_restore_reads_the_image_to_its_end() {
    let mut world = running(plain(pv()));
    world.guest.stops = Some(ShutdownCode::Suspend);
    world.ok(MicroOp::VmSave(image()));
    world.ok(MicroOp::VmDestroy);
    world.context.domid = None;
    world.ok(MicroOp::VmCreate);
    let whole = std::mem::take(&mut world.image);
    let io = Err(Failure::Error(Error::IoError));
    for cut in 0..whole.len() {
        world.image = whole[..cut].to_vec();
        assert_eq!(world.run(MicroOp::VmRestore(image())), io, "{cut} records");
        assert!(world.processes.is_empty() && world.streams.is_empty());
    }
    world.image = vec![ImageRecord::Xenops(String::new()); 100];
    world.image.insert(0, ImageRecord::Signature);
    assert_eq!(world.run(MicroOp::VmRestore(image())), io, "records without end");
    let failures = [
        ("xc_domain_restore 12 Cannot allocate memory", Error::NotEnoughMemory(137_216 << 10)),
        ("xc_domain_restore 5 Input/output error", Error::IoError),
        ("xc_domain_restore 28 No space left on device", Error::IoError),
    ];
    for (said, error) in failures {
        world.image.clone_from(&whole);
        world.guest.helper_fails = Some(said);
        assert_eq!(world.run(MicroOp::VmRestore(image())), Err(Failure::Error(error)), "{said}");
    }
    world.guest.helper_fails = None;
    world.image = whole;
    let expected = "
        Memory
        domain 7 MaxVcpus(2)
        domain 7 MemmapLimit(196608)
        domain 7 AllocUnbound
        domain 7 AllocUnbound
        open image Restore
        read image
        spawn Restorer xenops-guest -mode restore -domid 7 -fd {stream} -store_port 17 -console_port 18
        read image
        read image
        tell restore:xenguest
        wait exited
        read image
        store +7/memory +7/domid +7/store +7/serial +7/console +/libxl (12)
        introduce 7 ring 5 port 17
        forget process
        close stream";
    assert_eq!(trace(&mut world, MicroOp::VmRestore(image())), lines(expected));
}

#[test]
fn without_a_record_of_its_build_nothing_is_restored() {
    let mut world = plain(pv());
    world.ok(MicroOp::VmCreate);
    let missing = Error::does_not_exist("build_info", UUID);
    assert_eq!(world.run(MicroOp::VmRestore(image())), Err(Failure::Error(missing)));
    for op in [MicroOp::VmPause, MicroOp::VmUnpause, MicroOp::VmCreateDeviceModel { restore: false }] {
        assert_eq!(world.run(op), Err(Failure::Error(Error::DomainNotBuilt)));
    }
}

#[test]
fn a_suspend_is_undone_in_place() {
    let mut world = running(plain(hvm()));
    world.guest.stops = Some(ShutdownCode::Suspend);
    world.ok(MicroOp::VmSave(image()));
    let expected = r#"
        record extra: no image
        store -7/control/shutdown
        find domains
        read 2
        domain 7 Resume
        introduce 7 ring 778753 port 1
        Qmp(7, "cont", "{}")
        store -hidden/7/suspending"#;
    assert_eq!(trace(&mut world, MicroOp::VmFastResume), lines(expected));
    assert_eq!(world.domains[&7].shutdown, None);
    world.guest.obeys = false;
    world.write("/local/domain/7/control/shutdown", "suspend");
    let expected = "
        store -7/control/shutdown
        find domains";
    assert_eq!(trace(&mut world, MicroOp::VmFastResume), lines(expected));
    assert_eq!(world.get("/local/domain/7/control/shutdown"), None);
}

#[test]
fn a_soft_reset_gives_the_guest_new_channels() {
    let mut world = running(plain(hvm()));
    let expected = "
        read 2
        domain 7 Pause
        domain 7 SoftReset
        domain 7 AllocUnbound
        domain 7 AllocUnbound
        introduce 7 ring 778753 port 3
        domain 7 Channels { store: 3, console: 4 }
        store +7/store +7/console -7/control -7/memory +7/data (9)
        domain 7 Unpause";
    assert_eq!(trace(&mut world, MicroOp::VmSoftReset), lines(expected));
}

#[test]
fn a_destruction_leaves_nothing() {
    let mut world = plain(pv());
    let before = world.store.clone();
    start(&mut world);
    let expected = r#"
        find domains
        read 9
        domain 7 tombstone
        domain 7 Pause
        store -0/device-model +back/vbd -7/device +back/vif (10)
        wait 51712/state="6" | 51712/state gone
        is /a.img behind /dev/loop0
        spawn Hotplug block remove
        wait exited
        forget process
        store -7/device -back/vbd -0/error -7/error -7/xenserver -scratch/hotplug -scratch/private -hidden/7 (8)
        wait 51728/state="6" | 51728/state gone
        is /b.img behind /dev/loop1
        spawn Hotplug block remove
        wait exited
        forget process
        store -7/device -back/vbd -0/error -7/error -7/xenserver -scratch/hotplug -scratch/private -hidden/7 (8)
        wait 0/state="6" | 0/state gone
        spawn Hotplug vif-bridge offline type_if=vif
        wait exited
        forget process
        store -7/device -back/vif -0/error -7/error -7/xenserver -scratch/hotplug -scratch/private -hidden/7 (8)
        become VmDestroy
        find domains
        read 9
        domain 7 Destroy
        list vbd/7/
        store -7 -hidden/7 -/libxl -back/vbd -0/error -back/qdisk -back/vif -back/vbd3 -back/9pfs -back/console \
        -back/vkbd -back/vfb -0/device-model -/xenops -scratch -vm/domains (23)"#;
    world.ok(MicroOp::VmUnpause);
    assert_eq!(trace(&mut world, MicroOp::VmDestroy), lines(expected));
    let expected = "
        read 9
        RemoveFiles([\"/var/run/xen/pygrub/a754076e-097e-419b-8c50-1d5e85e7a3a6\"])
        store -scratch -vm
        record extra: drop";
    assert_eq!(trace(&mut world, MicroOp::VmClean { suspended: false }), lines(expected));
    let left: Vec<_> = world.store.keys().filter(|path| path.chars().any(|c| c.is_ascii_digit())).collect();
    assert_eq!(
        left,
        ["/local/domain/0", "/local/domain/0/backend", "/local/domain/0/backend/vbd", "/local/domain/0/backend/vif"]
    );
    assert!(before.is_empty() && world.loops.is_empty());
    world.ok(MicroOp::VbdSetActive("xvda".to_owned(), true));
    world.ok(MicroOp::VmRemove);
    assert!(!world.store.keys().any(|path| path.contains(UUID)));
}

#[test]
fn hooks_run_in_order_until_one_fails() {
    use crate::backend::Hook;
    use crate::host::Exit;
    let mut world = running(plain(pv()));
    let hooks = [("10-a", Exit::Code(0)), ("20-b", Exit::Code(1)), ("30-c", Exit::Code(3)), ("40-d", Exit::Code(0))];
    world.hooks = hooks.map(|(name, exit)| (name.to_owned(), exit)).to_vec();
    let failed = world.run(MicroOp::VmHookScript(Hook::PreDestroy, "hard-shutdown".into()));
    let script = "vm-pre-shutdown/30-c".to_owned();
    let error = Error::HookFailed(script, "hard-shutdown".to_owned(), "said".to_owned(), "3".to_owned());
    assert_eq!(failed, Err(Failure::Error(error)));
    let spawned: Vec<_> = world.trace.iter().filter(|line| line.starts_with("spawn")).collect();
    assert_eq!(spawned.len(), 3);
    assert_eq!(spawned[0], &format!("spawn Hook 10-a -vmuuid {UUID} -reason hard-shutdown -vmdomid 7"));
}

#[test]
fn a_look_sees_all_in_two_questions() {
    let mut world = running(plain(pv()));
    world.write("/local/domain/7/console/tty", "/dev/pts/0");
    world.write("/local/domain/7/attr/os/name", "linux");
    world.write("/local/domain/7/attr/os/hotfixes/1", "left out");
    world.write("/local/domain/7/memory/uncooperative", "");
    world.guest.obeys = false;
    world.write("/local/domain/7/control/shutdown", "suspend");
    world.trace.clear();
    let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
    assert_eq!(world.trace, ["find domains", "read 30"]);
    assert_eq!((seen.active_vbds.join(" "), seen.active_vifs.join(" ")), ("xvda xvdb".to_owned(), "0".to_owned()));
    let domain = &seen.domains[0];
    assert!(domain.complete() && domain.uncooperative && domain.introduced && seen.leftovers.is_empty());
    assert_eq!(domain.instance.as_deref(), Some("org.xen.xapi.xenops.classic"));
    assert_eq!(domain.pending_shutdown.as_deref(), Some("suspend"));
    assert_eq!(domain.memory_target, Some(131_072));
    assert_eq!(domain.console_tty.as_deref(), Some("/dev/pts/0"));
    let agent: Vec<_> = domain.guest_agent.iter().map(|(path, _)| path).collect();
    assert!(agent.contains(&"attr/os/name") && !agent.iter().any(|path| path.contains("hotfixes")), "{agent:?}");
    let data: Vec<_> = domain.xsdata.iter().collect();
    assert_eq!(data, [("vm-data", ""), ("vm-data/foo", "bar")]);
    let devices: Vec<_> = domain.devices.iter().map(|d| (&*d.kind, d.name.as_deref(), d.online)).collect();
    assert_eq!(devices, [("vbd", Some("xvda"), true), ("vbd", Some("xvdb"), true), ("vif", Some("0"), true)]);
    assert_eq!(domain.devices[0].disk(), file("/a.img"));
}

#[test]
fn a_look_leaves_out_what_is_over_the_quota() {
    let mut world = running(plain(pv()));
    let mut settings = world.context.settings.as_ref().clone();
    settings.guest_agent_quota_bytes = 200;
    world.context.settings = Arc::new(settings);
    for n in 0..100 {
        world.write(&format!("/local/domain/7/data/{n}"), "0123456789");
    }
    let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
    let all = seen.domains[0].guest_agent.iter().chain(seen.domains[0].xsdata.iter());
    let size: usize = all.map(|(path, value)| path.len() + value.len()).sum();
    assert!((150..=200).contains(&size), "{size}");
}

#[test]
fn a_look_sees_what_a_dead_domain_left() {
    let mut world = running(plain(pv()));
    world.datapaths.insert("vbd/7/xvda".to_owned());
    world.domains.clear();
    let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
    assert!(seen.domains.is_empty());
    assert_eq!((seen.leftovers, seen.datapaths), (vec![7], vec!["vbd/7/xvda".to_owned()]));
    world.ok(MicroOp::VmClean { suspended: false });
    let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
    assert_eq!(*seen, crate::backend::Observation::default());
    assert!(world.loops.is_empty());
}

#[test]
fn what_a_guest_writes_is_no_device() {
    let mut world = running(plain(pv()));
    world.write("/local/domain/7/device/vbd/9999/backend", "/local/domain/0/backend/vbd/8/51712");
    world.write("/xenops/domain/7/device/vbd/8888/backend", "/local/domain/0/backend/vbd/8/51712");
    let Product::Seen(seen) = world.ok(MicroOp::Look) else { panic!("a look sees") };
    assert_eq!(seen.domains[0].devices.len(), 3);
}
