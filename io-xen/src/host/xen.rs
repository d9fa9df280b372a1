//! The Xen host that this daemon runs on: each request is a call or two, and nothing is decided here.
//!
//! Calls of libxenctrl and of the file system block and run on the blocking pool; all else is a task of this thread.

pub mod census;
pub mod container;
mod eyes;
pub mod facts;
pub mod faults;
pub mod files;
pub mod images;
pub mod link;
pub mod loops;
pub mod mark;
pub mod processes;
pub mod qmp;
pub mod running;
pub mod stir;
pub mod storage;
pub mod waits;

use super::Host;
use crate::bell::Bell;
use crate::config::Config;
use crate::failure::{Failure, plain};
use crate::inbox::{Inbox, Promise};
use crate::log;
use crate::xen::Hypervisor;
use crate::xenstore::Store;
use census::Census;
use faults::outcome;
use images::Images;
use processes::Processes;
use smol::LocalExecutor;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use storage::Storage;
use xenops_core::host::{DomainInfo, Fault, HostFacts, Outcome, Reply, Request, Spawn, Uuid};
use xenops_core::machine::EffectId;

/// What all daemons of this host share, until its next boot.
const RUN: &str = "/run/xenops";

/// Where device models have their sockets and states, as libxl has it.
const DEVICE_MODELS: &str = "/var/run/xen";

/// Where Xen's programs write their logs.
const LOGS: &str = "/var/log/xen";

/// Where a volume group's logical volumes are.
const VOLUMES: &str = "/dev";

/// An administrator's hooks.
const HOOKS: &str = "/etc/xapi.d";

/// What the driver of a Xen host is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This instance's name.
    pub instance: String,
    /// Directory of disks, `SR/VDI`.
    pub storage: PathBuf,
}

impl Settings {
    /// Of a daemon's configuration.
    pub fn of(config: &Config) -> Settings {
        Settings { instance: config.name.clone(), storage: config.storage.clone() }
    }
}

/// The host.
pub struct Xen {
    parts: Rc<Parts>,
    inbox: Rc<Inbox>,
    executor: Rc<LocalExecutor<'static>>,
    // Rung to end a wait.
    aborts: Rc<RefCell<HashMap<EffectId, Rc<Bell>>>>,
}

struct Parts {
    hypervisor: Arc<Hypervisor>,
    store: Rc<Store>,
    processes: Processes,
    storage: Storage,
    images: Images,
    facts: Arc<HostFacts>,
}

impl Xen {
    /// Opens it: what it needs is there, and what an earlier daemon of this instance left is sorted.
    pub fn open(settings: &Settings, inbox: Rc<Inbox>) -> Result<Xen, Failure> {
        let hypervisor = Arc::new(Hypervisor::open()?);
        let store = Store::open(None, inbox.clone())?;
        let executor = Rc::new(LocalExecutor::new());
        let processes = Processes::new(&settings.instance, Path::new(LOGS), executor.clone());
        smol::block_on(executor.run(processes.take_over()));
        let datapaths = Path::new(RUN).join("storage");
        let storage = Storage::open(&datapaths, &[settings.storage.clone(), VOLUMES.into()]);
        let storage = storage.map_err(|error| {
            Failure::new(format!("cannot make {}: {}; run as root", datapaths.display(), plain(&error)))
        })?;
        let images = Images::open(storage.clone(), Path::new(DEVICE_MODELS), &settings.instance)
            .map_err(|fault| Failure::new(format!("cannot let go of old suspend images: {fault}")))?;
        let facts = Arc::new(facts::find(hypervisor.survey(), &hypervisor.version().to_string()));
        log::info("host", format_args!("this host runs Xen {}", hypervisor.host_stat().hypervisor.version));
        let parts = Rc::new(Parts { hypervisor, store, processes, storage, images, facts });
        Ok(Xen { parts, inbox, executor, aborts: Rc::default() })
    }
}

impl Host for Xen {
    fn facts(&self) -> Arc<HostFacts> {
        self.parts.facts.clone()
    }

    fn start(&self, request: Request, promise: Promise) {
        let (parts, aborts, effect) = (self.parts.clone(), self.aborts.clone(), promise.effect());
        let abort = Rc::new(Bell::default());
        aborts.borrow_mut().insert(effect, abort.clone());
        let task = async move {
            let outcome = parts.carry_out(request, &abort).await;
            aborts.borrow_mut().remove(&effect);
            promise.answer(outcome);
        };
        self.executor.spawn(task).detach();
    }

    // A wait ends at once. Anything else has begun, and ends as it ends: half of it would be worse.
    fn abort(&self, effect: EffectId) {
        if let Some(abort) = self.aborts.borrow().get(&effect) {
            abort.ring();
        }
    }

    fn tend(&self) -> Pin<Box<dyn Future<Output = String> + '_>> {
        let census = Census::default().keep(async || self.parts.list().await, &self.inbox);
        let both = smol::future::or(self.parts.store.tend(), census);
        Box::pin(async { match self.executor.run(both).await {} })
    }
}

impl Parts {
    async fn carry_out(&self, request: Request, abort: &Bell) -> Outcome {
        match request {
            Request::Store(batch) => self.store.apply(&batch).await,
            Request::Read(queries) => self.store.find(&queries).await,
            Request::Watch(token, paths) => self.store.watch(token, &paths).await,
            Request::Unwatch(token) => {
                self.store.unwatch(token);
                Outcome::Ok(Reply::Unit)
            }
            Request::Introduce(domid, ring, port) => self.store.introduce(domid, ring, port).await,
            Request::Wait(wait) => {
                let aborted = async {
                    abort.heard().await;
                    Outcome::Aborted
                };
                smol::future::or(async { outcome(waits::wait(self, &wait).await) }, aborted).await
            }
            Request::CreateDomain(spec) => self.xen(move |xen| xen.create(&spec)).await,
            Request::Domain(domid, act) => self.xen(move |xen| xen.act(domid, &act)).await,
            Request::ListDomains => outcome(self.list().await.map(Reply::Domains)),
            Request::FindDomains(uuid) => outcome(self.find_domains(uuid).await.map(Reply::Domains)),
            Request::Memory => self.xen(|xen| outcome(xen.memory().map(Reply::Memory))).await,
            Request::HostStat => Outcome::Ok(Reply::Host(self.hypervisor.host_stat())),
            Request::ConsoleRing => self.xen(|xen| outcome(xen.console_ring().map(Reply::Text))).await,
            Request::DebugKeys(keys) => self.xen(move |xen| xen.debug_keys(&keys)).await,
            Request::Qmp(domid, command, arguments) => {
                let socket = Path::new(DEVICE_MODELS).join(format!("qmp-libxl-{domid}"));
                qmp::ask(&socket, &command, &arguments).await
            }
            Request::Link { interface, bridge, up } => link::change(&interface, bridge.as_deref(), up).await,
            Request::Storage(call) => {
                let storage = self.storage.clone();
                outcome(smol::unblock(move || storage.call(call)).await)
            }
            other => outcome(self.processes_and_files(other).await),
        }
    }

    async fn processes_and_files(&self, request: Request) -> Result<Reply, Fault> {
        let unit = |()| Reply::Unit;
        match request {
            Request::Spawn(spawn) => self.spawn(&spawn).map(unit),
            Request::Tell(process, line) => self.processes.tell(process, &line).await.map(unit),
            Request::Kill(domid, role) => {
                self.processes.kill(domid, role).await;
                Ok(Reply::Unit)
            }
            Request::Forget(process) => {
                self.processes.forget(process).await;
                Ok(Reply::Unit)
            }
            Request::Processes(domid) => Ok(Reply::Roles(self.processes.roles(domid))),
            Request::IsBehind { file, device } => {
                Ok(Reply::Flag(smol::unblock(move || loops::is_behind(&file, &device)).await))
            }
            Request::Hooks(directory) => {
                smol::unblock(move || files::hooks(Path::new(HOOKS), &directory)).await.map(Reply::Names)
            }
            Request::OpenImage { stream, disk, mode } => self.images.open_stream(stream, &disk, mode).await.map(unit),
            Request::AppendImage(stream, record) => self.images.append(stream, record).await.map(unit),
            Request::ReadImage(stream) => self.images.read(stream).await.map(Reply::Image),
            Request::SyncImage(stream) => self.images.sync(stream).await.map(unit),
            Request::CloseStream(stream) => self.images.close(stream).await.map(unit),
            Request::RemoveFiles(paths) => smol::unblock(move || files::remove(&paths)).await.map(unit),
            other => Err(Fault::Unsupported(format!("answer {other:?}: it is the driver's"))),
        }
    }

    fn spawn(&self, spawn: &Spawn) -> Result<(), Fault> {
        if let Some(directory) = &spawn.scratch {
            files::make_empty(directory)?;
        }
        let file = spawn.stream.map(|stream| self.images.hand_over(stream, spawn.domid)).transpose()?;
        self.processes.spawn(spawn, file.as_deref())
    }

    async fn xen<T: Send + 'static>(&self, call: impl FnOnce(&Hypervisor) -> T + Send + 'static) -> T {
        let hypervisor = self.hypervisor.clone();
        smol::unblock(move || call(&hypervisor)).await
    }

    async fn list(&self) -> Result<Vec<DomainInfo>, Fault> {
        self.xen(Hypervisor::list).await
    }

    async fn find_domains(&self, uuid: Uuid) -> Result<Vec<DomainInfo>, Fault> {
        let mut infos = self.list().await?;
        infos.retain(|info| info.handle == uuid || info.handle.is_tombstone());
        let path = |info: &DomainInfo| format!("/local/domain/{}/vm", info.domid);
        let tombs: Vec<_> = infos.iter().filter(|info| info.handle != uuid).map(path).collect();
        if tombs.is_empty() {
            return Ok(infos);
        }
        let values = self.store.values(&tombs).await.map_err(|error| error.fault("read whose domains have ended"))?;
        let vm = format!("/vm/{}", uuid.text());
        infos.retain(|info| info.handle == uuid || values.get(&path(info)) == Some(&vm));
        Ok(infos)
    }
}
