//! What explorations must do, and what they have found.

use super::ci;
use super::moves::Move;
use super::replay::begin;
use super::scope::{Budget, Op, Scope};
use super::search::{Limits, Search};
use super::windows::Windows;
use crate::fleet::Guest;
use crate::trace::Trace;
use crate::world::Fate;
use xenops_core::host::Request;

fn scope(op: &str, budget: Budget) -> Scope {
    let ops = vec![Op::named(op).unwrap()];
    Scope { vms: 1, guest: Guest::Pv, ops, budget, reboots: true, unreduced: false }
}

#[test]
fn a_scope_closes_and_its_shares_are_all_of_it() {
    let scope = scope("pause", ci::ANY_ONE);
    let whole = Search::new(&scope, Limits::none()).run();
    assert!(whole.is_complete(), "{}", whole.line());
    let mut ends = std::collections::BTreeSet::new();
    for share in 0..3 {
        let part = Search::new(&scope, Limits { shard: (share, 3), ..Limits::none() }).run();
        assert!(part.is_complete() && part.states < whole.states, "{}", part.line());
        ends.extend(part.ends.into_keys());
    }
    assert!(ends.into_iter().eq(whole.ends.into_keys()));
    let bounded = Search::new(&scope, Limits { states: 10, ..Limits::none() }).run();
    assert!(!bounded.is_complete() && bounded.how().contains("10 states"), "{}", bounded.line());
}

#[test]
fn what_is_put_off_commutes_and_the_end_states_are_the_same() {
    let (reduced, unreduced) = ci::same_ends(&scope("unpause", ci::ONE_CRASH)).unwrap();
    assert!(reduced * 2 < unreduced, "{reduced} states, {unreduced} without reduction");
}

#[test]
fn a_copy_of_a_state_goes_on_as_the_state_does() {
    let scope = scope("start", ci::ONE_CRASH);
    let memo = crate::canon::Memo::default();
    let mut state = begin(&scope, &scope.ops, Trace::default()).unwrap();
    while let Some(what) = state.ordinary_moves().into_iter().next() {
        let mut copy = state.clone();
        copy.make(&what).unwrap();
        state.make(&what).unwrap();
        assert_eq!(copy.fingerprint(&[0], &memo), state.fingerprint(&[0], &memo), "after {what:?}");
    }
    assert!(state.is_at_rest());
}

#[test]
fn every_window_of_a_pause_is_covered_twice_over() {
    let row = Windows::default().of(Op::named("pause").unwrap(), Guest::Hvm, 2).unwrap();
    assert!(row.requests > 0 && row.covered == row.windows, "{row:?}");
}

/// Found by `explore --ops resume --crashes 2 --faults 2 --cancels 1 --any 2`: an operation fails and the mark of it
/// in its intent is on its way; its VM is settled, and only then is it known that nobody knows what became of the
/// mark. Take `self.drive` out of `Machine::abandoned` and it is never written once more.
#[test]
fn a_mark_of_failure_whose_fate_is_unknown_is_written_once_more() {
    let scope = scope("resume", Budget { faults: 1, cancels: 1, all: 2, ..Budget::default() });
    let mut state = begin(&scope, &scope.ops, Trace::kept()).unwrap();
    let (mut cancelled, mut mark) = (false, None);
    while !state.is_at_rest() {
        let asked = |what: &dyn Fn(&Request) -> bool| state.asked.iter().position(|waiting| what(&waiting.request));
        let is_mark = |request: &Request| match request {
            Request::Append(entries) => entries
                .iter()
                .any(|entry| entry.value.as_ref().is_some_and(|text| text.contains(r#""abandoned":true"#))),
            _ => false,
        };
        let hook = |request: &Request| matches!(request, Request::Hooks(of) if of == "vm-post-resume");
        let what = if let Some(at) = asked(&is_mark).filter(|_| mark.is_none()) {
            mark = Some(state.asked[at].effect);
            Move::Do(at, Fate::Unapplied)
        } else if let Some(at) = asked(&hook) {
            if std::mem::replace(&mut cancelled, true) { Move::Stop(at) } else { Move::Cancel(0) }
        } else {
            // That nobody knows is heard last of all.
            let is_mark = |what: &Move| matches!(what, Move::Hear(at) if Some(state.answered[*at].0) == mark);
            let mut moves = state.ordinary_moves();
            moves.sort_by_key(|what| is_mark(what));
            match moves.into_iter().next() {
                Some(what) => what,
                None => panic!("{}\n{}", state.restless(), state.trace.lines().join("\n")),
            }
        };
        state.make(&what).unwrap();
    }
    assert!(cancelled && mark.is_some());
}
