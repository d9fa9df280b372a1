//! Processes of the simulated dom0, whoever started them.

use super::broken::Part;
use super::event::{Event, Moment};
use super::pace::Takes;
use super::world::World;
use std::collections::{BTreeMap, VecDeque};
use xenops_core::host::{DomId, Exit, Fault, Handle, Process, Role, Spawn};

/// A process.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its number on this host.
    pub pid: u32,
    /// How it was started.
    pub spawn: Spawn,
    /// What it has said, and whether it has ended.
    pub shown: Process,
    /// QEMU only: it serves.
    pub ready: bool,
    /// The daemon that started it still lives.
    pub of_this_daemon: bool,
    /// Lines it was told and has not read.
    pub(super) told: VecDeque<String>,
    /// How many steps it has taken.
    pub(super) steps: u32,
    /// It waits for a line.
    pub(super) reads: bool,
    /// Its next step, or its end.
    pub(super) next: Option<Moment>,
    /// Waits that ask about it.
    pub(super) waits: Vec<u64>,
    /// Effects that are answered when it is gone.
    pub(super) killers: Vec<u64>,
}

impl Running {
    /// It runs, and the daemon that it should have ended with has gone.
    pub(super) fn is_orphan(&self) -> bool {
        !self.of_this_daemon && !self.spawn.role.outlives_daemon() && self.shown.exit.is_none()
    }
}

/// All processes.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    pub(super) all: BTreeMap<u32, Running>,
    pub(super) handles: BTreeMap<Handle, u32>,
    /// Those that run, by the domain that they serve.
    by_domain: BTreeMap<DomId, Vec<u32>>,
    started: u32,
}

impl Processes {
    /// Those that run, and those that have ended and of which somebody may still ask.
    pub fn iter(&self) -> impl Iterator<Item = &Running> {
        self.all.values()
    }

    /// Those that run for a domain in a role.
    pub fn of(&self, domid: DomId, role: Role) -> impl Iterator<Item = &Running> {
        let pids = self.by_domain.get(&domid).map_or(&[][..], |pids| pids);
        pids.iter().filter_map(|pid| self.all.get(pid)).filter(move |process| process.spawn.role == role)
    }

    /// Roles of those that run for a domain, each once.
    pub(super) fn roles(&self, domid: DomId) -> Vec<Role> {
        let pids = self.by_domain.get(&domid).map_or(&[][..], |pids| pids);
        let mut roles: Vec<Role> = pids.iter().filter_map(|pid| Some(self.all.get(pid)?.spawn.role)).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    /// By the daemon's number.
    pub fn by_handle(&self, handle: Handle) -> Option<&Running> {
        self.all.get(self.handles.get(&handle)?)
    }

    fn add(&mut self, spawn: Spawn) -> u32 {
        self.started += 1;
        let pid = self.started;
        self.handles.insert(spawn.process, pid);
        if let Some(domid) = spawn.domid {
            self.by_domain.entry(domid).or_default().push(pid);
        }
        let running = Running {
            pid,
            spawn,
            shown: Process::default(),
            ready: false,
            of_this_daemon: true,
            told: VecDeque::new(),
            steps: 0,
            reads: false,
            next: None,
            waits: Vec::new(),
            killers: Vec::new(),
        };
        self.all.insert(pid, running);
        pid
    }

    /// A device model that an earlier daemon has started, under a number that no daemon gives.
    pub(super) fn bring_model(&mut self, domid: DomId) {
        let process = Handle(u64::MAX - u64::from(domid));
        let (role, program) = (Role::DeviceModel, String::new());
        let (args, env, domid) = (Vec::new(), Vec::new(), Some(domid));
        let pid = self.add(Spawn { process, role, domid, program, args, env, scratch: None, stream: None });
        self.handles.remove(&process);
        if let Some(running) = self.all.get_mut(&pid) {
            (running.ready, running.of_this_daemon) = (true, false);
        }
    }

    fn ended(&mut self, pid: u32) {
        let Some(domid) = self.all.get(&pid).and_then(|process| process.spawn.domid) else { return };
        if let Some(pids) = self.by_domain.get_mut(&domid) {
            pids.retain(|other| *other != pid);
            if pids.is_empty() {
                self.by_domain.remove(&domid);
            }
        }
    }

    /// The daemon is gone: its numbers mean nothing any more.
    pub(super) fn orphan(&mut self) {
        self.handles.clear();
        for process in self.all.values_mut() {
            process.of_this_daemon = false;
            process.waits.clear();
            process.killers.clear();
        }
        self.all.retain(|_, process| process.shown.exit.is_none());
    }
}

impl World {
    /// Start a process. Its first step comes after a while.
    pub(super) fn spawn(&mut self, spawn: Spawn) -> Result<(), Fault> {
        if !spawn.program.starts_with('/') || self.disk.missing.contains(&spawn.program) {
            return Err(Fault::NotFound(spawn.program));
        }
        if self.processes.handles.contains_key(&spawn.process) {
            return Err(Fault::Exists(format!("process {}", spawn.process.0)));
        }
        if let Some(directory) = &spawn.scratch {
            self.disk.remove(directory);
        }
        let takes = takes(spawn.role);
        if let (Some(stream), Some(domid)) = (spawn.stream, spawn.domid) {
            self.images.hand_over(stream, domid);
        }
        self.note(7, spawn.role as u64, spawn.domid.map_or(u64::MAX, u64::from));
        let pid = self.processes.add(spawn);
        self.step_later(pid, takes);
        Ok(())
    }

    /// The process takes its next step after a while.
    pub(super) fn step_later(&mut self, pid: u32, takes: Takes) {
        let moment = self.later(takes, Event::Process(pid));
        if let Some(process) = self.processes.all.get_mut(&pid) {
            process.next = Some(moment);
        }
    }

    /// A process's step: what it does is its role's.
    pub(super) fn process_steps(&mut self, pid: u32) {
        let Some(process) = self.processes.all.get_mut(&pid) else { return };
        if process.shown.exit.is_some() {
            return;
        }
        process.next = None;
        process.steps += 1;
        let (step, role, domid) = (process.steps, process.spawn.role, process.spawn.domid);
        let helps = matches!(role, Role::Builder | Role::Saver | Role::Restorer);
        if helps && domid.is_some_and(|domid| self.is_broken(Part::Helpers, domid)) {
            return self.exits(pid, Exit::Signal(9));
        }
        match role {
            Role::Hotplug => self.script_steps(pid, step),
            Role::Hook => self.hook_runs(pid),
            Role::Builder => self.builder_steps(pid, step),
            Role::Saver => self.saver_steps(pid, step),
            Role::Restorer => self.restorer_steps(pid, step),
            Role::Bootloader => self.bootloader_runs(pid),
            Role::DeviceModel => self.qemu_starts(pid),
        }
        // An orphan that would hang ends with the daemon after all.
        let stuck = self.processes.all.get(&pid).is_some_and(|process| {
            !process.of_this_daemon && process.next.is_none() && !process.spawn.role.outlives_daemon()
        });
        if stuck {
            self.exits(pid, Exit::Signal(13));
        }
    }

    /// One line to its standard input.
    pub(super) fn tell(&mut self, handle: Handle, line: String) -> Result<(), Fault> {
        let pid = self.processes.handles.get(&handle).copied();
        let running = pid.and_then(|pid| self.processes.all.get_mut(&pid)).filter(|p| p.shown.exit.is_none());
        let Some(process) = running else { return Err(Fault::NotFound(format!("process {}", handle.0))) };
        process.told.push_back(line);
        let (pid, takes) = (process.pid, takes(process.spawn.role));
        if std::mem::take(&mut process.reads) {
            self.step_later(pid, takes);
        }
        Ok(())
    }

    /// The process goes on when it is told something; at once if it has been.
    pub(super) fn reads(&mut self, pid: u32) {
        let Some(process) = self.processes.all.get_mut(&pid) else { return };
        if !process.of_this_daemon {
            return self.exits(pid, Exit::Signal(13));
        }
        process.reads = process.told.is_empty();
        if !process.reads {
            let takes = takes(process.spawn.role);
            self.step_later(pid, takes);
        }
    }

    /// One line of its standard output.
    pub(super) fn says(&mut self, pid: u32, line: impl Into<String>) {
        let Some(process) = self.processes.all.get_mut(&pid) else { return };
        if process.of_this_daemon {
            process.shown.lines.push(line.into());
            self.woken.extend_from_slice(&process.waits);
        }
    }

    /// It ends.
    pub(super) fn exits(&mut self, pid: u32, exit: Exit) {
        let Some(process) = self.processes.all.get_mut(&pid) else { return };
        if process.shown.exit.is_some() {
            return;
        }
        process.shown.exit = Some(exit);
        process.ready = false;
        if let Some(moment) = process.next.take() {
            self.queue.cancel(moment);
        }
        self.woken.extend_from_slice(&process.waits);
        let killers = std::mem::take(&mut process.killers);
        let (role, domid, known) = (process.spawn.role, process.spawn.domid, process.of_this_daemon);
        self.processes.ended(pid);
        if !known {
            self.processes.all.remove(&pid);
        }
        self.note(8, role as u64, u64::from(pid));
        if let (Role::DeviceModel, Some(domid)) = (role, domid) {
            self.qemu_has_gone(domid);
        }
        for effect in killers {
            self.killed_one(effect);
        }
    }

    /// Tell all that run for a domain in a role to end; how many there were.
    pub(super) fn kill(&mut self, domid: DomId, role: Role, killer: u64) -> u32 {
        let pids: Vec<u32> = self.processes.of(domid, role).map(|process| process.pid).collect();
        for pid in &pids {
            self.later(Takes::Kill, Event::End(*pid));
            if let Some(process) = self.processes.all.get_mut(pid) {
                process.killers.push(killer);
            }
        }
        pids.len() as u32
    }

    /// Forget what it said; what still runs and was started by this daemon is killed.
    pub(super) fn forget(&mut self, handle: Handle) {
        let Some(pid) = self.processes.handles.remove(&handle) else { return };
        let Some(process) = self.processes.all.get_mut(&pid) else { return };
        if process.shown.exit.is_none() && process.spawn.role.outlives_daemon() {
            process.of_this_daemon = false;
            return;
        }
        self.exits(pid, Exit::Signal(9));
        self.processes.all.remove(&pid);
    }
}

/// How long a step of it takes.
fn takes(role: Role) -> Takes {
    match role {
        Role::Builder | Role::Saver | Role::Restorer | Role::Bootloader => Takes::Helper,
        Role::DeviceModel => Takes::Qemu,
        Role::Hotplug | Role::Hook => Takes::Script,
    }
}
