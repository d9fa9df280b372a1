//! What the figures are made of, as counts: these are gated, times never are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use allocation_counter::measure;
use xenops_benches::fleet;
use xenops_benches::queue::Turns;
use xenops_benches::recording::{Recording, start};
use xenops_benches::refusals::Refusals;
use xenops_io_sim::local::Local;
use xenops_io_sim::world::{Choices, Config, World};

/// Prints a count and holds it to what it was when it was last thought about.
fn gate(what: &str, count: u64, most: u64) {
    println!("{what}: {count} (at most {most})");
    assert!(count <= most, "{what}: {count}, which was at most {most}");
}

#[test]
fn allocations_of_machine_inputs() {
    for (what, recording, most) in [
        ("mix", Recording::mix(20), 15),
        ("starts", Recording::starts(100), 21),
        ("recovery", Recording::recovery(100), 36),
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
    gate("inputs of a start and its client's calls", Recording::starts(starts).inputs() as u64 / starts as u64, 48);
}

#[test]
fn queues_and_turns_are_fair_and_allocate_nothing_once_warm() {
    for depth in [1, 8, 64, 256] {
        let mut turns = Turns::new(fleet::FLEET);
        let mut expected = (0..depth as u64).flat_map(|place| (0..fleet::FLEET as u64).map(move |vm| (vm, place)));
        turns.fill(depth);
        turns.empty(|vm, item| assert_eq!(Some((vm, item[0])), expected.next(), "each VM has its turn"));
        assert_eq!(expected.next(), None);
        let warm = measure(|| {
            turns.fill(depth);
            turns.empty(|_, _| {});
        });
        gate(&format!("allocations of {} pushes and pops at depth {depth}", fleet::FLEET * depth), warm.count_total, 0);
    }
}

#[test]
fn allocations_of_refusals_are_the_same_at_any_depth() {
    let of = |depth: usize| {
        let mut refusals = Refusals::new(16);
        // Warm: what grows has grown.
        refusals.round(depth);
        let round = measure(|| {
            refusals.round(depth);
        });
        round.count_total / (16 * depth as u64)
    };
    let (few, many) = (of(64), of(256));
    gate("allocations of a refused operation, call to task's end", few, 4);
    assert!(many <= few, "{many} at depth 256, {few} at depth 64");
}

#[test]
fn memory_of_a_machine_with_running_vms() {
    let vms = 200;
    let mut local = fleet::local(vms);
    (0..vms).for_each(|n| start(&mut local, n));
    let nothing = Local::new(World::new(Config::default(), Choices::nothing()), 4).machine;
    let machine = std::mem::replace(&mut local.machine, nothing);
    let freed = measure(move || drop(machine)).bytes_current;
    gate("bytes that a machine holds for a running vm", -freed as u64 / vms as u64, 6_600);
}
