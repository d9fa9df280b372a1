//! Moments at which something must be thought of again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a moment is for. Whoever gets it checks that it still matters: timers are never taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A VM may be looked at again.
    Look(u64),
    /// A task has had its time.
    Expire(u64),
    /// A call has waited long enough.
    Call(u64),
    /// The list of domains may be asked for again.
    Domains,
}

/// Moments in order; those of one moment in the order they were set.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64, Alarm)>>,
    set: u64,
}

impl Timers {
    /// Ring at `mono`.
    pub fn set(&mut self, mono: u64, alarm: Alarm) {
        self.set += 1;
        self.heap.push(Reverse((mono, self.set, alarm)));
    }

    /// The next moment.
    pub fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((mono, _, _))| *mono)
    }

    /// One alarm whose moment has come.
    pub fn due(&mut self, mono: u64) -> Option<Alarm> {
        if self.next()? > mono {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, alarm))| alarm)
    }

    /// All of them: seconds from now, rounded up, and what for.
    pub fn dump(&self, mono: u64) -> Vec<(u64, String)> {
        let mut all: Vec<_> = self.heap.iter().map(|Reverse(entry)| *entry).collect();
        all.sort_unstable();
        all.into_iter()
            .map(|(at, _, alarm)| (at.saturating_sub(mono).div_ceil(1_000_000_000), format!("{alarm:?}")))
            .collect()
    }
}
