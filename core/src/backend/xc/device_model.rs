//! QEMU: for HVM guests always, for others where one of their disks is served by it.

use super::process::{self, internal};
use super::script::{self, Call};
use super::{device, guest, paths, qemu_args, vif};
use crate::backend::{Change, Context, ExtraChange, Failure, Host};
use crate::host::{Batch, Condition, DomId, Exit, Found, Handle, Perms, Process, Query, Reply, Request, Role, Spawn};
use crate::interface::extra::Profile;
use crate::interface::{Disk, Error, VmExtra};
use serde_json::{Value, json};

/// Start QEMU where the VM needs one, and wait until it is ready.
pub(super) async fn create(host: &Host, restore: bool) -> Result<(), Failure> {
    let context = host.context();
    let domid = guest::domid(context)?;
    let extra = context.extra.as_deref().filter(|extra| extra.build_info.is_some() && extra.ty.is_some());
    let extra = extra.ok_or(Error::DomainNotBuilt)?;
    if !guest::is_hvm(context) {
        return match may_serve_disks(context) && serves_disks(host, domid).await? {
            true => start(host, domid, qemu_args::for_disks(context, domid)).await,
            false => Ok(()),
        };
    }
    if extra.xen_platform.is_none() {
        let (id, revision) = platform_device(extra)?;
        host.change(Change::Extra(ExtraChange::XenPlatform(id, revision))).await?;
    }
    let devices = device::read(host, domid).await?;
    start(host, domid, qemu_args::for_hvm(context, domid, extra, restore)?).await?;
    let script = context.facts.vif_script.as_str();
    for twin in devices.iter().filter(|device| vif::has_twin(device)) {
        let devid = twin.devid;
        let call = Call { script, args: &["add", "type_if=tap"], domid, kind: "vif", devid };
        let exit = script::run(host, &call).await?;
        if exit != Some(Exit::Code(0)) {
            let name = twin.name().unwrap_or_default();
            let ending = process::ending(exit);
            return Err(internal(format!("hotplug script for the emulated network interface {name}: {ending}")));
        }
        let is_down = twin.name().and_then(|name| context.vif(name)).is_some_and(|row| !vif::is_up(row));
        if is_down {
            vif::link(host, domid, devid, true, false).await?;
        }
    }
    publish(host, domid).await
}

/// PCI id and revision of the platform device.
fn platform_device(extra: &VmExtra) -> Result<(i64, i64), Failure> {
    match extra.platformdata.get("device_id") {
        Some(text) => match i64::from_str_radix(text.trim_start_matches("0x"), 16) {
            Ok(id) => Ok((id, 2)),
            Err(_) => Err(internal(format!("platform flag device_id is no hexadecimal number: {text}"))),
        },
        None => {
            let old = extra.version < 2 && extra.original_profile != Some(Profile::QemuTrad);
            Ok((1, if old { 2 } else { 1 }))
        }
    }
}

/// Whether a disk of a guest without emulation may be QEMU's.
fn may_serve_disks(context: &Context) -> bool {
    let qdisk = |kind: Option<&String>| kind.is_some_and(|kind| kind == "qdisk");
    qdisk(Some(&context.settings.default_vbd_backend_kind))
        || context
            .vbds
            .iter()
            .any(|vbd| qdisk(vbd.extra_backend_keys.get("backend-kind")) || matches!(vbd.backend, Some(Disk::Vdi(_))))
}

/// Whether one is.
async fn serves_disks(host: &Host, domid: DomId) -> Result<bool, Failure> {
    let found = host.read(vec![Query::Children(paths::backends("qdisk", domid))]).await?;
    Ok(matches!(found.as_slice(), [Found::Children(Some(names))] if !names.is_empty()))
}

/// Whether QEMU runs for the domain, or is about to.
pub(super) async fn is_started(host: &Host, domid: DomId) -> Result<bool, Failure> {
    Ok(host.value(paths::device_model(domid)).await?.is_some())
}

/// The directory that tells of it is there first, so that a QEMU of which nobody has heard yet is found.
async fn start(host: &Host, domid: DomId, args: Vec<String>) -> Result<(), Failure> {
    let context = host.context();
    // A second one would take the disks from the first, which the guest has.
    let serving = host.request(Request::Processes(domid)).await?;
    if matches!(serving, Reply::Roles(roles) if roles.contains(&Role::DeviceModel)) {
        return Err(internal(format!("domain {domid} has a device model already")));
    }
    let mut batch = Batch::new();
    batch.mkdir(paths::device_model(domid), Perms::dom0());
    host.store(batch).await?;
    let process = host.handle().await?;
    let env = [("XEN_DOMAIN_ID", domid.to_string()), ("XEN_QEMU_CONSOLE_LIMIT", "1048576".to_owned())];
    let spawn = Spawn {
        process,
        role: Role::DeviceModel,
        domid: Some(domid),
        program: context.facts.qemu.clone(),
        args,
        env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        scratch: None,
        stream: None,
    };
    host.act(Request::Spawn(Box::new(spawn))).await?;
    let reason = match ready(host, domid, process).await? {
        None => return Ok(()),
        Some(reason) => reason,
    };
    host.shielded().act(Request::Forget(process)).await?;
    Err(Error::FailedToStartEmulator(context.text.to_string(), format!("qemu-dm-{domid}"), reason).into())
}

/// Wait until QEMU serves; what speaks against it, if it does not.
async fn ready(host: &Host, domid: DomId, process: Handle) -> Result<Option<String>, Failure> {
    let running = Condition::Equals(paths::device_model_state(domid), "running".to_owned());
    let any = vec![running, Condition::Exited(process)];
    let (held, Process { lines, exit }) = host.wait(any, host.context().settings.qemu_dm_ready_timeout).await?;
    Ok(match held {
        Some(0) => None,
        Some(_) => Some(lines.last().cloned().unwrap_or_else(|| process::ending(exit))),
        None => Some("was not ready in time".to_owned()),
    })
}

/// What only QEMU knows, and consoles are reached by.
async fn publish(host: &Host, domid: DomId) -> Result<(), Failure> {
    let chardevs = ask(host, domid, "query-chardev", json!({})).await?;
    let vnc = ask(host, domid, "query-vnc", json!({})).await?;
    let domain = paths::domain(domid);
    let mut batch = Batch::new();
    let serial = chardevs.as_array().into_iter().flatten().find(|chardev| chardev["label"] == "serial0");
    if let Some(tty) = serial.and_then(|serial| serial["filename"].as_str()?.strip_prefix("pty:")) {
        batch.write(paths::below(&domain, "serial/0/tty"), tty);
    }
    if let Some(port) = vnc["service"].as_str().filter(|_| vnc["family"] != "unix") {
        batch.write(paths::below(&domain, "console/vnc-port"), port);
    }
    if batch.changes.is_empty() { Ok(()) } else { host.store(batch).await.map(|_| ()) }
}

/// Ask QEMU something.
pub(super) async fn ask(host: &Host, domid: DomId, command: &str, arguments: Value) -> Result<Value, Failure> {
    match host.request(Request::Qmp(domid, command.to_owned(), arguments.to_string())).await? {
        Reply::Text(text) => {
            serde_json::from_str(&text).map_err(|_| internal(format!("device model answered {command} with no JSON")))
        }
        other => Err(internal(format!("host answered {command} with {other:?}"))),
    }
}

/// A disk for QEMU is in xenstore: have it served. Before the guest is complete QEMU is not there yet, and will
/// find the disk when it starts.
pub(super) async fn serve_disk(host: &Host, domid: DomId, devid: u32) -> Result<(), Failure> {
    let context = host.context();
    let queries = [paths::device_model(domid), paths::action_request(domid)].map(Query::Value);
    let found = host.read(queries.to_vec()).await?;
    let is = |at: usize| matches!(found.get(at), Some(Found::Value(Some(_))));
    match (is(0), is(1)) {
        (false, true) => return Ok(()),
        (false, false) if guest::is_hvm(context) => return Err(internal("device model of the domain is gone")),
        (false, false) => start(host, domid, qemu_args::for_disks(context, domid)).await?,
        (true, _) => {}
    }
    let status = paths::below(&paths::backend("qdisk", domid, devid), "hotplug-status");
    let any = vec![Condition::Equals(status, "connected".to_owned())];
    match host.wait(any, context.settings.hotplug_timeout).await?.0 {
        Some(_) => Ok(()),
        None => Err(internal(format!("device model did not take up disk {devid}"))),
    }
}

/// Stop QEMU. None is fine.
pub(super) async fn destroy(host: &Host) -> Result<(), Failure> {
    let context = host.context();
    let Some(domid) = context.domid else { return Ok(()) };
    if !guest::is_hvm(context) && !may_serve_disks(context) {
        return Ok(());
    }
    stop(host, domid).await?;
    let mut batch = Batch::new();
    batch.remove(paths::device_model(domid));
    host.store(batch).await.map(|_| ())
}

/// End it, and remove the files that it leaves.
pub(super) async fn stop(host: &Host, domid: DomId) -> Result<(), Failure> {
    host.act(Request::Kill(domid, Role::DeviceModel)).await?;
    host.act(Request::RemoveFiles(qemu_args::files(domid))).await
}

/// The disk that QEMU has open for a row, as its command line or QMP names it.
pub(super) fn drive(key: u32) -> String {
    format!("ide-{key}")
}

/// Whether QEMU has this disk.
pub(super) fn has(context: &Context, device: &str) -> bool {
    let extra = context.extra.as_deref();
    extra.is_some_and(|extra| extra.qemu_vbds.iter().any(|(id, ..)| id.device == device))
}
