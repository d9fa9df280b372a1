//! What the journal holds beyond the directory.

use super::directory::Changes;
use std::collections::BTreeMap;
use std::sync::Arc;
use xenops_core::host::Entry;

/// Key prefix of intents, which only the journal holds.
pub const INTENT: &str = "intent/";

/// A journal up to this many bytes is not begun anew, however little of it is alive.
const ROOM: u64 = 8 << 20;

/// Records that the directory lacks, and intents.
#[derive(Debug, Default)]
pub struct State {
    behind: Changes,
    levelling: Arc<Changes>,
    intents: BTreeMap<String, String>,
    // The journal's length at which it is begun anew.
    limit: u64,
}

impl State {
    /// What a journal of this length held when it was opened.
    pub fn new(entries: Vec<Entry>, length: u64) -> State {
        let mut state = State::default();
        state.take(entries);
        state.journal_began(length.min(ROOM));
        state
    }

    /// Takes in what the journal has got.
    pub fn take(&mut self, entries: Vec<Entry>) {
        for Entry { key, value } in entries {
            if !key.starts_with(INTENT) {
                self.behind.insert(key, value);
            } else if let Some(text) = value {
                self.intents.insert(key, text);
            } else {
                self.intents.remove(&key);
            }
        }
    }

    /// Intents, as records.
    pub fn intents(&self) -> impl Iterator<Item = (&String, &String)> {
        self.intents.iter()
    }

    /// Records that the directory lacks.
    pub fn behind(&self) -> &Changes {
        &self.behind
    }

    /// What is to be brought to the directory now.
    pub fn begin_levelling(&mut self) -> Arc<Changes> {
        self.levelling = Arc::new(std::mem::take(&mut self.behind));
        self.levelling.clone()
    }

    /// It was brought there, but for these; what has changed again meanwhile stays changed.
    pub fn end_levelling<'a>(&mut self, failed: impl Iterator<Item = &'a str>) {
        let changes = std::mem::take(&mut self.levelling);
        for key in failed {
            if let Some(text) = changes.get(key) {
                self.behind.entry(key.to_owned()).or_insert_with(|| text.clone());
            }
        }
    }

    /// Whether the directory lacks nothing.
    pub fn is_level(&self) -> bool {
        self.behind.is_empty() && self.levelling.is_empty()
    }

    /// What a new journal must begin with.
    pub fn alive(&self) -> Vec<Entry> {
        let mut changes = self.levelling.as_ref().clone();
        changes.extend(self.behind.iter().map(|(key, text)| (key.clone(), text.clone())));
        changes.extend(self.intents.iter().map(|(key, text)| (key.clone(), Some(text.clone()))));
        changes.into_iter().map(|(key, value)| Entry { key, value }).collect()
    }

    /// Whether a journal of this length is mostly dead.
    pub fn wants_new_journal(&self, length: u64) -> bool {
        length > self.limit
    }

    /// A journal began with so many bytes alive: it may grow by as much again, and by what is little anyway.
    pub fn journal_began(&mut self, length: u64) {
        self.limit = ROOM.max(2 * length);
    }
}
