//! How a simulated host and the daemon's records stand at one moment, flat enough to be compared with another.

use super::Lane;
use crate::world::World;
use std::collections::BTreeMap;
use xenops_core::host::{DomId, Found, Query, Uuid};

/// What a fact is about, in the order in which a reader wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// A domain of the hypervisor.
    Domain,
    /// A record of the daemon's on disk.
    Record,
    /// A device that a driver of dom0 or QEMU has.
    Device,
    /// A disk that the storage has attached, or a loop device.
    Disk,
    /// A process that runs.
    Process,
    /// A suspend image.
    Image,
    /// A node of xenstore.
    Store,
}

impl Group {
    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Group::Domain => "domain",
            Group::Record => "record",
            Group::Device => "device",
            Group::Disk => "disk",
            Group::Process => "process",
            Group::Image => "suspend image",
            Group::Store => "xenstore",
        }
    }
}

/// Facts by what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// Each with the domain that it is of, if that is all that tells whose it is.
    pub facts: BTreeMap<(Group, String), (Option<DomId>, String)>,
    /// Whose a domain is.
    pub owners: BTreeMap<DomId, Uuid>,
    /// What has gone wrong so far, and how often.
    pub tally: BTreeMap<&'static str, u64>,
}

impl Scene {
    /// A host and the records that are durable on it.
    pub fn of(world: &World, records: &BTreeMap<String, String>) -> Scene {
        let mut scene = Scene { tally: world.tally().iter().collect(), ..Scene::of_records(records) };
        scene.domains(world);
        scene.parts(world);
        let all = Query::Tree { path: "/".to_owned(), depth: 64, limit: u32::MAX };
        if let Found::Tree(nodes) = world.store().query(&all) {
            for (path, value) in nodes.iter() {
                scene.add(Group::Store, format!("/{path}"), of_path(path), value.to_owned());
            }
        }
        scene
    }

    /// Records alone, where nobody knows how the host stands.
    pub fn of_records(records: &BTreeMap<String, String>) -> Scene {
        let mut scene = Scene::default();
        for (key, value) in records {
            scene.add(Group::Record, key.clone(), None, value.clone());
        }
        scene
    }

    fn add(&mut self, group: Group, name: String, domid: Option<DomId>, text: String) {
        self.facts.insert((group, name), (domid, text));
    }

    fn domains(&mut self, world: &World) {
        for (domid, domain) in world.hypervisor().iter().filter(|(domid, _)| *domid != 0) {
            let info = &domain.info;
            self.owners.insert(domid, info.handle);
            let mut text = if info.handle.is_tombstone() { "no vm's any more".to_owned() } else { info.handle.text() };
            let stands = match (info.dying, info.shutdown, info.paused) {
                (true, ..) => "being destroyed".to_owned(),
                (_, Some(code), _) => format!("stopped: {code:?}"),
                (_, _, true) => "paused".to_owned(),
                _ => "running".to_owned(),
            };
            text.push_str(&format!(
                ", {stands}, {} MiB, guest {}",
                info.total_pages / 256,
                format!("{:?}", domain.guest.life).to_lowercase()
            ));
            self.add(Group::Domain, format!("domain {domid}"), Some(domid), text);
        }
    }

    fn parts(&mut self, world: &World) {
        for (key, device) in world.devices().iter() {
            let text = match (device.live, device.connected) {
                (true, true) => "connected",
                (true, false) => "in the back end, not connected",
                _ => continue,
            };
            let name = format!("{} {} of domain {}", key.kind.name(), key.devid, key.domid);
            self.add(Group::Device, name, Some(key.domid), text.to_owned());
        }
        for (dp, held) in world.storage().datapaths() {
            let how = if held.read_write { "to write" } else { "to read" };
            let text =
                format!("{} for domain {}, {how}{}", held.vdi, held.domid, if held.active { ", active" } else { "" });
            self.add(Group::Disk, format!("datapath {dp}"), Some(held.domid), text);
        }
        for (number, file) in world.attachments().loops() {
            self.add(Group::Disk, format!("/dev/loop{number}"), None, file.to_owned());
        }
        for process in world.processes().iter().filter(|process| process.shown.exit.is_none()) {
            let domid = process.spawn.domid;
            let of = domid.map_or_else(String::new, |domid| format!(" of domain {domid}"));
            let name = format!("{:?} {}{of}", process.spawn.role, process.pid);
            self.add(Group::Process, name, domid, "runs".to_owned());
        }
        for (disk, image) in world.images().iter() {
            let text = if image.complete() { "complete" } else { "not complete" };
            self.add(Group::Image, format!("{disk:?}"), None, format!("{text}, {} parts", image.parts.len()));
        }
    }

    /// What is different from before: how it reads, and whose it is.
    pub fn since(&self, before: &Scene) -> Vec<Difference> {
        let mut found = Vec::new();
        let (mut old, mut new) = (before.facts.iter().peekable(), self.facts.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return found,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((one, _)), Some((other, _))) => one.cmp(other),
            };
            let was = if order.is_le() { old.next() } else { None };
            let is = if order.is_ge() { new.next() } else { None };
            if was.map(|(_, (_, text))| text) == is.map(|(_, (_, text))| text) {
                continue;
            }
            let Some(((group, name), (domid, _))) = is.or(was) else { continue };
            found.push(Difference {
                group: *group,
                name: name.clone(),
                domid: *domid,
                was: was.map(|(_, (_, text))| text.clone()),
                is: is.map(|(_, (_, text))| text.clone()),
            });
        }
    }
}

/// One fact that came, went or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub group: Group,
    /// Which one.
    pub name: String,
    /// The domain that it is of.
    pub domid: Option<DomId>,
    /// What it was, if it was.
    pub was: Option<String>,
    /// What it is, if it is.
    pub is: Option<String>,
}

/// The domain that a path of xenstore is of.
fn of_path(path: &str) -> Option<DomId> {
    let mut parts = path.split('/');
    let domid = match (parts.next()?, parts.next()?) {
        ("local", "domain") => {
            let domid = parts.next()?;
            match (domid, parts.next()) {
                ("0", Some("backend" | "error")) => parts.nth(1)?,
                ("0", Some("device-model")) => parts.next()?,
                _ => domid,
            }
        }
        ("libxl", domid) => domid,
        ("xenops", "domain") => parts.next()?,
        _ => return None,
    };
    domid.parse().ok().filter(|domid| *domid != 0)
}

/// The VM whose lane a text belongs to: the first that it names.
pub(super) fn named(text: &str, names: &[(String, String, usize)]) -> Option<Lane> {
    let found = names.iter().filter_map(|(id, _, vm)| Some((text.find(id.as_str())?, *vm)));
    found.min().map(|(_, vm)| Lane::Vm(vm))
}
