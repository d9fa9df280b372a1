//! A host in miniature: xenstore, domains, processes and storage just true enough for procedures to run against.

use super::guest::Guest;
use crate::backend::{Ask, Change, Context, ExtraChange, Failure, MicroOp, Procedure, Product, Said, Stepped};
use crate::host::store::Change as StoreChange;
use crate::host::*;
use crate::interface::extra::QemuFrontend;
use crate::interface::{DeviceId, VmExtra};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a request is to come to instead of what the model would make of it.
pub(super) type Interference = fn(&Request) -> Option<Outcome>;

pub(super) struct World {
    pub(super) store: BTreeMap<String, String>,
    pub(super) perms: BTreeMap<String, Perms>,
    pub(super) domains: BTreeMap<DomId, DomainInfo>,
    pub(super) processes: BTreeMap<Handle, (Spawn, Process)>,
    pub(super) datapaths: BTreeSet<String>,
    pub(super) epochs: BTreeSet<String>,
    /// Loop devices in use, and the files behind them.
    pub(super) loops: BTreeMap<String, String>,
    /// Records of the image that was written, and whether it was made durable.
    pub(super) image: Vec<ImageRecord>,
    pub(super) synced: bool,
    /// What was appended to an image so far is read from here.
    pub(super) unread: Vec<ImageRecord>,
    pub(super) streams: BTreeSet<Handle>,
    /// Files of hook directories, and how each ends.
    pub(super) hooks: Vec<(String, Exit)>,
    pub(super) memory: Memory,
    pub(super) guest: Guest,
    /// One line per question.
    pub(super) trace: Vec<String>,
    pub(super) interfere: Option<Interference>,
    /// What happens while the daemon waits for the first time.
    pub(super) meanwhile: Option<fn(&mut World)>,
    /// What must hold after each request and record.
    pub(super) check: Option<fn(&World)>,
    /// The daemon dies after so many requests and records.
    pub(super) dies_after: Option<usize>,
    /// The operation is cancelled after so many.
    pub(super) cancelled_after: Option<usize>,
    /// How many host requests have been made.
    pub(super) requests: usize,
    pub(super) context: Context,
    pub(super) uuids: u32,
    pub(super) handles: u64,
    pub(super) mono: u64,
}

impl World {
    pub(super) fn new(context: Context) -> World {
        World {
            store: BTreeMap::new(),
            perms: BTreeMap::new(),
            domains: BTreeMap::new(),
            processes: BTreeMap::new(),
            datapaths: BTreeSet::new(),
            epochs: BTreeSet::new(),
            loops: BTreeMap::new(),
            image: Vec::new(),
            synced: false,
            unread: Vec::new(),
            streams: BTreeSet::new(),
            hooks: Vec::new(),
            memory: Memory { total: 8 << 20, free: 4 << 20, scrub: 0 },
            guest: Guest::default(),
            trace: Vec::new(),
            interfere: None,
            meanwhile: None,
            check: None,
            dies_after: None,
            cancelled_after: None,
            requests: 0,
            context,
            uuids: 0,
            handles: 0,
            mono: 1_000_000_000,
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { boot: 1, mono: self.mono, wall: 1_755_731_999_250_000_000 }
    }

    /// Run a micro-op to its end, turns and all, as the machine would.
    pub(super) fn run(&mut self, op: MicroOp) -> Result<Product, Failure> {
        let mut procedure = Procedure::new(op, Arc::new(self.context.clone()), self.now());
        let mut stepped = procedure.begin();
        loop {
            let (ask, shielded) = match stepped {
                Stepped::Over(result) => {
                    if let Ok(Product::Domain(domid)) = &result {
                        self.context.domid = Some(*domid);
                    }
                    return result;
                }
                Stepped::Asks(ask, shielded) => (ask, shielded),
            };
            let cancelled = self.cancelled_after == Some(0) && !shielded && !matches!(ask, Ask::Progress(_));
            if let (Ask::Become(op), false) = (&ask, cancelled) {
                self.trace.push(format!("become {op:?}"));
                procedure = Procedure::new((**op).clone(), Arc::new(self.context.clone()), self.now());
                stepped = procedure.begin();
                continue;
            }
            if self.dies_after == Some(0) && matches!(ask, Ask::Host(_) | Ask::Record(_)) {
                return Err(Failure::InDoubt(Fault::Lost("the daemon".to_owned())));
            }
            let outcome = if cancelled { Outcome::Refused(Fault::Cancelled) } else { self.answer(ask) };
            if let Some(check) = self.check {
                check(self);
            }
            // A copy is rebuilt by replay: each step is taken by one.
            procedure = procedure.clone();
            stepped = procedure.answer(Said { outcome, now: self.now() });
        }
    }

    /// Run micro-ops; the daemon dies after `requests` requests and records, and helpers and scripts with it. Whether
    /// it came that far.
    pub(super) fn die_in(&mut self, ops: impl IntoIterator<Item = MicroOp>, requests: usize) -> bool {
        self.dies_after = Some(requests);
        let died = ops.into_iter().any(|op| match self.run(op) {
            Ok(_) => false,
            Err(Failure::InDoubt(Fault::Lost(_))) => true,
            Err(failure) => panic!("{failure:?}"),
        });
        self.dies_after = None;
        self.processes.retain(|_, (spawn, _)| spawn.role.outlives_daemon());
        self.streams.clear();
        self.context.domid = None;
        died
    }

    pub(super) fn ok(&mut self, op: MicroOp) -> Product {
        let name = format!("{op:?}");
        self.run(op).unwrap_or_else(|failure| panic!("{name}: {failure:?}\n{}", self.trace.join("\n")))
    }

    fn answer(&mut self, ask: Ask) -> Outcome {
        match ask {
            Ask::Handle => {
                self.handles += 1;
                Outcome::Ok(Reply::Number(self.handles))
            }
            Ask::Uuid => {
                self.uuids += 1;
                Outcome::Ok(Reply::Text(format!("00000000-0000-0000-0000-{:012}", self.uuids)))
            }
            Ask::Progress(_) => Outcome::Ok(Reply::Unit),
            Ask::Commit => Outcome::Ok(Reply::Unit),
            Ask::Become(_) => unreachable!("the run goes on with it"),
            Ask::Record(change) => {
                self.count();
                self.trace.push(format!("record {}", record_words(&change)));
                self.record(change);
                Outcome::Ok(Reply::Unit)
            }
            Ask::Host(request) => {
                self.count();
                self.requests += 1;
                self.trace.push(super::words::request(&request));
                match self.interfere.and_then(|interfere| interfere(&request)) {
                    Some(outcome) => outcome,
                    None => self.apply(request),
                }
            }
        }
    }

    fn count(&mut self) {
        self.dies_after = self.dies_after.map(|left| left - 1);
        self.cancelled_after = self.cancelled_after.map(|left| left.saturating_sub(1));
    }

    fn record(&mut self, change: Change) {
        let change = match change {
            Change::Vif(row) => {
                let vifs = self.context.vifs.iter();
                let vifs = vifs.map(|vif| if vif.id == row.id { row.clone() } else { vif.clone() });
                self.context.vifs = vifs.collect();
                return;
            }
            Change::Extra(ExtraChange::Create(extra)) => {
                self.context.extra = Some(extra);
                return;
            }
            Change::Extra(ExtraChange::Drop) => {
                self.context.extra = None;
                return;
            }
            Change::Extra(change) => change,
        };
        let text = self.context.text.clone();
        let extra: &mut VmExtra = Arc::make_mut(self.context.extra.as_mut().expect("a record to change"));
        match change {
            ExtraChange::Built(info, ty) => (extra.build_info, extra.ty) = (Some(*info), Some(*ty)),
            ExtraChange::SuspendMemory(bytes) => extra.suspend_memory_bytes = bytes,
            ExtraChange::QemuDisk(device, index, path) => {
                extra.qemu_vbds.retain(|(id, ..)| id.device != device);
                let frontend = path.map_or(QemuFrontend::Empty, QemuFrontend::Name);
                extra.qemu_vbds.push((DeviceId::new(&*text, device), index, frontend));
            }
            ExtraChange::NoQemuDisk(device) => extra.qemu_vbds.retain(|(id, ..)| id.device != device),
            ExtraChange::XenPlatform(id, revision) => extra.xen_platform = Some((id, revision)),
            ExtraChange::Attached(..) | ExtraChange::NotAttached(_) => {}
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn write(&mut self, path: &str, value: &str) {
        let mut at = 1;
        while let Some(slash) = path[at..].find('/') {
            let parent = &path[..at + slash];
            if !self.store.contains_key(parent) {
                self.make(parent, "");
            }
            at += slash + 1;
        }
        self.make(path, value);
    }

    fn make(&mut self, path: &str, value: &str) {
        if self.store.insert(path.to_owned(), value.to_owned()).is_none() {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let perms = self.perms.get(parent).cloned().unwrap_or_else(Perms::dom0);
            self.perms.insert(path.to_owned(), perms);
        }
    }

    pub(super) fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.store.retain(|node, _| node != path && !node.starts_with(&below));
        self.perms.retain(|node, _| node != path && !node.starts_with(&below));
    }

    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.store.get(path).map(String::as_str)
    }

    pub(super) fn transaction(&mut self, batch: Batch) -> Outcome {
        let holds = |guard: &Guard| match guard {
            Guard::Exists(path) => self.get(path).is_some(),
            Guard::Absent(path) => self.get(path).is_none(),
            Guard::Equals(path, value) => self.get(path) == Some(value),
        };
        if !batch.guards.iter().all(holds) {
            return Outcome::Ok(Reply::GuardFailed);
        }
        for change in batch.changes {
            match change {
                StoreChange::Write(path, value) => self.write(&path, &value),
                StoreChange::Mkdir(path) => {
                    if !self.store.contains_key(&path) {
                        self.write(&path, "");
                    }
                }
                StoreChange::Remove(path) => self.remove(&path),
                StoreChange::SetPerms(path, perms) => {
                    self.perms.insert(path, perms);
                }
            }
        }
        Outcome::Ok(Reply::Unit)
    }

    pub(super) fn query(&self, query: Query) -> Found {
        match query {
            Query::Value(path) => Found::Value(self.get(&path).map(str::to_owned)),
            Query::Children(path) => Found::Children(self.store.contains_key(&path).then(|| {
                let below = format!("{path}/");
                let inside = self.store.keys().filter_map(|node| node.strip_prefix(&below));
                inside.filter(|name| !name.contains('/')).map(str::to_owned).collect()
            })),
            Query::Tree { path, depth, limit } => {
                let below = format!("{path}/");
                let nodes = self.store.iter().filter_map(|(node, value)| Some((node.strip_prefix(&below)?, value)));
                let nodes = nodes.filter(|(node, _)| node.split('/').count() <= depth as usize);
                let nodes = nodes.take(limit as usize);
                Found::Tree(nodes.collect())
            }
        }
    }
}

impl View for World {
    fn value(&self, path: &str) -> Option<&str> {
        self.get(path)
    }

    fn domain(&self, domid: DomId) -> Option<&DomainInfo> {
        self.domains.get(&domid)
    }

    fn process(&self, process: Handle) -> Option<&Process> {
        self.processes.get(&process).map(|(_, process)| process)
    }

    fn free_memory(&self) -> u64 {
        self.memory.free
    }
}

fn record_words(change: &Change) -> &'static str {
    match change {
        Change::Vif(_) => "vif",
        Change::Extra(change) => match change {
            ExtraChange::Create(_) => "extra: create",
            ExtraChange::Drop => "extra: drop",
            ExtraChange::Built(..) => "extra: built",
            ExtraChange::SuspendMemory(0) => "extra: no image",
            ExtraChange::SuspendMemory(_) => "extra: image",
            ExtraChange::QemuDisk(..) => "extra: qemu disk",
            ExtraChange::NoQemuDisk(_) => "extra: no qemu disk",
            ExtraChange::Attached(..) => "extra: attached",
            ExtraChange::NotAttached(_) => "extra: not attached",
            ExtraChange::XenPlatform(..) => "extra: platform device",
            ExtraChange::TimeOffset(_) => "extra: clock",
            ExtraChange::PvDrivers(_) => "extra: drivers",
        },
    }
}
