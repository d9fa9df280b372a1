//! VM.destroy: domains of the VM, and all that belongs to them, until nothing tells that they were.
//!
//! One domain a turn, and of a domain with many devices a few a turn; each turn finds out anew what is left, so it
//! does not matter where the one before it stopped. What names a thing goes after the thing: a domain's number stays
//! in `/vm/<uuid>/domains` and `/xapi/<uuid>/hotplug`, a device in dom0's list, until the last of it is gone. Two
//! places, since libxl takes the first along with a domain that it destroys.

use super::device::{self, Device};
use super::{device_model, guest, paths, vbd, vif};
use crate::backend::{Failure, Host, MicroOp, Product};
use crate::host::store::Guard;
use crate::host::time::SECOND;
use crate::host::{Batch, DomId, DomainAct, DomainInfo, Fault, Found, Query, Reply, Request, StorageCall, Uuid};

/// Devices, and datapaths, that one turn deals with.
const TURN: usize = 3;

/// How long a back end has to let go of a device of a guest that will not run again.
const PATIENCE: u64 = 10 * SECOND;

/// Back ends that may have a directory for a domain, beside those that are listed.
const OTHER_KINDS: [&str; 5] = ["vbd3", "9pfs", "console", "vkbd", "vfb"];

/// What is left of a domain.
pub(super) struct Remains {
    domid: DomId,
    /// As Xen still has it.
    alive: Option<DomainInfo>,
    /// xenstore says whose it is.
    named: bool,
    /// Its number is another domain's by now: nothing of that is ours to touch.
    reused: bool,
    /// It is not the only one of the VM.
    beside: bool,
    /// QEMU was started for it.
    served: bool,
    devices: Vec<Device>,
}

/// Tear down all domains of the VM. While there is a domain there is a record, and for whoever cleans up after it.
pub(super) async fn destroy(host: &Host) -> Result<Product, Failure> {
    let context = host.context();
    if mutant!(ExtraDroppedFirst) && context.extra.as_ref().is_some_and(|extra| extra.suspend_memory_bytes == 0) {
        host.change(crate::backend::Change::Extra(crate::backend::ExtraChange::Drop)).await?;
    }
    let infos = host.find_domains(context.id).await?;
    if let Some(remains) = next(host, &infos, None).await?
        && !tear_down(host, remains).await?
    {
        return host.become_op(MicroOp::VmDestroy).await;
    }
    Ok(Product::Nothing)
}

/// Tear down these domains, as far as they are the VM's.
pub(super) async fn destroy_some(host: &Host, domids: &[DomId]) -> Result<Product, Failure> {
    let infos = host.find_domains(host.context().id).await?;
    match next(host, &infos, Some(domids)).await? {
        Some(remains) => {
            tear_down(host, remains).await?;
            host.become_op(MicroOp::VmDestroyDomains(domids.to_vec())).await
        }
        None => Ok(Product::Nothing),
    }
}

/// What is left of some domain of the VM: one that Xen has, or one that only xenstore names.
pub(super) async fn next(
    host: &Host,
    infos: &[DomainInfo],
    only: Option<&[DomId]>,
) -> Result<Option<Remains>, Failure> {
    let context = host.context();
    let wanted = |domid: &DomId| *domid != 0 && only.is_none_or(|only| only.contains(domid));
    let alive = infos.iter().find(|info| wanted(&info.domid));
    let guess =
        alive.map(|info| info.domid).or(context.domid.filter(wanted)).or(only.and_then(|only| only.first().copied()));
    let (named, remains) = read(host, guess).await?;
    let chosen = guess.filter(|domid| alive.is_some() || named.contains(domid));
    let remains = match (chosen, named.iter().copied().find(wanted)) {
        (Some(_), _) => remains,
        (None, Some(domid)) => read(host, Some(domid)).await?.1,
        (None, None) => None,
    };
    Ok(remains.map(|remains| {
        let other = |domid: &DomId| *domid != remains.domid;
        let beside = infos.iter().any(|info| other(&info.domid)) || named.iter().any(other);
        // Xen says whose a living domain is; xenstore may not know it yet.
        let reused = remains.reused && alive.is_none();
        Remains { alive: alive.cloned(), reused, beside, ..remains }
    }))
}

/// The domains that xenstore names as the VM's, and what it has of one domain.
async fn read(host: &Host, domid: Option<DomId>) -> Result<(Vec<DomId>, Option<Remains>), Failure> {
    let uuid = &host.context().text;
    let lists = [paths::below(&paths::vm(uuid), "domains"), paths::hotplug_domains(uuid)];
    let mut queries = lists.map(Query::Children).to_vec();
    if let Some(domid) = domid {
        queries.push(Query::Value(paths::owner(domid)));
        queries.push(Query::Value(paths::device_model(domid)));
        queries.extend(device::queries(uuid, domid));
    }
    let mut found = host.read(queries).await?.into_iter();
    let named = found.by_ref().take(2).flat_map(names).collect();
    let remains = domid.map(|domid| {
        let (owner, model) = (found.next(), found.next());
        let named = matches!(owner, Some(Found::Value(Some(_))));
        let reused = is_of_another(host, owner.as_ref());
        let served = matches!(model, Some(Found::Value(Some(_))));
        let devices = device::list(domid, &mut found);
        Remains { domid, alive: None, named, reused, beside: false, served, devices }
    });
    Ok((named, remains))
}

fn names(found: Found) -> Vec<DomId> {
    match found {
        Found::Children(Some(names)) => names.iter().filter_map(|name| name.parse().ok()).collect(),
        _ => Vec::new(),
    }
}

/// Tear one domain down, or part of what it has; whether nothing of the VM is left now.
///
/// It carries its tombstone first, so that no look takes it for a VM that lives. Then it stops, so that its devices
/// can be taken away under it: while a back end or QEMU holds its memory Xen cannot let it go.
pub(super) async fn tear_down(host: &Host, remains: Remains) -> Result<bool, Failure> {
    let Remains { domid, alive, named, reused, beside, served, devices } = remains;
    if reused && !mutant!(ReusedNumberTouched) {
        let mut batch = Batch::new();
        batch.remove(paths::vm_domain(&host.context().text, domid));
        batch.remove(paths::hotplugs(&host.context().text, domid));
        host.store(batch).await?;
        return Ok(!beside);
    }
    if let Some(info) = &alive {
        // One that nothing else names would be nobody's under its tombstone.
        if !info.handle.is_tombstone() && named && !mutant!(NoTombstone) {
            unless_gone(host.domain(domid, DomainAct::SetHandle(Uuid::tombstone(domid))).await)?;
        }
        if !info.paused && !info.dying {
            unless_gone(host.domain(domid, DomainAct::Pause).await)?;
        }
    }
    // A restore that stopped half way has left QEMU's state without QEMU.
    if (served || guest::is_hvm(host.context())) && !mutant!(EmulatorLeft) {
        device_model::stop(host, domid).await?;
    }
    let mut released = Ok(());
    if !devices.is_empty() || served {
        let gone = alive.is_none();
        released = release_devices(host, domid, gone, &devices[..devices.len().min(TURN)], beside).await?;
    }
    // Its back ends had their time: what was read before is old, and the number may be another domain's by now.
    if !devices.is_empty() && released.is_ok() {
        return Ok(false);
    }
    let ours = alive.is_some() && (devices.is_empty() || has(host, domid).await?);
    if ours && !mutant!(Canary) {
        unless_gone(host.domain(domid, DomainAct::Destroy).await)?;
    }
    // What could not be released stays listed: somebody must come back for it.
    released?;
    if !release_storage(host, domid).await? {
        return Ok(false);
    }
    Ok(forget(host, domid, named, beside).await? && !beside)
}

/// Whether a domain is still the VM's, or nobody's.
async fn has(host: &Host, domid: DomId) -> Result<bool, Failure> {
    Ok(host.find_domains(host.context().id).await?.iter().any(|info| info.domid == domid))
}

/// Whether a number is that of another VM's domain.
async fn is_anothers(host: &Host, domid: DomId) -> Result<bool, Failure> {
    let found = host.read(vec![Query::Value(paths::owner(domid))]).await?;
    Ok(is_of_another(host, found.first()))
}

/// The same, of what stands there.
fn is_of_another(host: &Host, owner: Option<&Found>) -> bool {
    matches!(owner, Some(Found::Value(Some(owner))) if *owner != paths::vm(&host.context().text))
}

/// A domain that is gone meanwhile needs no destroying.
fn unless_gone(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(Failure::Refused(Fault::NoDomain(_))) => Ok(()),
        result => result,
    }
}

/// Take devices from a guest that will not run again. A back end that does not answer keeps nobody waiting; a script
/// that fails, which is the inner error, does not keep the others. The number of a domain that is gone may be another's
/// before its back ends are, and then so is what is under it.
async fn release_devices(
    host: &Host,
    domid: DomId,
    gone: bool,
    devices: &[Device],
    beside: bool,
) -> Result<Result<(), Failure>, Failure> {
    let uuid = &host.context().text;
    let mut batch = Batch::new();
    batch.remove(paths::device_model(domid));
    for device in devices.iter().filter(|device| !device.backend.is_empty()) {
        device::unchanged(&mut batch, device);
        device::close(&mut batch, device);
        device::cut(&mut batch, device);
    }
    if !host.store(batch).await? {
        // A domain that somebody else has destroyed takes its devices' back ends along while we look.
        let mut batch = Batch::new();
        batch.remove(paths::device_model(domid));
        host.store(batch).await?;
        for device in devices {
            device::ask_to_close(host, device, true).await?;
        }
    }
    let mut all = Ok(());
    for device in devices {
        if !device.backend.is_empty() {
            host.wait(device::gone(device), device::patience(device, PATIENCE)).await?;
            if gone && !mutant!(ReusedNumberTouched) && is_anothers(host, domid).await? {
                return Ok(Ok(()));
            }
        }
        let released =
            if device.class() == "vif" { vif::release(host, device).await } else { vbd::release(host, device).await };
        match released {
            Err(failure @ Failure::Error(_)) => all = all.and(Err(failure)),
            released => {
                released?;
                // At once: a loop device that was freed may be another's by the time that somebody frees it again.
                let mut batch = Batch::new();
                device::forget(&mut batch, uuid, device, beside);
                host.store(batch).await?;
            }
        }
    }
    Ok(all)
}

/// Let go of what the storage holds for a domain; `false` if there is more than one turn can do.
async fn release_storage(host: &Host, domid: DomId) -> Result<bool, Failure> {
    let prefix = format!("vbd/{domid}/");
    let datapaths = match host.request(Request::Storage(StorageCall::List { prefix })).await? {
        Reply::Names(names) => names,
        _ => Vec::new(),
    };
    for dp in datapaths.iter().take(if mutant!(DatapathLeft) { 0 } else { TURN }) {
        host.storage(StorageCall::Destroy { dp: dp.clone() }).await?;
    }
    Ok(datapaths.len() <= TURN)
}

/// Nothing is left but what xenstore says of it: remove that, at once. `false`: that is another domain's by now.
async fn forget(host: &Host, domid: DomId, named: bool, beside: bool) -> Result<bool, Failure> {
    let uuid = &host.context().text;
    let (mut batch, owner) = (Batch::new(), paths::owner(domid));
    batch.guard(if named { Guard::Equals(owner, paths::vm(uuid)) } else { Guard::Absent(owner) });
    batch.remove(paths::domain(domid)).remove(paths::hidden(domid)).remove(paths::libxl(domid));
    for kind in device::KINDS.into_iter().chain(OTHER_KINDS) {
        batch.remove(paths::backends(kind, domid));
        batch.remove(paths::backend_errors(kind, domid));
    }
    batch.remove(paths::device_model(domid)).remove(paths::tasks(domid));
    batch.remove(if beside { paths::hotplugs(uuid, domid) } else { paths::scratch(uuid) });
    batch.remove(paths::vm_domain(uuid, domid));
    host.store(batch).await
}
