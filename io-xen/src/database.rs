//! The truth on disk: a journal first, upstream's directory of files after it.
//!
//! An append is durable in the journal before it is answered. The directory follows on the blocking
//! pool, and what it lacks the journal still holds: so a crash at any moment loses nothing, and the
//! journal can begin anew at any moment with what the directory lacks and the intents.

pub mod directory;
pub mod frame;
pub mod journal;
pub mod opening;
pub mod state;

use crate::bell::Bell;
use crate::failure::plain;
use crate::inbox::Promise;
use crate::log;
use directory::Directory;
use journal::Journal;
use state::State;
use std::cell::{Cell, RefCell};
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use xenops_core::host::{Entry, Fault, Outcome, Reply};

/// Least pause between two passes over the directory; a slow one is followed by ten times its own duration.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause, when pass after pass fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// An append that waits to be answered.
pub type Append = (Promise, Vec<Entry>);

/// The database: in memory only, or under a root.
pub struct Database {
    disk: Option<Disk>,
}

struct Disk {
    root: PathBuf,
    directory: Directory,
    journal: Arc<Mutex<Journal>>,
    // On a file system in memory a sync takes no time, and handing it to a thread would.
    in_memory: bool,
    state: RefCell<State>,
    waiting: RefCell<Vec<Append>>,
    arrived: Bell,
    behind: Bell,
    closing: Cell<bool>,
    closed: Bell,
}

impl Database {
    /// Makes the appends of one turn durable by one write and one sync; each is answered when it is.
    pub fn append(&self, appends: Vec<Append>) {
        match &self.disk {
            None => appends.into_iter().for_each(|(promise, _)| promise.answer(Outcome::Ok(Reply::Unit))),
            Some(disk) if disk.in_memory => {
                let (frames, appends) = prepare(appends);
                let written = disk.journal().append(&frames);
                disk.settle(appends, written);
                disk.bound_journal();
            }
            Some(disk) => {
                disk.waiting.borrow_mut().extend(appends);
                disk.arrived.ring();
            }
        }
    }

    /// Carries out what is not done at once, until [`close`](Self::close) is called and the directory is level.
    pub async fn tend(&self) {
        if let Some(disk) = &self.disk {
            smol::future::zip(disk.write(), disk.follow()).await;
            disk.level().await;
            disk.begin_journal();
        }
    }

    /// Lets [`tend`](Self::tend) come to its end.
    pub fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.closing.set(true);
            disk.arrived.ring();
            disk.closed.ring();
        }
    }
}

// Refuses what cannot be written under its name; frames the rest.
fn prepare(appends: Vec<Append>) -> (Vec<u8>, Vec<Append>) {
    let mut frames = Vec::new();
    let mut good = Vec::with_capacity(appends.len());
    for (promise, entries) in appends {
        if let Some(entry) = entries.iter().find(|entry| !directory::is_key(&entry.key)) {
            promise.answer(Outcome::Refused(Fault::Other(format!("{:?} is no record's name", entry.key))));
            continue;
        }
        frame::encode(&mut frames, &entries);
        good.push((promise, entries));
    }
    (frames, good)
}

impl Disk {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().expect("a panic ends the daemon")
    }

    fn settle(&self, appends: Vec<Append>, written: Result<(), Fault>) {
        if let Err(fault) = &written {
            log::error("database", format_args!("records are not written: {fault}"));
        }
        for (promise, entries) in appends {
            promise.answer(match &written {
                Ok(()) => {
                    self.state.borrow_mut().take(entries);
                    Outcome::Ok(Reply::Unit)
                }
                Err(fault) => Outcome::Refused(fault.clone()),
            });
        }
        self.behind.ring();
    }

    // Appends on the blocking pool: whatever comes while one sync lasts shares the next.
    async fn write(&self) {
        loop {
            let appends = mem::take(&mut *self.waiting.borrow_mut());
            if appends.is_empty() {
                if self.closing.get() {
                    return;
                }
                self.arrived.heard().await;
                continue;
            }
            let (frames, appends) = prepare(appends);
            let journal = self.journal.clone();
            let write = move || journal.lock().expect("a panic ends the daemon").append(&frames);
            let written = smol::unblock(write).await;
            self.settle(appends, written);
            self.bound_journal();
        }
    }

    // Brings the directory level, again and again.
    async fn follow(&self) {
        let mut pause = PAUSE;
        loop {
            smol::future::or(self.behind.heard(), self.closed.heard()).await;
            if !self.closing.get() {
                let rest = async {
                    smol::Timer::after(pause).await;
                };
                smol::future::or(rest, self.closed.heard()).await;
            }
            if self.closing.get() {
                return;
            }
            let started = Instant::now();
            if self.level().await {
                pause = PAUSE.max(started.elapsed() * 10);
            } else {
                self.behind.ring();
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    // Whether nothing went wrong.
    async fn level(&self) -> bool {
        let changes = self.state.borrow_mut().begin_levelling();
        let directory = self.directory.clone();
        let failed = smol::unblock(move || directory.level(&changes)).await;
        if let Some((key, error)) = failed.first() {
            let text =
                format_args!("{} records are not brought level yet, {key} because: {}", failed.len(), plain(error));
            log::error("database", text);
        }
        self.state.borrow_mut().end_levelling(failed.iter().map(|(key, _)| key.as_str()));
        failed.is_empty()
    }

    fn bound_journal(&self) {
        let length = self.journal().length();
        if self.state.borrow().wants_new_journal(length) {
            self.begin_journal();
        }
    }

    // Short enough to be done here: it writes what is alive, once for each time that much was appended.
    fn begin_journal(&self) {
        let alive = self.state.borrow().alive();
        let mut journal = self.journal();
        match Journal::begin(&self.root, &alive) {
            Ok(new) => *journal = new,
            Err(error) => log::error("database", format_args!("the journal cannot begin anew: {}", plain(&error))),
        }
        self.state.borrow_mut().journal_began(journal.length());
    }
}

#[cfg(test)]
mod tests;
