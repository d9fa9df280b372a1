//! What explorations must do, and what they have found.

use super::ci;
use super::moves::Move;
use super::prints::Orders;
use super::replay::begin;
use super::scope::{Budget, Op, Scope};
use super::search::{Limits, Search};
use super::state::State;
use super::windows::Windows;
use crate::canon::Memo;
use crate::fleet::Guest;
use crate::trace::Trace;
use crate::world::Fate;
use std::collections::BTreeSet;
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
    let mut ends = BTreeSet::new();
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
    let memo = Memo::default();
    let mut state = begin(&scope, &scope.ops, Trace::default()).unwrap();
    while let Some(what) = state.ordinary_moves().into_iter().next() {
        let mut copy = state.clone();
        copy.make(&what).unwrap();
        state.make(&what).unwrap();
        assert_eq!(copy.fingerprint(&memo), state.fingerprint(&memo), "after {what:?}");
    }
    assert!(state.is_at_rest());
}

/// All that can be reached in so many moves, by the hashes of equal VMs in these orders.
fn reached(scope: &Scope, ops: &[&str], orders: &Orders, moves: usize) -> Vec<BTreeSet<u64>> {
    let memo = Memo::default();
    let ops: Vec<Op> = ops.iter().map(|name| Op::named(name).unwrap()).collect();
    let print = |state: &State| orders.print(state, &orders.remains(state, &memo), &memo).whole;
    let mut first = begin(scope, &ops, Trace::default()).unwrap();
    // The order in which what is wanted becomes durable is that in which the VMs stand.
    let append = |state: &State| state.asked.iter().position(|one| matches!(one.request, Request::Append(_)));
    while let Some(at) = append(&first) {
        first.make(&Move::Do(at, Fate::Plain)).unwrap();
    }
    let mut states = vec![first];
    let mut reached = vec![states.iter().map(print).collect()];
    for _ in 0..moves {
        let mut prints = BTreeSet::new();
        let mut next = Vec::new();
        for state in states {
            let mut all = state.ordinary_moves();
            state.injections(scope.reboots, &mut all);
            for what in all {
                let mut state = state.clone();
                state.make(&what).unwrap();
                if prints.insert(print(&state)) {
                    next.push(state);
                }
            }
        }
        states = next;
        reached.push(prints);
    }
    reached
}

#[test]
fn exchanging_vms_leads_to_the_same_states() {
    let of = |vms| Scope { vms, ..scope("start", ci::ONE_CRASH) };
    let (two, three) = (of(2), of(3));
    let one = reached(&two, &["start", "shutdown"], &Orders::all(2), 4);
    assert_eq!(one, reached(&two, &["shutdown", "start"], &Orders::all(2), 4));
    // Which is not so as they stand.
    let stands = reached(&two, &["start", "shutdown"], &Orders::one(2), 4);
    assert_ne!(stands, reached(&two, &["shutdown", "start"], &Orders::one(2), 4));
    // Of VMs that are not equal no two states are the same.
    assert!(one.iter().map(BTreeSet::len).eq(stands.iter().map(BTreeSet::len)));
    let one = reached(&three, &["start", "shutdown", "start"], &Orders::all(3), 3);
    assert_eq!(one, reached(&three, &["shutdown", "start", "start"], &Orders::all(3), 3));
    let equal = reached(&three, &["start", "start", "start"], &Orders::all(3), 3);
    let stands = reached(&three, &["start", "start", "start"], &Orders::one(3), 3);
    assert!(equal.last().unwrap().len() < stands.last().unwrap().len());
}

#[test]
fn moves_of_different_vms_commute_and_leave_alone_each_others_names() {
    let scope = Scope { vms: 2, ..scope("start", ci::ONE_CRASH) };
    let memo = Memo::default();
    // Appends become durable in the order in which they were asked for: that alone may differ.
    let print = |state: &State| {
        let mut sorted = state.clone();
        sorted.asked.sort_by_key(|waiting| state.machine.subject(waiting.effect));
        sorted.fingerprint(&memo)
    };
    for (one, other) in [("start", "start"), ("start", "reboot"), ("suspend", "resume")] {
        let ops = [one, other].map(|name| Op::named(name).unwrap());
        let mut state = begin(&scope, &ops, Trace::default()).unwrap();
        let mut last = 1;
        loop {
            let moves = state.ordinary_moves();
            let of = |vm| moves.iter().filter(|what| state.subject(what) == Some(vm)).collect::<Vec<_>>();
            for first in of(0) {
                for second in of(1) {
                    let commute = state.commute(first, second, print).unwrap();
                    assert!(commute, "{} and {}", state.told(first), state.told(second));
                }
            }
            // They go on in turns.
            let Some(what) = of(1 - last).first().copied().or(moves.first()).cloned() else { break };
            last = state.subject(&what).unwrap_or(last);
            state.make(&what).unwrap();
        }
        assert!(state.is_at_rest());
    }
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
