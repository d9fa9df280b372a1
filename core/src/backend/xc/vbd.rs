//! Disks: plug, unplug, flags, epochs, priority.

use super::device::{self, Addition, Device};
use super::process::{self, internal};
use super::script::{self, Call};
use super::{device_model, guest, paths};
use crate::backend::{Change, Context, ExtraChange, Failure, Host, ionice_words};
use crate::host::{Attached, Batch, Condition, DomId, Exit, Found, Guard, Query, Request, StorageCall};
use crate::interface::device_number::{Bus, DeviceNumber};
use crate::interface::vbd::{Kind, Mode};
use crate::interface::{Disk, Error, Vbd};

/// What is behind a disk, ready to be opened.
struct Source {
    /// Path; empty for a drive without medium.
    params: String,
    /// Back end's kind if the storage prefers one.
    kind: Option<String>,
    /// How the storage attached it.
    record: Option<String>,
}

/// The storage's name for a disk of a domain.
pub(super) fn datapath(domid: DomId, device: &str) -> String {
    format!("vbd/{domid}/{device}")
}

/// Plug a disk that is active; one that is not is left alone.
pub(super) async fn plug(host: &Host, device: &str) -> Result<(), Failure> {
    let vbd = guest::vbd(host.context(), device)?.clone();
    plug_with(host, &vbd, vbd.backend.as_ref()).await
}

/// Plug a disk with something else behind it than its row says.
pub(super) async fn plug_with(host: &Host, vbd: &Vbd, disk: Option<&Disk>) -> Result<(), Failure> {
    let context = host.context();
    let domid = guest::domid(context)?;
    let hvm = guest::is_hvm(context);
    let device = vbd.id.device.as_str();
    if disk.is_none() && !hvm {
        // A PV guest has no drives, only disks.
        return Ok(());
    }
    let source = match disk {
        Some(Disk::Vdi(vdi)) => {
            if host.value(paths::active(&context.text, "vbd", device)).await?.as_deref() != Some("1") {
                return Ok(());
            }
            stored(host, vbd, vdi, domid).await?
        }
        Some(Disk::Local(path)) => Source { params: path.clone(), kind: None, record: None },
        None => Source { params: String::new(), kind: None, record: None },
    };
    let kind = kind(context, vbd, &source)?;
    let number = number(host, vbd, domid, hvm).await?;
    let devid = number.xenstore_key().ok_or_else(|| internal(format!("disk {device} has no device number")))?;
    let mut batch = device::wanted(context, domid, "vbd", device, devid);
    let addition = keys(context, vbd, disk, &source, domid, kind, number, devid);
    device::add(&mut batch, &context.text, addition);
    if let Some(record) = &source.record {
        batch.write(paths::attachment(&context.text, device), record);
    }
    if !host.store(batch).await? {
        return device::refused(host, domid, "vbd", device).await;
    }
    connect(host, device, domid, kind, devid).await?;
    if let Some(index) = emulated(hvm, number) {
        let path = disk.is_some().then(|| source.params.clone());
        host.change(Change::Extra(ExtraChange::QemuDisk(device.to_owned(), index, path))).await?;
    }
    if source.record.is_some() {
        host.change(Change::Extra(ExtraChange::NotAttached(device.to_owned()))).await?;
    }
    Ok(())
}

/// Have the storage ready what is behind a disk.
pub(super) async fn attach(host: &Host, vbd: &Vbd, vdi: &str, domid: DomId) -> Result<Attached, Failure> {
    let dp = datapath(domid, &vbd.id.device);
    let read_write = vbd.mode == Mode::ReadWrite && vbd.ty != Kind::Cdrom;
    host.attach(StorageCall::Attach { dp, vdi: vdi.to_owned(), domid, read_write }).await
}

/// Have the storage let it be read and written.
pub(super) async fn activate(host: &Host, vbd: &Vbd, vdi: &str, domid: DomId) -> Result<(), Failure> {
    host.storage(StorageCall::Activate { dp: datapath(domid, &vbd.id.device), vdi: vdi.to_owned() }).await
}

/// What is behind a disk of the storage; recorded in between, so that a datapath without a device is known.
async fn stored(host: &Host, vbd: &Vbd, vdi: &str, domid: DomId) -> Result<Source, Failure> {
    let attached = attach(host, vbd, vdi, domid).await?;
    let change = ExtraChange::Attached(vbd.id.device.clone(), attached.record.clone());
    host.change(Change::Extra(change)).await?;
    activate(host, vbd, vdi, domid).await?;
    Ok(Source { params: attached.params, kind: attached.backend_kind, record: Some(attached.record) })
}

/// The back end: drives of an HVM guest are QEMU's, since only it can change a medium.
fn kind(context: &Context, vbd: &Vbd, source: &Source) -> Result<&'static str, Failure> {
    if guest::is_hvm(context) && vbd.ty == Kind::Cdrom {
        return Ok("qdisk");
    }
    let own = vbd.extra_backend_keys.get("backend-kind").or(source.kind.as_ref());
    match own.unwrap_or(&context.settings.default_vbd_backend_kind).as_str() {
        "vbd" | "vbd3" => Ok("vbd"),
        "qdisk" => Ok("qdisk"),
        other => Err(Error::Unimplemented(format!("disk back end {other}")).into()),
    }
}

/// Where the guest sees it: the row's position, its name, or the first number that is free.
async fn number(host: &Host, vbd: &Vbd, domid: DomId, hvm: bool) -> Result<DeviceNumber, Failure> {
    if let Some(number) = vbd.position.or_else(|| DeviceNumber::of_string(hvm, &vbd.id.device)) {
        return Ok(number);
    }
    let list = paths::below(&paths::hidden(domid), "device/vbd");
    let taken = match host.read(vec![Query::Children(list)]).await?.pop() {
        Some(Found::Children(Some(names))) => names,
        _ => Vec::new(),
    };
    let keys = taken.iter().filter_map(|name| name.parse().ok());
    let highest = keys.filter_map(DeviceNumber::of_xenstore_key).map(|number| number.disk).max();
    let disk = highest.map_or(0, |disk| disk + 1).max(1);
    let bus = if hvm && disk < 4 { Bus::Ide } else { Bus::Xen };
    Ok(DeviceNumber { bus, disk, partition: 0 })
}

/// QEMU's index of a disk that it emulates as well.
fn emulated(hvm: bool, number: DeviceNumber) -> Option<i64> {
    (hvm && number.partition == 0 && number.bus == Bus::Ide && number.disk < 4).then_some(i64::from(number.disk))
}

#[expect(clippy::too_many_arguments, reason = "all that stands in a disk's keys")]
fn keys(
    context: &Context,
    vbd: &Vbd,
    disk: Option<&Disk>,
    source: &Source,
    domid: DomId,
    kind: &'static str,
    number: DeviceNumber,
    devid: u32,
) -> Addition {
    let text = |value: &str| value.to_owned();
    let writable = vbd.mode == Mode::ReadWrite && vbd.ty != Kind::Cdrom;
    let device_type = match vbd.ty {
        Kind::Cdrom => "cdrom",
        Kind::Disk => "disk",
        Kind::Floppy => "floppy",
    };
    let frontend = vec![
        ("backend-id", text("0")),
        ("state", text("1")),
        ("virtual-device", devid.to_string()),
        ("device-type", text(device_type)),
        ("trusted", text("1")),
    ];
    let params = match kind {
        // What QEMU has in an emulated drive it is told itself. Its back end would open a file of this name at once, for a
        // front end that never comes, and keep it open after an eject.
        "qdisk"
            if vbd.ty == Kind::Cdrom
                && emulated(guest::is_hvm(context), number).is_some()
                && !mutant!(MediumOpenedTwice) =>
        {
            "aio:".to_owned()
        }
        "qdisk" => format!("aio:{}", source.params),
        _ => source.params.clone(),
    };
    let mut backend = vec![
        ("frontend-id", domid.to_string()),
        ("online", text("1")),
        ("removable", text(if vbd.unpluggable { "1" } else { "0" })),
        ("bootable", text("1")),
        ("state", text("1")),
        ("dev", number.linux_name()),
        ("type", text(if kind == "qdisk" { "qdisk" } else { "phy" })),
        ("mode", text(if writable { "w" } else { "r" })),
        ("device-type", text(device_type)),
        ("discard-enable", text(if writable { "1" } else { "0" })),
        ("params", params),
    ];
    if kind == "vbd" {
        backend.push(("script", context.facts.block_script.clone()));
    }
    if let Some(disk) = disk {
        backend.push(("vdi", json(disk)));
    }
    let device = vbd.id.device.as_str();
    let mut private = vec![(text(device::name_key(kind)), text(device))];
    if let Some(Disk::Vdi(vdi)) = disk {
        private.push((text("dp-id"), datapath(domid, device)));
        private.push((text("vdi-id"), text(vdi)));
    }
    private.extend(vbd.qos.map(|qos| (text("qos"), ionice_words(&qos))));
    private.extend(vbd.extra_private_keys.iter().cloned());
    let mut backend: Vec<_> = backend.into_iter().map(|(key, value)| (text(key), value)).collect();
    backend.extend(vbd.extra_backend_keys.iter().cloned());
    Addition { domid, kind, devid, frontend, backend, private, extras: Vec::new() }
}

/// A disk as the `vdi` key holds it.
pub(super) fn json(disk: &Disk) -> String {
    serde_json::to_string(disk).expect("a disk is plain data")
}

/// Wait for the kernel's back end and have the script give it its device, or leave it to QEMU.
async fn connect(host: &Host, device: &str, domid: DomId, kind: &'static str, devid: u32) -> Result<(), Failure> {
    let context = host.context();
    if kind == "qdisk" {
        return device_model::serve_disk(host, domid, devid).await;
    }
    probed(host, domid, kind, devid).await?;
    let script = context.facts.block_script.as_str();
    script::connect(host, &Call { script, args: &["add"], domid, kind, devid }, device).await
}

/// Wait until dom0's driver has taken the back end up: before that a script finds nothing to work on.
pub(super) async fn probed(host: &Host, domid: DomId, kind: &str, devid: u32) -> Result<(), Failure> {
    let state = paths::below(&paths::backend(kind, domid, devid), "state");
    let any = vec![Condition::Absent(state.clone()), Condition::Differs(state, "1".to_owned())];
    match host.wait(any, host.context().settings.hotplug_timeout).await?.0 {
        Some(1) => Ok(()),
        Some(_) => Err(internal(format!("{kind} {devid} of domain {domid} went away while it was plugged"))),
        None => Err(internal(format!("dom0 has no driver that takes up {kind} {devid} of domain {domid}"))),
    }
}

/// Unplug a disk; one that is not there is fine. What xenstore says of it goes when nothing holds it any more.
pub(super) async fn unplug(host: &Host, device: &str, force: bool) -> Result<(), Failure> {
    let context = host.context();
    let Some(domid) = context.domid else { return Ok(()) };
    let found = device::find(host, domid, "vbd", device).await?;
    if let Some(found) = &found {
        if let Err(message) = device::shut(host, found, force).await? {
            let id = format!("{}.{device}", context.text);
            return Err(Error::DeviceDetachRejected("VBD".to_owned(), id, message).into());
        }
        release(host, found).await?;
    }
    // Without a device nothing says whether the storage holds something for it.
    let attached = found.as_ref().is_none_or(|found| found.private.iter().any(|(key, _)| key == "dp-id"));
    detach(host, device, domid, attached).await?;
    if let Some(found) = &found {
        forsaken(host, found).await?;
        let mut batch = Batch::new();
        device::forget(&mut batch, &context.text, found, false);
        batch.remove(paths::attachment(&context.text, device));
        host.store(batch).await?;
    }
    Ok(())
}

/// Run a disk's script for its end, while the directory still stands that it reads. One that fails has to run again:
/// only that directory names the loop device.
///
/// The script frees whatever loop device is named there. Of a daemon that was killed it may have done so already, and
/// the number may be another disk's by now, whose own script would then fail for good.
pub(super) async fn release(host: &Host, device: &Device) -> Result<(), Failure> {
    let ran = ["physical-device", "node"].iter().any(|key| device.backend_value(key).is_some());
    if device.kind != "vbd" || !ran || has_let_go(host, device).await? {
        return Ok(());
    }
    let script = host.context().facts.block_script.as_str();
    let Device { domid, kind, devid, .. } = device;
    let exit = script::run(host, &Call { script, args: &["remove"], domid: *domid, kind, devid: *devid }).await?;
    if exit == Some(Exit::Code(0)) || has_let_go(host, device).await? {
        return Ok(());
    }
    let name = device.name().unwrap_or_default();
    Err(internal(format!("hotplug script for removing {name} {}", process::ending(exit))))
}

/// Whether the loop device that a disk's directory names is not that disk's any more.
async fn has_let_go(host: &Host, device: &Device) -> Result<bool, Failure> {
    let named = device.backend_value("node").filter(|node| node.starts_with("/dev/loop"));
    let (Some(node), Some(file)) = (named, device.backend_value("params")) else { return Ok(false) };
    let (file, device) = (file.to_owned(), node.to_owned());
    Ok(!host.flag(Request::IsBehind { file, device }).await? && !mutant!(LoopFreedTwice))
}

/// Let go of the storage, and of what the records say of it.
async fn detach(host: &Host, device: &str, domid: DomId, attached: bool) -> Result<(), Failure> {
    let context = host.context();
    let extra = context.extra.as_deref();
    if extra.is_some_and(|extra| extra.qemu_vbds.iter().any(|(id, ..)| id.device == device)) {
        host.change(Change::Extra(ExtraChange::NoQemuDisk(device.to_owned()))).await?;
    }
    let recorded = extra.is_some_and(|extra| extra.attached_vdis.get(device).is_some());
    let vdi = matches!(context.vbd(device).and_then(|vbd| vbd.backend.as_ref()), Some(Disk::Vdi(_)));
    if attached || recorded || vdi {
        host.storage(StorageCall::Destroy { dp: datapath(domid, device) }).await?;
    }
    if recorded {
        host.change(Change::Extra(ExtraChange::NotAttached(device.to_owned()))).await?;
    }
    Ok(())
}

/// Set or clear the flag that a client sees as `active`; class `vbd` or `vif`.
pub(super) async fn set_active(host: &Host, class: &str, device: &str, active: bool) -> Result<(), Failure> {
    let path = paths::active(&host.context().text, class, device);
    let mut batch = Batch::new();
    if active {
        batch.write(path, "1");
    } else {
        batch.remove(path);
    }
    host.store(batch).await.map(|_| ())
}

/// Reset a disk that is not persistent.
pub(super) async fn epoch_begin(host: &Host, device: &str) -> Result<(), Failure> {
    let vbd = guest::vbd(host.context(), device)?;
    match &vbd.backend {
        Some(Disk::Vdi(vdi)) => {
            host.storage(StorageCall::EpochBegin { vdi: vdi.clone(), persistent: vbd.persistent }).await
        }
        _ => Ok(()),
    }
}

/// The period that `epoch_begin` began is over.
pub(super) async fn epoch_end(host: &Host, vbd: &Vbd) -> Result<(), Failure> {
    match &vbd.backend {
        Some(Disk::Vdi(vdi)) => host.storage(StorageCall::EpochEnd { vdi: vdi.clone() }).await,
        _ => Ok(()),
    }
}

/// The row will name another disk or none: end the epoch of the one that it names, unless that is plugged.
pub(super) async fn forsake(host: &Host, device: &str) -> Result<(), Failure> {
    let context = host.context();
    let vbd = guest::vbd(context, device)?;
    let found = match context.domid {
        Some(domid) => device::find(host, domid, "vbd", device).await?,
        None => None,
    };
    let plugged = found.as_ref().and_then(|found| found.private.get("vdi-id"));
    match &vbd.backend {
        Some(Disk::Vdi(vdi)) if plugged == Some(vdi) => Ok(()),
        _ => epoch_end(host, vbd).await,
    }
}

/// A disk was unplugged: its epoch ends if no row names it, for then nobody else ends it.
pub(super) async fn forsaken(host: &Host, found: &Device) -> Result<(), Failure> {
    let Some(vdi) = found.private.get("vdi-id") else { return Ok(()) };
    let names = |vbd: &Vbd| matches!(&vbd.backend, Some(Disk::Vdi(named)) if named == vdi);
    if host.context().vbds.iter().any(|vbd| names(vbd)) {
        return Ok(());
    }
    host.storage(StorageCall::EpochEnd { vdi: vdi.to_owned() }).await
}

/// Record a disk's I/O priority. A plain host has no process per disk to give it to: it is written beside the disk
/// for who does, and shown as in force.
pub(super) async fn set_qos(host: &Host, device: &str) -> Result<(), Failure> {
    let context = host.context();
    let qos = guest::vbd(context, device)?.qos;
    let Some(found) = device::find(host, guest::domid(context)?, "vbd", device).await? else { return Ok(()) };
    let path = paths::below(&paths::private(&context.text, found.kind, found.devid), "qos");
    let mut batch = Batch::new();
    batch.guard(Guard::Exists(paths::trusted(found.domid, "vbd", found.devid)));
    match qos {
        Some(qos) => batch.write(path, ionice_words(&qos)),
        None => batch.remove(path),
    };
    host.store(batch).await.map(|_| ())
}
