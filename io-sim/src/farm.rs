//! Many runs on all cores: each seed is a run of its own, and results are put together in the order of seeds.

use crate::report::Report;
use crate::run::{self, Outcome};
use crate::swarm::Profile;
use crate::trace::Trace;
use crate::world::Choices;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Run all seeds; `done` is told after each, and says whether to go on.
pub fn run(seeds: Range<u64>, profile: Profile, threads: usize, done: &(dyn Fn(&Report) -> bool + Sync)) -> Report {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let merged = Mutex::new(Merge { report: Report::default(), next: seeds.start, waiting: BTreeMap::new() });
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = run::run(seed, Choices::seeded(seed), profile, Trace::default());
                    let mut merged = merged.lock().expect("nobody panics while merging");
                    merged.add(seed, outcome);
                    if !done(&merged.report) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    merged.into_inner().expect("nobody panics while merging").report
}

struct Merge {
    report: Report,
    next: u64,
    waiting: BTreeMap<u64, Outcome>,
}

impl Merge {
    fn add(&mut self, seed: u64, mut outcome: Outcome) {
        outcome.tape = Default::default();
        self.waiting.insert(seed, outcome);
        while let Some(outcome) = self.waiting.remove(&self.next) {
            self.report.add(self.next, &outcome);
            self.next += 1;
        }
    }
}
