//! What the figures are made of, as counts: these are gated, times never are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use allocation_counter::measure;
use xenops_benches::queue::Queues;
use xenops_benches::recording::Recording;

/// Prints a count and holds it to what it was when it was last thought about.
fn gate(what: &str, count: u64, most: u64) {
    println!("{what}: {count} (at most {most})");
    assert!(count <= most, "{what}: {count}, which was at most {most}");
}

#[test]
fn allocations_of_machine_inputs() {
    for (what, recording, most) in [
        ("mix", Recording::mix(20), 100),
        ("starts", Recording::starts(100), 100),
        ("recovery", Recording::recovery(100), 200),
    ] {
        let inputs = recording.inputs() as u64;
        let copy = recording.clone();
        let played = measure(move || std::mem::forget(copy.play()));
        gate(&format!("allocations of an input, {what}"), played.count_total / inputs, most);
    }
}

#[test]
fn inputs_of_a_start() {
    let starts = 100;
    gate("inputs of a start and its client's calls", Recording::starts(starts).inputs() as u64 / starts as u64, 50);
}

#[test]
fn allocations_of_queueing_are_the_same_at_any_depth() {
    let of = |depth: usize| {
        let mut queues = Queues::new(16);
        // Warm: what grows has grown.
        queues.round(depth);
        let round = measure(|| drop(queues.round(depth)));
        round.count_total / (16 * depth as u64)
    };
    let (few, many) = (of(64), of(256));
    gate("allocations of a queued operation, call to task's end", few, 40);
    assert!(many <= few, "{many} at depth 256, {few} at depth 64");
}
