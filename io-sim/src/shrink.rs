//! From a run that breaks a rule to a short one: fewer choices that are not 0, then fewer inputs, then lower choices.
//!
//! Three ways, all of which keep the rule that is broken and nothing else of the run: large parts are set to 0 (fewer
//! operations, whole concerns); what is best so far is taken apart choice by choice (`search`); and where that comes to
//! an end, the same rule is looked for nearby and in small runs (`small`), and what is found is taken apart again.
//! Choices of an exploration are taken apart in the same way; of recordings see `recording`.

pub mod recording;
mod search;
mod small;

use crate::explore::replay::replay;
use crate::explore::scope::Scope;
use crate::run;
use crate::swarm::Profile;
use crate::trace::Trace;
use crate::world::{Choices, Tape};
use rustix::time::{ClockId, clock_gettime};
use search::Search;
use std::time::Duration;

/// What this thread has computed: how far a run shrinks does not depend on what else a machine is at.
pub fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The choices.
    pub tape: Tape,
    /// How many of them are not 0.
    pub choices: usize,
    /// How many were at first.
    pub first: usize,
    /// The rule.
    pub rule: &'static str,
}

/// Runs with as few choices as this are short enough for anybody.
pub const FEW: usize = 25;

/// With so few nothing smaller is looked for.
const ENOUGH: usize = 6;

/// What is nearby is looked at for this share of the time, until something better is found.
const SLICES: u32 = 6;

/// Look for fewer choices under which this run breaks the same rule; `None` if it breaks none.
pub fn shrink(seed: u64, choices: Choices, profile: Profile, time: Duration) -> Option<Shrunk> {
    let until = spent() + time;
    let outcome = run::run(seed, choices, profile, Trace::default());
    let rule = outcome.violation.as_ref()?.rule;
    let try_it = |tape: &Tape, most: u64| {
        let outcome = run::run_within(seed, Choices::taped(tape.clone()), profile, most);
        let same = outcome.violation.is_some_and(|violation| violation.rule == rule);
        same.then_some((outcome.tape, outcome.steps))
    };
    let mut search = Search::new((outcome.tape, outcome.steps), until, try_it);
    let first = search.choices();
    search.cut_large_parts();
    let mut tried = 0;
    while !search.is_over() {
        search.drop_groups();
        if search.choices() <= ENOUGH {
            break;
        }
        // What nothing can be dropped of may still have a smaller neighbour.
        let slice = spent() + time / SLICES;
        let mut better = false;
        while !better && spent() < slice.min(until) {
            let choices = small::next(search.best(), tried);
            tried += 1;
            let outcome = run::run_within(seed, choices, profile, search.most());
            let same = outcome.violation.is_some_and(|violation| violation.rule == rule);
            better = same && search.offer((outcome.tape, outcome.steps));
        }
        if !better && !search.delete() && search.choices() <= FEW {
            break;
        }
    }
    search.take_apart();
    Some(Shrunk { choices: search.choices(), tape: search.best().clone(), first, rule })
}

/// Look for fewer choices of an exploration, under which the same rule is broken; `None` if these break none.
pub fn shrink_moves(scope: &Scope, moves: &[usize], time: Duration) -> Option<(Vec<usize>, usize)> {
    let until = spent() + time;
    let (_, violation) = replay(scope, moves, Trace::default());
    let rule = violation?.rule;
    let mut tape = Tape::default();
    tape.lanes[0] = moves.iter().map(|choice| u32::try_from(*choice).unwrap_or(u32::MAX)).collect();
    let back = |tape: &Tape| tape.lanes[0].iter().map(|choice| *choice as usize).collect::<Vec<_>>();
    let steps = tape.lanes[0].len() as u64;
    let mut search = Search::new((tape, steps), until, |tape: &Tape, _| {
        let (_, violation) = replay(scope, &back(tape), Trace::default());
        let mut made = tape.clone();
        made.lanes[0].truncate(tape.lanes[0].iter().rposition(|choice| *choice != 0).map_or(0, |last| last + 1));
        let steps = made.lanes[0].len() as u64;
        violation.is_some_and(|violation| violation.rule == rule).then_some((made, steps))
    });
    let first = search.choices();
    search.take_apart();
    Some((back(search.best()), first))
}
