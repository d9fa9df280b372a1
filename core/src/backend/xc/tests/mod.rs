//! Procedures run against a host in miniature: what they ask, and what they leave.

mod devices;
mod guest;
mod hazards;
mod keys;
mod lifecycle;
mod windows;
mod words;
mod world;

use crate::backend::{ActionRequest, Context, Failure, MicroOp, Product, Settings};
use crate::host::{HostFacts, Uuid};
use crate::interface::vbd::{Kind, Mode};
use crate::interface::vm::{BuilderInfo, HvmInfo, PvDirectBoot, PvInfo};
use crate::interface::{DeviceId, Disk, Error, Network, Vbd, Vif, Vm};
use crate::operation::fixture;
use std::sync::Arc;
use world::World;

const UUID: &str = "a754076e-097e-419b-8c50-1d5e85e7a3a6";

fn pv_info() -> PvInfo {
    fixture::pv_info(PvDirectBoot {
        kernel: "/guest/vmlinux".to_owned(),
        cmdline: "console=hvc0".to_owned(),
        ramdisk: Some("/guest/guest.cpio".to_owned()),
    })
}

fn pv() -> BuilderInfo {
    BuilderInfo::Pv(pv_info())
}

fn hvm() -> BuilderInfo {
    BuilderInfo::Hvm(HvmInfo { vnc_ip: Some("0.0.0.0".to_owned()), ..HvmInfo::default() })
}

fn vm(ty: BuilderInfo) -> Vm {
    Vm {
        id: UUID.to_owned(),
        name: "gpv".to_owned(),
        xsdata: [("vm-data/foo", "bar"), ("control/evil", "1")].into_iter().collect(),
        platformdata: [("acpi_s3", "true"), ("timer_mode", "1")].into_iter().collect(),
        ty,
        memory_static_max: 192 << 20,
        memory_dynamic_max: 192 << 20,
        memory_dynamic_min: 128 << 20,
        vcpu_max: 2,
        generation_id: Some("1:2".to_owned()),
        ..fixture::vm()
    }
}

fn disk(device: &str, backend: Option<Disk>, ty: Kind) -> Arc<Vbd> {
    let mode = if ty == Kind::Cdrom { Mode::ReadOnly } else { Mode::ReadWrite };
    Arc::new(Vbd { id: DeviceId::new(UUID, device), backend, ty, mode, ..Vbd::default() })
}

fn file(path: &str) -> Option<Disk> {
    Some(Disk::Local(path.to_owned()))
}

fn nic(position: i64) -> Arc<Vif> {
    let mac = format!("00:16:3e:00:00:{position:02x}");
    let backend = Network::Local("xenbr0".to_owned());
    Arc::new(Vif { id: DeviceId::new(UUID, position.to_string()), position, mac, backend, ..Vif::default() })
}

fn facts() -> HostFacts {
    HostFacts {
        cpus: 4,
        hvm: true,
        pv: true,
        hap: true,
        shadow: false,
        iommu: false,
        features_pv: String::new(),
        features_hvm: String::new(),
        block_script: "/etc/xen/scripts/block".to_owned(),
        vif_script: "/etc/xen/scripts/vif-bridge".to_owned(),
        guest_helper: "/usr/libexec/xenops-guest".to_owned(),
        qemu: "/usr/libexec/xen-qemu-system-i386".to_owned(),
        hvmloader: "/usr/lib/xen-4.17/boot/hvmloader".to_owned(),
        pv_shim: "/usr/lib/xen-4.17/boot/xen-shim".to_owned(),
        pygrub: "/usr/lib/xen-4.17/bin/pygrub".to_owned(),
        eliloader: "/usr/bin/eliloader".to_owned(),
        hooks: "/etc/xapi.d".to_owned(),
    }
}

/// A host with nothing on it, and a VM that is to come.
fn world(ty: BuilderInfo, vbds: Vec<Arc<Vbd>>, vifs: Vec<Arc<Vif>>) -> World {
    World::new(Context {
        becomes: None,
        id: UUID.parse::<Uuid>().unwrap(),
        text: UUID.into(),
        vm: Arc::new(vm(ty)),
        vbds: vbds.into(),
        vifs: vifs.into(),
        extra: None,
        unreadable: false,
        domid: None,
        straggles: false,
        facts: Arc::new(facts()),
        settings: Arc::new(Settings::default()),
    })
}

/// Two disks, one network interface.
fn plain(ty: BuilderInfo) -> World {
    let disks = vec![disk("xvda", file("/a.img"), Kind::Disk), disk("xvdb", file("/b.img"), Kind::Disk)];
    world(ty, disks, vec![nic(0)])
}

/// Create, build, plug, complete: the plan of a start without its hooks.
fn start(world: &mut World) {
    for op in starting(world) {
        world.ok(op);
    }
}

fn starting(world: &World) -> Vec<MicroOp> {
    let mut ops = vec![MicroOp::VmCreate, MicroOp::VmBuild { force: false }];
    ops.extend(plugging(world, false));
    ops
}

/// All devices, then what makes the domain complete.
fn plugging(world: &World, restore: bool) -> Vec<MicroOp> {
    let mut ops = Vec::new();
    for device in world.context.vbds.iter().map(|vbd| vbd.id.device.clone()) {
        ops.push(MicroOp::VbdSetActive(device.clone(), true));
        ops.push(MicroOp::VbdEpochBegin(device.clone()));
        ops.push(MicroOp::VbdPlug(device));
    }
    for device in world.context.vifs.iter().map(|vif| vif.id.device.clone()) {
        ops.push(MicroOp::VifSetActive(device.clone(), true));
        ops.push(MicroOp::VifPlug(device));
    }
    ops.push(MicroOp::VmCreateDeviceModel { restore });
    ops.push(MicroOp::VmSetActionRequest(ActionRequest::None));
    ops
}

/// From a domain to none, as a power-off does it.
fn tearing_down(world: &World) -> Vec<MicroOp> {
    let vbds = world.context.vbds.iter().map(|vbd| vbd.id.device.clone());
    let vifs = world.context.vifs.iter().map(|vif| vif.id.device.clone());
    let mut ops = vec![MicroOp::VmPause, MicroOp::VmDestroyDeviceModel];
    ops.extend(vbds.map(|device| MicroOp::VbdUnplug { device, force: true }));
    ops.extend(vifs.map(|device| MicroOp::VifUnplug { device, force: true }));
    ops.push(MicroOp::VmDestroy);
    ops
}

/// A VM that runs, with nothing traced yet.
fn running(mut world: World) -> World {
    start(&mut world);
    world.ok(MicroOp::VmUnpause);
    world.trace.clear();
    world.requests = 0;
    world
}

/// Run one micro-op and return its questions, one a line.
fn trace(world: &mut World, op: MicroOp) -> String {
    world.trace.clear();
    world.ok(op);
    world.trace.join("\n")
}

/// A trace as a test writes it: indented, and long lines broken by a backslash.
fn lines(text: &str) -> String {
    let lines: Vec<_> = text.trim().lines().map(str::trim_start).collect();
    lines.join("\n").replace("\\\n", "")
}

/// The error that an operation ends in.
fn error(result: Result<Product, Failure>) -> Error {
    match result {
        Err(Failure::Error(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Where VMs are suspended to.
fn image() -> Disk {
    Disk::Local("/image".to_owned())
}

/// Nothing of any VM is on the host.
fn assert_empty(world: &World, why: &str) {
    assert!(world.domains.is_empty(), "{why}: {:?}", world.domains);
    assert!(world.loops.is_empty(), "{why}: {:?}", world.loops);
    assert!(world.datapaths.is_empty(), "{why}: {:?}", world.datapaths);
    assert!(world.processes.is_empty(), "{why}: {:?}", world.processes.keys());
    let left: Vec<_> = world.store.keys().filter(|path| path.contains("/7") || path.contains(UUID)).collect();
    // Flags and the clock outlive a domain.
    let left: Vec<_> =
        left.into_iter().filter(|path| !path.starts_with("/vm/") || path.contains("/domains/")).collect();
    assert!(left.is_empty(), "{why}: {left:?}");
}

fn stored() -> Vec<Arc<Vbd>> {
    let vdi = Some(Disk::Vdi("sr/vdi".to_owned()));
    vec![disk("xvda", vdi, Kind::Disk), disk("xvdb", file("/b.img"), Kind::Disk)]
}

/// A disk of the storage, one in a file, one that QEMU serves.
fn of_each_kind() -> Vec<Arc<Vbd>> {
    let qdisk = [("backend-kind", "qdisk")].into_iter().collect();
    let served = Vbd { extra_backend_keys: qdisk, ..disk("xvdc", file("/c.img"), Kind::Disk).as_ref().clone() };
    let mut disks = stored();
    disks.push(Arc::new(served));
    disks
}
