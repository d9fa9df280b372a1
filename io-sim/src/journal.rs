//! The journal as a disk has it: appends in order, one write and one sync at a time, a tail that a crash tears.

use crate::world::{Choices, Concern};
use std::collections::{BTreeMap, BTreeSet};
use xenops_core::host::{Entry, Fault, Outcome, Reply};
use xenops_core::machine::EffectId;

type Append = (EffectId, Vec<Entry>);

/// Records that are durable, and appends that are on their way.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    records: BTreeMap<String, String>,
    /// Of this driver turn.
    turn: Vec<Append>,
    /// Written when the sync under way has ended.
    queued: Vec<Append>,
    /// Being synced, and until when.
    writing: Vec<Append>,
    done: Option<u64>,
    /// Keys that have changed since somebody asked.
    changed: Vec<String>,
    /// Keys whose last change was refused.
    refused: BTreeSet<String>,
}

/// What a crash left of the appends that were on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Appends that came through although nobody was told.
    pub kept: usize,
    /// Appends that did not.
    pub lost: usize,
}

impl Journal {
    /// What the next start of the daemon will find.
    pub fn records(&self) -> &BTreeMap<String, String> {
        &self.records
    }

    /// A record is not what was written, or is so again; what it was. Nobody is told.
    pub fn tamper(&mut self, key: &str, value: Option<&str>) -> Option<String> {
        match value {
            Some(value) => self.records.insert(key.to_owned(), value.to_owned()),
            None => self.records.remove(key),
        }
    }

    /// The same as the machine takes it.
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |(key, value): (&String, &String)| Entry { key: key.clone(), value: Some(value.clone()) };
        self.records.iter().map(entry).collect()
    }

    /// Keys of records that have changed since the last time.
    pub fn take_changed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.changed)
    }

    /// One request of this driver turn.
    pub fn push(&mut self, effect: EffectId, entries: Vec<Entry>) {
        self.turn.push((effect, entries));
    }

    /// The turn is over: what it appended is written after what is being written, which takes `latency` nanoseconds.
    pub fn end_turn(&mut self, mono: u64, latency: u64) {
        self.queued.append(&mut self.turn);
        self.write(mono, latency);
    }

    fn write(&mut self, mono: u64, latency: u64) {
        if self.writing.is_empty() && !self.queued.is_empty() {
            std::mem::swap(&mut self.writing, &mut self.queued);
            self.done = Some(mono + latency);
        }
    }

    /// When the sync under way ends.
    pub fn next(&self) -> Option<u64> {
        self.done
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.turn.is_empty() && self.queued.is_empty() && self.writing.is_empty()
    }

    /// Keys of records that are not as they should be by now: refused, or on their way.
    pub fn behind(&self) -> BTreeSet<String> {
        let coming = [&self.turn, &self.queued, &self.writing].into_iter().flatten();
        coming
            .flat_map(|(_, entries)| entries.iter().map(|entry| entry.key.clone()))
            .chain(self.refused.iter().cloned())
            .collect()
    }

    /// The sync has ended, well or for lack of space; the next begins.
    pub fn synced(&mut self, mono: u64, latency: u64, full: bool) -> Vec<(EffectId, Outcome)> {
        if self.done.is_none_or(|done| done > mono) {
            return Vec::new();
        }
        self.done = None;
        let written = std::mem::take(&mut self.writing);
        self.write(mono, latency);
        let outcome = |(effect, entries): Append| {
            if full {
                self.refused.extend(keys(entries));
                return (effect, Outcome::Refused(Fault::NoSpace("the journal".to_owned())));
            }
            self.apply(entries);
            (effect, Outcome::Ok(Reply::Unit))
        };
        written.into_iter().map(outcome).collect()
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for Entry { key, value } in entries {
            self.changed.push(key.clone());
            self.refused.remove(&key);
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
    }

    /// The daemon or its host is gone. Of what was being written a beginning may have come through, whole appends
    /// only: what is torn is cut. What was not being written yet never was.
    pub fn crash(&mut self, full: bool, choices: &mut Choices) -> Tail {
        let writing = std::mem::take(&mut self.writing);
        let unwritten = self.turn.len() + self.queued.len();
        let total = writing.len();
        let kept = if full { 0 } else { choices.choose(Concern::Fault, total as u32 + 1) as usize };
        for (_, entries) in writing.into_iter().take(kept) {
            self.apply(entries);
        }
        self.turn.clear();
        self.queued.clear();
        self.done = None;
        Tail { kept, lost: total - kept + unwritten }
    }
}

fn keys(entries: Vec<Entry>) -> impl Iterator<Item = String> {
    entries.into_iter().map(|entry| entry.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str) -> Vec<Entry> {
        vec![Entry { key: key.to_owned(), value: Some("1".to_owned()) }]
    }

    fn known(journal: &Journal) -> Vec<&str> {
        journal.records().keys().map(String::as_str).collect()
    }

    #[test]
    fn appends_are_durable_in_order_and_a_crash_keeps_a_beginning() {
        let mut journal = Journal::default();
        for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
            journal.push(EffectId(n as u64), entry(key));
        }
        journal.end_turn(0, 10);
        journal.push(EffectId(9), entry("d"));
        journal.end_turn(5, 10);
        assert!(journal.synced(9, 10, false).is_empty() && known(&journal).is_empty());
        for seed in 0..40 {
            let mut crashed = journal.clone();
            let tail = crashed.crash(false, &mut Choices::seeded(seed));
            assert_eq!(known(&crashed), ["a", "b", "c"][..tail.kept], "and never what was not being written");
            assert_eq!(tail.kept + tail.lost, 4);
        }
        assert_eq!(journal.synced(10, 10, false).len(), 3);
        assert_eq!(known(&journal), ["a", "b", "c"]);
        assert_eq!(journal.next(), Some(20));
        assert!(matches!(journal.synced(20, 10, true)[0].1, Outcome::Refused(Fault::NoSpace(_))));
        assert_eq!(known(&journal), ["a", "b", "c"]);
        assert!(journal.is_idle());
    }
}
