//! Processes that the daemon starts, and those that an earlier one has left.
//!
//! Each carries a mark in its environment, so that the next daemon finds it however this one ends: device models are
//! taken over, scripts are left time to finish, since one that is stopped half way may hold a loop device that nothing
//! names yet, and the others are ended; these end with the daemon already where `setpriv` is, which is everywhere on
//! Debian. All processes are started on one thread, so that a descriptor that is meant for one is never another's.

use super::faults::fault;
use super::mark;
use super::running::{Output, Running, read_lines};
use crate::log;
use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use smol::{Async, LocalExecutor};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;
use xenops_core::host::{DomId, Fault, Handle, Role, Spawn};

/// What a process may rely on.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Ends its program when the thread that started it ends.
const SETPRIV: &str = "/usr/bin/setpriv";

/// The argument in whose place the stream's descriptor stands.
const STREAM: &str = "{stream}";

/// How long scripts of an earlier daemon may still run.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(10);

/// All processes.
pub struct Processes {
    instance: String,
    logs: PathBuf,
    executor: Rc<LocalExecutor<'static>>,
    table: RefCell<Table>,
}

#[derive(Default)]
struct Table {
    handles: HashMap<Handle, Rc<Running>>,
    running: Vec<Rc<Running>>,
}

impl Processes {
    /// None yet; device models' output goes to files in `logs`.
    pub fn new(instance: &str, logs: &Path, executor: Rc<LocalExecutor<'static>>) -> Processes {
        Processes { instance: instance.to_owned(), logs: logs.to_owned(), executor, table: RefCell::default() }
    }

    /// Takes over what an earlier daemon of this instance left, and ends what should have ended with it; over when that
    /// is gone.
    pub async fn take_over(&self) {
        let mut ending = Vec::new();
        for (pid, role, domid) in mark::find(&self.instance) {
            let Ok(running) = Running::found(pid, role, domid) else { continue };
            let running = Rc::new(running);
            log::info("process", format_args!("found {} {pid} of an earlier daemon", mark::word(role)));
            self.table.borrow_mut().running.push(running.clone());
            let followed = running.clone();
            self.executor.spawn(async move { followed.follow_found().await }).detach();
            if !role.outlives_daemon() {
                ending.push(running);
            }
        }
        let (scripts, others): (Vec<_>, Vec<_>) = ending.into_iter().partition(|running| running.role.is_script());
        for running in others {
            running.stop(grace(running.role)).await;
        }
        let end = async {
            for running in &scripts {
                running.ended().await;
            }
        };
        let patience = async {
            smol::Timer::after(SCRIPT_PATIENCE).await;
        };
        smol::future::or(end, patience).await;
        for running in scripts.iter().filter(|running| !running.has_ended()) {
            running.stop(grace(running.role)).await;
        }
        self.sweep();
    }

    /// Starts one. `stream` is what its argument `{stream}` stands for.
    pub fn spawn(&self, spawn: &Spawn, stream: Option<&File>) -> Result<(), Fault> {
        if self.table.borrow().handles.contains_key(&spawn.process) {
            return Err(Fault::Exists(format!("process {}", spawn.process.0)));
        }
        let refuse = |error: io::Error| fault(&spawn.program, &error);
        if !spawn.program.starts_with('/') {
            return Err(Fault::NotFound(spawn.program.clone()));
        }
        access(&spawn.program, Access::EXEC_OK).map_err(|error| refuse(error.into()))?;
        // Without the mark that closes it when a program starts; dropped once this one has.
        let handed = stream.map(rustix::io::dup).transpose().map_err(|error| refuse(error.into()))?;
        let descriptor = handed.as_ref().map(|fd| fd.as_raw_fd().to_string());
        let mut command = self.command(spawn, descriptor.as_deref());
        let (output, log) = self.outputs(spawn, &mut command).map_err(refuse)?;
        let mut child = command.spawn().map_err(refuse)?;
        drop((command, handed));
        let running = Running::started(&mut child, spawn.role, spawn.domid);
        let running = Rc::new(running.map_err(|error| {
            let _ = child.kill();
            let _ = child.wait();
            refuse(error)
        })?);
        log::debug("process", format_args!("started {} {} {}", mark::word(spawn.role), running.pid, spawn.program));
        self.sweep();
        let mut table = self.table.borrow_mut();
        table.handles.insert(spawn.process, running.clone());
        table.running.push(running.clone());
        drop(table);
        if let Some(log) = log {
            let (role, pid) = (mark::word(spawn.role), running.pid);
            let said = move |line| log::info("process", format_args!("{role} {pid}: {line}"));
            self.executor.spawn(async move { read_lines(&log, said).await }).detach();
        }
        self.executor.spawn(async move { running.follow(child, output).await }).detach();
        Ok(())
    }

    fn command(&self, spawn: &Spawn, descriptor: Option<&str>) -> Command {
        let dies = !spawn.role.outlives_daemon() && !spawn.role.is_script();
        let mut command = match Path::new(SETPRIV).exists() && dies {
            true => {
                let mut command = Command::new(SETPRIV);
                command.args(["--pdeathsig", "KILL", "--", &spawn.program]);
                command
            }
            false => Command::new(&spawn.program),
        };
        command.args(spawn.args.iter().map(|arg| match descriptor {
            Some(descriptor) if arg == STREAM => descriptor,
            _ => arg,
        }));
        command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8");
        command.envs(spawn.env.iter().map(|(name, value)| (name, value)));
        command.env(mark::NAME, mark::value(&self.instance, spawn.role, spawn.domid));
        // A group of its own: what ends it ends its children, and what ends the daemon's terminal does not end it.
        command.current_dir("/").process_group(0);
        command
    }

    // Where its three streams go: its output, and what only the log is to show.
    fn outputs(&self, spawn: &Spawn, command: &mut Command) -> io::Result<(Output, Option<Async<OwnedFd>>)> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ours = |pipe: io::PipeReader| Async::new(OwnedFd::from(pipe));
        Ok(match spawn.role {
            // They go on without us, and would find a broken pipe. Scripts write their own log.
            Role::Hotplug => (Output::Nowhere, None),
            Role::DeviceModel => {
                fs::create_dir_all(&self.logs)?;
                let name = spawn.domid.map_or_else(|| "0".to_owned(), |domid| domid.to_string());
                let path = self.logs.join(format!("xenops-qemu-{name}.log"));
                let log = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
                command.stdout(log.try_clone()?).stderr(log.try_clone()?);
                (Output::File(log), None)
            }
            Role::Hook => {
                let said = File::from(memfd_create("hook", MemfdFlags::CLOEXEC)?);
                command.stdout(said.try_clone()?).stderr(said.try_clone()?);
                (Output::File(said), None)
            }
            Role::Bootloader => {
                let (lines, all) = io::pipe()?;
                command.stdout(all.try_clone()?).stderr(all);
                (Output::Lines(ours(lines)?), None)
            }
            Role::Builder | Role::Saver | Role::Restorer => {
                let ((lines, out), (log, err)) = (io::pipe()?, io::pipe()?);
                command.stdin(Stdio::piped()).stdout(out).stderr(err);
                (Output::Lines(ours(lines)?), Some(ours(log)?))
            }
        })
    }

    /// One line to a process's standard input.
    pub async fn tell(&self, process: Handle, line: &str) -> Result<(), Fault> {
        let lost = || Fault::NotFound(format!("process {}", process.0));
        let running = self.get(process).ok_or_else(lost)?;
        running.tell(line).await.map_err(|_| lost())
    }

    /// A process of this daemon's life.
    pub fn get(&self, process: Handle) -> Option<Rc<Running>> {
        self.table.borrow().handles.get(&process).cloned()
    }

    /// Ends all that run for a domain in a role; over when they are gone.
    pub async fn kill(&self, domid: DomId, role: Role) {
        let found: Vec<_> = self.of(domid).into_iter().filter(|running| running.role == role).collect();
        for running in found {
            running.stop(grace(role)).await;
        }
        self.sweep();
    }

    /// Forgets what a process said; a device model runs on, anything else ends.
    pub async fn forget(&self, process: Handle) {
        let Some(running) = self.table.borrow_mut().handles.remove(&process) else { return };
        if !running.has_ended() && !running.role.outlives_daemon() {
            running.stop(grace(running.role)).await;
        }
        self.sweep();
    }

    /// Roles of those that run for a domain, each once.
    pub fn roles(&self, domid: DomId) -> Vec<Role> {
        let mut roles: Vec<Role> = self.of(domid).iter().map(|running| running.role).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    fn of(&self, domid: DomId) -> Vec<Rc<Running>> {
        let table = self.table.borrow();
        let of = table.running.iter().filter(|running| running.domid == Some(domid) && !running.has_ended());
        of.cloned().collect()
    }

    fn sweep(&self) {
        self.table.borrow_mut().running.retain(|running| !running.has_ended());
    }
}

/// How long a process has to end by itself.
fn grace(role: Role) -> Duration {
    Duration::from_secs(match role {
        Role::DeviceModel => 10,
        Role::Hotplug | Role::Hook => 5,
        Role::Builder | Role::Saver | Role::Restorer | Role::Bootloader => 2,
    })
}

#[cfg(test)]
mod tests;
