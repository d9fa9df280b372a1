//! Dom0's file system, as far as requests touch it: what is missing, what is left behind, what is durable.

use std::collections::{BTreeMap, BTreeSet};
use xenops_core::host::Entry;

/// Files. Any path exists that is not `missing`.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Paths that do not exist.
    pub missing: BTreeSet<String>,
    /// No space is left: nothing can be written.
    pub full: bool,
    /// Files that boot loaders and QEMU have left.
    pub left: BTreeSet<String>,
    records: BTreeMap<String, String>,
}

impl Files {
    /// The daemon's records, as the next start of it will find them.
    pub fn records(&self) -> &BTreeMap<String, String> {
        &self.records
    }

    /// One append and one sync.
    pub(super) fn append(&mut self, entries: Vec<Entry>) {
        for Entry { key, value } in entries {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
    }

    /// A file goes, or a directory with all that is in it.
    pub(super) fn remove(&mut self, path: &str) {
        let within = |file: &str| file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.left.retain(|file| !within(file));
    }

    /// The host was started again: what stands in memory is lost. Records are, where `kept` says no.
    pub(super) fn reboot(&mut self, kept: bool) {
        self.left.clear();
        if !kept {
            self.records.clear();
        }
    }
}
