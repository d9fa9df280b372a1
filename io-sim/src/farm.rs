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

/// Which seeds a machine of a farm runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// All of them.
    pub all: Range<u64>,
    /// Its share: the i-th of n.
    pub shard: (u64, u64),
}

impl Seeds {
    /// How many those are.
    pub fn count(&self) -> u64 {
        let (share, of) = self.shard;
        (self.all.end - self.all.start).saturating_sub(share).div_ceil(of)
    }
}

/// Run these seeds; `done` is told after each, and says whether to go on.
pub fn run(seeds: &Seeds, profile: Profile, threads: usize, done: &(dyn Fn(&Report) -> bool + Sync)) -> Report {
    let (share, of) = seeds.shard;
    let (first, end) = (seeds.all.start + share, seeds.all.end);
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let merged = Mutex::new(Merge { report: Report::default(), next: first, of, waiting: BTreeMap::new() });
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(of, Ordering::Relaxed);
                    if seed >= end || stop.load(Ordering::Relaxed) {
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
    /// From one seed to the next.
    of: u64,
    waiting: BTreeMap<u64, Outcome>,
}

impl Merge {
    fn add(&mut self, seed: u64, mut outcome: Outcome) {
        outcome.tape = Default::default();
        self.waiting.insert(seed, outcome);
        while let Some(outcome) = self.waiting.remove(&self.next) {
            self.report.add(self.next, &outcome);
            self.next += self.of;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_all_seeds_once() {
        let all = 10..27;
        let reports: Vec<Report> = (0..4)
            .map(|share| {
                let seeds = Seeds { all: all.clone(), shard: (share, 4) };
                let report = run(&seeds, Profile::Ci, 1, &|_| true);
                assert_eq!(report.seeds, seeds.count());
                report
            })
            .collect();
        let whole = run(&Seeds { all, shard: (0, 1) }, Profile::Ci, 1, &|_| true);
        assert_eq!(reports.iter().map(|report| report.seeds).sum::<u64>(), whole.seeds);
        assert_eq!(reports.iter().map(|report| report.requests).sum::<u64>(), whole.requests);
    }
}
