//! A recording's file: its lines one by one, or all that matters of it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use xenops_core::machine::recording::{Line, Opened, Snapshot, Told};

/// The lines of a recording's file.
pub struct Lines {
    name: String,
    lines: std::io::Lines<BufReader<File>>,
    read: u64,
    cut: bool,
}

impl Lines {
    /// Opens the file.
    pub fn open(path: &Path) -> Result<Lines, String> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
        Ok(Lines { name, lines: BufReader::new(file).lines(), read: 0, cut: false })
    }

    /// What the recording begins with.
    pub fn first(&mut self) -> Result<First, String> {
        match self.next()? {
            Some(Line::Opened(opened)) => Ok(First::Opened(opened)),
            Some(Line::Snapshot(was)) => Ok(First::Snapshot(was)),
            Some(Line::Told(_) | Line::Ends(_)) => {
                Err(format!("{} does not begin as a recording does: its beginning is missing", self.name))
            }
            None => Err(format!("{} is no recording: it is empty", self.name)),
        }
    }

    /// The next, if there is one.
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> Result<Option<Line>, String> {
        let name = &self.name;
        let Some(text) = self.lines.next() else { return Ok(None) };
        self.read += 1;
        let text = match text {
            Err(error) if error.kind() != ErrorKind::InvalidData => return Err(format!("{name}: {error}")),
            text => text.unwrap_or_default(),
        };
        match serde_json::from_str(&text) {
            Ok(line) => Ok(Some(line)),
            // A daemon that was killed may have left the beginning of a line.
            Err(_) if self.read > 1 && self.lines.next().is_none() => {
                self.cut = true;
                Ok(None)
            }
            Err(error) if self.read == 1 => {
                Err(format!("{name} is no recording: its first line is none of one: {error}"))
            }
            Err(error) => Err(format!("{name}: line {} is none of a recording: {error}", self.read)),
        }
    }

    /// Whether the last line was cut short.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

/// What a recording begins with.
#[derive(Clone, Debug)]
pub enum First {
    /// A machine is opened.
    Opened(Box<Opened>),
    /// It had lived before, and was this.
    Snapshot(Box<Snapshot>),
}

impl First {
    /// Which build recorded it.
    pub fn build(&self) -> &str {
        match self {
            First::Opened(opened) => &opened.build,
            First::Snapshot(was) => &was.build,
        }
    }

    /// The host's time, as it began.
    pub fn mono(&self) -> u64 {
        match self {
            First::Opened(opened) => opened.now.mono,
            First::Snapshot(was) => was.now.mono,
        }
    }
}

/// All of a recording.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What it begins with.
    pub first: First,
    /// What the machine is told.
    pub told: Vec<Told>,
}

impl Recording {
    /// Its lines, one after the other.
    pub fn write(&self, to: impl Write) -> std::io::Result<()> {
        let mut to = BufWriter::new(to);
        match &self.first {
            First::Opened(opened) => line(&mut to, &Line::Opened(opened.clone()))?,
            First::Snapshot(was) => line(&mut to, &Line::Snapshot(was.clone()))?,
        }
        for told in &self.told {
            line(&mut to, &Line::Told(Box::new(told.clone())))?;
        }
        to.flush()
    }

    /// In a file of its own, which is not everybody's to read: what clients say and guests write is in it.
    pub fn keep(&self, path: &Path) -> Result<(), String> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        file.and_then(|file| self.write(file)).map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn line(to: &mut impl Write, line: &Line) -> std::io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}
