//! The recorder: what the machine is told goes to a file, so that it can be lived through again.

use crate::failure::{Failure, plain};
use crate::log;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use xenops_core::machine::recording::{self, Line};

/// Files that are kept beside the one that is being written: `FILE.1` is the one before it.
const KEPT: u32 = 4;

/// Writes what the machine is told: a file for each daemon's life, and one more whenever a file has reached its limit,
/// which begins with a snapshot of the machine. It ends where the disk takes no more; the daemon goes on.
pub struct Recorder {
    path: PathBuf,
    /// Bytes after which a file is full.
    limit: u64,
    file: Option<BufWriter<File>>,
    /// Bytes that it has.
    size: u64,
}

/// What recordings say of the program that made them.
pub fn build() -> String {
    recording::build(env!("CARGO_PKG_VERSION"), option_env!("XENOPS_COMMIT"))
}

impl Recorder {
    /// Begins a file of about so many bytes, and moves those before it away.
    pub fn begin(path: &Path, limit: u64) -> Result<Recorder, Failure> {
        let file = shift(path).and_then(|()| create(path));
        let file = file.map_err(|error| Failure::path("record in", path, "record", &error))?;
        Ok(Recorder { path: path.to_owned(), limit, file: Some(file), size: 0 })
    }

    /// Adds a line; `flush` brings it to the file.
    pub fn add(&mut self, line: &Line) {
        if self.file.is_some() {
            self.write(&text(line));
        }
    }

    /// Whether it is time to `go_on` in another file.
    pub fn is_full(&self) -> bool {
        self.file.is_some() && self.size >= self.limit
    }

    /// Goes on in a file of its own, which begins with this snapshot.
    pub fn go_on(&mut self, snapshot: &Line) {
        let snapshot = text(snapshot);
        // Files would hold little else, and the daemon would do little else than write them.
        if snapshot.len() as u64 > self.limit / 2 {
            return self.close("a snapshot of the machine takes more than half of record-limit");
        }
        if let Err(error) = self.turn_over(&snapshot) {
            self.close(&plain(&error));
        }
    }

    /// What a full disk has no room for costs none of the files that there are.
    fn turn_over(&mut self, snapshot: &[u8]) -> io::Result<()> {
        let next = suffixed(&self.path, "next");
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Of a daemon that was killed at this.
            _ => {}
        }
        let mut file = create(&next)?;
        if let Err(error) = file.write_all(snapshot).and_then(|()| file.flush()) {
            drop(file.into_parts());
            fs::remove_file(&next)?;
            return Err(error);
        }
        self.write(&text(&Line::Ends("it goes on in the next file".to_owned())));
        self.flush();
        shift(&self.path)?;
        fs::rename(&next, &self.path)?;
        (self.file, self.size) = (Some(file), snapshot.len() as u64);
        Ok(())
    }

    /// What was added is in the file when this returns: a daemon that is killed later has recorded it.
    pub fn flush(&mut self) {
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            self.end(&plain(&error));
        }
    }

    fn write(&mut self, text: &[u8]) {
        self.size += text.len() as u64;
        if let Some(Err(error)) = self.file.as_mut().map(|file| file.write_all(text)) {
            self.end(&plain(&error));
        }
    }

    /// Ends it, and says so in the file too.
    fn close(&mut self, why: &str) {
        self.write(&text(&Line::Ends(why.to_owned())));
        self.flush();
        self.end(why);
    }

    fn end(&mut self, why: &str) {
        if let Some(file) = self.file.take() {
            // What it has not written it could not write.
            drop(file.into_parts());
            log::warning("recorder", format_args!("the recording {} ends: {why}", self.path.display()));
        }
    }
}

fn text(line: &Line) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("a machine and its inputs are plain data");
    text.push(b'\n');
    text
}

// What clients say and guests write is not everybody's to read.
fn create(path: &Path) -> io::Result<BufWriter<File>> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(BufWriter::new)
}

/// Makes room for a file under this name; the oldest goes.
fn shift(path: &Path) -> io::Result<()> {
    for n in (0..KEPT).rev() {
        match fs::rename(numbered(path, n), numbered(path, n + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    if n == 0 { path.to_owned() } else { suffixed(path, &n.to_string()) }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn line(text: &str) -> Line {
        Line::Ends(text.to_owned())
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("it can be read")
    }

    fn written(texts: &[&str]) -> String {
        texts.iter().map(|text| format!("{{\"Ends\":\"{text}\"}}\n")).collect()
    }

    #[test]
    fn a_full_file_is_gone_on_with_in_another_and_the_last_are_kept() {
        let scratch = Scratch::new("recorder");
        let path = scratch.path().join("recording");
        let mut recorder = Recorder::begin(&path, 38).expect("it can be made");
        for n in 0..7 {
            assert!(!recorder.is_full());
            recorder.add(&line(&format!("first {n}")));
            recorder.add(&line(&format!("second {n}")));
            assert!(recorder.is_full());
            recorder.go_on(&line(&n.to_string()));
        }
        assert_eq!(read(&path), written(&["6"]));
        for kept in 1..=KEPT {
            let n = 7 - kept;
            let texts =
                [&*(n - 1).to_string(), &format!("first {n}"), &format!("second {n}"), "it goes on in the next file"];
            assert_eq!(read(&numbered(&path, kept)), written(&texts));
        }
        assert!(!numbered(&path, KEPT + 1).exists() && !suffixed(&path, "next").exists());
        // Another daemon's life.
        drop(Recorder::begin(&path, 38).expect("it can be made"));
        assert_eq!((read(&path), read(&numbered(&path, 1))), (String::new(), written(&["6"])));
    }

    #[test]
    fn a_recording_ends_where_a_snapshot_is_too_long() {
        let scratch = Scratch::new("recorder");
        let path = scratch.path().join("recording");
        let mut recorder = Recorder::begin(&path, 40).expect("it can be made");
        recorder.add(&line("a text that fills the file by itself"));
        recorder.go_on(&line("a snapshot"));
        recorder.add(&line("more"));
        assert!(!recorder.is_full());
        let why = "a snapshot of the machine takes more than half of record-limit";
        assert_eq!(read(&path), written(&["a text that fills the file by itself", why]));
        assert!(!numbered(&path, 1).exists());
    }

    // In `turn_over`, shift the files before the snapshot is written.
    #[test]
    fn a_disk_that_takes_no_more_costs_no_file() {
        let scratch = Scratch::new("recorder");
        let path = scratch.path().join("recording");
        let mut recorder = Recorder::begin(&path, 40).expect("it can be made");
        recorder.add(&line("a text that fills the file by itself"));
        fs::create_dir(suffixed(&path, "next")).expect("a directory can be made");
        recorder.go_on(&line("s"));
        recorder.add(&line("more"));
        recorder.flush();
        assert!(!recorder.is_full() && !numbered(&path, 1).exists());
        let kept = read(&path);
        assert!(kept.starts_with(&written(&["a text that fills the file by itself"])), "{kept}");
        assert!(kept.lines().count() == 2 && !kept.contains("more"), "{kept}");
    }

    #[test]
    fn a_file_that_cannot_be_made_is_the_callers_to_know_of() {
        let scratch = Scratch::new("recorder");
        let failed =
            Recorder::begin(&scratch.path().join("nowhere/recording"), 40).err().expect("there is no directory");
        assert!(failed.text.contains("--record") && failed.text.contains("nowhere/recording"), "{}", failed.text);
    }
}
