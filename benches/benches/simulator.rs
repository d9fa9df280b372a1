//! The simulator on one core, all checks on: host requests and VM lifetimes a second.

use criterion::{Criterion, SamplingMode, Throughput};
use std::time::{Duration, Instant};
use xenops_io_sim::run::{self, Outcome};
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::trace::Trace;
use xenops_io_sim::world::Choices;

/// Runs of one iteration; the same seeds each time.
const SEEDS: std::ops::Range<u64> = 125..145;

/// The programs' own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let began = Instant::now();
    let (requests, lifetimes) = totals(SEEDS.map(one));
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{SEEDS:?}: {requests} host requests, {lifetimes} vm lifetimes; {:.0} and {:.0} a second when cold",
        requests as f64 / seconds,
        lifetimes as f64 / seconds
    );
    let mut group = criterion.benchmark_group("simulator");
    group.sampling_mode(SamplingMode::Flat);
    for (what, count) in [("host requests", requests), ("vm lifetimes", lifetimes)] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(what, |bencher| bencher.iter(|| totals(SEEDS.map(one))));
    }
    group.finish();
    criterion.final_summary();
}

fn one(seed: u64) -> Outcome {
    let outcome = run::run(seed, Choices::seeded(seed), Profile::Ci, Trace::default());
    assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
    outcome
}

fn totals(outcomes: impl Iterator<Item = Outcome>) -> (u64, u64) {
    outcomes.fold((0, 0), |(requests, lifetimes), one| (requests + one.requests, lifetimes + one.lifetimes))
}
