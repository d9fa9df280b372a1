//! The scopes that have to close, one after the other: `xenops-sim explore --ci`.

use super::scope::{Budget, OPS, Op, Scope};
use super::search::{Found, Limits, Search};
use super::windows::Windows;
use crate::fleet::Guest;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

/// A scope and what it is called.
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it is.
    pub scope: Scope,
}

/// What may go wrong once, in any way.
pub const ANY_ONE: Budget = Budget { crashes: 1, faults: 1, cancels: 1, guests: 0, all: 1 };
/// The same twice; a task can be cancelled once.
pub const ANY_TWO: Budget = Budget { crashes: 2, faults: 2, cancels: 1, guests: 0, all: 2 };
/// One crash.
pub const ONE_CRASH: Budget = Budget { crashes: 1, faults: 0, cancels: 0, guests: 0, all: 1 };

fn scope(vms: usize, ops: &[&str], budget: Budget) -> Scope {
    let ops = ops.iter().filter_map(|name| Op::named(name)).collect();
    Scope { vms, guest: Guest::Pv, ops, budget, reboots: true, unreduced: false }
}

/// Operations of a VM without a drive.
fn every_op() -> Vec<&'static str> {
    OPS.iter().filter(|op| !op.drive).map(|op| op.name).collect()
}

/// Those that have to close; the longest first.
pub fn scopes() -> Vec<Named> {
    let named = |name: String, scope| Named { name, scope };
    let two = |op: &str| named(format!("{op}, any two"), scope(1, &[op], ANY_TWO));
    let mut all: Vec<Named> = ["reboot", "suspend", "resume", "start", "shutdown"].into_iter().map(two).collect();
    let pairs = scope(2, &["start", "shutdown", "reboot"], ONE_CRASH);
    all.push(named("2 VMs: start, shutdown, reboot, a crash".to_owned(), pairs));
    all.push(named("every operation, any one".to_owned(), scope(1, &every_op(), ANY_ONE)));
    all
}

/// Those of which it is checked that the reduction changes no end state.
pub fn smallest() -> Vec<Named> {
    let named = |name: &str, scope| Named { name: name.to_owned(), scope };
    vec![
        named("2 VMs: pause, set-vcpus, a crash", scope(2, &["pause", "set-vcpus"], ONE_CRASH)),
        named("vif-carrier, any two", scope(1, &["vif-carrier"], ANY_TWO)),
        named("unpause, any one", scope(1, &["unpause"], ANY_ONE)),
    ]
}

/// Runs them all; whether none falls.
pub fn run(threads: usize, as_json: bool) -> bool {
    let began = Instant::now();
    let queue = Mutex::new(scopes().into_iter());
    let well = Mutex::new(true);
    let next = || queue.lock().expect("nobody panics while it is held").next();
    let fell = || *well.lock().expect("nobody panics while it is held") = false;
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(Named { name, scope }) = next() {
                    let found = Search::new(&scope, Limits::none()).run();
                    tell(&name, &found, as_json);
                    if !found.is_complete() {
                        fell();
                    }
                }
            });
        }
    });
    for Named { name, scope } in smallest() {
        match same_ends(&scope) {
            Ok((reduced, unreduced)) if !as_json => {
                println!("{name}: {reduced} states reduced, {unreduced} not; same end states")
            }
            Ok(_) => {}
            Err(what) => {
                eprintln!("{name}: {what}");
                fell();
            }
        }
    }
    if let Err(what) = windows_are_seen(&["start", "shutdown", "suspend"]) {
        eprintln!("{what}");
        fell();
    }
    let well = *well.lock().expect("nobody panics while it is held");
    if !as_json {
        println!("{} in {:.0} s", if well { "all closed" } else { "not all closed" }, began.elapsed().as_secs_f64());
    }
    well
}

fn tell(name: &str, found: &Found, as_json: bool) {
    if as_json {
        let mut line = found.json();
        line["scope"] = json!(name);
        return println!("{line}");
    }
    println!("{name}: {}", found.line());
    if let Some((violation, choices)) = &found.violation {
        eprintln!("{name}: {violation}\n  choices {}", super::replay::text(choices));
    }
}

/// How many states there are with the reduction and without, where both have the same end states.
pub fn same_ends(scope: &Scope) -> Result<(u64, u64), String> {
    let unreduced = Scope { unreduced: true, ..scope.clone() };
    let [some, all] = [scope, &unreduced].map(|scope| Search::new(scope, Limits::none()).run());
    for found in [&some, &all] {
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
pub fn windows_are_seen(ops: &[&str]) -> Result<(), String> {
    for name in ops {
        let op = Op::named(name).ok_or_else(|| format!("no operation is called {name}"))?;
        let row = Windows::default().of(op, Guest::Pv, 1).map_err(|violation| violation.to_string())?;
        let found = Search::new(&scope(1, &[name], ONE_CRASH), Limits::none()).run();
        let seen: BTreeSet<&String> = found.ends.keys().flatten().collect();
        if let Some(end) = row.ends.iter().find(|end| !seen.contains(end)) {
            return Err(format!("{name}: a crash in a window leads to {end:?}, which no search has seen"));
        }
    }
    Ok(())
}
