//! An exploration's way to a state, as a list of choices, gone once more.

use super::moves::Move;
use super::scope::{Op, Scope};
use super::state::State;
use crate::canon::EPOCH;
use crate::oracle::Violation;
use crate::panic;
use crate::timeline::{Kind as Happens, Story};
use crate::trace::Trace;
use std::sync::Arc;

/// Which operations the VMs are asked for: each combination once, equal VMs being equal.
pub fn roots(scope: &Scope) -> Vec<Vec<Op>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..scope.vms {
        let longer = |before: &Vec<usize>| {
            let least = if scope.unreduced { 0 } else { before.last().copied().unwrap_or(0) };
            (least..scope.ops.len()).map(|op| [&before[..], &[op]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all.into_iter().map(|ops| ops.into_iter().map(|op| scope.ops[op]).collect()).collect()
}

/// The VMs as their operations find them, and those asked for.
pub fn begin(scope: &Scope, ops: &[Op], trace: Trace) -> Result<State, Violation> {
    let mut state = State::new(Arc::new(scope.swarm()))?;
    for (place, op) in ops.iter().enumerate() {
        state.wants[place] = op.preparation().into_iter().rev().collect();
    }
    state.clients_ask()?;
    state.run_straight()?;
    state.trace = trace;
    if let Some(story) = state.trace.story() {
        *story = Story::of(&state.swarm.shapes);
        story.begins_at(EPOCH);
    }
    state.left = scope.budget.settled();
    state.steps = 0;
    state.show(None);
    state.mark(Happens::Start, None, || "the daemon runs, and each vm stands as its operation finds it".to_owned());
    for (place, op) in ops.iter().enumerate() {
        state.wants[place] = vec![op.action];
    }
    state.clients_ask()?;
    Ok(state)
}

/// The same choices once more, with every step told as it is wanted.
pub fn replay(scope: &Scope, choices: &[usize], trace: Trace) -> (Trace, Option<Violation>) {
    let Some(ops) = roots(scope).into_iter().nth(choices.first().copied().unwrap_or(0)) else {
        return (trace, Some(Violation::new("choices", "there is no such beginning")));
    };
    let mut state = match begin(scope, &ops, trace) {
        Ok(state) => state,
        Err(violation) => return (Trace::default(), Some(violation)),
    };
    let result = panic::caught(|| again(scope, &mut state, &choices[1.min(choices.len())..]));
    let violation = result.unwrap_or_else(|text| Err(Violation::new("machine", text))).err();
    state.show(None);
    let at = state.at();
    if let (Some(violation), Some(story)) = (&violation, state.trace.story()) {
        story.broken(at, violation);
    }
    (state.trace, violation)
}

fn again(scope: &Scope, state: &mut State, choices: &[usize]) -> Result<(), Violation> {
    for choice in choices {
        let mut moves = state.ordinary_moves();
        state.injections(scope.reboots, &mut moves);
        let what = choose(state, moves, *choice)?;
        state.make(&what)?;
    }
    // What is not told goes as when nothing goes wrong.
    state.run_straight()?;
    state.rested()?;
    state.clear()
}

/// A move by its number; those after the last are what else the host could choose in a crash.
fn choose(state: &State, mut moves: Vec<Move>, choice: usize) -> Result<Move, Violation> {
    let mut at = 0;
    while at < moves.len() && moves.len() <= choice {
        let what = moves[at].clone();
        if matches!(what, Move::Crash(_) | Move::Reboot(_)) {
            let among = state.clone().make(&what)?;
            moves.extend(what.others(&among));
        }
        at += 1;
    }
    moves
        .get(choice)
        .cloned()
        .ok_or_else(|| Violation::new("choices", format!("there is no choice {choice} in {moves:?}")))
}

/// Choices as a text: those at the end that are 0 are left out, and so many zeros in a row are told by their number.
pub fn text(choices: &[usize]) -> String {
    let end = choices.iter().rposition(|choice| *choice != 0).map_or(0, |last| last + 1);
    let runs = choices[..end].chunk_by(|one, other| one == other);
    let run = |run: &[usize]| if run.len() > 1 { format!("{}x{}", run[0], run.len()) } else { run[0].to_string() };
    if end == 0 { "0".to_owned() } else { runs.map(run).collect::<Vec<_>>().join(",") }
}

/// Choices out of their text.
pub fn parse(text: &str) -> Result<Vec<usize>, String> {
    let number = |text: &str| text.parse::<usize>().map_err(|error| format!("{text:?}: {error}"));
    let mut choices = Vec::new();
    for run in text.split(',') {
        let (choice, times) = run.split_once('x').unwrap_or((run, "1"));
        let times = number(times)?;
        if times > 100_000 {
            return Err(format!("{run}: too many"));
        }
        choices.resize(choices.len() + times, number(choice)?);
    }
    Ok(choices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_what_their_text_says() {
        for (choices, expected) in
            [(vec![0, 0, 0], "0"), (vec![1], "1"), (vec![0, 0, 7, 0, 1, 1, 0, 0], "0x2,7,0,1x2"), (vec![], "0")]
        {
            assert_eq!(text(&choices), expected);
            let end = choices.iter().rposition(|choice| *choice != 0).map_or(1, |last| last + 1);
            let mut padded = choices;
            padded.resize(end, 0);
            assert_eq!(parse(expected).unwrap(), padded);
        }
        assert!(parse("1,y").is_err() && parse("").is_err());
    }
}
