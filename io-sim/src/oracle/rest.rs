//! At rest: every VM is in a sensible state, and nothing is left of domains that have gone.

use super::records::{Records, Shelf};
use super::{Checked, Violation, state};
use crate::fleet::{Guest, Shape};
use crate::world::World;
use std::collections::BTreeMap;
use xenops_core::host::{DomId, Found, Query, Role, Uuid};
use xenops_core::interface::Disk;

/// A sensible state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensible {
    /// No row, no domain.
    Unregistered,
    /// No domain.
    Halted,
    /// A complete domain that runs.
    Running,
    /// A complete domain that is paused.
    Paused,
    /// No domain, an image.
    Suspended,
    /// A crashed domain that is kept.
    PreservedCrash,
}

fn left(what: String) -> Checked {
    Err(Violation::new("L9", format!("{what} is left")))
}

/// The whole list that can be checked of VMs of which only their names are known.
pub fn check(world: &World, shelf: &Shelf, shapes: &[Shape]) -> Result<Vec<Sensible>, Violation> {
    shelf.at_rest()?;
    let states = shapes.iter().map(|shape| sensible(world, shelf, shape)).collect::<Result<Vec<_>, _>>()?;
    nothing_left(world)?;
    Ok(states)
}

/// An epoch is open as long as some VM that has the disk is neither halted nor gone. Who asks knows the VMs' disks.
pub fn epochs(world: &World, shapes: &[Shape], states: &[Sensible]) -> Checked {
    let lives = |state: &Sensible| !matches!(state, Sensible::Halted | Sensible::Unregistered);
    let living = || shapes.iter().zip(states).filter(|(_, state)| lives(state));
    let has = |shape: &Shape, epoch: &str| {
        shape.disks.iter().any(|disk| matches!(&disk.backend, Some(Disk::Vdi(vdi)) if vdi == epoch))
    };
    match world.storage().epochs().find(|epoch| !living().any(|(shape, _)| has(shape, epoch))) {
        Some(epoch) => left(format!("the open epoch of disk {epoch}")),
        None => Ok(()),
    }
}

/// The state of one VM.
pub fn sensible(world: &World, shelf: &Shelf, shape: &Shape) -> Result<Sensible, Violation> {
    let [a, b] = shape.ids.map(|id| shelf.of(id).is_some_and(|records| records.row));
    if a && b {
        return Err(Violation::new("H12", format!("vm {} has rows under both names", shape.ids[0])));
    }
    for (id, rowed) in shape.ids.into_iter().zip([a, b]) {
        if !rowed && state::living(world, id).next().is_some() {
            return Err(Violation::new("S19", format!("vm {id} has a domain and no row")));
        }
    }
    if !a && !b {
        return Ok(Sensible::Unregistered);
    }
    let id = shape.ids[usize::from(b)];
    let records = shelf.of(id).cloned().unwrap_or_default();
    let wrong = |text: String| Err(Violation::new("L4", format!("vm {id} is in no sensible state: {text}")));
    if let Some(intent) = &records.intent {
        return wrong(format!("its intent stands: {intent:?}"));
    }
    match state::living(world, id).next() {
        None => without_domain(world, id, &records, shape),
        Some((domid, domain)) => {
            if state::living(world, id).nth(1).is_some() {
                return Err(Violation::new("S1", format!("vm {id} has two domains at rest")));
            }
            if records.image.is_none() {
                return Err(Violation::new("S19", format!("vm {id} has domain {domid} and no run-time record")));
            }
            if !state::is_complete(world, domid, domain) {
                return wrong(format!("its domain {domid} is not complete"));
            }
            if records.image.is_some_and(|bytes| bytes != 0) {
                return Err(Violation::new("S20", format!("vm {id} runs and its image may be resumed")));
            }
            // A crashed guest that is kept to be looked at is kept as it is.
            if domain.info.shutdown.is_none()
                && let Some(text) = devices(world, domid).or_else(|| lacks(world, shelf, id, domid, shape))
            {
                return wrong(text);
            }
            match (domain.info.shutdown, domain.info.paused) {
                (None, false) => Ok(Sensible::Running),
                (None, true) => Ok(Sensible::Paused),
                (Some(_), true) => Ok(Sensible::PreservedCrash),
                (Some(code), false) => wrong(format!("its domain {domid} has stopped ({code:?})")),
            }
        }
    }
}

/// What else stands out of a VM at rest: which of its devices are flagged active, and which a driver has.
pub fn told(world: &World, shelf: &Shelf, shape: &Shape) -> String {
    let (id, _) = state::standing(world, shelf, shape);
    let mut text = if id == shape.ids[0] { String::new() } else { " renamed".to_owned() };
    for flag in active(world, id) {
        text.push(' ');
        text.push_str(&flag);
    }
    for (domid, _) in state::living(world, id) {
        for (key, _) in world.devices().of(domid).filter(|(_, device)| device.live) {
            text.push_str(&format!(" {}:{}", key.kind.name(), key.devid));
        }
    }
    text
}

fn without_domain(world: &World, id: Uuid, records: &Records, shape: &Shape) -> Result<Sensible, Violation> {
    match records.image {
        Some(0) => Err(Violation::new("H5", format!("vm {id} has no domain, no image and a run-time record"))),
        Some(_) => {
            let good = world.images().get(&shape.image()).is_some_and(|image| image.complete());
            if good {
                return Ok(Sensible::Suspended);
            }
            Err(Violation::new("S20", format!("vm {id} reads suspended and its image is not complete")))
        }
        None => {
            if let Some(flag) = active(world, id).first() {
                return Err(Violation::new("H6", format!("vm {id} is halted and its device {flag} is active")));
            }
            Ok(Sensible::Halted)
        }
    }
}

/// A VM's devices that are flagged active, as `vbd/xvda`.
pub fn active(world: &World, id: Uuid) -> Vec<String> {
    let flags = Query::Tree { path: format!("/vm/{id}/devices"), depth: 2, limit: 100 };
    let Found::Tree(nodes) = world.store().query(&flags) else { return Vec::new() };
    let set = nodes.iter().filter(|(path, value)| path.contains('/') && *value == "1");
    set.map(|(path, _)| path.to_owned()).collect()
}

/// What is wrong with the devices of a complete domain.
fn devices(world: &World, domid: DomId) -> Option<String> {
    let value = |key, leaf| world.store().value(&backend(key, leaf));
    for (key, device) in world.devices().of(domid) {
        let key = (key.kind.name(), domid, key.devid);
        // A guest that has not granted it yet still may.
        let front = format!("/local/domain/{domid}/device/{}/{}/state", key.0.replace("qdisk", "vbd"), key.2);
        let waits = world.store().value(&front).is_some_and(|state| state != "6");
        if value(key, "online") == Some("0") && !waits {
            return Some(format!("its device {key:?} is half taken away"));
        }
        if !device.live && value(key, "").is_some() && value(key, "state") != Some("1") {
            return Some(format!("its device {key:?} has no back end"));
        }
    }
    None
}

/// What a complete domain is to have and has not. A device may have gone that its guest gave up; where all have, with
/// all of their flags on, it is one that was half torn down.
fn lacks(world: &World, shelf: &Shelf, id: Uuid, domid: DomId, shape: &Shape) -> Option<String> {
    if let Some(word) = world.store().value(&format!("/local/domain/{domid}/action-request")) {
        return Some(format!("its action-request is {word}"));
    }
    let flagged = flagged(world, shelf, id, domid, shape);
    (flagged.len() > 1 && flagged.iter().all(|(_, there)| !there))
        .then(|| format!("its devices {flagged:?} are flagged active and none is there"))
}

/// Devices on record that are flagged active, and whether the domain has them.
pub fn flagged(world: &World, shelf: &Shelf, id: Uuid, domid: DomId, shape: &Shape) -> Vec<(String, bool)> {
    let Some(records) = shelf.of(id) else { return Vec::new() };
    let active = active(world, id);
    let set = active.iter().filter_map(|flag| flag.split_once('/'));
    let known = set.filter(|(kind, name)| records.devices.iter().any(|device| *device == format!("{kind}.{name}")));
    known.map(|(kind, name)| (format!("{kind}/{name}"), has(world, domid, shape, kind, name))).collect()
}

/// Whether a domain has this device, or has no need of it.
fn has(world: &World, domid: DomId, shape: &Shape, kind: &str, name: &str) -> bool {
    let devid = match kind {
        "vif" => name.parse().ok(),
        _ => {
            // Only HVM guests see a drive without medium.
            let drive = shape.disks.iter().any(|disk| disk.drive && disk.device == name);
            if drive && shape.guest != Guest::Hvm {
                return true;
            }
            shape.number(name).and_then(|number| number.xenstore_key())
        }
    };
    world.devices().of(domid).any(|(key, _)| (key.kind.name() == "vif") == (kind == "vif") && Some(key.devid) == devid)
}

fn backend((kind, domid, devid): (&str, DomId, u32), leaf: &str) -> String {
    let leaf = if leaf.is_empty() { String::new() } else { format!("/{leaf}") };
    format!("/local/domain/0/backend/{kind}/{domid}/{devid}{leaf}")
}

/// Nothing belongs to a domain that is not there.
pub fn nothing_left(world: &World) -> Checked {
    let there = |domid: DomId| world.hypervisor().get(domid).is_some();
    for (domid, domain) in world.hypervisor().iter() {
        if domain.info.dying || domain.info.handle.is_tombstone() {
            return left(format!("domain {domid}, half destroyed,"));
        }
    }
    if let Some(domid) = world.strays().next() {
        return left(format!("domain {domid}, which somebody else made beside a vm's,"));
    }
    for (dp, held) in world.storage().datapaths() {
        if held.domid == 0 || !there(held.domid) {
            return left(format!("datapath {dp}"));
        }
        if !held.active {
            return left(format!("attached and not active, datapath {dp}"));
        }
    }
    for ((domid, devid), _) in world.nics().vifs().chain(world.nics().taps()) {
        if !there(domid) {
            return left(format!("interface vif{domid}.{devid}"));
        }
    }
    for (key, device) in world.devices().iter() {
        if !there(key.domid)
            && (device.live || world.store().exists(&backend((key.kind.name(), key.domid, key.devid), "")))
        {
            let kernel = if device.live { "in the kernel" } else { "in xenstore" };
            return left(format!("device {key:?}, {kernel},"));
        }
    }
    for process in world.processes().iter().filter(|process| process.shown.exit.is_none()) {
        let role = process.spawn.role;
        let stays = role == Role::DeviceModel && process.spawn.domid.is_some_and(there);
        if !stays && (process.of_this_daemon || role == Role::DeviceModel) {
            return left(format!("process {} ({role:?} of domain {:?})", process.pid, process.spawn.domid));
        }
    }
    if let Some((stream, image, _)) = world.images().streams().next() {
        return left(format!("stream {} of {image}", stream.0));
    }
    loops(world)?;
    xenstore(world, &there)
}

/// Each loop device is some back end's.
fn loops(world: &World) -> Checked {
    for (number, file) in world.attachments().loops() {
        let node = format!("/dev/loop{number}");
        let used = world.devices().iter().any(|(key, _)| {
            world.store().value(&backend((key.kind.name(), key.domid, key.devid), "node")) == Some(&*node)
        });
        if !used {
            return left(format!("loop device {number} of {file}"));
        }
    }
    Ok(())
}

fn xenstore(world: &World, there: &dyn Fn(DomId) -> bool) -> Checked {
    for directory in ["/local/domain", "/xenops/domain", "/libxl", "/local/domain/0/device-model"] {
        for name in world.store().children(directory).unwrap_or_default() {
            if name.parse::<DomId>().is_ok_and(|domid| !there(domid)) {
                return left(format!("xenstore's {directory}/{name}"));
            }
        }
    }
    for vm in world.store().children("/vm").unwrap_or_default() {
        for name in world.store().children(&format!("/vm/{vm}/domains")).unwrap_or_default() {
            if name.parse::<DomId>().is_ok_and(|domid| !there(domid)) {
                return left(format!("xenstore's /vm/{vm}/domains/{name}"));
            }
        }
    }
    Ok(())
}

/// All that must be as it was at first when all VMs have gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    store: BTreeMap<String, String>,
    free: u64,
    domains: Vec<(DomId, Uuid)>,
    ports: usize,
    datapaths: usize,
    epochs: Vec<String>,
    loops: usize,
    files: Vec<String>,
}

impl Picture {
    /// The same without what the storage keeps open over a start of the host: the daemon is to end it.
    pub fn without_epochs(self) -> Picture {
        Picture { epochs: Vec::new(), ..self }
    }
}

/// Directories of xenstore that all VMs share: whoever needs one makes it, and it stays.
const SHARED: [&str; 5] = ["libxl", "xenops", "xenops/domain", "vm", "xapi"];

/// A picture of the world.
pub fn picture(world: &World) -> Picture {
    let all = Query::Tree { path: "/".to_owned(), depth: 64, limit: u32::MAX };
    let store = match world.store().query(&all) {
        Found::Tree(nodes) => {
            let own = nodes.iter().filter(|(path, _)| !is_shared(path));
            own.map(|(path, value)| (path.to_owned(), value.to_owned())).collect()
        }
        _ => BTreeMap::new(),
    };
    let memory = world.hypervisor().memory();
    Picture {
        store,
        free: memory.free + memory.scrub,
        domains: world.hypervisor().iter().map(|(domid, domain)| (domid, domain.info.handle)).collect(),
        ports: world.nics().vifs().count() + world.nics().taps().count(),
        datapaths: world.storage().datapaths().count(),
        epochs: world.storage().epochs().map(str::to_owned).collect(),
        loops: world.attachments().loops().count(),
        files: world.disk().left.iter().cloned().collect(),
    }
}

fn is_shared(path: &str) -> bool {
    let dom0 = path.strip_prefix("local/domain/0/").unwrap_or_default();
    let kind = dom0.split('/').count() < 3 && (dom0.starts_with("backend") || dom0.starts_with("error"));
    SHARED.contains(&path) || kind || dom0 == "device-model" || path.starts_with("guest_agent_features")
}

/// What is different, in words.
pub fn difference(first: &Picture, last: &Picture) -> Option<String> {
    if first == last {
        return None;
    }
    for (path, value) in &last.store {
        if first.store.get(path) != Some(value) {
            return Some(format!("xenstore's /{path} = {value:?}"));
        }
    }
    if let Some((path, _)) = first.store.iter().find(|(path, _)| !last.store.contains_key(*path)) {
        return Some(format!("xenstore's /{path} has gone, which"));
    }
    let of = |picture: &Picture| {
        let Picture { free, domains, ports, datapaths, epochs, loops, files, .. } = picture;
        [
            format!("{free} KiB free"),
            format!("{domains:?}"),
            format!("{ports} interfaces"),
            format!("{datapaths} datapaths"),
            format!("epochs {epochs:?}"),
            format!("{loops} loop devices"),
            format!("files {files:?}"),
        ]
    };
    let differs = of(first).into_iter().zip(of(last)).find(|(first, last)| first != last);
    differs.map(|(first, last)| format!("{last} (at first {first})"))
}
