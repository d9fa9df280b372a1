//! Whether the simulator notices: machines with one breakage each, checked until a rule is broken.
//!
//! The mildest check that kills a mutant says what it takes to see it: nothing but an operation (`calm`), two events in
//! one order (`races`), a fault (`windows`, `faults`), a fault in the recovery from one (`again`). So a class is measured
//! and not claimed.

pub mod check;
pub mod hunt;

use check::Check;
use hunt::{Fate, Found, Hunted, Sound, hunt, send};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use xenops_core::mutant::{ALL, Mutant};

/// `xenops-sim mutants`
#[derive(clap::Args)]
pub struct Options {
    /// Only these.
    names: Vec<String>,
    /// Processor seconds that each may live in each check.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Only this check.
    #[arg(long, value_enum)]
    check: Option<Check>,
    /// Only list them.
    #[arg(long)]
    list: bool,
}

type Results = [(Mutant, Result<Fate, String>)];

/// What it takes to see a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Plain,
    Order,
    Fault,
    Recovery,
}

impl Class {
    /// The check is the mildest that kills.
    fn of(check: Check) -> Class {
        match check {
            Check::Calm => Class::Plain,
            Check::Races => Class::Order,
            Check::Windows | Check::Single | Check::Faults => Class::Fault,
            Check::Again => Class::Recovery,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Class::Plain => "nothing",
            Class::Order => "two events in one order",
            Class::Fault => "a fault",
            Class::Recovery => "a fault in the recovery from one",
        }
    }

    /// So many must be of it: else something has gone blind.
    fn least(self) -> usize {
        match self {
            Class::Plain => 1,
            Class::Order => 10,
            Class::Fault => 15,
            Class::Recovery => 5,
        }
    }
}

/// Kinds of crash windows, in each of which some mutant must die.
const WINDOWS: [&str; 6] = [
    "daemon killed before",
    "daemon killed applied and not reported",
    "daemon killed reported and not recorded",
    "host reset before",
    "host reset applied and not reported",
    "host reset reported and not recorded",
];

/// Classes of hazards, in each of which some mutant must die. Of migration, 52 to 64, there is nothing to break yet.
const HAZARDS: [(&str, &[RangeInclusive<u32>]); 5] = [
    ("crash and restart", &[1..=16]),
    ("events and interleavings", &[17..=37, 72..=73]),
    ("cancellation", &[38..=46, 74..=74]),
    ("a domain that ends under an operation", &[47..=51]),
    ("resources and time", &[65..=71]),
];

/// Run the mutants. `false` if one survives, or the machine itself does not live.
pub fn kill(options: &Options) -> Result<bool, String> {
    let mut wanted = named(&options.names)?;
    let whole = wanted.is_empty() && options.check.is_none();
    if wanted.is_empty() {
        wanted = ALL.to_vec();
    }
    if options.list {
        wanted.iter().for_each(|mutant| println!("{:30} {:10} {}", mutant.name(), mutant.of(), mutant.breaks()));
        return Ok(true);
    }
    println!(
        "{:30} {:10} {:8} {:>20} {:>6} {:>6}  caught by",
        "mutant", "stands for", "check", "at", "cpu s", "before"
    );
    let sound = Sound::default();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(mutant) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fate = hunt(*mutant, options.check, options.seconds, &sound);
                    println!("{}", line(*mutant, &fate));
                    results.lock().expect("nobody panics with it").push((*mutant, fate));
                }
            });
        }
    });
    let results = results.into_inner().expect("nobody panics with it");
    let mut well = lives(&results)?;
    well &= sum_up(&results);
    if whole {
        well &= sees(&results);
    }
    Ok(well)
}

/// Those with these names.
pub fn named(names: &[String]) -> Result<Vec<Mutant>, String> {
    names.iter().map(|name| Mutant::named(name).ok_or(format!("no mutant is called {name}"))).collect()
}

fn line(mutant: Mutant, fate: &Result<Fate, String>) -> String {
    let (name, of) = (mutant.name(), mutant.of());
    match fate {
        Err(error) => format!("{name:30} {of:10} {error}"),
        Ok(Fate { killed: Some((check, Hunted { found: Some(found), seconds, .. })), before }) => {
            let Found { place, text, .. } = found;
            let text: String = text.chars().take(300).collect();
            format!("{name:30} {of:10} {:8} {place:>20} {seconds:>6.2} {before:>6.2}  {text}", check.name())
        }
        Ok(Fate { before, .. }) => {
            format!("{name:30} {of:10} {:8} {:>20} {:>6} {before:>6.2}  SURVIVES", "-", "-", "-")
        }
    }
}

/// The machine itself lives in each check as far as the last that it has killed in.
fn lives(results: &Results) -> Result<bool, String> {
    let mut last: BTreeMap<Check, u64> = BTreeMap::new();
    for (check, hunted) in kills(results) {
        let at = hunted.found.as_ref().map_or(0, |found| found.at);
        last.entry(check).and_modify(|last| *last = at.max(*last)).or_insert(at);
    }
    let mut well = true;
    for (check, last) in last {
        let lived = send(None, check, 0, last + 1, 3600)?;
        well &= lived.found.is_none();
        let (name, seconds) = (check.name(), lived.seconds);
        match &lived.found {
            None => println!("the machine itself lives in {name} 0..{}, {seconds:.1} cpu s", last + 1),
            Some(found) => println!("the machine itself breaks a rule, {name} {}: {}", found.place, found.text),
        }
    }
    Ok(well)
}

fn kills(results: &Results) -> impl Iterator<Item = (Check, &Hunted)> {
    let fates = results.iter().filter_map(|(_, fate)| fate.as_ref().ok());
    fates.filter_map(|fate| fate.killed.as_ref().map(|(check, hunted)| (*check, hunted)))
}

/// Whether all died.
fn sum_up(results: &Results) -> bool {
    let mut well = true;
    for (mutant, fate) in results {
        let killed = fate.as_ref().is_ok_and(|fate| fate.killed.is_some());
        if !killed {
            println!("{} survives: {}", mutant.name(), mutant.breaks());
        }
        well &= killed;
    }
    let mut times: Vec<f64> = kills(results).map(|(_, hunted)| hunted.seconds).collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
    let worst = times.last().copied().unwrap_or(0.0);
    let before: f64 = results.iter().filter_map(|(_, fate)| Some(fate.as_ref().ok()?.before)).sum();
    println!("killed {} of {}, median {median:.2} cpu s, worst {worst:.2}", times.len(), results.len());
    println!("in all {:.0} cpu s, of them {before:.0} in milder checks", times.iter().sum::<f64>() + before);
    for check in Check::ALL {
        let here = kills(results).filter(|(by, _)| *by == check).count();
        println!("  by {:8} {here:>3}", check.name());
    }
    well
}

/// Whether there are enough of each class, and one for each class of hazards and each kind of crash window.
fn sees(results: &Results) -> bool {
    let mut well = true;
    for class in [Class::Plain, Class::Order, Class::Fault, Class::Recovery] {
        let count = kills(results).filter(|(check, _)| Class::of(*check) == class).count();
        println!("  {count:>3} die by {}", class.name());
        if count < class.least() {
            println!("too few: {} are to die by {}", class.least(), class.name());
            well = false;
        }
    }
    let killed = results.iter().filter(|(_, fate)| fate.as_ref().is_ok_and(|fate| fate.killed.is_some()));
    let hazards: Vec<u32> = killed.filter_map(|(mutant, _)| mutant.of().strip_prefix('H')?.parse().ok()).collect();
    for (class, numbers) in HAZARDS {
        let count = hazards.iter().filter(|hazard| numbers.iter().any(|range| range.contains(hazard))).count();
        println!("  {count:>3} stand for hazards of {class}");
        well &= count > 0;
    }
    let windows: BTreeSet<&str> = kills(results)
        .filter_map(|(_, hunted)| hunted.found.as_ref())
        .flat_map(|found| &found.windows)
        .map(|w| &**w)
        .collect();
    for kind in WINDOWS.into_iter().filter(|kind| !windows.contains(kind)) {
        println!("no mutant dies in the crash windows \"{kind}\"");
        well = false;
    }
    well
}
