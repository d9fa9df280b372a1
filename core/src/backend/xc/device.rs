//! A paravirtual device of a domain: its two ends in xenstore, and how they come and go.

use super::paths;
use super::process::internal;
use crate::backend::{Context, Failure, Host};
use crate::host::time::SECOND;
use crate::host::{Batch, Condition, DomId, Found, Guard, Nodes, Perms, Query};
use crate::interface::Error;

/// Kinds of back end that a plain host has; the front end's kind is `vbd` for the first two.
pub(super) const KINDS: [&str; 3] = ["vbd", "qdisk", "vif"];

/// Most nodes of one tree that are read. A guest's own trees are cut off here.
pub(super) const MOST_NODES: u32 = 8192;

/// How long a kernel's back end has.
const FORCE_PATIENCE: u64 = 10 * SECOND;

/// How long QEMU has for a disk that is taken away by force; it may be stuck or gone.
const QDISK_PATIENCE: u64 = 2 * SECOND;

/// A device as the list shows it that the guest cannot write.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Device {
    /// Its domain.
    pub(super) domid: DomId,
    /// Back end's kind.
    pub(super) kind: &'static str,
    /// Number.
    pub(super) devid: u32,
    /// Keys that only dom0 sees.
    pub(super) private: Nodes,
    /// Keys of the back end; none when its directory is gone.
    pub(super) backend: Nodes,
}

impl Device {
    /// The front end's kind.
    pub(super) fn class(&self) -> &'static str {
        class(self.kind)
    }

    /// The row's device name.
    pub(super) fn name(&self) -> Option<&str> {
        self.private.get(name_key(self.kind))
    }

    /// A key of the back end.
    pub(super) fn backend_value(&self, key: &str) -> Option<&str> {
        self.backend.get(key)
    }

    /// The back end's XenbusState.
    pub(super) fn state(&self) -> Option<u32> {
        self.backend_value("state")?.parse().ok()
    }

    /// The script has run, and it has not been taken away since: not given up by the guest after it was asked to.
    pub(super) fn online(&self) -> bool {
        let given_up = self.backend_value("online") == Some("0") && self.state() == Some(6);
        self.backend_value("hotplug-status") == Some("connected") && !given_up
    }

    /// The back end's directory.
    pub(super) fn backend_path(&self) -> String {
        paths::backend(self.kind, self.domid, self.devid)
    }

    fn state_path(&self) -> String {
        paths::below(&self.backend_path(), "state")
    }

    fn frontend_path(&self) -> String {
        paths::frontend(self.domid, self.class(), self.devid)
    }
}

/// The front end's kind of a back end's kind.
pub(super) fn class(kind: &str) -> &'static str {
    if kind == "vif" { "vif" } else { "vbd" }
}

/// The private key that has the row's device name.
pub(super) fn name_key(kind: &str) -> &'static str {
    match kind {
        "vif" => "vif-id",
        "qdisk" => "qdisk-id",
        _ => "vbd-id",
    }
}

/// What must be asked to list a domain's devices; `list` takes the answers.
pub(super) fn queries(uuid: &str, domid: DomId) -> Vec<Query> {
    let tree = |path, depth| Query::Tree { path, depth, limit: MOST_NODES };
    let mut queries = vec![
        tree(paths::below(&paths::hidden(domid), "device"), 3),
        tree(paths::below(&paths::scratch(uuid), "private"), 3),
    ];
    queries.extend(KINDS.map(|kind| tree(paths::backends(kind, domid), 2)));
    queries
}

/// A domain's devices, from the answers to `queries`, which are taken off the front.
pub(super) fn list(domid: DomId, found: &mut impl Iterator<Item = Found>) -> Vec<Device> {
    let mut tree = || match found.next() {
        Some(Found::Tree(nodes)) => nodes,
        _ => Nodes::default(),
    };
    let (trusted, private) = (tree(), tree());
    let backends = KINDS.map(|kind| (kind, tree()));
    let links = trusted.iter().filter(|(path, _)| path.ends_with("/backend"));
    let devices = links.filter_map(|(_, link)| {
        let (kind, devid) = parse_link(domid, link)?;
        let (kind, backends) = backends.iter().find(|(k, _)| *k == kind)?;
        let own = paths::of_device(kind, devid);
        let below = &own[kind.len() + 1..];
        Some(Device { domid, kind, devid, private: private.below(&own), backend: backends.below(below) })
    });
    devices.collect()
}

/// A domain's devices.
pub(super) async fn read(host: &Host, domid: DomId) -> Result<Vec<Device>, Failure> {
    let found = host.read(queries(&host.context().text, domid)).await?;
    Ok(list(domid, &mut found.into_iter()))
}

/// The disk, or else the network interface, of that name.
pub(super) async fn find(host: &Host, domid: DomId, class: &str, name: &str) -> Result<Option<Device>, Failure> {
    let devices = read(host, domid).await?;
    Ok(devices.into_iter().find(|device| device.class() == class && device.name() == Some(name)))
}

/// Kind and number from `/local/domain/0/backend/<kind>/<domid>/<devid>`; anything else is not ours.
fn parse_link(domid: DomId, link: &str) -> Option<(&str, u32)> {
    let (kind, rest) = link.strip_prefix("/local/domain/0/backend/")?.split_once('/')?;
    let (front, devid) = rest.split_once('/')?;
    (front.parse() == Ok(domid)).then_some((kind, devid.parse().ok()?))
}

/// Keys of a device to be.
pub(super) struct Addition {
    /// Its domain.
    pub(super) domid: DomId,
    /// Back end's kind.
    pub(super) kind: &'static str,
    /// Number.
    pub(super) devid: u32,
    /// The guest's end.
    pub(super) frontend: Vec<(&'static str, String)>,
    /// The back end.
    pub(super) backend: Vec<(String, String)>,
    /// What only dom0 sees.
    pub(super) private: Vec<(String, String)>,
    /// Further settings that the guest reads.
    pub(super) extras: Vec<(String, String)>,
}

/// Write a device's ends: all directories with their permissions, then their keys.
pub(super) fn add(batch: &mut Batch, uuid: &str, device: Addition) {
    let Addition { domid, kind, devid, .. } = device;
    let class = class(kind);
    let (front, trusted, back) =
        (paths::frontend(domid, class, devid), paths::trusted(domid, class, devid), paths::backend(kind, domid, devid));
    let private = paths::private(uuid, kind, devid);
    for stale in [&front, &trusted, &back, &private] {
        batch.remove(stale);
    }
    batch.mkdir(&front, Perms::readable(domid, 0));
    batch.mkdir(&trusted, Perms::dom0());
    batch.mkdir(&back, Perms::readable(0, domid));
    batch.mkdir(paths::hotplug(uuid, domid, kind, devid), Perms::dom0());
    batch.mkdir(&private, Perms::dom0());
    batch.write(paths::below(&front, "backend"), &back).write(paths::below(&trusted, "backend"), &back);
    batch.write(paths::below(&back, "frontend"), &front);
    for (key, value) in device.frontend {
        batch.write(paths::below(&front, key), value);
    }
    for (key, value) in device.backend {
        batch.write(paths::below(&back, &key), value);
    }
    batch.write(paths::below(&private, "backend-kind"), kind).write(paths::below(&private, "backend-id"), "0");
    for (key, value) in device.private {
        batch.write(paths::below(&private, &key), value);
    }
    if !device.extras.is_empty() {
        let extras = paths::extras(domid, kind, devid);
        batch.mkdir(&extras, Perms::owned(domid));
        for (key, value) in device.extras {
            batch.write(paths::below(&extras, &key), value);
        }
    }
}

/// A batch that is applied where a device is wanted, its domain is this VM's, and nothing has its number.
pub(super) fn wanted(context: &Context, domid: DomId, class: &str, name: &str, devid: u32) -> Batch {
    let mut batch = Batch::new();
    batch.guard(Guard::Equals(paths::active(&context.text, class, name), "1".to_owned()));
    batch.guard(Guard::Equals(paths::owner(domid), paths::vm(&context.text)));
    batch.guard(Guard::Absent(paths::trusted(domid, class, devid)));
    batch
}

/// Why the guards of `wanted` did not hold: not wanted, no such domain, or there already.
pub(super) async fn refused(host: &Host, domid: DomId, class: &str, name: &str) -> Result<(), Failure> {
    let context = host.context();
    let (active, vm) = (paths::active(&context.text, class, name), paths::owner(domid));
    let mut queries = vec![Query::Value(active), Query::Value(vm)];
    queries.extend(self::queries(&context.text, domid));
    let mut found = host.read(queries).await?.into_iter();
    if found.next() != Some(Found::Value(Some("1".to_owned()))) {
        return Ok(());
    }
    if found.next() != Some(Found::Value(Some(paths::vm(&context.text)))) {
        return Err(Error::does_not_exist("domain", &*context.text).into());
    }
    let devices = list(domid, &mut found);
    match devices.iter().find(|device| device.class() == class && device.name() == Some(name)) {
        Some(device) if device.online() => Ok(()),
        _ => {
            let words = if class == "vif" { "network interface" } else { "disk" };
            Err(internal(format!("the device number of {words} {name} is in use")))
        }
    }
}

/// Ask both ends to close. Without the 5 the kernel's block back end would drop a device whose front end goes, and
/// never say so.
pub(super) fn close(batch: &mut Batch, device: &Device) {
    batch.write(paths::below(&device.backend_path(), "online"), "0");
    if device.state() != Some(6) {
        batch.write(device.state_path(), "5");
    }
}

/// Remove the guest's end; the list's entry stays until all else is gone.
pub(super) fn cut(batch: &mut Batch, device: &Device) {
    batch.remove(device.frontend_path());
}

/// Remove everything that xenstore holds of a device; but what it shares with one of the VM's other domains, if
/// there is one beside its own.
pub(super) fn forget(batch: &mut Batch, uuid: &str, device: &Device, beside: bool) {
    let Device { domid, kind, devid, .. } = device;
    cut(batch, device);
    batch.remove(device.backend_path());
    batch.remove(format!("{}/{devid}", paths::backend_errors(kind, *domid)));
    batch.remove(paths::frontend_error(*domid, device.class(), *devid));
    batch.remove(paths::extras(*domid, kind, *devid));
    batch.remove(paths::hotplug(uuid, *domid, kind, *devid));
    if !beside {
        batch.remove(paths::private(uuid, kind, *devid));
    }
    batch.remove(paths::trusted(*domid, device.class(), *devid));
}

/// The back end has let go.
pub(super) fn gone(device: &Device) -> Vec<Condition> {
    let mut gone = vec![Condition::Equals(device.state_path(), "6".to_owned()), Condition::Absent(device.state_path())];
    if device.kind == "qdisk" {
        // Nobody is left who could answer.
        gone.push(Condition::Absent(paths::device_model(device.domid)));
    }
    gone
}

/// How long a back end has to let go of a device that is taken by force.
pub(super) fn patience(device: &Device, otherwise: u64) -> u64 {
    if device.kind == "qdisk" { QDISK_PATIENCE } else { otherwise }
}

/// Only while the back end is in the state in which it was seen: a 5 over a 6 would be a close that nobody answers.
pub(super) fn unchanged(batch: &mut Batch, device: &Device) {
    batch.guard(match device.backend_value("state") {
        Some(state) => Guard::Equals(device.state_path(), state.to_owned()),
        None => Guard::Absent(device.state_path()),
    });
}

/// Ask a device to close, in the state that it is in now; a state that changes meanwhile is read again.
pub(super) async fn ask_to_close(host: &Host, device: &Device, by_force: bool) -> Result<(), Failure> {
    let mut device = device.clone();
    for _ in 0..4 {
        if device.backend_value("state").is_none() {
            break;
        }
        let mut batch = Batch::new();
        unchanged(&mut batch, &device);
        close(&mut batch, &device);
        if by_force {
            cut(&mut batch, &device);
        }
        if host.store(batch).await? {
            break;
        }
        let state = host.value(device.state_path()).await?;
        device.backend = state.map(|state| ("state", state)).into_iter().collect();
    }
    Ok(())
}

/// Close a device: with the guest's consent, or by force. The inner error is what speaks against it.
pub(super) async fn shut(host: &Host, device: &Device, force: bool) -> Result<Result<(), String>, Failure> {
    if device.backend.is_empty() {
        return Ok(Ok(()));
    }
    let timeout = host.context().settings.hotplug_timeout;
    if !force {
        ask_to_close(host, device, false).await?;
        let error = paths::below(&paths::frontend_error(device.domid, device.class(), device.devid), "error");
        let mut any = gone(device);
        let refused = any.len();
        any.extend([Condition::Present(error.clone()), Condition::Stopped(device.domid)]);
        match host.wait(any, timeout).await?.0 {
            None => return Ok(Err("the guest did not answer in time".to_owned())),
            Some(which) if which < refused => return Ok(Ok(())),
            Some(which) if which == refused => return Ok(Err(host.value(error).await?.unwrap_or_default())),
            // A guest that has stopped cannot consent any more.
            Some(_) => {}
        }
    }
    // A back end that does not answer keeps nobody waiting: one that no driver had taken yet when it was told to close
    // never will, and a driver lets go when the directory goes.
    ask_to_close(host, device, true).await?;
    host.wait(gone(device), patience(device, FORCE_PATIENCE)).await?;
    Ok(Ok(()))
}
