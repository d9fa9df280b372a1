//! The machine: what one input costs, and a queue's push and pop.

use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;
use xenops_benches::fleet::{self, FLEET};
use xenops_benches::queue::Turns;
use xenops_benches::recording::{self, Recording};
use xenops_benches::refusals::Refusals;

/// The programs' own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    queues(&mut criterion);
    refusals(&mut criterion);
    recordings(&mut criterion);
    opening(&mut criterion);
    snapshots(&mut criterion);
    criterion.final_summary();
}

/// An operation lines up in its VM's queue, behind so many others, and its VM for a worker.
fn queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    for depth in [1, 8, 64, 256] {
        let mut turns = Turns::new(FLEET);
        group.throughput(Throughput::Elements((FLEET * depth) as u64));
        group.sample_size(10).bench_function(format!("push and pop at depth {depth}, {FLEET} VMs"), |bencher| {
            bencher.iter(|| {
                turns.fill(depth);
                turns.empty(|vm, item| {
                    black_box((vm, item));
                });
            });
        });
    }
    group.finish();
}

/// An operation that waits behind so many others of its VM and is then refused: all of it, call to task's end.
fn refusals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("machine");
    for depth in [8, 64] {
        let mut refusals = Refusals::new(FLEET);
        group.throughput(Throughput::Elements((FLEET * depth) as u64));
        group.sample_size(10).bench_function(format!("operations refused at depth {depth}, {FLEET} VMs"), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| refusals.round(depth)).sum());
        });
    }
    group.finish();
}

fn recordings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("machine");
    type Record = fn(usize) -> Recording;
    let of: [(&str, Record, usize); 3] = [
        ("inputs of a mix", Recording::mix, 50),
        ("inputs of 1000 starts", Recording::starts, FLEET),
        ("inputs of the recovery of 1000 VMs", Recording::recovery, FLEET),
    ];
    for (name, record, vms) in of {
        let recording = record(vms);
        group.throughput(Throughput::Elements(recording.inputs() as u64));
        group.sample_size(10).bench_function(format!("{} {name}", recording.inputs()), |bencher| {
            bencher.iter_batched(|| recording.clone(), Recording::play, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Records read, and all VMs in doubt.
fn opening(criterion: &mut Criterion) {
    let mut local = fleet::local(FLEET);
    criterion.benchmark_group("machine").sample_size(10).bench_function("open with 1000 VMs", |bencher| {
        bencher.iter(|| local.reopen());
    });
}

/// What a recording stops the daemon for when it goes on in another file: a copy of a machine, as text.
fn snapshots(criterion: &mut Criterion) {
    let mut local = fleet::local(FLEET);
    (0..FLEET).for_each(|n| recording::start(&mut local, n));
    let mut group = criterion.benchmark_group("machine");
    group.sample_size(10).bench_function(format!("snapshot of {FLEET} running VMs"), |bencher| {
        bencher.iter(|| serde_json::to_vec(&local.machine.clone()).expect("a machine is plain data"));
    });
    local.reopen();
    group.sample_size(10).bench_function(format!("snapshot of {FLEET} VMs in doubt"), |bencher| {
        bencher.iter(|| serde_json::to_vec(&local.machine.clone()).expect("a machine is plain data"));
    });
    group.finish();
}
