//! Opening a database: the directory's files, the journal on top, and what is wrong with either.

use super::directory::{Directory, Files};
use super::journal::{Held, Journal, NAME};
use super::state::{INTENT, State};
use super::{Database, Disk};
use crate::bell::Bell;
use crate::failure::{Failure, plain};
use crate::log;
use rustix::fs::statfs;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use xenops_core::host::Entry;

/// File systems whose files are in memory, by the numbers that `statfs` gives them.
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

/// Makes the database's root, where there is none.
pub fn make_root(root: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(root);
    made.map_err(|error| Failure::path("make the database directory", root, "database-path", &error))
}

impl Database {
    /// Records that end with the daemon.
    pub fn in_memory() -> Database {
        Database { disk: None }
    }

    /// Opens what is under this root: the database, and the records that it holds.
    pub fn open(root: &Path) -> Result<(Database, Vec<Entry>), Failure> {
        let failure = |doing: &str, error| Failure::path(doing, root, "database-path", &error);
        let directory = Directory::new(root);
        let mut files = directory.read().map_err(|error| failure("read the records in", error))?;
        files.records.retain(|key, _| !key.starts_with(INTENT));
        let (journal, mut held) = Journal::open(root).map_err(|error| {
            Failure::new(format!("cannot open journal {}: {}", root.join(NAME).display(), plain(&error)))
        })?;
        report(&files, &held);

        let state = State::new(std::mem::take(&mut held.entries), journal.length());
        let records = merge(files.records, &state);
        let in_memory = statfs(root).is_ok_and(|system| matches!(system.f_type as u64, TMPFS | RAMFS));
        let disk = Disk {
            root: root.to_owned(),
            directory,
            journal: Arc::new(Mutex::new(journal)),
            in_memory,
            state: RefCell::new(state),
            waiting: RefCell::default(),
            arrived: Bell::default(),
            behind: Bell::default(),
            closing: Cell::new(false),
            closed: Bell::default(),
        };
        // The last life may have ended before the directory was level.
        disk.behind.ring();
        Ok((Database { disk: Some(disk) }, records))
    }
}

fn merge(mut records: BTreeMap<String, String>, state: &State) -> Vec<Entry> {
    for (key, text) in state.behind() {
        match text {
            Some(text) => records.insert(key.clone(), text.clone()),
            None => records.remove(key),
        };
    }
    records.extend(state.intents().map(|(key, text)| (key.clone(), text.clone())));
    records.into_iter().map(|(key, text)| Entry { key, value: Some(text) }).collect()
}

fn report(files: &Files, held: &Held) {
    for (path, why) in &files.faulty {
        log::error("database", format_args!("{} is left alone: {why}", path.display()));
    }
    if held.cut > 0 {
        log::warning("database", format_args!("the journal's torn tail of {} bytes was cut", held.cut));
    }
    if let Some(path) = &held.set_aside {
        let path = path.display();
        log::error(
            "database",
            format_args!(
                "the journal is damaged: what follows its last good entry was moved to {path} and is not used"
            ),
        );
    }
    log::info(
        "database",
        format_args!("{} records, {} changes in the journal", files.records.len(), held.entries.len()),
    );
}
