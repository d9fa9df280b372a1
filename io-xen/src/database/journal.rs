//! The journal: what is durable before anything depends on it. Appended, synced, cut when torn.

use super::frame;
use crate::failure::plain;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use xenops_core::host::{Entry, Fault};

/// Its name under the database root.
pub const NAME: &str = "journal";

/// First line of a journal: what it is, and the version of its form.
const TITLE: &[u8] = b"xenops journal 1\n";

/// What a journal is written on.
pub trait Medium {
    /// Adds bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes them durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off all after this length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// An open journal. All up to `length` is durable and whole.
#[derive(Debug)]
pub struct Journal<M = File> {
    medium: M,
    length: u64,
    // Set when a refused append could not be taken back: what would follow it might be lost with it.
    broken: Option<String>,
}

/// What a journal held when it was opened.
#[derive(Debug, Default)]
pub struct Held {
    /// All whole frames, in order.
    pub entries: Vec<Entry>,
    /// Bytes of a torn tail that were cut.
    pub cut: usize,
    /// Where the rest was put after a frame in the middle was found damaged.
    pub set_aside: Option<PathBuf>,
}

impl<M: Medium> Journal<M> {
    /// Appends frames and makes them durable: after an error certainly none of them is.
    pub fn append(&mut self, frames: &[u8]) -> Result<(), Fault> {
        if let Some(why) = &self.broken {
            return Err(Fault::Io(why.clone()));
        }
        let written = self.medium.append(frames).and_then(|()| self.medium.sync());
        let Err(error) = written else {
            self.length += frames.len() as u64;
            return Ok(());
        };
        // Synced, or the frames could come back after a power cut although they were refused.
        if let Err(worse) = self.medium.cut(self.length).and_then(|()| self.medium.sync()) {
            let why = format!("journal is closed: {}, and then: {}", plain(&error), plain(&worse));
            self.broken = Some(why.clone());
            return Err(Fault::Io(why));
        }
        Err(fault(&error))
    }

    /// Bytes of it that are durable.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Why it takes nothing any more, if so.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}

fn fault(error: &io::Error) -> Fault {
    let text = format!("journal: {}", plain(error));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Fault::NoSpace(text),
        _ => Fault::Io(text),
    }
}

impl Journal {
    /// Opens the journal of a database root, or begins one.
    pub fn open(root: &Path) -> io::Result<(Journal, Held)> {
        let path = root.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        // A title that was not finished: nothing can have been acknowledged behind it.
        if TITLE.starts_with(&bytes) {
            let journal = Journal::begin(root, &[])?;
            return Ok((journal, Held { cut: bytes.len() % TITLE.len(), ..Held::default() }));
        }
        if !bytes.starts_with(TITLE) {
            let why = "it is not a journal that this version knows; start the version that wrote it, or move it away";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let mut held = Held::default();
        let mut good = TITLE.len();
        while let Some((entries, length)) = frame::decode(&bytes[good..]) {
            held.entries.extend(entries);
            good += length;
        }
        let rest = &bytes[good..];
        if frame::any_later(rest) {
            held.set_aside = Some(set_aside(root, rest)?);
        } else {
            held.cut = rest.len();
        }
        let mut file = OpenOptions::new().append(true).open(&path)?;
        if !rest.is_empty() {
            file.cut(good as u64)?;
            file.sync()?;
        }
        Ok((Journal { medium: file, length: good as u64, broken: None }, held))
    }

    /// Begins a new journal with these entries in the place of the old one, of which nothing is lost if it fails.
    pub fn begin(root: &Path, entries: &[Entry]) -> io::Result<Journal> {
        let mut bytes = TITLE.to_vec();
        if !entries.is_empty() {
            frame::encode(&mut bytes, entries);
        }
        let new = root.join("journal.new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        // Appending from now on: after a cut the next frame must follow the last good one.
        let file = OpenOptions::new().append(true).open(&new)?;
        fs::rename(&new, root.join(NAME))?;
        File::open(root)?.sync_all()?;
        Ok(Journal { medium: file, length: bytes.len() as u64, broken: None })
    }
}

fn set_aside(root: &Path, rest: &[u8]) -> io::Result<PathBuf> {
    for number in 1.. {
        let path = root.join(format!("journal.damaged.{number}"));
        match OpenOptions::new().create_new(true).write(true).open(&path) {
            Ok(mut file) => {
                file.write_all(rest)?;
                file.sync_all()?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("there are more numbers than files")
}

#[cfg(test)]
mod tests;
