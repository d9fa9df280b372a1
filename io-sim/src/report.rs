//! What many runs came to, together.

use crate::action::Action;
use crate::fault::Struck;
use crate::run::Outcome;
use crate::sometimes::{Property, Sometimes};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use xenops_core::host::time::SECOND;

/// A run in which a rule was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which run.
    pub seed: u64,
    /// Which rule.
    pub rule: &'static str,
    /// The rule, and how it was broken.
    pub text: String,
    /// After how many inputs.
    pub steps: u64,
    /// After how many requests to the host.
    pub requests: u64,
}

impl Failure {
    /// For programs.
    pub fn json(&self, profile: &str) -> Value {
        json!({
            "failed": self.seed, "profile": profile, "rule": self.rule, "text": self.text, "steps": self.steps,
            "requests": self.requests,
        })
    }
}

/// Sums over runs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Runs.
    pub seeds: u64,
    /// Inputs of machines.
    pub steps: u64,
    /// Requests to hosts.
    pub requests: u64,
    /// Guests that were built, ran and ended.
    pub lifetimes: u64,
    /// Faults by kind.
    pub faults: Struck,
    /// Runs with two faults or more.
    pub troubled: u64,
    /// Completed, failed, cancelled.
    pub operations: BTreeMap<&'static str, [u64; 3]>,
    /// What happens sometimes.
    pub sometimes: Sometimes,
    /// The longest that a run took to come to rest beside what was broken, and altogether: nanoseconds of its time.
    pub rests: [u64; 2],
    /// Runs in which a rule was broken.
    pub failures: Vec<Failure>,
    /// Over the hashes of all runs, in order.
    pub hash: u64,
}

impl Report {
    /// One more run.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.requests += outcome.requests;
        self.lifetimes += outcome.lifetimes;
        self.troubled += u64::from(outcome.struck.total() >= 2);
        for (kind, count) in outcome.struck.iter() {
            self.faults.add(kind, count);
        }
        for (name, counts) in &outcome.operations {
            let sums = self.operations.entry(name).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        self.sometimes.merge(&outcome.sometimes);
        self.rests.iter_mut().zip(outcome.rests).for_each(|(longest, rest)| *longest = rest.max(*longest));
        self.hash = self.hash.rotate_left(7) ^ outcome.hash;
        if let Some(violation) = &outcome.violation {
            self.failures.push(Failure {
                seed,
                rule: violation.rule,
                text: violation.to_string(),
                steps: outcome.steps,
                requests: outcome.requests,
            });
        }
    }

    /// One line.
    pub fn line(&self, seconds: f64) -> String {
        let mut text = format!(
            "seeds {} steps {} requests {} lifetimes {} troubled {} |",
            self.seeds, self.steps, self.requests, self.lifetimes, self.troubled
        );
        for (kind, count) in self.faults.iter() {
            let _ = write!(text, " {kind} {count},");
        }
        text.push_str(" | completed/failed/cancelled:");
        for (name, [well, badly, cancelled]) in &self.operations {
            let _ = write!(text, " {name} {well}/{badly}/{cancelled},");
        }
        let missed: Vec<_> = self.sometimes.missed().into_iter().map(Property::name).collect();
        let hit = Property::ALL.len() - missed.len();
        let _ = write!(text, " | sometimes {hit} hit, {} missed", missed.len());
        if !missed.is_empty() {
            let _ = write!(text, " ({})", missed.join("; "));
        }
        let [beside, altogether] = self.rests.map(|rest| rest / SECOND);
        let _ = write!(text, " | at rest within {altogether} s, beside what was broken {beside} s");
        let _ = write!(
            text,
            " | violations {} | hash {:016x} | {:.1} s, {:.0} steps/s, {:.0} requests/s, {:.0} lifetimes/s",
            self.failures.len(),
            self.hash,
            seconds,
            self.steps as f64 / seconds,
            self.requests as f64 / seconds,
            self.lifetimes as f64 / seconds,
        );
        text
    }

    /// The same for programs, failures only counted: each has a line of its own.
    pub fn json(&self, seconds: f64) -> Value {
        let faults: BTreeMap<_, _> = self.faults.iter().collect();
        let sometimes: BTreeMap<_, _> =
            Property::ALL.iter().map(|property| (property.name(), self.sometimes.of(*property))).collect();
        json!({
            "seeds": self.seeds,
            "steps": self.steps,
            "requests": self.requests,
            "lifetimes": self.lifetimes,
            "troubled": self.troubled,
            "faults": faults,
            "operations": self.operations,
            "sometimes": sometimes,
            "violations": self.failures.len(),
            "rests": self.rests,
            "hash": format!("{:016x}", self.hash),
            "seconds": seconds,
        })
    }

    /// What a long run must have seen and has not, in words.
    pub fn blind(&self) -> Vec<String> {
        let mut blind: Vec<String> = self
            .sometimes
            .missed()
            .into_iter()
            .map(|property| format!("it never happened that {}", property.name()))
            .collect();
        let (faults, ends) = if self.seeds >= FULL { (1000, 100) } else { (1, 1) };
        for (kind, count) in self.faults.iter().filter(|(_, count)| *count < faults) {
            blind.push(format!("fault {kind} happened {count} times, of {faults}"));
        }
        for action in Action::ALL {
            let counts = self.operations.get(action.name()).copied().unwrap_or_default();
            let asked = if action.has_task() || (action.is_awaited() && !action.writes_row()) {
                &counts[..]
            } else {
                &counts[..1]
            };
            if asked.iter().any(|count| *count < ends) {
                blind.push(format!("{} completed, failed, was cancelled {counts:?} times, of {ends}", action.name()));
            }
        }
        blind
    }
}

/// Of so many seeds more is expected.
const FULL: u64 = 10_000;
