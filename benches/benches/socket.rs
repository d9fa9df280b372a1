//! The daemon through its socket: a process of its own, an instant host, records in memory.

use criterion::{Criterion, SamplingMode, Throughput};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use xenops_benches::caller::{Caller, request};
use xenops_benches::fleet::{self, FLEET};

/// What this program is called where it is to be the daemon, or its simulated host.
const DAEMON: &str = "xenopsd";

/// The programs' own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|name| name == DAEMON) {
        return xenops_io_xen::daemon::main(std::env::args().skip(1));
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    calls(&mut criterion);
    memory();
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn calls(criterion: &mut Criterion) {
    let place = Place::new("socket");
    let daemon = Daemon::start(&place, "simulated");
    let mut caller = daemon.furnish();
    let mut group = criterion.benchmark_group("socket");
    let query = request("query", json!({"unit": null}));
    group.throughput(Throughput::Elements(1));
    group.bench_function("query, one after the other", |bencher| bencher.iter(|| caller.exchange(&query).len()));
    let list = request("VM.list", json!({"unit": null}));
    group
        .bench_function(format!("VM.list of {FLEET} at rest"), |bencher| bencher.iter(|| caller.exchange(&list).len()));
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(FLEET as u64));
    group.bench_function(format!("VM.start of {FLEET}"), |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| round(&mut caller)).sum());
    });
    group.finish();
    let before = daemon.cpu();
    caller.tasks("VM.start", (0..FLEET).map(|n| json!({"id": fleet::id(n), "paused": false})));
    let taken = daemon.cpu() - before;
    println!("the daemon's own time for a start, its host in it: {:?}", taken / FLEET as u32);
}

/// All VMs are started, which is timed, and stopped.
fn round(caller: &mut Caller) -> Duration {
    let began = Instant::now();
    caller.tasks("VM.start", (0..FLEET).map(|n| json!({"id": fleet::id(n), "paused": false})));
    let taken = began.elapsed();
    caller.tasks("VM.shutdown", (0..FLEET).map(|n| json!({"id": fleet::id(n)})));
    taken
}

/// Not timed, and printed only, with the unit's setting of the allocator: a daemon beside its host's process, after it has started all VMs and after its restart.
fn memory() {
    let place = Place::new("memory");
    let host = format!("simulated:{}", place.0.join("host").display());
    let start = || Daemon::start_with(&place, &host, &[("MIMALLOC_PURGE_DELAY", "0")]);
    let daemon = start();
    let mut caller = daemon.furnish();
    println!("resident with {FLEET} halted vms: {}", daemon.resident());
    caller.tasks("VM.start", (0..FLEET).map(|n| json!({"id": fleet::id(n), "paused": false})));
    caller.tasks("VM.unpause", (0..FLEET).map(|n| json!({"id": fleet::id(n)})));
    println!("resident with {FLEET} running vms: {}", daemon.resident());
    drop((caller, daemon));
    let daemon = start();
    daemon.caller().call("VM.list", json!({"unit": null}));
    println!("resident with {FLEET} running vms, after a restart: {}", daemon.resident());
}

/// Directories in memory; gone with this, and with them the host's process.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = root.join(format!("xenops-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory can be made");
        Place(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A daemon; killed with this.
struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(place: &Place, host: &str) -> Daemon {
        Daemon::start_with(place, host, &[])
    }

    fn start_with(place: &Place, host: &str, environment: &[(&str, &str)]) -> Daemon {
        use std::os::unix::process::CommandExt;
        let sockets = place.0.join("sockets");
        let program = std::env::current_exe().expect("this program has a path");
        let child = Command::new(program)
            .arg0(DAEMON)
            .args([format!("--host={host}"), "--simulated-pace=instant".to_owned()])
            .arg(format!("--sockets-path={}", sockets.display()))
            .arg(format!("--database-path={}", place.0.join("database").display()))
            .args(["--config=/nonexistent", "--config-dir=/nonexistent", "--loglevel=warning"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .expect("this program starts as the daemon");
        Daemon { child, socket: sockets.join("xenopsd") }
    }

    fn caller(&self) -> Caller {
        let began = Instant::now();
        loop {
            match Caller::connect(&self.socket) {
                Ok(caller) => return caller,
                Err(error) if began.elapsed() > Duration::from_secs(20) => {
                    panic!("the daemon does not listen: {error}")
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Adds all VMs.
    fn furnish(&self) -> Caller {
        let mut caller = self.caller();
        caller.calls("VM.add", (0..FLEET).map(|n| json!({"vm": fleet::vm(n)})));
        caller.calls("VBD.add", (0..FLEET).flat_map(fleet::vbds).map(|vbd| json!({"vbd": vbd})));
        caller.calls("VIF.add", (0..FLEET).map(|n| json!({"vif": fleet::vif(n)})));
        caller
    }

    /// Processor time that it has used, which others on a busy machine do not change much.
    fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).expect("it runs");
        let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(nanoseconds.expect("the first number is the time on a processor"))
    }

    /// Its memory, as the kernel says it.
    fn resident(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = |name| status.lines().find(|line| line.starts_with(name)).map(|line| line.split_ascii_whitespace());
        let words = ["VmRSS:", "RssAnon:"]
            .map(|name| line(name).map_or(String::new(), |words| words.collect::<Vec<_>>().join(" ")));
        words.join(", ")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
