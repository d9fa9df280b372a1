//! A check that a machine without breakage passes, as one process makes it: seeds of a kind, or crash windows.

use crate::explore::scope::Op;
use crate::explore::windows::{GUESTS, Windows};
use crate::fleet::Guest;
use crate::oracle::Violation;
use crate::run;
use crate::swarm::Profile;
use crate::trace::Trace;
use crate::world::Choices;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::io::Write;

/// Processor seconds beyond its time after which the kernel ends a check: one input that takes as long has no end.
const GRACE: u64 = 15;

/// Operations whose crash windows are looked at, on which kinds of VM. What comes after a plus is asked for before each
/// host request of what stands before it.
const WINDOWS: [(&str, &[Guest]); 13] = [
    ("start", &[Guest::Pv, Guest::Hvm, Guest::PvBootloader]),
    ("shutdown", &[Guest::Pv, Guest::Hvm]),
    ("reboot", &[Guest::Pv, Guest::Hvm]),
    ("suspend", &[Guest::Pv, Guest::Hvm]),
    ("resume", &[Guest::Pv, Guest::Hvm]),
    ("vbd-plug", &[Guest::Pv, Guest::Pvh]),
    ("vbd-unplug", &[Guest::Pv, Guest::Pvh]),
    ("vif-plug", &[Guest::Pv]),
    ("vif-unplug", &[Guest::Pv]),
    ("insert", &[Guest::Hvm]),
    ("rename-running", &[Guest::Pv]),
    ("remove", &[Guest::Pv]),
    ("reboot-hard+shutdown-hard", &[Guest::Pv]),
];

/// The same with a second crash in each window of the recovery.
const AGAIN: [(&str, &[Guest]); 7] = [
    ("shutdown-hard", &[Guest::Pv]),
    ("reboot-hard", &[Guest::Pv]),
    ("rename-running", &[Guest::Pv]),
    ("shutdown", &[Guest::Pv]),
    ("reboot", &[Guest::Pv]),
    ("suspend", &[Guest::Pv]),
    ("resume", &[Guest::Pv]),
];

/// Kinds of checks, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Check {
    /// Seeds in which nothing goes wrong and nothing meets.
    Calm,
    /// Seeds in which nothing goes wrong.
    Races,
    /// A crash in each window of an operation.
    Windows,
    /// Seeds in which one thing goes wrong.
    Single,
    /// Seeds in which anything goes wrong.
    Faults,
    /// A second crash in each window of the recovery from the first.
    Again,
}

impl Check {
    /// All of them.
    pub const ALL: [Check; 6] = [Check::Calm, Check::Races, Check::Windows, Check::Single, Check::Faults, Check::Again];

    /// What reports and command lines call it.
    pub fn name(self) -> &'static str {
        match self {
            Check::Calm => "calm",
            Check::Races => "races",
            Check::Windows => "windows",
            Check::Single => "single",
            Check::Faults => "faults",
            Check::Again => "again",
        }
    }

    /// Seeds or rows of windows, if it has an end.
    pub fn length(self) -> u64 {
        match self {
            Check::Calm => 100,
            Check::Races => 150,
            Check::Single => 200,
            Check::Faults => u64::MAX,
            Check::Windows | Check::Again => self.rows().count() as u64,
        }
    }

    fn rows(self) -> impl Iterator<Item = (&'static str, Guest)> {
        let rows: &[(&str, &[Guest])] = if self == Check::Again { &AGAIN } else { &WINDOWS };
        rows.iter().flat_map(|(name, guests)| guests.iter().map(|guest| (*name, *guest)))
    }

    /// One seed or row: what was broken there.
    fn at(self, at: u64, tally: &mut Tally) -> Option<Broken> {
        let profile = match self {
            Check::Calm => Profile::Calm,
            Check::Races => Profile::Races,
            Check::Single => Profile::Single,
            Check::Faults => Profile::Strict,
            Check::Windows | Check::Again => return self.window(at),
        };
        let outcome = run::run(at, Choices::seeded(at), profile, Trace::default());
        tally.inputs += outcome.steps;
        tally.hash.get_or_insert(outcome.hash);
        let text = outcome.violation?.to_string();
        Some(Broken { place: format!("seed {at}"), windows: Vec::new(), text })
    }

    fn window(self, at: u64) -> Option<Broken> {
        let (row, guest) = self.rows().nth(at as usize)?;
        let named = |name| Op::named(name).expect("the rows are of operations that there are");
        let (op, then) = row.split_once('+').map_or((row, None), |(op, then)| (op, Some(named(then).action)));
        let shape = GUESTS.iter().find(|(of, _)| *of == guest).map_or("", |(_, name)| *name);
        let place = format!("{row} {shape}");
        let crashes = if self == Check::Again { 2 } else { 1 };
        let row = Windows::and(then).of(named(op), guest, crashes);
        let wrong = match row {
            Ok(row) => row.wrong,
            Err(Violation { rule, text }) => vec![format!("nothing dies: {rule}: {text}")],
        };
        let text = wrong.first()?.clone();
        let mut windows: Vec<String> = wrong.iter().filter_map(|wrong| kind(wrong)).collect();
        windows.sort_unstable();
        windows.dedup();
        Some(Broken { place, windows, text })
    }
}

/// Which kind of window a row's text is about: who dies, and when.
fn kind(wrong: &str) -> Option<String> {
    let who = ["daemon killed", "host reset"].into_iter().find(|who| wrong.starts_with(who))?;
    let when = match wrong[who.len()..].trim_start() {
        rest if rest.starts_with("before") => "before",
        rest if rest.starts_with("reported") => "reported and not recorded",
        _ => "applied and not reported",
    };
    Some(format!("{who} {when}"))
}

/// A rule that was broken.
struct Broken {
    place: String,
    windows: Vec<String>,
    text: String,
}

/// What a check has come to so far.
#[derive(Default)]
struct Tally {
    inputs: u64,
    /// Of its first seed.
    hash: Option<u64>,
}

/// `xenops-sim hunt`
#[derive(clap::Args)]
pub struct Options {
    /// What to do.
    #[arg(long, value_enum)]
    check: Check,
    /// The first seed, or row.
    #[arg(long)]
    from: u64,
    /// The one before which to stop.
    #[arg(long)]
    to: u64,
    /// Processor seconds.
    #[arg(long)]
    seconds: u64,
}

/// Make it, and say on standard output where it is and what was found, a line each.
pub fn make(options: &Options) -> Result<bool, String> {
    let limit = Rlimit { current: Some(options.seconds + GRACE), maximum: Some(options.seconds + GRACE) };
    setrlimit(Resource::Cpu, limit).map_err(|error| error.to_string())?;
    let mut tally = Tally::default();
    let say = |line: Value| writeln!(std::io::stdout(), "{line}").map_err(|error| error.to_string());
    for at in options.from..options.to.min(options.check.length()) {
        if processor_time() >= options.seconds as f64 {
            break;
        }
        say(json!({"at": at, "inputs": tally.inputs, "seconds": processor_time()}))?;
        if let Some(Broken { place, windows, text }) = options.check.at(at, &mut tally) {
            let (inputs, seconds) = (tally.inputs, processor_time());
            say(json!({
                "at": at, "place": place, "windows": windows, "broke": text, "inputs": inputs, "seconds": seconds,
            }))?;
            return Ok(false);
        }
        if at == options.from {
            say(json!({"hash": tally.hash}))?;
        }
    }
    say(json!({"lived": true, "inputs": tally.inputs, "seconds": processor_time()}))?;
    Ok(true)
}

/// Seconds that this process has computed.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
