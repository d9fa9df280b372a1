//! `xenops-sim explore`

use super::ci;
use super::replay::{self, replay};
use super::scope::{Budget, OPS, Op, Scope};
use super::search::{Found, Limits, Search};
use crate::canon::MOST_VMS;
use crate::fleet::Guest;
use crate::shrink;
use crate::tell::{self, Telling};
use crate::timeline::html::About;
use crate::trace::Trace;
use serde_json::json;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// `xenops-sim explore`
#[derive(clap::Args)]
pub struct Options {
    /// The scopes that have to close, and no other: fails when one falls.
    #[arg(long)]
    ci: bool,
    /// The greater scopes, and no other: fails when one does not close.
    #[arg(long, conflicts_with = "ci")]
    nightly: bool,
    /// Of those lists, note in this file what has been closed, and leave out what stands there.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Threads for those lists; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// How many VMs.
    #[arg(long, default_value_t = 1)]
    vms: usize,
    /// What each may be asked for: one of these; `all` is all that there are.
    #[arg(long, value_delimiter = ',', default_value = "start")]
    ops: Vec<String>,
    /// What the VMs are.
    #[arg(long, value_parser = guest, default_value = "pv")]
    shape: Guest,
    /// Crashes of the daemon.
    #[arg(long, default_value_t = 0)]
    crashes: u8,
    /// Crashes of the host count among those of the daemon.
    #[arg(long)]
    reboots: bool,
    /// Requests that do not come to what was hoped for.
    #[arg(long, default_value_t = 0)]
    faults: u8,
    /// Cancellations.
    #[arg(long, default_value_t = 0)]
    cancels: u8,
    /// Guests that stop by themselves.
    #[arg(long, default_value_t = 0)]
    guests: u8,
    /// Of all these together at most so many.
    #[arg(long, default_value_t = u8::MAX)]
    any: u8,
    /// Only a part: of all that goes wrong first, the i-th share of n.
    #[arg(long, value_name = "I/N", value_parser = shard, default_value = "0/1")]
    shard: (u64, u64),
    /// Print lines of JSON: one for a rule that was broken, then one for all of it.
    #[arg(long)]
    json: bool,
    /// Every order, also of what commutes, and VMs are not exchanged.
    #[arg(long)]
    unreduced: bool,
    /// What is put off is looked at each time, whether it commutes with what is tried.
    #[arg(long)]
    check: bool,
    /// States at most.
    #[arg(long, default_value_t = u64::MAX)]
    max_states: u64,
    /// Seconds at most.
    #[arg(long)]
    seconds: Option<u64>,
    /// Make these choices once more, and tell what happens.
    #[arg(long, value_name = "CHOICES")]
    replay: Option<String>,
    #[command(flatten)]
    telling: Telling,
}

fn guest(text: &str) -> Result<Guest, String> {
    match text {
        "pv" => Ok(Guest::Pv),
        "pvh" => Ok(Guest::Pvh),
        "hvm" => Ok(Guest::Hvm),
        "pv-bootloader" => Ok(Guest::PvBootloader),
        "pv-in-pvh" => Ok(Guest::PvInPvh),
        other => Err(format!("{other} is none of pv, pvh, hvm, pv-bootloader, pv-in-pvh")),
    }
}

/// A share of so many, counted from 0.
pub fn shard(text: &str) -> Result<(u64, u64), String> {
    let (share, of) = text.split_once('/').ok_or("not of the form I/N")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let (share, of) = (number(share)?, number(of)?);
    if share < of { Ok((share, of)) } else { Err("shares are counted from 0".to_owned()) }
}

fn ops(names: &[String], guest: Guest) -> Result<Vec<Op>, String> {
    if names == ["all"] {
        return Ok(OPS.iter().copied().filter(|op| !op.drive || guest == Guest::Hvm).collect());
    }
    names.iter().map(|name| Op::named(name).ok_or_else(|| format!("no operation is called {name}"))).collect()
}

/// Explore as these say; whether all was seen and no rule broken.
pub fn explore(options: &Options) -> Result<bool, String> {
    let time = options.seconds.map(Duration::from_secs);
    if options.ci || options.nightly {
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let run = ci::Run {
            threads: options.threads.unwrap_or_else(cores),
            as_json: options.json,
            shard: options.shard,
            time,
            log: options.log.clone(),
        };
        return Ok(if options.ci { run.ci() } else { run.nightly() });
    }
    if !(1..=MOST_VMS).contains(&options.vms) {
        return Err(format!("there can be 1 to {MOST_VMS} vms"));
    }
    let Options { crashes, faults, cancels, guests, .. } = *options;
    let sum = crashes.saturating_add(faults).saturating_add(cancels).saturating_add(guests);
    let scope = Scope {
        vms: options.vms,
        guest: options.shape,
        ops: ops(&options.ops, options.shape)?,
        budget: Budget { crashes, faults, cancels, guests, all: options.any.min(sum) },
        reboots: options.reboots,
        unreduced: options.unreduced,
    };
    if let Some(choices) = &options.replay {
        return told_again(options, &scope, &replay::parse(choices)?);
    }
    let limits = Limits { states: options.max_states, time, shard: options.shard };
    let found = Search::new(&scope, limits).telling(scope.to_string()).checking(options.check).run();
    if !options.json {
        println!("{}", found.line());
        found.ends.iter().for_each(|(ends, states)| println!("  {states:>8}  {}", ends.join(" | ")));
    }
    if let Some((violation, choices)) = &found.violation {
        let text = replay::text(choices);
        if options.json {
            println!("{}", json!({"rule": violation.rule, "text": violation.to_string(), "choices": text}));
        }
        eprintln!("{violation}\n  again: {}", tell::again(&format!("--replay {text}")));
        if options.telling.is_wanted() {
            let time = Duration::from_secs(SHRINKS);
            let shrunk = shrink::shrink_moves(&scope, choices, time);
            told_again(options, &scope, shrunk.as_ref().map_or(choices, |(choices, _)| choices))?;
        }
    }
    if options.json {
        println!("{}", found.json());
    }
    Ok(found.is_complete())
}

/// Seconds for finding fewer choices before they are told.
const SHRINKS: u64 = 30;

/// Makes choices once more, and tells what happens.
fn told_again(options: &Options, scope: &Scope, choices: &[usize]) -> Result<bool, String> {
    let trace = if options.telling.is_wanted() { options.telling.trace() } else { Trace::kept() };
    let (mut trace, violation) = replay(scope, choices, trace);
    trace.lines().iter().for_each(|line| println!("{line}"));
    let again = tell::again(&format!("--replay {}", replay::text(choices)));
    if let Some(timeline) = trace.told() {
        let about = About {
            run: scope.to_string(),
            violation: violation.clone(),
            mutant: tell::mutant(),
            again: again.clone(),
            found: vec![format!(
                "Of the exploration's {} choices {} are other than what comes first when nothing goes wrong.",
                choices.len(),
                choices.iter().filter(|choice| **choice != 0).count()
            )],
        };
        options.telling.tell(&timeline, &about)?;
        eprintln!("again: {again}");
    }
    let how = violation.as_ref().map_or("well".to_owned(), ToString::to_string);
    if options.json {
        eprintln!("{how}");
    } else {
        println!("{how}");
    }
    Ok(violation.is_none())
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ops: Vec<&str> = self.ops.iter().map(|op| op.name).collect();
        let Budget { crashes, faults, cancels, guests, .. } = self.budget;
        write!(f, "every interleaving of {} vm(s), {:?}: {}", self.vms, self.guest, ops.join(", "))?;
        write!(f, ", with {crashes} crashes, {faults} faults, {cancels} cancellations, {guests} guest events")
    }
}

impl Found {
    /// Whether all was seen, and no rule broken.
    pub fn is_complete(&self) -> bool {
        self.bound.is_none() && self.violation.is_none()
    }

    /// In words.
    pub fn line(&self) -> String {
        let Found { states, transitions, depth, ends, seconds, .. } = self;
        format!(
            "{states} states, {transitions} transitions, depth {depth}, {} end states, {seconds:.1} s, {:.0} states/s, {}",
            ends.len(),
            *states as f64 / seconds,
            self.how()
        )
    }

    /// How it ended.
    pub fn how(&self) -> String {
        match (&self.violation, &self.bound) {
            (Some((violation, _)), _) => format!("violation of {}", violation.rule),
            (None, Some(bound)) => format!("not complete: met its bound of {bound}"),
            (None, None) => "complete".to_owned(),
        }
    }

    /// As JSON.
    pub fn json(&self) -> serde_json::Value {
        let ends: Vec<_> = self.ends.iter().map(|(ends, states)| json!({"vms": ends, "states": states})).collect();
        let violation = self
            .violation
            .as_ref()
            .map(|(violation, choices)| json!({"rule": violation.rule, "text": violation.text, "choices": replay::text(choices)}));
        json!({
            "states": self.states, "transitions": self.transitions, "depth": self.depth, "ends": ends,
            "seconds": self.seconds, "complete": self.is_complete(), "bound": self.bound, "violation": violation,
        })
    }
}
