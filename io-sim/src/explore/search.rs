//! The search: depth first over all moves, with the hashes of the states that were seen.

use super::moves::Move;
use super::replay::{begin, roots};
use super::scope::Scope;
use super::state::State;
use crate::canon::Memo;
use crate::oracle::Violation;
use crate::panic;
use crate::trace::Trace;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasherDefault;
use std::time::{Duration, Instant};
use xenops_core::host::hash::Fingerprint;

type Prints = HashSet<u64, BuildHasherDefault<Fingerprint>>;

/// How far a search may go.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// States at most.
    pub states: u64,
    /// Time at most.
    pub time: Option<Duration>,
    /// Of the states with a first thing gone wrong, this share of so many.
    pub shard: (u64, u64),
}

impl Limits {
    /// All of it.
    pub fn none() -> Limits {
        Limits { states: u64::MAX, time: None, shard: (0, 1) }
    }
}

/// What a search came to.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Different states.
    pub states: u64,
    /// Moves made.
    pub transitions: u64,
    /// Moves of the longest way without a state twice.
    pub depth: usize,
    /// How VMs stand at rest, and in how many states.
    pub ends: BTreeMap<Vec<String>, u64>,
    /// The bound that was met; none: all of it was seen.
    pub bound: Option<String>,
    /// A rule that was broken, and the choices that led there.
    pub violation: Option<Stopped>,
    /// How long it took.
    pub seconds: f64,
}

/// A state on the way.
struct Frame {
    state: Option<State>,
    /// What is tried, under its number among all.
    moves: Vec<(usize, Move)>,
    next: usize,
    /// What is tried too if something that is tried makes a difference to a crash.
    rest: Vec<(usize, Move)>,
    /// How many moves there are in all.
    all: usize,
    print: u64,
    remains: u64,
    /// Which of its parent's moves led here, and how many moves after it that were the only ones.
    choices: (usize, usize),
}

/// Moves in a row that are the only ones, at most: then the state is looked at all the same.
const MOST_IN_A_ROW: usize = 32;

type Stopped = (Violation, Vec<usize>);

/// A search.
pub struct Search<'a> {
    scope: &'a Scope,
    limits: Limits,
    orders: Vec<Vec<u8>>,
    memo: Memo,
    seen: Prints,
    stack: Vec<Frame>,
    /// States on the stack: one that comes again is a circle.
    path: Prints,
    cleared: Prints,
    /// What crashes have found.
    crashed: Prints,
    found: Found,
    began: Instant,
}

impl<'a> Search<'a> {
    /// Of this scope.
    pub fn new(scope: &'a Scope, limits: Limits) -> Search<'a> {
        Search {
            scope,
            limits,
            orders: if scope.unreduced { vec![(0..scope.vms as u8).collect()] } else { orders(scope.vms) },
            memo: Memo::default(),
            seen: Prints::default(),
            stack: Vec::new(),
            path: Prints::default(),
            cleared: Prints::default(),
            crashed: Prints::default(),
            found: Found::default(),
            began: Instant::now(),
        }
    }

    /// All of it, or to a bound, or to the first rule that is broken.
    pub fn run(mut self) -> Found {
        for (choice, ops) in roots(self.scope).into_iter().enumerate() {
            let begun = panic::caught(|| begin(self.scope, &ops, Trace::default()));
            let result = match begun.unwrap_or_else(|text| Err(Violation::new("machine", text))) {
                Ok(state) => self.visit(state, (choice, 0), false).and_then(|()| self.all()),
                Err(violation) => Err((violation, vec![choice])),
            };
            self.found.violation = result.err();
            if !self.found.is_complete() {
                break;
            }
        }
        self.found.states = self.seen.len() as u64;
        self.found.seconds = self.began.elapsed().as_secs_f64();
        self.found
    }

    fn choices(&self, last: (usize, usize)) -> Vec<usize> {
        let all = self.stack.iter().map(|frame| frame.choices).chain([last]);
        all.flat_map(|(choice, zeros)| std::iter::once(choice).chain(std::iter::repeat_n(0, zeros))).collect()
    }

    fn all(&mut self) -> Result<(), Stopped> {
        while let Some(frame) = self.stack.last_mut() {
            if frame.next == frame.moves.len() {
                self.path.remove(&frame.print);
                self.stack.pop();
                continue;
            }
            let (choice, what) = frame.moves[frame.next].clone();
            frame.next += 1;
            if self.was_there(&what) {
                continue;
            }
            let Some(frame) = self.stack.last_mut() else { break };
            let last = frame.next == frame.moves.len() && frame.rest.is_empty() && !is_crash(&what);
            let taken = if last { frame.state.take() } else { frame.state.clone() };
            let mut state = taken.expect("a state stays until its last move");
            let first = what.is_injection() && state.left == self.scope.budget.settled();
            let among = self.make(&mut state, &what, (choice, 0))?;
            self.others(&what, &among);
            self.compare(&state);
            let row = if what.is_injection() { 0 } else { self.goes_on(&mut state, choice)? };
            self.visit(state, (choice, row), first)?;
            if self.bounded() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn make(&mut self, state: &mut State, what: &Move, choices: (usize, usize)) -> Result<Vec<u32>, Stopped> {
        self.found.transitions += 1;
        let made = panic::caught(|| state.make(what)).unwrap_or_else(|text| Err(Violation::new("machine", text)));
        made.map_err(|violation| (violation, self.choices(choices)))
    }

    /// Where nothing may go wrong any more, goes on as long as only one thing can happen: those states need not be
    /// told from others. How many moves those were.
    fn goes_on(&mut self, state: &mut State, choice: usize) -> Result<usize, Stopped> {
        let mut row = 0;
        while row < MOST_IN_A_ROW && state.left.is_spent() && !self.scope.unreduced {
            let moves = state.ordinary_moves();
            let [what] = moves.as_slice() else { break };
            row += 1;
            self.make(state, what, (choice, row))?;
        }
        Ok(row)
    }

    /// Whether it is a crash that finds what another has found: it would lead to the same state.
    fn was_there(&mut self, what: &Move) -> bool {
        let salt = match what {
            Move::Crash(script) if script.is_empty() => 0,
            Move::Reboot(script) if script.is_empty() => 1,
            _ => return false,
        };
        let Some(frame) = self.stack.last_mut() else { return false };
        !self.scope.unreduced && !self.crashed.insert(frame.remains ^ salt)
    }

    /// Of what was put off all is tried, if what was tried in its place changes what a crash would find.
    fn compare(&mut self, state: &State) {
        let Some(frame) = self.stack.last_mut().filter(|frame| !frame.rest.is_empty()) else { return };
        if !state.left.is_spent() && state.remains(&self.memo) != frame.remains {
            frame.moves.append(&mut frame.rest);
        }
    }

    /// What else the host could have chosen: each choice in turn, after the same ones before it.
    fn others(&mut self, what: &Move, among: &[u32]) {
        let Some(frame) = self.stack.last_mut() else { return };
        for other in what.others(among) {
            frame.moves.push((frame.all, other));
            frame.all += 1;
        }
    }

    fn visit(&mut self, state: State, choices: (usize, usize), first: bool) -> Result<(), Stopped> {
        let print = self.print(&state);
        if self.path.contains(&print) {
            let text = "what happened leads to a state in which it was before, again and again".to_owned();
            return Err((Violation::new("L3", text), self.choices(choices)));
        }
        let (share, of) = self.limits.shard;
        if (first && print % of != share) || !self.seen.insert(print) {
            return Ok(());
        }
        let mut all = state.ordinary_moves();
        if all.is_empty() {
            self.rests(&state, print).map_err(|violation| (violation, self.choices(choices)))?;
        }
        let ordinary = all.len();
        state.injections(self.scope.reboots, &mut all);
        let enough = if self.scope.unreduced { None } else { enough(&state, &all[..ordinary]) };
        let all: Vec<(usize, Move)> = all.into_iter().enumerate().collect();
        let is_tried = |at: usize| at >= ordinary || enough.as_ref().is_none_or(|enough| enough.contains(&at));
        let count = all.len();
        let (moves, rest) = all.into_iter().partition(|(at, _)| is_tried(*at));
        let remains = if state.left.crashes > 0 { state.remains(&self.memo) } else { 0 };
        self.path.insert(print);
        self.stack.push(Frame { state: Some(state), moves, next: 0, rest, all: count, print, remains, choices });
        self.found.depth = self.found.depth.max(self.stack.len());
        Ok(())
    }

    fn print(&self, state: &State) -> u64 {
        self.orders.iter().map(|order| state.fingerprint(order, &self.memo)).min().unwrap_or(0)
    }

    /// Nothing happens any more: everything must be in order.
    fn rests(&mut self, state: &State, print: u64) -> Result<(), Violation> {
        if !state.is_at_rest() {
            return Err(state.restless());
        }
        let mut state = state.clone();
        let ends = panic::caught(|| state.rested()).unwrap_or_else(|text| Err(Violation::new("machine", text)))?;
        *self.found.ends.entry(ends).or_default() += 1;
        if self.cleared.insert(print) {
            panic::caught(|| state.clear()).unwrap_or_else(|text| Err(Violation::new("machine", text)))?;
        }
        Ok(())
    }

    fn bounded(&mut self) -> bool {
        if self.seen.len() as u64 >= self.limits.states {
            self.found.bound = Some(format!("{} states", self.limits.states));
        }
        if self.found.transitions.is_multiple_of(1024)
            && self.limits.time.is_some_and(|time| self.began.elapsed() > time)
        {
            self.found.bound = Some("its time".to_owned());
        }
        self.found.bound.is_some()
    }
}

fn is_crash(what: &Move) -> bool {
    matches!(what, Move::Crash(_) | Move::Reboot(_))
}

/// Which of a state's moves are enough: those of one VM, and those of all. See the module's documentation.
fn enough(state: &State, moves: &[Move]) -> Option<Vec<usize>> {
    let left = state.left;
    if state.wants.len() == 1 || !left.is_spent() && (left.faults, left.cancels, left.guests) != (0, 0, 0) {
        return None;
    }
    let subjects: Vec<Option<usize>> = moves.iter().map(|what| state.subject(what)).collect();
    let vm = subjects.iter().flatten().min()?;
    let is_enough = |at: &usize| subjects[*at].is_none_or(|of| of == *vm);
    Some((0..moves.len()).filter(is_enough).collect())
}

/// All orders of so many VMs.
fn orders(vms: usize) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for _ in 0..vms {
        all = all
            .iter()
            .flat_map(|before: &Vec<u8>| {
                let left = (0..vms as u8).filter(|vm| !before.contains(vm));
                left.map(|vm| [&before[..], &[vm]].concat()).collect::<Vec<_>>()
            })
            .collect();
    }
    all
}
