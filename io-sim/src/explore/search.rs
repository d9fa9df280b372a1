//! The search: depth first over all moves, with the hashes of the states that were seen.

use super::enough::{Chosen, Sole, Stand};
use super::moves::Move;
use super::prints::{Orders, Print, Remains};
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
    chosen: Chosen,
    next: usize,
    /// How many moves there are in all.
    all: usize,
    print: Print,
    stand: Stand,
    /// Which of its parent's moves led here, and which after it that were the only ones.
    choices: Vec<usize>,
}

/// Moves in a row that are the only ones tried, at most: then the state is kept all the same, for others may lead there.
const MOST_IN_A_ROW: usize = 8;

type Stopped = (Violation, Vec<usize>);

/// A search.
pub struct Search<'a> {
    scope: &'a Scope,
    limits: Limits,
    orders: Orders,
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
    /// Whether what is put off commutes with what is tried is looked at each time.
    checks: bool,
    /// What it is called when it tells how far it is, and how many minutes it had taken when it last did.
    tells: Option<(String, u64)>,
}

impl<'a> Search<'a> {
    /// Of this scope.
    pub fn new(scope: &'a Scope, limits: Limits) -> Search<'a> {
        Search {
            scope,
            limits,
            orders: if scope.unreduced { Orders::one(scope.vms) } else { Orders::all(scope.vms) },
            memo: Memo::default(),
            seen: Prints::default(),
            stack: Vec::new(),
            path: Prints::default(),
            cleared: Prints::default(),
            crashed: Prints::default(),
            found: Found::default(),
            began: Instant::now(),
            checks: false,
            tells: None,
        }
    }

    /// The same, looking each time whether what is put off commutes with what is tried, if that is wanted.
    pub fn checking(self, checks: bool) -> Search<'a> {
        Search { checks, ..self }
    }

    /// The same, telling each minute on standard error how far it is.
    pub fn telling(self, name: impl Into<String>) -> Search<'a> {
        Search { tells: Some((name.into(), 0)), ..self }
    }

    /// All of it, or to a bound, or to the first rule that is broken.
    pub fn run(mut self) -> Found {
        for (choice, ops) in roots(self.scope).into_iter().enumerate() {
            let begun = panic::caught(|| begin(self.scope, &ops, Trace::default()));
            let result = match begun.unwrap_or_else(|text| Err(Violation::new("machine", text))) {
                Ok(state) => self.visit(state, vec![choice], false, None).and_then(|()| self.all()),
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

    fn choices(&self, last: &[usize]) -> Vec<usize> {
        self.stack.iter().flat_map(|frame| frame.choices.iter()).chain(last).copied().collect()
    }

    fn all(&mut self) -> Result<(), Stopped> {
        while let Some(frame) = self.stack.last_mut() {
            let Some((choice, what)) = frame.chosen.tried.get(frame.next).cloned() else {
                self.path.remove(&frame.print.whole);
                self.stack.pop();
                continue;
            };
            frame.next += 1;
            if self.was_there(&what) {
                continue;
            }
            let Some(frame) = self.stack.last_mut() else { break };
            let last = frame.next == frame.chosen.tried.len() && !frame.chosen.may_be_more() && !is_crash(&what);
            let taken = if last { frame.state.take() } else { frame.state.clone() };
            let mut state = taken.expect("a state stays until its last move");
            let first = what.is_injection() && state.left == self.scope.budget.settled();
            let mut choices = vec![choice];
            let among = self.make(&mut state, &what, &choices)?;
            self.others(&what, &among);
            let remains = self.compare(&state, &what)?;
            let remains = self.goes_on(&mut state, &mut choices, remains)?;
            self.visit(state, choices, first, remains)?;
            if self.bounded() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn make(&mut self, state: &mut State, what: &Move, choices: &[usize]) -> Result<Vec<u32>, Stopped> {
        self.found.transitions += 1;
        let made = panic::caught(|| state.make(what)).unwrap_or_else(|text| Err(Violation::new("machine", text)));
        made.map_err(|violation| (violation, self.choices(choices)))
    }

    /// Goes on as long as one move is enough: those states need not be told from others. What a crash would find, if it
    /// is known, is known anew.
    fn goes_on(
        &mut self,
        state: &mut State,
        choices: &mut Vec<usize>,
        mut remains: Option<Remains>,
    ) -> Result<Option<Remains>, Stopped> {
        for _ in 0..MOST_IN_A_ROW {
            if self.scope.unreduced || !self.goes_on_once(state, choices, &mut remains)? {
                break;
            }
        }
        Ok(remains)
    }

    fn goes_on_once(
        &mut self,
        state: &mut State,
        choices: &mut Vec<usize>,
        remains: &mut Option<Remains>,
    ) -> Result<bool, Stopped> {
        let moves = state.ordinary_moves();
        let soles = state.soles(&moves);
        let stand = if soles.is_empty() { return Ok(false) } else { state.stand() };
        for sole in soles {
            let (Sole::Surely(at) | Sole::Perhaps(at)) = sole;
            let surely = matches!(sole, Sole::Surely(_));
            let before = (!surely || self.checks).then(|| state.clone());
            choices.push(at);
            self.make(state, &moves[at], choices)?;
            if surely {
                *remains = None;
            }
            let Some(before) = before else { return Ok(true) };
            if surely || state.has_left_alone(&before, &stand) && self.remains_alike(&before, state, remains) {
                self.check(&before, &moves[at], moves.iter().enumerate().filter(|(other, _)| *other != at), choices)?;
                return Ok(true);
            }
            *state = before;
            choices.pop();
        }
        Ok(false)
    }

    /// Whether a crash would find the same; what it would find before is noted.
    fn remains_alike(&self, before: &State, after: &State, remains: &mut Option<Remains>) -> bool {
        if before.left.crashes == 0 {
            *remains = None;
            return true;
        }
        let remains = remains.get_or_insert_with(|| self.orders.remains(before, &self.memo));
        remains.hash == self.orders.remains(after, &self.memo).hash
    }

    /// Looks whether it makes no difference which comes first, where that is wanted.
    fn check<'m>(
        &self,
        before: &State,
        tried: &Move,
        put_off: impl Iterator<Item = (usize, &'m Move)>,
        choices: &[usize],
    ) -> Result<(), Stopped> {
        if !self.checks {
            return Ok(());
        }
        for (_, other) in put_off {
            // Only one of two that go wrong may, where that is all.
            if tried.is_injection() && other.is_injection() && before.left.all < 2 {
                continue;
            }
            // Handles that both ask for have other numbers then.
            let commute = before.commute(tried, other, |state| state.blurred(&self.memo));
            let commute = commute.map_err(|wrong| (wrong, self.choices(choices)))?;
            if !commute {
                let text = format!("put off, but does not commute with {}: {}", before.told(tried), before.told(other));
                return Err((Violation::new("reduction", text), self.choices(choices)));
            }
        }
        Ok(())
    }

    /// Whether it is a crash that finds what another has found: it would lead to the same state.
    fn was_there(&mut self, what: &Move) -> bool {
        let Some(frame) = self.stack.last().filter(|_| !self.scope.unreduced) else { return false };
        let found = match what {
            Move::Crash(script) if script.is_empty() => frame.print.found,
            Move::Reboot(script) if script.is_empty() => {
                let state = frame.state.as_ref().expect("a state stays until its last move");
                // Beside what crashes have found.
                !self.orders.reset(state, &self.memo)
            }
            _ => return false,
        };
        !self.crashed.insert(found)
    }

    /// What was put off is tried, if what was tried in its place shows that it must be. What a crash would find now, if
    /// that was to be known for it.
    fn compare(&mut self, state: &State, what: &Move) -> Result<Option<Remains>, Stopped> {
        let Some(frame) = self.stack.last().filter(|frame| frame.chosen.may_be_more() && !is_crash(what)) else {
            return Ok(None);
        };
        let before = frame.state.as_ref().expect("a state stays while more of its moves may be tried");
        let light = !frame.chosen.light.is_empty() && !state.has_left_alone(before, &frame.stand);
        let asks = !frame.chosen.others.is_empty() && !state.left.is_spent();
        let remains = asks.then(|| self.orders.remains(state, &self.memo));
        let others = remains.as_ref().is_some_and(|remains| remains.hash != frame.print.remains);
        if !light {
            let put_off = frame.chosen.light.iter().map(|(at, other)| (*at, other));
            self.check(before, what, put_off, &[])?;
        }
        let Some(Frame { chosen, .. }) = self.stack.last_mut() else { return Ok(remains) };
        if light {
            chosen.tried.append(&mut chosen.light);
        }
        if others {
            chosen.tried.append(&mut chosen.others);
        }
        Ok(remains)
    }

    /// What else the host could have chosen: each choice in turn, after the same ones before it.
    fn others(&mut self, what: &Move, among: &[u32]) {
        let Some(frame) = self.stack.last_mut() else { return };
        for other in what.others(among) {
            frame.chosen.tried.push((frame.all, other));
            frame.all += 1;
        }
    }

    fn visit(
        &mut self,
        state: State,
        choices: Vec<usize>,
        first: bool,
        remains: Option<Remains>,
    ) -> Result<(), Stopped> {
        let remains = remains.unwrap_or_else(|| self.orders.remains(&state, &self.memo));
        let print = self.orders.print(&state, &remains, &self.memo);
        if self.path.contains(&print.whole) {
            let text = "what happened leads to a state in which it was before, again and again".to_owned();
            return Err((Violation::new("L3", text), self.choices(&choices)));
        }
        let (share, of) = self.limits.shard;
        if (first && print.whole % of != share) || !self.seen.insert(print.whole) {
            return Ok(());
        }
        let mut all = state.ordinary_moves();
        if all.is_empty() {
            self.rests(&state, print.whole).map_err(|violation| (violation, self.choices(&choices)))?;
        }
        let ordinary = all.len();
        state.injections(self.scope.reboots, &mut all);
        let (count, stand) = (all.len(), state.stand());
        let chosen = if self.scope.unreduced { Chosen::all(all) } else { state.chosen(all, ordinary, &stand) };
        self.path.insert(print.whole);
        self.stack.push(Frame { state: Some(state), chosen, next: 0, all: count, print, stand, choices });
        self.found.depth = self.found.depth.max(self.stack.len());
        Ok(())
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
        if self.found.transitions.is_multiple_of(1024) {
            let elapsed = self.began.elapsed();
            if self.limits.time.is_some_and(|time| elapsed > time) {
                self.found.bound = Some("its time".to_owned());
            }
            self.tell(elapsed.as_secs());
        }
        self.found.bound.is_some()
    }

    /// How far it is, if a minute has passed since that was told.
    fn tell(&mut self, seconds: u64) {
        let Some((name, minutes)) = self.tells.as_mut().filter(|(_, minutes)| seconds / 60 > *minutes) else { return };
        *minutes = seconds / 60;
        let (states, depth, crashes) = (self.seen.len(), self.stack.len(), self.crashed.len());
        let root = self.stack.first().and_then(|frame| frame.choices.first()).map_or(0, |choice| choice + 1);
        let (of, transitions) = (roots(self.scope).len(), self.found.transitions);
        eprintln!(
            "{name}: {states} states after {seconds} s, {transitions} transitions, {crashes} crashes, depth {depth} now, \
             beginning {root} of {of}"
        );
    }
}

fn is_crash(what: &Move) -> bool {
    matches!(what, Move::Crash(_) | Move::Reboot(_))
}
