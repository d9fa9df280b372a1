//! Every request at its moment.

use super::effect::Applied;
use super::event::Event;
use super::pace::Takes;
use super::path::{self, Place};
use super::world::World;
use xenops_core::host::{
    Batch, Change, DomId, DomainAct, Exit, Fault, Handle, ImageMode, ImageRecord, Reply, Request, Token, Uuid,
};

impl World {
    /// Do it, all of it.
    pub(super) fn apply(&mut self, effect: u64, request: Request) -> Applied {
        match request {
            Request::Wait(wait) => Applied::Waits(wait),
            Request::Domain(domid, act) => self.act(effect, domid, act),
            Request::Kill(domid, role) => Applied::Goes(self.kill(domid, role, effect)),
            other => Applied::Now(self.apply_at_once(other)),
        }
    }

    #[allow(clippy::unit_arg, reason = "one line a request: what it does, and that it answers nothing")]
    fn apply_at_once(&mut self, request: Request) -> Result<Reply, Fault> {
        let unit = |()| Reply::Unit;
        match request {
            Request::Store(batch) => self.transact(batch),
            Request::Read(queries) => Ok(Reply::Found(queries.iter().map(|query| self.store.query(query)).collect())),
            Request::Watch(token, paths) => self.watch(token, &paths).map(unit),
            Request::Unwatch(token) => Ok(unit(self.store.unwatch(token))),
            Request::Introduce(domid, _, _) => self.introduce(domid).map(unit),
            Request::CreateDomain(spec) => {
                let domid = self.hypervisor.create(&spec)?;
                self.is_of_broken(domid, spec.handle);
                self.note(10, u64::from(domid), 0);
                Ok(Reply::Domain(domid))
            }
            Request::ListDomains => {
                Ok(Reply::Domains(self.hypervisor.iter().map(|(_, domain)| domain.told(self.now.mono)).collect()))
            }
            Request::FindDomains(vm) => Ok(Reply::Domains(self.find_domains(vm))),
            Request::Memory => Ok(Reply::Memory(self.hypervisor.memory())),
            Request::HostStat => Ok(Reply::Host(self.host.clone())),
            Request::ConsoleRing => Ok(Reply::Text("(XEN) Xen version 4.17.7 (simulated)\n".to_owned())),
            Request::DebugKeys(_) => Ok(Reply::Unit),
            Request::Spawn(spawn) => self.spawn(*spawn).map(unit),
            Request::Tell(process, line) => self.tell(process, line).map(unit),
            Request::Forget(process) => Ok(unit(self.forget(process))),
            Request::Processes(domid) => Ok(Reply::Roles(self.processes.roles(domid))),
            Request::Hooks(directory) => Ok(Reply::Names(self.hooks(&directory))),
            Request::Qmp(domid, command, arguments) => self.qmp(domid, &command, &arguments).map(Reply::Text),
            Request::Link { interface, bridge, up } => self.nics.link(&interface, bridge, up).map(unit),
            Request::IsBehind { file, device } => Ok(Reply::Flag(self.is_behind(&file, &device))),
            Request::Storage(call) => self.storage_call(call),
            Request::OpenImage { stream, disk, mode } => {
                if mode == ImageMode::Save && self.disk.full {
                    return Err(Fault::NoSpace(format!("suspend image {disk}")));
                }
                self.images.open(stream, disk, mode, &mut self.lineages).map(unit)
            }
            Request::AppendImage(stream, record) => self.append_image(stream, record).map(unit),
            Request::ReadImage(stream) => self.read_image(stream),
            Request::SyncImage(stream) => self.images.sync(stream).map(unit),
            Request::CloseStream(stream) => Ok(unit(self.images.close(stream))),
            Request::RemoveFiles(files) => Ok(unit(files.iter().for_each(|file| self.disk.remove(file)))),
            Request::Append(_) if self.disk.full => Err(Fault::NoSpace("the journal".to_owned())),
            Request::Append(entries) => Ok(unit(self.disk.append(entries))),
            Request::Wait(_) | Request::Domain(..) | Request::Kill(..) => unreachable!("answered in their own time"),
        }
    }

    /// Do a part of it, where it has parts.
    pub(super) fn apply_partly(&mut self, effect: u64, request: Request) {
        let half = |n: usize| n / 2;
        match request {
            Request::Storage(call) => self.storage_call_partly(call),
            Request::RemoveFiles(mut files) => {
                files.truncate(half(files.len()));
                self.apply(effect, Request::RemoveFiles(files));
            }
            Request::Append(mut entries) => {
                entries.truncate(half(entries.len()));
                self.disk.append(entries);
            }
            Request::Link { interface, bridge: Some(bridge), .. } => {
                self.apply(effect, Request::Link { interface, bridge: Some(bridge), up: None });
            }
            Request::OpenImage { stream, disk, mode } => {
                self.apply(effect, Request::OpenImage { stream, disk, mode });
                self.images.close(stream);
            }
            Request::Kill(domid, role) => {
                let first = self.processes.of(domid, role).map(|process| process.pid).next();
                first.into_iter().for_each(|pid| self.exits(pid, Exit::Signal(15)));
            }
            Request::Domain(domid, DomainAct::Destroy) => self.begin_destroy(domid),
            Request::Wait(_) => {}
            other => {
                self.apply(effect, other);
            }
        }
    }

    fn transact(&mut self, batch: Batch) -> Result<Reply, Fault> {
        let places: Vec<Place> = batch
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Write(path, _) => path::written(path),
                Change::Remove(path) => path::place(path),
                Change::Mkdir(_) | Change::SetPerms(..) => None,
            })
            .collect();
        if !self.store.apply(batch)? {
            return Ok(Reply::GuardFailed);
        }
        for place in places {
            self.react(place);
        }
        Ok(Reply::Unit)
    }

    fn watch(&mut self, token: Token, paths: &[String]) -> Result<(), Fault> {
        self.store.watch(token, paths);
        Ok(())
    }

    fn introduce(&mut self, domid: DomId) -> Result<(), Fault> {
        let domain = self.hypervisor.get_mut(domid).filter(|domain| !domain.info.dying);
        let Some(domain) = domain.filter(|domain| domain.info.total_pages > 0) else {
            return Err(Fault::Other(format!("xenstore introduce {domid}: EINVAL")));
        };
        domain.introduced = true;
        self.note(11, u64::from(domid), 0);
        self.notice_domains();
        self.console_daemon_looks(domid);
        Ok(())
    }

    /// The console daemon attaches to an introduced domain's ring once its keys are there.
    pub(super) fn console_daemon_looks(&mut self, domid: DomId) {
        let introduced = self.hypervisor.get(domid).is_some_and(|domain| domain.introduced && domid != 0);
        let there = |leaf| self.store.exists(&path::domain(domid, leaf));
        if introduced && there("console/port") && there("console/ring-ref") && !there("console/tty") {
            self.later(Takes::Driver, Event::Console(domid));
        }
    }

    /// It gives the domain's console a terminal.
    pub(super) fn console_daemon_attaches(&mut self, domid: DomId) {
        if self.store.exists(&path::domain(domid, "console/port")) {
            self.put(&path::domain(domid, "console/tty"), &format!("{}{domid}", self.config.terminals));
        }
    }

    fn find_domains(&self, vm: Uuid) -> Vec<xenops_core::host::DomainInfo> {
        let named = |domid: &DomId| {
            let path = self.store.value(&path::domain(*domid, "vm"));
            path.and_then(|path| path.strip_prefix("/vm/")) == Some(&*vm.text())
        };
        let mut domids: Vec<DomId> = self.hypervisor.of(vm).chain(self.hypervisor.tombstones().filter(named)).collect();
        domids.sort_unstable();
        domids.dedup();
        domids.iter().filter_map(|domid| Some(self.hypervisor.get(*domid)?.told(self.now.mono))).collect()
    }

    fn hooks(&self, directory: &str) -> Vec<String> {
        let name = directory.rsplit('/').next().unwrap_or(directory);
        let mut files = self.config.hooks.iter().filter(|(hook, _)| hook == name).flat_map(|(_, files)| files.clone());
        let mut names: Vec<String> = files.by_ref().collect();
        names.sort_unstable();
        names
    }

    fn append_image(&mut self, stream: Handle, record: ImageRecord) -> Result<(), Fault> {
        if self.disk.full {
            return Err(Fault::NoSpace("the suspend image".to_owned()));
        }
        if record == ImageRecord::QemuTrad {
            let saved = self.images.domain_of(stream).map(|domid| format!("/var/run/xen/qemu-save.{domid}"));
            if !saved.is_some_and(|file| self.disk.left.contains(&file)) {
                return Err(Fault::NotFound("the device model's state".to_owned()));
            }
        }
        self.images.append(stream, record)
    }

    fn read_image(&mut self, stream: Handle) -> Result<Reply, Fault> {
        let record = self.images.read(stream)?;
        if record == Some(ImageRecord::QemuTrad) {
            self.unpack_device_state(stream);
        }
        Ok(Reply::Image(record))
    }

    /// Where QEMU looks for it when it starts.
    pub(super) fn unpack_device_state(&mut self, stream: Handle) {
        if let Some(domid) = self.images.domain_of(stream) {
            self.disk.left.insert(format!("/var/run/xen/qemu-resume.{domid}"));
        }
    }
}
