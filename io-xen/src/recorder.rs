//! The recorder: what the machine is told goes to a file, so that it can be lived through again.

use crate::failure::{Failure, plain};
use crate::log;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use xenops_core::machine::recording::{self, Line};

/// Recordings that are kept beside the one that is being made, each of one daemon's life: `FILE.1` is the last.
const KEPT: u32 = 4;

/// Writes one recording. It ends where the disk takes no more or its limit is reached; the daemon goes on.
pub struct Recorder {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    // Bytes that it may still grow by.
    left: u64,
}

/// What recordings say of the program that made them.
pub fn build() -> String {
    recording::build(env!("CARGO_PKG_VERSION"), option_env!("XENOPS_COMMIT"))
}

impl Recorder {
    /// Begins a recording of at most so many bytes, and moves those before it away.
    pub fn begin(path: &Path, limit: u64) -> Result<Recorder, Failure> {
        let failed = |error: &std::io::Error| Failure::path("record in", path, "record", error);
        for n in (0..KEPT).rev() {
            match fs::rename(numbered(path, n), numbered(path, n + 1)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
                _ => {}
            }
        }
        // What clients say and guests write is not everybody's to read.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = BufWriter::new(file.map_err(|error| failed(&error))?);
        Ok(Recorder { path: path.to_owned(), file: Some(file), left: limit })
    }

    /// Adds a line; `flush` brings it to the file.
    pub fn add(&mut self, line: &Line) {
        if self.file.is_none() {
            return;
        }
        let mut text = serde_json::to_vec(line).expect("inputs are plain data");
        text.push(b'\n');
        match self.left.checked_sub(text.len() as u64) {
            Some(left) => {
                self.left = left;
                self.write(&text);
            }
            None => {
                let why = "it has reached record-limit";
                let last = serde_json::to_vec(&Line::Ends(why.to_owned())).expect("a text is plain data");
                self.write(&last);
                self.flush();
                self.end(why);
            }
        }
    }

    /// What was added is in the file when this returns: a daemon that is killed later has recorded it.
    pub fn flush(&mut self) {
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            self.end(&plain(&error));
        }
    }

    fn write(&mut self, text: &[u8]) {
        if let Some(Err(error)) = self.file.as_mut().map(|file| file.write_all(text)) {
            self.end(&plain(&error));
        }
    }

    fn end(&mut self, why: &str) {
        if let Some(file) = self.file.take() {
            // What it has not written it could not write.
            drop(file.into_parts());
            log::warning("recorder", format_args!("the recording {} ends: {why}", self.path.display()));
        }
    }
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    if n == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("it can be read")
    }

    #[test]
    fn a_recording_is_bounded_and_the_last_are_kept() {
        let root = std::env::temp_dir().join(format!("xenopsd-recorder-{}", std::process::id()));
        fs::create_dir_all(&root).expect("a directory can be made");
        let path = root.join("recording");
        for n in 0..7 {
            let mut recorder = Recorder::begin(&path, 40).expect("it can be made");
            for part in 0..9 {
                recorder.add(&Line::Ends(format!("{n} {part}")));
                recorder.flush();
            }
        }
        let line = |n, part| format!("{{\"Ends\":\"{n} {part}\"}}\n");
        let ended = "{\"Ends\":\"it has reached record-limit\"}";
        for kept in 0..=KEPT {
            let n = 6 - kept;
            assert_eq!(text(&numbered(&path, kept)), [line(n, 0), line(n, 1), ended.to_owned()].concat());
        }
        assert!(!numbered(&path, KEPT + 1).exists());
        let failed = Recorder::begin(&root.join("nowhere/recording"), 40).err().expect("there is no such directory");
        assert!(failed.text.contains("--record") && failed.text.contains("nowhere/recording"), "{}", failed.text);
        fs::remove_dir_all(&root).expect("it can be removed");
    }
}
