//! A hunt: checks of one mutant, each in a process of its own, until one kills it.
//!
//! That process is the mutant from its start: its processor time is its own, and one that never comes back from an input
//! is ended by the kernel. What breaks a rule without the mutant proves nothing, and the next seed is tried.

use super::check::Check;
use crate::schedule::Kind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use xenops_core::mutant::Mutant;

/// What one process came to.
#[derive(Clone, Debug, Default)]
pub struct Hunted {
    /// What was seen.
    pub found: Option<Found>,
    /// Inputs of machines.
    pub inputs: u64,
    /// Processor seconds.
    pub seconds: f64,
    hash: Option<u64>,
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed, or the row of windows.
    pub at: u64,
    /// The same for people.
    pub place: String,
    /// Kinds of crash windows in which it is broken.
    pub windows: Vec<String>,
    /// Which, and how.
    pub text: String,
}

/// What came of a mutant.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// The check that killed it, and what that one came to.
    pub killed: Option<(Check, Hunted)>,
    /// Processor seconds of milder checks, in which it lived.
    pub before: f64,
}

/// A check in a process of its own.
pub fn send(mutant: Option<Mutant>, check: Check, from: u64, to: u64, seconds: u64) -> Result<Hunted, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["hunt", "--check", check.name()]);
    for (flag, number) in [("--from", from), ("--to", to), ("--seconds", seconds)] {
        command.arg(flag).arg(number.to_string());
    }
    command.args(mutant.into_iter().flat_map(|mutant| ["--mutant", mutant.name()]));
    command.args(Kind::of_all().into_iter().flat_map(|kind| ["--schedule", kind.name()]));
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let number = |line: &Value, key: &str| line.get(key).and_then(Value::as_u64);
    let text = |line: &Value, key: &str| line.get(key).and_then(Value::as_str).map(str::to_owned);
    let last = lines.iter().rev().find(|line| line.get("inputs").is_some()).ok_or_else(|| {
        format!("hunt ended with {} and said nothing: {}", output.status, String::from_utf8_lossy(&output.stderr))
    })?;
    let names = |line: &Value| serde_json::from_value(line.get("windows").cloned().unwrap_or_default()).ok();
    let found = number(last, "at").map(|at| {
        let endless = || format!("L3: an input has no end, the process ended with {}", output.status);
        Found {
            at,
            place: text(last, "place").unwrap_or_else(|| format!("{} {at}", check.name())),
            windows: names(last).unwrap_or_default(),
            text: text(last, "broke").unwrap_or_else(endless),
        }
    });
    Ok(Hunted {
        found,
        inputs: number(last, "inputs").unwrap_or(0),
        seconds: last.get("seconds").and_then(Value::as_f64).unwrap_or(0.0),
        hash: lines.iter().find_map(|line| number(line, "hash")),
    })
}

/// Where the machine itself breaks a rule, as far as was asked.
#[derive(Default)]
pub struct Sound(Mutex<BTreeMap<(Check, u64), bool>>);

impl Sound {
    /// Whether it does here.
    fn is_broken(&self, check: Check, at: u64) -> Result<bool, String> {
        let known = self.0.lock().expect("nobody panics with it").get(&(check, at)).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let broken = send(None, check, at, at + 1, 600)?.found.is_some();
        self.0.lock().expect("nobody panics with it").insert((check, at), broken);
        Ok(broken)
    }
}

/// The checks that a mutant has to go through, mildest first: what kills it says what it takes to see it.
fn checks(mutant: Mutant) -> &'static [Check] {
    match mutant.again() {
        Some(_) => &[Check::Calm, Check::Races, Check::Windows, Check::Single, Check::Again],
        None => &[Check::Calm, Check::Races, Check::Windows, Check::Faults],
    }
}

/// Hunt one mutant, so many seconds in each check, until a rule is broken that holds without it.
pub fn hunt(mutant: Mutant, only: Option<Check>, seconds: u64, sound: &Sound) -> Result<Fate, String> {
    let mut fate = Fate::default();
    for check in checks(mutant).iter().copied().filter(|check| only.is_none_or(|only| only == *check)) {
        let hunted = through(mutant, check, seconds, sound)?;
        if hunted.found.is_some() {
            fate.killed = Some((check, hunted));
            return Ok(fate);
        }
        fate.before += hunted.seconds;
    }
    Ok(fate)
}

/// One check of it.
fn through(mutant: Mutant, check: Check, seconds: u64, sound: &Sound) -> Result<Hunted, String> {
    let mut all = Hunted::default();
    let mut from = 0;
    while all.seconds < seconds as f64 {
        let left = (seconds as f64 - all.seconds).ceil() as u64;
        let one = send(Some(mutant), check, from, u64::MAX, left)?;
        if check == Check::Calm && from == 0 {
            // The same inputs, the same effects: in another process too.
            let again = send(Some(mutant), check, 0, 1, seconds)?;
            if again.hash != one.hash {
                let text = format!("law 1: two processes come to the hashes {:x?} and {:x?}", one.hash, again.hash);
                let found = Found { at: 0, place: "seed 0".to_owned(), windows: Vec::new(), text };
                return Ok(Hunted { found: Some(found), seconds: again.seconds, ..one });
            }
        }
        all.inputs += one.inputs;
        all.seconds += one.seconds;
        let Some(found) = one.found else { break };
        if !sound.is_broken(check, found.at)? {
            all.found = Some(found);
            return Ok(all);
        }
        from = found.at + 1;
    }
    Ok(all)
}
