//! What goes on in the miniature host without us: kernels, scripts, helper, QEMU and guest.

use super::world::World;
use crate::host::*;

/// How the guest behaves.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    /// It takes requests in `control/shutdown`.
    pub(super) obeys: bool,
    /// How it stops when it is asked to.
    pub(super) stops: Option<ShutdownCode>,
    /// Its front ends close when their back ends ask.
    pub(super) closes: bool,
    /// What its front ends say against closing.
    pub(super) refuses: Option<&'static str>,
    /// An HVM guest's paravirtual drivers.
    pub(super) drivers: bool,
    /// What the block script says of sharing.
    pub(super) busy: bool,
    /// What the helper says at its end instead of a result.
    pub(super) helper_fails: Option<&'static str>,
}

impl Default for Guest {
    fn default() -> Guest {
        Guest { obeys: true, stops: None, closes: true, refuses: None, drivers: true, busy: false, helper_fails: None }
    }
}

fn ok() -> Outcome {
    Outcome::Ok(Reply::Unit)
}

impl World {
    pub(super) fn apply(&mut self, request: Request) -> Outcome {
        match request {
            Request::Store(batch) => {
                let outcome = self.transaction(batch);
                self.settle();
                outcome
            }
            Request::Read(queries) => {
                Outcome::Ok(Reply::Found(queries.into_iter().map(|query| self.query(query)).collect()))
            }
            Request::Wait(wait) => {
                if let Some(happens) = self.meanwhile.take() {
                    happens(self);
                }
                self.wait(&wait)
            }
            Request::CreateDomain(spec) => self.create(spec),
            Request::Domain(domid, act) => self.act(domid, act),
            Request::FindDomains(vm) => {
                let path = format!("/vm/{}", vm.text());
                let is_its = |info: &&DomainInfo| {
                    let own = self.get(&format!("/local/domain/{}/vm", info.domid)) == Some(path.as_str());
                    info.handle == vm || (info.handle.is_tombstone() && own)
                };
                Outcome::Ok(Reply::Domains(self.domains.values().filter(is_its).cloned().collect()))
            }
            Request::Memory => Outcome::Ok(Reply::Memory(self.memory)),
            Request::Introduce(..) | Request::Link { .. } | Request::RemoveFiles(_) => ok(),
            Request::Spawn(spawn) => self.spawn(*spawn),
            Request::Tell(process, word) => self.tell(process, &word),
            Request::Kill(domid, role) => {
                self.processes.retain(|_, (spawn, _)| spawn.role != role || spawn.domid != Some(domid));
                ok()
            }
            Request::Forget(process) => {
                self.processes.remove(&process);
                ok()
            }
            Request::Processes(domid) => {
                let of_it = self.processes.values().filter(|(spawn, _)| spawn.domid == Some(domid));
                Outcome::Ok(Reply::Roles(of_it.map(|(spawn, _)| spawn.role).collect()))
            }
            Request::Hooks(_) => Outcome::Ok(Reply::Names(self.hooks.iter().map(|(name, _)| name.clone()).collect())),
            Request::Qmp(_, command, _) => Outcome::Ok(Reply::Text(qmp(&command).to_owned())),
            Request::IsBehind { file, device } => {
                Outcome::Ok(Reply::Flag(self.loops.get(&device).is_some_and(|behind| *behind == file)))
            }
            Request::Storage(call) => self.storage(call),
            Request::OpenImage { stream, mode, .. } => {
                self.streams.insert(stream);
                match mode {
                    ImageMode::Save => self.image.clear(),
                    ImageMode::Restore => self.unread = self.image.clone(),
                }
                self.synced = false;
                ok()
            }
            Request::AppendImage(_, record) => {
                self.synced = false;
                self.image.push(record);
                ok()
            }
            Request::ReadImage(_) => {
                let next = (!self.unread.is_empty()).then(|| self.unread.remove(0));
                Outcome::Ok(Reply::Image(next))
            }
            Request::SyncImage(_) => {
                self.synced = true;
                ok()
            }
            Request::CloseStream(stream) => {
                self.streams.remove(&stream);
                ok()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Time passes only in waits that nothing ends.
    fn wait(&mut self, wait: &Wait) -> Outcome {
        let served: Vec<_> = self.processes.values().filter(|(spawn, _)| spawn.role == Role::DeviceModel).collect();
        let served: Vec<_> = served.iter().filter_map(|(spawn, _)| spawn.domid).collect();
        for domid in served {
            self.write(&format!("/local/domain/0/device-model/{domid}/state"), "running");
        }
        self.settle();
        let held = wait.held(self);
        if held.is_none() {
            self.mono = self.mono.max(wait.until);
        }
        let asked = wait.any.iter().find_map(Condition::process);
        let process = asked.and_then(|(process, from)| {
            let (_, process) = self.processes.get(&process)?;
            let lines = process.lines.iter().skip(from as usize).cloned().collect();
            Some(Process { lines, exit: process.exit })
        });
        Outcome::Ok(Reply::Held(held.map(|which| which as u32), process))
    }

    fn create(&mut self, spec: DomainSpec) -> Outcome {
        let domid = self.domains.keys().next_back().map_or(7, |domid| domid + 1);
        self.add_domain(domid, spec.handle, spec.flavour != Flavour::Pv);
        Outcome::Ok(Reply::Domain(domid))
    }

    pub(super) fn add_domain(&mut self, domid: DomId, handle: Uuid, hvm: bool) {
        let info = DomainInfo {
            domid,
            handle,
            paused: true,
            dying: false,
            shutdown: None,
            hvm,
            total_pages: 0,
            max_pages: 0,
            cpu_time: 0,
            vcpus: 1,
        };
        self.domains.insert(domid, info);
    }

    fn act(&mut self, domid: DomId, act: DomainAct) -> Outcome {
        let Some(info) = self.domains.get_mut(&domid) else { return Outcome::Refused(Fault::NoDomain(domid)) };
        match act {
            DomainAct::Pause => info.paused = true,
            DomainAct::Unpause => info.paused = false,
            DomainAct::Destroy => {
                self.domains.remove(&domid);
            }
            DomainAct::SetHandle(handle) => info.handle = handle,
            DomainAct::Shutdown(code) => info.shutdown = Some(code),
            DomainAct::Resume => info.shutdown = None,
            DomainAct::AllocUnbound => {
                info.vcpus += 1;
                return Outcome::Ok(Reply::Number(u64::from(info.vcpus) - 1));
            }
            DomainAct::HasPvCallback => return Outcome::Ok(Reply::Flag(self.guest.drivers)),
            DomainAct::GetShadowAllocation => return Outcome::Ok(Reply::Number(4)),
            _ => {}
        }
        ok()
    }

    fn storage(&mut self, call: StorageCall) -> Outcome {
        match call {
            StorageCall::Attach { dp, vdi, .. } => {
                self.datapaths.insert(dp);
                let attached = Attached { params: format!("/dev/{vdi}"), backend_kind: None, record: "{}".to_owned() };
                return Outcome::Ok(Reply::Attached(attached));
            }
            StorageCall::Destroy { dp } => {
                self.datapaths.remove(&dp);
            }
            StorageCall::EpochBegin { vdi, .. } => {
                self.epochs.insert(vdi);
            }
            StorageCall::EpochEnd { vdi } => {
                self.epochs.remove(&vdi);
            }
            StorageCall::List { prefix } => {
                let names = self.datapaths.iter().filter(|dp| dp.starts_with(&prefix));
                return Outcome::Ok(Reply::Names(names.cloned().collect()));
            }
            StorageCall::Activate { .. } | StorageCall::Deactivate { .. } => {}
        }
        ok()
    }

    /// Kernels and guest react to xenstore.
    pub(super) fn settle(&mut self) {
        let backends: Vec<String> =
            self.store.keys().filter_map(|path| path.strip_suffix("/state")).map(str::to_owned).collect();
        for backend in backends.iter().filter(|path| path.starts_with("/local/domain/0/backend/")) {
            self.settle_backend(backend);
        }
        let domids: Vec<DomId> = self.domains.keys().copied().collect();
        for domid in domids {
            let request = format!("/local/domain/{domid}/control/shutdown");
            let asked = self.get(&request).is_some_and(|word| !word.is_empty());
            if asked && self.guest.obeys {
                self.write(&request, "");
                self.domains.get_mut(&domid).expect("listed").shutdown = self.guest.stops;
            }
        }
    }

    fn settle_backend(&mut self, backend: &str) {
        let state = format!("{backend}/state");
        let key = |key: &str| self.get(&format!("{backend}/{key}"));
        let front = key("frontend").unwrap_or_default().to_owned();
        let is_qemus = backend.contains("/qdisk/");
        let served = self.processes.values().any(|(spawn, _)| spawn.role == Role::DeviceModel);
        let domid = key("frontend-id").and_then(|id| id.parse::<DomId>().ok()).unwrap_or_default();
        match self.get(&state) {
            Some("1") if !is_qemus => self.write(&state, "2"),
            Some("1") if served => {
                self.write(&state, "2");
                self.write(&format!("{backend}/hotplug-status"), "connected");
            }
            // A front end that is cut off lets go, and so does a guest that is willing and runs.
            Some("5") if self.get(&front).is_none() && (!is_qemus || served) => self.write(&state, "6"),
            Some("5") => {
                let runs = self.domains.get(&domid).is_some_and(DomainInfo::runnable);
                match self.guest.refuses {
                    Some(text) if runs => {
                        let error = front.replace("/device/", "/error/device/");
                        self.write(&format!("{error}/error"), text);
                    }
                    None if runs && self.guest.closes => {
                        self.write(&format!("{front}/state"), "6");
                        self.write(&state, "6");
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn spawn(&mut self, spawn: Spawn) -> Outcome {
        let process = match spawn.role {
            Role::Hotplug => self.script(&spawn),
            Role::Builder => self.build(&spawn),
            Role::Saver => Process { lines: vec!["prepare:xenguest".to_owned()], exit: None },
            Role::Restorer => Process::default(),
            Role::DeviceModel => Process::default(),
            Role::Hook => {
                let name = spawn.program.rsplit('/').next().unwrap_or_default();
                let exit = self.hooks.iter().find(|(hook, _)| hook == name).map(|(_, exit)| *exit);
                Process { lines: vec!["said".to_owned()], exit }
            }
            Role::Bootloader => {
                let directory = spawn.scratch.as_deref().expect("pygrub has a directory of its own");
                let lines = vec![format!("kernel {directory}/k"), "args ro".to_owned()];
                Process { lines, exit: Some(Exit::Code(0)) }
            }
        };
        self.processes.insert(spawn.process, (spawn, process));
        self.settle();
        ok()
    }

    fn script(&mut self, spawn: &Spawn) -> Process {
        let variable = |name: &str| spawn.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let backend = format!("/local/domain/0/{}", variable("XENBUS_PATH").expect("a script needs it"));
        let exit = |code| Process { lines: Vec::new(), exit: Some(Exit::Code(code)) };
        match spawn.args[0].as_str() {
            "add" if spawn.args.len() == 1 => {
                if self.guest.busy {
                    self.write(&format!("{backend}/hotplug-error"), "is in use");
                    self.write(&format!("{backend}/hotplug-status"), "busy");
                    return exit(1);
                }
                if self.get(&format!("{backend}/state")) != Some("2") {
                    self.write(&format!("{backend}/hotplug-status"), "error");
                    return exit(1);
                }
                let free = (0..).map(|n| format!("/dev/loop{n}")).find(|node| !self.loops.contains_key(node));
                let node = free.expect("there is always one more");
                let file = self.get(&format!("{backend}/params")).unwrap_or_default().to_owned();
                self.loops.insert(node.clone(), file);
                self.write(&format!("{backend}/node"), &node);
                self.write(&format!("{backend}/hotplug-status"), "connected");
                exit(0)
            }
            // Without the directory the script cannot find the loop device, and makes a mess; one that is free already
            // it cannot free.
            "remove" if spawn.args.len() == 1 => {
                let node = self.get(&format!("{backend}/node")).map(str::to_owned);
                if node.is_some_and(|node| self.loops.remove(&node).is_some()) {
                    return exit(0);
                }
                self.write(&format!("{backend}/hotplug-status"), "error");
                exit(1)
            }
            "online" => {
                assert!(variable("vif").is_some(), "vif-bridge needs the interface's name");
                self.write(&format!("{backend}/hotplug-status"), "connected");
                exit(0)
            }
            _ => exit(0),
        }
    }

    fn build(&mut self, spawn: &Spawn) -> Process {
        if let Some(text) = self.guest.helper_fails {
            return Process { lines: vec![format!("error:{text}")], exit: Some(Exit::Code(1)) };
        }
        self.populate(spawn.domid.expect("it builds a domain"));
        let lines = ["info:building", "result:778753 778754"].map(str::to_owned).to_vec();
        Process { lines, exit: Some(Exit::Code(0)) }
    }

    fn populate(&mut self, domid: DomId) {
        let info = self.domains.get_mut(&domid).expect("the domain is there");
        info.total_pages = 32_768;
        info.max_pages = 40_000;
    }

    fn tell(&mut self, process: Handle, word: &str) -> Outcome {
        let Some((spawn, _)) = self.processes.get(&process) else {
            return Outcome::Refused(Fault::NotFound("process".to_owned()));
        };
        let (role, domid) = (spawn.role, spawn.domid.expect("helpers serve a domain"));
        if role == Role::Restorer {
            self.populate(domid);
        }
        let fails = self.guest.helper_fails;
        let state = &mut self.processes.get_mut(&process).expect("just found").1;
        let say: Vec<String> = match (role, word, state.lines.last().map(String::as_str)) {
            (Role::Saver, "done", Some("prepare:xenguest")) => {
                vec!["info:live".to_owned(), r"info:\b\b\b\b 42%".to_owned(), "suspend:".to_owned()]
            }
            (Role::Saver, "done", _) => match fails {
                Some(text) => vec![format!("error:{text}")],
                None => vec!["result:".to_owned()],
            },
            (Role::Restorer, "restore:xenguest", _) => vec![match fails {
                Some(text) => format!("error:{text}"),
                None => "result:xenguest 5 6".to_owned(),
            }],
            _ => panic!("{role:?} was told {word}"),
        };
        let ended = say.iter().any(|line| line.starts_with("result:") || line.starts_with("error:"));
        state.lines.extend(say);
        state.exit = ended.then_some(Exit::Code(0));
        ok()
    }
}

fn qmp(command: &str) -> &'static str {
    match command {
        "query-chardev" => r#"[{"label":"libxl-cmd","filename":"x"},{"label":"serial0","filename":"pty:/dev/pts/3"}]"#,
        "query-vnc" => r#"{"enabled":true,"family":"ipv4","service":"5900"}"#,
        "query-hotpluggable-cpus" => {
            r#"[{"props":{"socket-id":1},"qom-path":"/machine/unattached/device[1]"},{"props":{"socket-id":0}}]"#
        }
        _ => "{}",
    }
}
