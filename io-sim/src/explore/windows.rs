//! Crash windows: before each host request of an operation, when it was applied and not reported, and when it was
//! reported and nothing of what comes next was done; of the daemon's death and of the host's; and the same once more
//! in what comes after, where that is wanted.

use super::moves::Move;
use super::replay::begin;
use super::scope::{Budget, OPS, Op, Scope};
use super::state::State;
use crate::action::Action;
use crate::canon::Memo;
use crate::fleet::Guest;
use crate::oracle::Violation;
use crate::panic;
use crate::trace::Trace;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use xenops_core::host::Request;

/// What VMs can be.
pub const GUESTS: [(Guest, &str); 5] = [
    (Guest::Pv, "pv"),
    (Guest::PvBootloader, "pv-bootloader"),
    (Guest::PvInPvh, "pv-in-pvh"),
    (Guest::Pvh, "pvh"),
    (Guest::Hvm, "hvm"),
];

/// `xenops-sim windows`
#[derive(clap::Args)]
pub struct Options {
    /// Only of these operations.
    #[arg(long, value_delimiter = ',')]
    op: Vec<String>,
    /// Crashes: one, or a second one in the recovery from the first.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    depth: u8,
    /// Another operation, asked for before each host request of the first and before anything dies.
    #[arg(long)]
    then: Option<String>,
    /// Print lines of JSON.
    #[arg(long)]
    json: bool,
}

/// The windows of one operation on one kind of VM.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Host requests of the operation.
    pub requests: usize,
    /// Windows: moments and who dies.
    pub windows: usize,
    /// Those after which all came to rest and no rule was broken.
    pub covered: usize,
    /// How the VM stands in the end.
    pub ends: BTreeSet<String>,
    /// What went wrong, and in which window.
    pub wrong: Vec<String>,
}

type Ends = Result<BTreeSet<String>, Violation>;

/// What came of states after a crash, by their hashes and how many more crashes they had.
#[derive(Default)]
pub struct Windows {
    /// What else is asked for, before each host request of the operation.
    then: Option<Action>,
    memo: Memo,
    known: HashMap<(u64, u8), Ends>,
}

/// A moment.
struct Moment {
    state: State,
    what: String,
}

impl Windows {
    /// Those in which this is asked for too, before each host request of the operation.
    pub fn and(then: Option<Action>) -> Windows {
        Windows { then, ..Windows::default() }
    }

    /// The windows of one operation, with so many crashes.
    pub fn of(&mut self, op: Op, guest: Guest, crashes: u8) -> Result<Row, Violation> {
        let scope = Scope { vms: 1, guest, ops: vec![op], budget: Budget::default(), reboots: true, unreduced: false };
        let mut first = Moment { state: begin(&scope, &[op], Trace::default())?, what: String::new() };
        let mut row = Row::default();
        let Some(then) = self.then else {
            self.each(&mut first, crashes, &mut row)?;
            return Ok(row);
        };
        let moments = moments(&mut first.state)?.0;
        for mut moment in moments.into_iter().filter(|moment| moment.what.starts_with("before")) {
            moment.state.ask(0, then)?;
            moment.what = format!(" ({} was asked for {})", then.name(), moment.what);
            self.each(&mut moment, crashes, &mut row)?;
        }
        Ok(row)
    }

    /// The windows from a moment on.
    fn each(&mut self, from: &mut Moment, crashes: u8, row: &mut Row) -> Result<(), Violation> {
        let (moments, requests) = moments(&mut from.state)?;
        row.requests = row.requests.max(requests);
        for Moment { state, what } in &moments {
            for (reboot, who) in [(false, "daemon killed"), (true, "host reset")] {
                row.windows += 1;
                match self.dies(state, reboot, crashes - 1) {
                    Ok(ends) => {
                        row.covered += 1;
                        row.ends.extend(ends);
                    }
                    Err(violation) => row.wrong.push(format!("{who} {what}{}: {violation}", from.what)),
                }
            }
        }
        Ok(())
    }

    /// A crash here, with all that the host can choose in it.
    fn dies(&mut self, state: &State, reboot: bool, more: u8) -> Ends {
        let mut ends = BTreeSet::new();
        let mut scripts = vec![if reboot { Move::Reboot(Vec::new()) } else { Move::Crash(Vec::new()) }];
        while let Some(crash) = scripts.pop() {
            let mut after = state.clone();
            after.left = Budget { crashes: 1, all: 1, ..Budget::default() };
            let among = caught(|| after.make(&crash))?;
            scripts.extend(crash.others(&among));
            ends.extend(self.recovers(after, more)?);
        }
        Ok(ends)
    }

    /// All comes to rest, or something dies once more on the way.
    fn recovers(&mut self, mut state: State, more: u8) -> Ends {
        let print = state.fingerprint(&self.memo);
        if let Some(known) = self.known.get(&(print, more)) {
            return known.clone();
        }
        let ends = caught(|| self.goes_on(&mut state, more));
        self.known.insert((print, more), ends.clone());
        ends
    }

    fn goes_on(&mut self, state: &mut State, more: u8) -> Ends {
        let mut ends = BTreeSet::new();
        if more == 0 {
            state.run_straight()?;
        } else {
            for Moment { state, what } in moments(state)?.0 {
                for reboot in [false, true] {
                    let second = self.dies(&state, reboot, more - 1);
                    let who = if reboot { "host reset" } else { "daemon killed" };
                    ends.extend(second.map_err(|violation| {
                        Violation::new(violation.rule, format!("then {who} {what}: {}", violation.text))
                    })?);
                }
            }
        }
        ends.extend(state.rested()?);
        state.clear()?;
        Ok(ends)
    }
}

fn caught<T>(work: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
    panic::caught(work).unwrap_or_else(|text| Err(Violation::new("machine", text)))
}

/// Goes on until all is at rest, and keeps the moments around each host request; and how many requests those were.
fn moments(state: &mut State) -> Result<(Vec<Moment>, usize), Violation> {
    let mut moments = Vec::new();
    let mut requests = BTreeSet::new();
    loop {
        let Some(what) = state.ordinary_moves().into_iter().next() else {
            return if state.is_at_rest() { Ok((moments, requests.len())) } else { Err(state.restless()) };
        };
        let told = |state: &State, when: &str, request: &str| Moment {
            state: state.clone(),
            what: format!("{when} request {request}"),
        };
        match &what {
            Move::Do(at, _) => {
                let waiting = &state.asked[*at];
                requests.insert(waiting.effect);
                let request = name(&waiting.request);
                moments.push(told(state, "before", &request));
                state.make(&what)?;
                moments.push(told(state, "applied and not reported:", &request));
            }
            Move::Hear(at) => {
                let effect = state.answered[*at].0;
                // A wait is under way from when it was asked for.
                if requests.insert(effect) {
                    moments.push(told(state, "not reported:", "to wait, or of the daemon's own"));
                }
                state.make(&what)?;
                moments.push(told(state, "reported, and nothing after it done:", &effect.to_string()));
            }
            _ => drop(state.make(&what)?),
        }
    }
}

fn name(request: &Request) -> String {
    crate::trace::request(request)
}

fn named(name: &str) -> Result<Op, String> {
    Op::named(name).ok_or_else(|| format!("no operation is called {name}"))
}

/// Prints the table; whether all windows are covered.
pub fn windows(options: &Options) -> Result<bool, String> {
    for name in &options.op {
        named(name)?;
    }
    let then = options.then.as_deref().map(named).transpose()?.map(|op| op.action);
    let wanted = |op: &&Op| options.op.is_empty() || options.op.iter().any(|name| name == op.name);
    let mut well = true;
    if !options.json {
        println!("{:<18}{:<15}{:>9}{:>9}{:>9}  at rest", "operation", "shape", "requests", "windows", "covered");
    }
    for op in OPS.iter().filter(wanted) {
        for (guest, shape) in GUESTS.into_iter().filter(|(guest, _)| !op.drive || *guest == Guest::Hvm) {
            let row = Windows::and(then).of(*op, guest, options.depth);
            let row = row.map_err(|violation| format!("{} of {shape}, though nothing dies: {violation}", op.name))?;
            well &= row.covered == row.windows && row.requests > 0;
            tell(op, shape, &row, options.json);
        }
    }
    Ok(well)
}

fn tell(op: &Op, shape: &str, row: &Row, as_json: bool) {
    let Row { requests, windows, covered, ends, wrong } = row;
    if as_json {
        let line = json!({
            "operation": op.name, "shape": shape, "requests": requests, "windows": windows, "covered": covered,
            "ends": ends, "wrong": wrong,
        });
        return println!("{line}");
    }
    let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
    println!("{:<18}{shape:<15}{requests:>9}{windows:>9}{covered:>9}  {}", op.name, ends.join(" | "));
    wrong.iter().for_each(|wrong| println!("  {wrong}"));
}
