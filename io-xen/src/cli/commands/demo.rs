//! `xenops demo`: a VM's life on a simulated host, with a real daemon that is killed on the way.

use super::super::client::{Client, ask};
use super::super::failure::Failure;
use super::super::output::Shown;
use super::super::wait::{Manner, perform};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::cell::RefCell;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use xenops_core::host::Uuid;
use xenops_core::interface::vm::State;
use xenops_core::interface::{Answer, Call, Disk, PowerState};
use xenops_core::xl;

const ID: Uuid = Uuid(*b"xenops demo VM 1");

const CONFIG: &str = r#"name = "demo"
builder = "linux"
kernel = "/boot/vmlinuz"
memory = 256
vcpus = 2
disk = [ "phy:/images/demo.img,xvda,w" ]
vif = [ "bridge=xenbr0" ]
"#;

/// How long anything may take that the demonstration waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shows a VM's life; fails, saying what did not hold, if it is not as it should be.
pub(super) fn run(json: bool) -> Result<Shown, Failure> {
    let stage = Stage::new()?;
    let mut steps = Vec::new();
    let mut say = |text: String| {
        if !json {
            println!("{text}");
        }
        steps.push(text);
    };
    let result = play(&stage, &mut say);
    let cleared = stage.clear();
    result.and(cleared)?;
    let text = if json { "" } else { "\nall of this was checked through the daemon's socket; nothing is left behind" };
    Ok(Shown { text: text.to_owned(), json: json!({ "steps": steps }) })
}

/// The play, scene by scene.
fn play(stage: &Stage, say: &mut dyn FnMut(String)) -> Result<(), Failure> {
    let show = Show { client: stage.client(), began: Instant::now() };
    let pid = stage.daemon()?;
    say(format!("a daemon, process {pid}, and a simulated host in {}", stage.directory.display()));
    show.add()?;
    say(show.now("VM demo is known: a PV guest with a disk and a NIC"));
    show.task("start", Call::VmStart { id: id(), paused: false })?;
    show.task("unpause", Call::VmUnpause { id: id() })?;
    let first = show.expect(PowerState::Running)?;
    say(show.now(&format!("started: domain {}", domid(&first))));
    ask!(show.client, Call::DebugTrigger { cmd: "reboot".into(), args: vec![id()] }, Answer::Unit => ());
    let second = show.until("the guest reboots", |state| booted(state) && state.domids != first.domids)?;
    say(show.now(&format!("the guest rebooted by itself: domain {}", domid(&second))));
    stage.kill()?;
    say(show.now("kill -9 of the daemon; the guest is not asked"));
    let pid = stage.daemon()?;
    let third = show.expect(PowerState::Running)?;
    check(third.domids == second.domids, "the daemon's death changed the VM's domain")?;
    say(show.now(&format!("a new daemon, process {pid}, finds domain {} running, undisturbed", domid(&third))));
    show.suspend_and_resume(stage, say)?;
    show.task("shut down", Call::VmShutdown { id: id(), delay: Some(30.0) })?;
    let last = show.expect(PowerState::Halted)?;
    check(last.domids.is_empty(), "a domain is left of the VM that was shut down")?;
    say(show.now("the guest shut down when it was asked"));
    ask!(show.client, Call::VmRemove { id: id() }, Answer::Unit => ());
    let left = ask!(show.client, Call::VmList, Answer::Vms(vms) => vms);
    check(left.is_empty(), "the daemon still knows the VM that was removed")?;
    say(show.now("removed: the daemon knows no VM"));
    Ok(())
}

fn id() -> String {
    ID.text()
}

fn domid(state: &State) -> String {
    state.domids.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

/// The guest's drivers have said what they can.
fn booted(state: &State) -> bool {
    state.power_state == PowerState::Running && state.guest_agent.get("control/feature-suspend").is_some()
}

fn check(holds: bool, otherwise: &str) -> Result<(), Failure> {
    let hint = "this is a bug in xenops; please report it with what was printed above";
    if holds { Ok(()) } else { Err(Failure::Impossible(otherwise.to_owned(), hint.to_owned())) }
}

/// What the play does with its VM.
struct Show {
    client: Client,
    began: Instant,
}

impl Show {
    fn now(&self, what: &str) -> String {
        format!("{:5.2} s  {what}", self.began.elapsed().as_secs_f64())
    }

    fn add(&self) -> Result<(), Failure> {
        let (metadata, _) = xl::parse(CONFIG, ID).expect("the demonstration's own file is right");
        ask!(self.client, Call::VmAdd { vm: Arc::new(metadata.vm) }, Answer::Text(_) => ());
        for vbd in metadata.vbds {
            ask!(self.client, Call::VbdAdd { vbd: Arc::new(vbd) }, Answer::DeviceId(_) => ());
        }
        for vif in metadata.vifs {
            ask!(self.client, Call::VifAdd { vif: Arc::new(vif) }, Answer::DeviceId(_) => ());
        }
        Ok(())
    }

    fn task(&self, label: &str, call: Call) -> Result<(), Failure> {
        perform(&self.client, call, label, Manner { bar: false }).map(drop)
    }

    fn state(&self) -> Result<State, Failure> {
        ask!(self.client, Call::VmStat { id: id() }, Answer::Vm(_, state) => Ok(*state))
    }

    fn expect(&self, power: PowerState) -> Result<State, Failure> {
        let state = self.state()?;
        check(state.power_state == power, &format!("the VM is {} and should be {power}", state.power_state))?;
        Ok(state)
    }

    fn until(&self, what: &str, holds: impl Fn(&State) -> bool) -> Result<State, Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let state = self.state()?;
            if holds(&state) {
                return Ok(state);
            }
            sleep(Duration::from_millis(50));
        }
        let late = format!("{} s were not enough until {what}", PATIENCE.as_secs());
        check(false, &late).and_then(|()| self.state())
    }

    fn suspend_and_resume(&self, stage: &Stage, say: &mut dyn FnMut(String)) -> Result<(), Failure> {
        let image = || Disk::Local(stage.directory.join("image").display().to_string());
        // A guest answers a suspend once it has booted.
        self.until("the guest has booted", booted)?;
        self.task("suspend", Call::VmSuspend { id: id(), suspend_vdi: image() })?;
        let state = self.expect(PowerState::Suspended)?;
        check(state.domids.is_empty(), "a domain is left of the VM that was suspended")?;
        say(self.now("suspended to an image; no domain is left"));
        self.task("resume", Call::VmResume { id: id(), suspend_vdi: image() })?;
        self.task("unpause", Call::VmUnpause { id: id() })?;
        let state = self.expect(PowerState::Running)?;
        say(self.now(&format!("resumed: domain {}", domid(&state))));
        Ok(())
    }
}

/// Where the play is given: a directory of its own, its host and its daemons.
struct Stage {
    directory: PathBuf,
    daemon: RefCell<Option<Child>>,
}

impl Stage {
    fn new() -> Result<Stage, Failure> {
        let directory = std::env::temp_dir().join(format!("xenops-demo-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(Failure::local(format!("make {}", directory.display())))?;
        Ok(Stage { directory, daemon: RefCell::default() })
    }

    fn client(&self) -> Client {
        Client::new(self.directory.join("xenopsd"), false)
    }

    /// Start a daemon; its process, once it answers.
    fn daemon(&self) -> Result<u32, Failure> {
        let failure = || Failure::local("start a daemon");
        let program = std::env::current_exe().map_err(failure())?;
        let log = fs::File::options().create(true).append(true).open(self.directory.join("log")).map_err(failure())?;
        let mut command = Command::new(program);
        // This program is the daemon too, by that name.
        command.arg0("xenopsd").arg(format!("--host=simulated:{}", self.directory.join("host").display()));
        command.arg(format!("--sockets-path={}", self.directory.display()));
        command.arg(format!("--database-path={}", self.directory.join("db").display()));
        command.args(["--config=/nonexistent", "--config-dir=/nonexistent"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(failure())?;
        let pid = child.id();
        *self.daemon.borrow_mut() = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.client().call(Call::Query).is_ok() {
                return Ok(pid);
            }
            let ended = self.daemon.borrow_mut().as_mut().map_or(Ok(None), Child::try_wait).map_err(failure())?;
            check(ended.is_none(), &format!("the daemon ended: {}", self.last_words()))?;
            sleep(Duration::from_millis(20));
        }
        check(false, &format!("the daemon did not answer: {}", self.last_words())).map(|()| pid)
    }

    /// As `kill -9` does.
    fn kill(&self) -> Result<(), Failure> {
        let Some(mut daemon) = self.daemon.borrow_mut().take() else { return Ok(()) };
        daemon.kill().and_then(|()| daemon.wait()).map(drop).map_err(Failure::local("kill the daemon"))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        log.lines().last().unwrap_or("it said nothing").to_owned()
    }

    /// End what was started here, and only that.
    fn clear(&self) -> Result<(), Failure> {
        if let Some(mut daemon) = self.daemon.borrow_mut().take() {
            if let Ok(pid) = i32::try_from(daemon.id()) {
                end(Pid::from_raw(pid));
            }
            daemon.wait().map_err(Failure::local("end the daemon"))?;
        }
        let host = fs::read_to_string(self.directory.join("host/host.pid")).unwrap_or_default();
        end(host.trim().parse().ok().and_then(Pid::from_raw));
        fs::remove_dir_all(&self.directory).map_err(Failure::local(format!("remove {}", self.directory.display())))
    }
}

/// End a process; one that has ended is fine.
fn end(pid: Option<Pid>) {
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
}
