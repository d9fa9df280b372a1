//! The real daemon is killed again and again in the middle of its work; its host, which outlives it, is judged.
//!
//! `XENOPS_KILLS` says how often (10 if it does not), `XENOPS_SEED` with which seed (7).

#![cfg(feature = "simulated")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::auditor::Auditor;
use common::caller::{Caller, Gone};
use common::herd::Herd;
use common::{Daemon, Place};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xenops_core::interface::task::State;
use xenops_core::interface::{Answer, Call};
use xenops_io_xen::database::Database;

/// VMs, and how many of them are never touched.
const VMS: (u32, u32) = (20, 4);

/// VMs with operations that have not ended, at each kill. One more is asked for right before.
const IN_FLIGHT: usize = 4;

/// Kills after which all is let come to rest.
const BETWEEN_RESTS: u32 = 10;

/// Within which all comes to rest.
const LIVENESS: Duration = Duration::from_secs(240);

/// Without anything happening it is at rest: longer than any pause between two tries.
const QUIET: Duration = Duration::from_millis(1500);

// The place goes last, when nobody makes anything in it any more.
struct Test {
    host: PathBuf,
    daemon: Option<Daemon>,
    caller: Caller,
    auditor: Auditor,
    herd: Herd,
    place: Place,
}

impl Drop for Test {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.host.join("host.log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            println!("{}\n{}", self.herd.histories(), lines[lines.len().saturating_sub(400)..].join("\n"));
        }
    }
}

#[test]
fn kills_at_any_moment_lose_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("XENOPS_KILLS").unwrap_or(10) as u32;
    let seed = number("XENOPS_SEED").unwrap_or(7);
    // Shown where the test fails.
    println!("XENOPS_KILLS={kills} XENOPS_SEED={seed}");
    let mut test = Test::new(seed);
    let (mut fewest, mut most) = (usize::MAX, 0);
    for kill in 1..=kills {
        let in_flight = test.work_until_killed();
        assert!(in_flight > IN_FLIGHT, "kill {kill}: {in_flight} in flight");
        (fewest, most) = (fewest.min(in_flight), most.max(in_flight));
        test.start_again();
        if kill % BETWEEN_RESTS == 0 || kill == kills {
            test.rest(&format!("after kill {kill}"));
        }
    }
    test.clear();
    println!("{kills} kills, {fewest} to {most} VMs in operation at each; {:?}", test.herd.done);
}

fn start(place: &Place, host: &std::path::Path) -> Daemon {
    let mut command = place.command_on(&format!("simulated:{}", host.display()));
    command.arg("--simulated-pace=natural");
    Daemon::start(command, &place.path("sockets"))
}

impl Test {
    fn new(seed: u64) -> Test {
        let place = Place::new("kills");
        let host = place.path("host");
        let daemon = start(&place, &host);
        let mut caller = Caller::new(&daemon);
        let mut herd = Herd::draw(seed, VMS.0, VMS.1, &host);
        let auditor = Auditor::watch(&host, herd.ids(), seed);
        herd.settle_in(&mut caller).unwrap();
        let mut test = Test { host, daemon: Some(daemon), caller, auditor, herd, place };
        test.rest("at first");
        test
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// Clients work until the daemon is killed under them. How many VMs had operations in flight then.
    fn work_until_killed(&mut self) -> usize {
        let most = [600_000, 2_400_000][self.herd.choose(2)];
        let delay = Duration::from_micros(self.herd.choose(most) as u64);
        let jitter = Duration::from_micros(self.herd.choose(2000) as u64);
        let killer = killer(self.daemon(), delay, jitter);
        while !killer.is_finished() {
            if self.herd.step(&mut self.caller).is_err() {
                break;
            }
            self.tell_moved();
            std::thread::sleep(Duration::from_millis(self.herd.choose(8) as u64));
        }
        let in_flight = killer.join().unwrap();
        let log = self.daemon.take().unwrap().kill();
        assert!(!log.contains("panicked"), "{log}");
        in_flight
    }

    fn start_again(&mut self) {
        self.herd.while_down();
        std::thread::sleep(Duration::from_millis([0, 0, 50, 700][self.herd.choose(4)]));
        self.start();
        self.herd.compare(&mut self.caller).unwrap();
        self.tell_moved();
        self.auditor.at_rest();
    }

    fn tell_moved(&mut self) {
        let disks = self.herd.take_moved();
        if !disks.is_empty() {
            self.auditor.moved(disks);
        }
    }

    fn start(&mut self) {
        self.daemon = Some(start(&self.place, &self.host));
        self.caller = Caller::new(self.daemon());
    }

    /// Waits until nothing happens any more.
    fn wait_for_rest(&mut self, when: &str) {
        let began = Instant::now();
        let mut quiet_since = None;
        loop {
            let busy = self.busy().unwrap();
            if busy.is_some() {
                quiet_since = None;
            }
            let since = *quiet_since.get_or_insert_with(Instant::now);
            if busy.is_none() && since.elapsed() > QUIET {
                return;
            }
            assert!(began.elapsed() < LIVENESS, "{when} there is no rest: {busy:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What keeps the daemon or its host busy.
    fn busy(&mut self) -> Result<Option<String>, Gone> {
        let at_rest = self.auditor.at_rest();
        let text = answer!(self.caller.call("rest", Call::GetDiagnostics)?, Answer::Text(text) => text);
        let diagnostics: serde_json::Value = serde_json::from_str(&text).unwrap();
        let works = diagnostics["queues"].as_array().unwrap().iter().filter(|queue| queue["works"][0].is_string());
        let workers = diagnostics["workers"].as_array().unwrap();
        let pending = works.chain(workers).map(ToString::to_string).next();
        Ok(pending.or_else(|| (!at_rest).then(|| format!("the host; {}", diagnostics["verdicts"]))))
    }

    /// All comes to rest, and is as it should be.
    fn rest(&mut self, when: &str) {
        self.wait_for_rest(when);
        self.herd.rested(&mut self.caller).unwrap();
        self.daemon.take().unwrap().kill();
        let records = self.records();
        let wrong = self.auditor.judge(records);
        self.start();
        let verdicts = answer!(self.caller.call("rest", Call::GetDiagnostics).unwrap(), Answer::Text(text) => text);
        assert_eq!(wrong, None, "{when}, at rest: {verdicts}");
        self.herd.compare(&mut self.caller).unwrap();
        self.tell_moved();
    }

    /// The records as the next daemon finds them.
    fn records(&self) -> BTreeMap<String, String> {
        let copy = self.place.path("copy");
        let status = std::process::Command::new("cp").arg("-r").arg(self.place.path("database")).arg(&copy).status();
        assert!(status.unwrap().success());
        let (_, entries) = Database::open(&copy).unwrap();
        std::fs::remove_dir_all(copy).unwrap();
        entries.into_iter().filter_map(|entry| Some((entry.key, entry.value?))).collect()
    }

    /// All VMs go, and nothing is left of them.
    fn clear(&mut self) {
        let began = Instant::now();
        while !self.herd.take_away(&mut self.caller).unwrap() {
            assert!(began.elapsed() < LIVENESS, "the VMs do not go");
            std::thread::sleep(Duration::from_millis(100));
        }
        self.wait_for_rest("when all have gone");
        self.daemon.take().unwrap().kill();
        assert_eq!((self.records(), self.auditor.compare()), (BTreeMap::new(), None));
    }
}

/// Kills the daemon after a while, as soon as enough is in flight; how much that was.
fn killer(daemon: &Daemon, delay: Duration, jitter: Duration) -> std::thread::JoinHandle<usize> {
    let mut caller = Caller::new(daemon);
    let pid = Pid::from_raw(daemon.pid() as i32).unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(delay);
        let began = Instant::now();
        loop {
            let tasks = answer!(caller.call("killer", Call::TaskList).unwrap(), Answer::Tasks(tasks) => tasks);
            let pending = tasks.into_iter().filter(|task| matches!(task.state, State::Pending(_)));
            let vms: BTreeSet<String> = pending.map(|task| task.dbg).collect();
            if vms.len() > IN_FLIGHT {
                std::thread::sleep(jitter);
                kill_process(pid, Signal::KILL).unwrap();
                return vms.len();
            }
            assert!(began.elapsed() < common::PATIENCE, "not enough is in flight: {vms:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}
