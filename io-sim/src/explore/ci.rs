//! The scopes that have to close: `xenops-sim explore --ci`, and the greater ones: `xenops-sim explore --nightly`.

use super::scope::{Budget, OPS, Op, Scope};
use super::search::{Found, Limits, Search};
use super::windows::Windows;
use crate::fleet::Guest;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

/// A scope and what it is called.
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it is.
    pub scope: Scope,
    /// Whether what is put off is looked at each time, whether it commutes with what is tried.
    pub checks: bool,
}

/// What may go wrong once, in any way.
pub const ANY_ONE: Budget = Budget { crashes: 1, faults: 1, cancels: 1, guests: 0, all: 1 };
/// The same twice; a task can be cancelled once.
pub const ANY_TWO: Budget = Budget { crashes: 2, faults: 2, cancels: 1, guests: 0, all: 2 };
/// One of each.
pub const ALL_THREE: Budget = Budget { crashes: 1, faults: 1, cancels: 1, guests: 0, all: 3 };
/// One crash.
pub const ONE_CRASH: Budget = Budget { crashes: 1, faults: 0, cancels: 0, guests: 0, all: 1 };

/// The operations that are searched deeper, the longest first.
const FIVE: [&str; 5] = ["reboot", "start", "suspend", "resume", "shutdown"];

fn scope(vms: usize, guest: Guest, ops: &[&str], budget: Budget) -> Scope {
    let ops = ops.iter().filter_map(|name| Op::named(name)).collect();
    Scope { vms, guest, ops, budget, reboots: true, unreduced: false }
}

fn named(name: impl Into<String>, scope: Scope) -> Named {
    Named { name: name.into(), scope, checks: false }
}

/// What a VM is of which an operation is searched.
fn of(op: &Op) -> Guest {
    if op.drive { Guest::Hvm } else { Guest::Pv }
}

fn each(ops: impl Iterator<Item = &'static str>, what: &str, budget: Budget) -> Vec<Named> {
    let one = |op: &str| {
        let guest = Op::named(op).as_ref().map_or(Guest::Pv, of);
        named(format!("{op}, {what}"), scope(1, guest, &[op], budget))
    };
    ops.map(one).collect()
}

/// Those that have to close in CI; the longest first.
pub fn scopes() -> Vec<Named> {
    let mut all = vec![named(
        "2 VMs: start, shutdown, reboot, a crash",
        scope(2, Guest::Pv, &["start", "shutdown", "reboot"], ONE_CRASH),
    )];
    all.extend(each(FIVE.into_iter(), "any two", ANY_TWO));
    let others = OPS.iter().map(|op| op.name).filter(|name| !FIVE.contains(name));
    all.extend(each(others, "any two", ANY_TWO));
    all
}

/// The greater ones.
pub fn nightly() -> Vec<Named> {
    let mut all = each(FIVE.into_iter(), "all three", ALL_THREE);
    all.push(named("3 VMs: start, shutdown, a crash", scope(3, Guest::Pv, &["start", "shutdown"], ONE_CRASH)));
    all.push(named("2 VMs: the five, a crash", scope(2, Guest::Pv, &FIVE, ONE_CRASH)));
    all.push(named("2 VMs: start, shutdown, any one", scope(2, Guest::Pv, &["start", "shutdown"], ANY_ONE)));
    let checked = scope(2, Guest::Pv, &["start", "shutdown"], ONE_CRASH);
    let name = "2 VMs: start, shutdown, a crash; all that is put off tried";
    all.push(Named { checks: true, ..named(name, checked) });
    all
}

/// Those of which it is checked that the reduction changes no end state, and that what is put off commutes with what
/// is tried in its place.
pub fn smallest() -> Vec<Named> {
    vec![
        named("2 VMs: pause, set-vcpus, a crash", scope(2, Guest::Pv, &["pause", "set-vcpus"], ONE_CRASH)),
        named("2 VMs: unpause, vif-carrier, a crash", scope(2, Guest::Pv, &["unpause", "vif-carrier"], ONE_CRASH)),
        named("vif-carrier, any two", scope(1, Guest::Pv, &["vif-carrier"], ANY_TWO)),
        named("unpause, any one", scope(1, Guest::Pv, &["unpause"], ANY_ONE)),
    ]
}

/// How a list is run.
pub struct Run {
    /// At once.
    pub threads: usize,
    /// A line of JSON for each.
    pub as_json: bool,
    /// Only a share of each scope.
    pub shard: (u64, u64),
    /// Seconds for each scope at most.
    pub time: Option<std::time::Duration>,
    /// What has been closed is noted in this file, and what stands there is not done again.
    pub log: Option<PathBuf>,
}

type Job = Box<dyn FnOnce() -> bool + Send>;

impl Run {
    /// Those of CI, and the checks of the search itself; whether none falls.
    pub fn ci(&self) -> bool {
        let mut jobs = self.jobs(scopes());
        for op in ["start", "shutdown", "suspend"] {
            jobs.push(Box::new(move || windows_are_seen(op).map_err(|what| eprintln!("{what}")).is_ok()));
        }
        let as_json = self.as_json;
        for Named { name, scope, .. } in smallest() {
            jobs.push(Box::new(move || match same_ends(&scope) {
                Ok(_) if as_json => true,
                Ok((reduced, unreduced)) => {
                    println!("{name}: {reduced} states reduced, {unreduced} not; same end states");
                    true
                }
                Err(what) => {
                    eprintln!("{name}: {what}");
                    false
                }
            }));
        }
        self.all(jobs)
    }

    /// The greater ones; whether none falls.
    pub fn nightly(&self) -> bool {
        self.all(self.jobs(nightly()))
    }

    fn jobs(&self, scopes: Vec<Named>) -> Vec<Job> {
        let done = self.done();
        let left = scopes.into_iter().filter(|named| !done.contains(&named.name));
        left.map(|named| self.job(named)).collect()
    }

    fn job(&self, Named { name, scope, checks }: Named) -> Job {
        let limits = Limits { time: self.time, shard: self.shard, ..Limits::none() };
        let (as_json, log, shard) = (self.as_json, self.log.clone(), self.shard);
        Box::new(move || {
            let found = Search::new(&scope, limits).telling(&name).checking(checks).run();
            tell(&name, &found, as_json);
            if let (Some(log), true) = (log, found.is_complete()) {
                note(&log, &name, shard, &found);
            }
            found.is_complete()
        })
    }

    /// Scopes whose same share has been closed before.
    fn done(&self) -> BTreeSet<String> {
        let text = self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let same = lines.filter(|line| line["shard"] == json!([self.shard.0, self.shard.1]));
        same.filter_map(|line| line["scope"].as_str().map(str::to_owned)).collect()
    }

    fn all(&self, jobs: Vec<Job>) -> bool {
        let began = Instant::now();
        let (queue, well) = (Mutex::new(jobs.into_iter()), Mutex::new(true));
        let next = || queue.lock().expect("nobody panics while it is held").next();
        let fell = || *well.lock().expect("nobody panics while it is held") = false;
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while let Some(job) = next() {
                        if !job() {
                            fell();
                        }
                    }
                });
            }
        });
        let well = *well.lock().expect("nobody panics while it is held");
        if !self.as_json {
            println!(
                "{} in {:.0} s",
                if well { "all closed" } else { "not all closed" },
                began.elapsed().as_secs_f64()
            );
        }
        well
    }
}

fn line(name: &str, found: &Found) -> Value {
    let mut line = found.json();
    line["scope"] = json!(name);
    line
}

fn tell(name: &str, found: &Found, as_json: bool) {
    if as_json {
        println!("{}", line(name, found));
    } else {
        println!("{name}: {}", found.line());
    }
    if let Some((violation, choices)) = &found.violation {
        eprintln!("{name}: {violation}\n  choices {}", super::replay::text(choices));
    }
}

fn note(log: &std::path::Path, name: &str, shard: (u64, u64), found: &Found) {
    let mut line = line(name, found);
    line["shard"] = json!([shard.0, shard.1]);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "{line}")) {
        eprintln!("{}: {error}", log.display());
    }
}

/// How many states there are with the reduction and without, where both have the same end states.
pub fn same_ends(scope: &Scope) -> Result<(u64, u64), String> {
    let unreduced = Scope { unreduced: true, ..scope.clone() };
    let some = Search::new(scope, Limits::none()).checking(true).run();
    let all = Search::new(&unreduced, Limits::none()).run();
    for found in [&some, &all] {
        if let Some((violation, _)) = &found.violation {
            return Err(violation.to_string());
        }
        if !found.is_complete() {
            return Err(found.how());
        }
    }
    let ends = |found: &Found| found.ends.keys().cloned().collect::<BTreeSet<_>>();
    if ends(&some) == ends(&all) {
        return Ok((some.states, all.states));
    }
    Err(format!("end states with the reduction {:?}, without it {:?}", ends(&some), ends(&all)))
}

/// Whether the end states of a crash at any moment contain those that the table of windows names.
pub fn windows_are_seen(name: &str) -> Result<(), String> {
    let op = Op::named(name).ok_or_else(|| format!("no operation is called {name}"))?;
    let row = Windows::default().of(op, Guest::Pv, 1).map_err(|violation| violation.to_string())?;
    let found = Search::new(&scope(1, Guest::Pv, &[name], ONE_CRASH), Limits::none()).run();
    let seen: BTreeSet<&String> = found.ends.keys().flatten().collect();
    match row.ends.iter().find(|end| !seen.contains(end)) {
        Some(end) => Err(format!("{name}: a crash in a window leads to {end:?}, which no search has seen")),
        None => Ok(()),
    }
}
