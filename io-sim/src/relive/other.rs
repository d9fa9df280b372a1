//! Another program that lives through the same: what it does is what would have been recorded of it.
//!
//! It gets recordings on its standard input, each ended by an empty line, and answers each with a line of JSON: hashes of
//! the effects, of the beginning and of each input until the machine panics or is told the outcome of what it has not
//! asked for, its last effects in words, and the processor seconds that it has taken so far.

use super::file::{First, Recording};
use super::life::{Life, words};
use crate::shrink::spent;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use xenops_core::machine::recording::{Line, hash};

/// The command of `xenops-sim` that answers.
pub const COMMAND: &str = "witness";

/// What it says of a recording.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Hashes of the effects that it has, at the beginning and of each input, as far as it comes.
    pub effects: Vec<u64>,
    /// The last of these effects, in words.
    pub last: Vec<String>,
    seconds: f64,
}

/// That program, while it runs.
pub struct Other {
    name: String,
    child: Child,
    said: BufReader<ChildStdout>,
    spent: Duration,
}

impl Other {
    /// Starts it.
    pub fn start(program: &Path) -> Result<Other, String> {
        let name = program.display().to_string();
        let mut command = Command::new(program);
        command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let said = BufReader::new(child.stdout.take().expect("it was piped"));
        Ok(Other { name, child, said, spent: Duration::ZERO })
    }

    /// What comes of this there.
    pub fn live(&mut self, recording: &Recording) -> Result<Answer, String> {
        let mut to = self.child.stdin.as_ref().expect("it was piped");
        let sent = recording.write(to).and_then(|()| to.write_all(b"\n"));
        let mut line = String::new();
        let heard = sent.and_then(|()| self.said.read_line(&mut line));
        heard.map_err(|error| format!("{}: {error}", self.name))?;
        let answer: Answer = serde_json::from_str(&line)
            .map_err(|_| format!("{} is no xenops-sim that can be asked: it answers {line:?}", self.name))?;
        self.spent = Duration::try_from_secs_f64(answer.seconds).unwrap_or_default();
        Ok(answer)
    }

    /// What it has computed.
    pub fn spent(&self) -> Duration {
        self.spent
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Without standard input it ends by itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Answers, until nobody asks any more.
pub fn witness() -> Result<bool, String> {
    let mut lines = std::io::stdin().lines();
    while let Some(text) = next(&mut lines)? {
        let (mut effects, mut last) = (Vec::new(), Vec::new());
        let mut life = match parsed(&text)? {
            Line::Opened(mut opened) => {
                opened.effects = None;
                Life::begin(First::Opened(opened)).ok()
            }
            Line::Snapshot(was) => Life::begin(First::Snapshot(was)).ok(),
            Line::Told(_) | Line::Ends(_) => return Err("a recording does not begin as it should".to_owned()),
        };
        effects.extend(life.as_ref().map(|life| hash(life.effects())));
        while let Some(text) = next(&mut lines)?.filter(|text| !text.is_empty()) {
            let Line::Told(mut told) = parsed(&text)? else { continue };
            told.effects = None;
            let lives = life.as_mut().is_some_and(|life| life.tell(*told).is_ok());
            life = life.filter(|_| lives);
            effects.extend(life.as_ref().map(|life| hash(life.effects())));
        }
        last.extend(life.iter().flat_map(|life| words(life.effects())));
        let answer = Answer { effects, last, seconds: spent().as_secs_f64() };
        println!("{}", serde_json::to_string(&answer).map_err(|error| error.to_string())?);
    }
    Ok(true)
}

fn next(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Result<Option<String>, String> {
    lines.next().transpose().map_err(|error| error.to_string())
}

fn parsed(text: &str) -> Result<Line, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}
