//! Whether the simulator notices: machines with one breakage each, run until a rule is broken.
//!
//! Each runs in a process of its own, which is that mutant from its start: its processor time is its own, and one that
//! never comes back from an input is ended by the kernel. A seed that breaks a rule without the mutant proves nothing,
//! and the next one is tried.

use crate::report::Report;
use crate::run;
use crate::schedule::Kind;
use crate::swarm::Profile;
use crate::trace::Trace;
use crate::world::Choices;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use xenops_core::mutant::{ALL, Mutant};

/// Processor seconds beyond its time after which the kernel ends a hunt: one input that takes as long has no end.
const GRACE: u64 = 15;

/// Runs in which each operation has gone well at least once.
const MANY: u64 = 500;

/// `xenops-sim mutants`
#[derive(clap::Args)]
pub struct Options {
    /// Only these.
    names: Vec<String>,
    /// Processor seconds that each may live.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Leave out those of which it is known that they survive.
    #[arg(long)]
    mortal: bool,
    /// Only list them.
    #[arg(long)]
    list: bool,
}

/// `xenops-sim hunt`
#[derive(clap::Args)]
pub struct Hunt {
    /// The first seed.
    #[arg(long)]
    from: u64,
    /// The seed before which to stop.
    #[arg(long, default_value_t = u64::MAX)]
    to: u64,
    /// Processor seconds.
    #[arg(long)]
    seconds: u64,
}

/// What a hunt came to.
#[derive(Clone, Debug)]
struct Hunted {
    /// The seed it ended with, and what was seen there.
    found: Option<(u64, String)>,
    inputs: u64,
    seconds: f64,
    /// Of its first seed.
    hash: String,
}

/// Run seeds in this process, and say on standard output where it is and what was found, a line each.
pub fn hunt(options: &Hunt) -> Result<bool, String> {
    let limit = Rlimit { current: Some(options.seconds + GRACE), maximum: Some(options.seconds + GRACE) };
    setrlimit(Resource::Cpu, limit).map_err(|error| error.to_string())?;
    let (mut inputs, mut report) = (0, Report::default());
    let say = |line: Value| writeln!(std::io::stdout(), "{line}").map_err(|error| error.to_string());
    for seed in options.from..options.to {
        if processor_time() >= options.seconds as f64 {
            break;
        }
        say(json!({"at": seed, "inputs": inputs, "seconds": processor_time()}))?;
        let outcome = run::run(seed, Choices::seeded(seed), Profile::Ci, Trace::default());
        inputs += outcome.steps;
        if seed == options.from {
            say(json!({"hash": format!("{:016x}", outcome.hash)}))?;
        }
        report.add(seed, &outcome);
        if let Some(text) = outcome.violation.map(|violation| violation.to_string()).or_else(|| never(&report)) {
            say(json!({"at": seed, "broke": text, "inputs": inputs, "seconds": processor_time()}))?;
            return Ok(false);
        }
    }
    say(json!({"lived": true, "inputs": inputs, "seconds": processor_time()}))?;
    Ok(true)
}

/// What has never gone well in so many runs: a machine that refuses everything breaks no rule but this.
fn never(report: &Report) -> Option<String> {
    let blind = if report.seeds == MANY { report.blind() } else { Vec::new() };
    blind.into_iter().find(|what| what.ends_with("never completed")).map(|what| format!("blind: {what}"))
}

/// Seconds that this process has computed.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A hunt in a process of its own.
fn send(mutant: Option<Mutant>, from: u64, to: u64, seconds: u64) -> Result<Hunted, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("hunt");
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
    let hash = lines.iter().find_map(|line| text(line, "hash")).unwrap_or_default();
    let last = lines.iter().rev().find(|line| line.get("inputs").is_some()).ok_or_else(|| {
        format!("hunt ended with {} and said nothing: {}", output.status, String::from_utf8_lossy(&output.stderr))
    })?;
    let found = match (number(last, "at"), text(last, "broke")) {
        (Some(seed), Some(text)) => Some((seed, text)),
        (Some(seed), None) => {
            Some((seed, format!("L3: an input has no end, the process ended with {}", output.status)))
        }
        (None, _) => None,
    };
    let inputs = number(last, "inputs").unwrap_or(0);
    let seconds = last.get("seconds").and_then(Value::as_f64).unwrap_or(0.0);
    Ok(Hunted { found, inputs, seconds, hash })
}

/// Seeds on which the machine itself breaks a rule, as far as was asked.
#[derive(Default)]
struct Sound(Mutex<BTreeMap<u64, Option<String>>>);

impl Sound {
    /// What the machine breaks on this seed.
    fn broken(&self, seed: u64) -> Result<Option<String>, String> {
        let known = self.0.lock().expect("nobody panics with it").get(&seed).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let text = send(None, seed, seed + 1, 600)?.found.map(|(_, text)| text);
        self.0.lock().expect("nobody panics with it").insert(seed, text.clone());
        Ok(text)
    }
}

/// Hunt one mutant until a seed breaks a rule that holds without it.
fn hunt_down(mutant: Mutant, seconds: u64, sound: &Sound) -> Result<Hunted, String> {
    let mut all = Hunted { found: None, inputs: 0, seconds: 0.0, hash: String::new() };
    // The same inputs, the same effects: in another process too.
    let first = [send(Some(mutant), 0, 1, seconds)?.hash, send(Some(mutant), 0, 1, seconds)?.hash];
    if first[0] != first[1] {
        let text = format!("law 1: two processes come to the hashes {} and {}", first[0], first[1]);
        all.found = Some((0, text));
        return Ok(all);
    }
    let mut from = 0;
    while all.seconds < seconds as f64 {
        let one = send(Some(mutant), from, u64::MAX, (seconds as f64 - all.seconds).ceil() as u64)?;
        all.inputs += one.inputs;
        all.seconds += one.seconds;
        let Some((seed, text)) = one.found else { break };
        if sound.broken(seed)?.is_none() {
            all.found = Some((seed, text));
            return Ok(all);
        }
        from = seed + 1;
    }
    Ok(all)
}

/// Run the mutants. `false` if one survives of which that was not known, or the machine itself does not live.
pub fn kill(options: &Options) -> Result<bool, String> {
    let named = options.names.iter().map(|name| Mutant::named(name).ok_or(format!("no mutant is called {name}")));
    let mut wanted = named.collect::<Result<Vec<_>, _>>()?;
    if wanted.is_empty() {
        wanted = ALL.to_vec();
    }
    wanted.retain(|mutant| !options.mortal || mutant.survives().is_none());
    if options.list {
        wanted.iter().for_each(|mutant| println!("{:30} {:10} {}", mutant.name(), mutant.of(), mutant.breaks()));
        return Ok(true);
    }
    println!("{:30} {:10} {:>6} {:>9} {:>7}  caught by", "mutant", "stands for", "seed", "inputs", "cpu s");
    let sound = Sound::default();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(mutant) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let hunted = hunt_down(*mutant, options.seconds, &sound);
                    println!("{}", line(*mutant, &hunted));
                    results.lock().expect("nobody panics with it").push((*mutant, hunted));
                }
            });
        }
    });
    sum_up(&results.into_inner().expect("nobody panics with it"), options.seconds)
}

fn line(mutant: Mutant, hunted: &Result<Hunted, String>) -> String {
    let (name, of) = (mutant.name(), mutant.of());
    match hunted {
        Err(error) => format!("{name:30} {of:10} {error}"),
        Ok(Hunted { found: Some((seed, text)), inputs, seconds, .. }) => {
            format!("{name:30} {of:10} {seed:>6} {inputs:>9} {seconds:>7.2}  {text}")
        }
        Ok(Hunted { inputs, seconds, .. }) => {
            let why = mutant.survives().map_or("SURVIVES".to_owned(), |why| format!("survives: {why}"));
            format!("{name:30} {of:10} {:>6} {inputs:>9} {seconds:>7.2}  {why}", "-")
        }
    }
}

/// The machine itself lives on every seed up to the last that has killed; then the counts.
fn sum_up(results: &[(Mutant, Result<Hunted, String>)], seconds: u64) -> Result<bool, String> {
    let killer =
        |hunted: &Result<Hunted, String>| hunted.as_ref().ok().and_then(|hunted| Some(hunted.found.as_ref()?.0));
    let last = results.iter().filter_map(|(_, hunted)| killer(hunted)).max().unwrap_or(0);
    let lives = send(None, 0, last + 1, 10 * seconds)?;
    match &lives.found {
        None => println!("the machine itself lives on seeds 0..{}, {:.1} cpu s", last + 1, lives.seconds),
        Some((seed, text)) => println!("the machine itself breaks a rule, seed {seed}: {text}"),
    }
    let mut wrong = lives.found.is_some();
    let mut times: Vec<f64> = Vec::new();
    for (mutant, hunted) in results {
        let killed = killer(hunted).is_some();
        match mutant.survives() {
            Some(_) if killed => {
                println!("{} was said to survive and is killed: take that off the list", mutant.name())
            }
            None if !killed => println!("{} survives: {}", mutant.name(), mutant.breaks()),
            _ => {}
        }
        wrong |= killed == mutant.survives().is_some() || hunted.is_err();
        times.extend(hunted.as_ref().ok().filter(|_| killed).map(|hunted| hunted.seconds));
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
    let worst = times.last().copied().unwrap_or(0.0);
    println!("killed {} of {}, median {median:.2} cpu s, worst {worst:.2}", times.len(), results.len());
    Ok(!wrong)
}
