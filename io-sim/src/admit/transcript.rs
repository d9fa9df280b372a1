//! What a daemon asked of its host and what that said: taken out of a recording by living through it, or kept in a file.
//!
//! A recording has the replies only; which request each answers is what the machine that lives through it asks. A
//! transcript has both, so that it stays what was seen of a host when the machine comes to decide otherwise.

use crate::relive;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use xenops_core::host::{Outcome, Request};
use xenops_core::machine::recording::{self, Differs, Replay};
use xenops_core::machine::{Effect, EffectId, Input};

/// One line of a transcript, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Monotonic nanoseconds.
    pub mono: u64,
    /// What.
    pub event: Event,
}

/// What passes between a daemon and its host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A request.
    Asked(EffectId, Box<Request>),
    /// It is not wanted any more.
    Aborted(EffectId),
    /// What came of it.
    Said(EffectId, Box<Outcome>),
}

/// All that passed, in order.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// Each event and its time.
    pub lines: Vec<Line>,
    /// Why it ends before its daemon did, if it does.
    pub ends: Option<String>,
}

impl Transcript {
    /// Read one, or live through a recording.
    pub fn read(path: &Path) -> Result<Transcript, String> {
        let name = path.display();
        let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
        let mut lines = BufReader::new(file).lines();
        let first = lines.next().transpose().map_err(|error| format!("{name}: {error}"))?.unwrap_or_default();
        if serde_json::from_str::<Line>(&first).is_err() {
            return of_recording(path);
        }
        let mut transcript = Transcript::default();
        for text in std::iter::once(Ok(first)).chain(lines) {
            let text = text.map_err(|error| format!("{name}: {error}"))?;
            let line = serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
            transcript.lines.push(line);
        }
        Ok(transcript)
    }

    fn heard(&mut self, mono: u64, effects: &[Effect]) {
        for effect in effects {
            let event = match effect {
                Effect::Do { effect, request, .. } => Event::Asked(*effect, Box::new(request.clone())),
                Effect::Abort { effect, .. } => Event::Aborted(*effect),
                Effect::Reply { .. } => continue,
            };
            self.lines.push(Line { mono, event });
        }
    }
}

fn of_recording(path: &Path) -> Result<Transcript, String> {
    let name = path.display();
    let mut lines = relive::file::Lines::open(path)?;
    let opened = match lines.next()? {
        Some(recording::Line::Opened(opened)) => opened,
        Some(recording::Line::Snapshot(_)) => {
            let why = "it begins in mid-life: what its host had been asked before stands in another file";
            return Ok(Transcript { ends: Some(why.to_owned()), ..Transcript::default() });
        }
        _ => return Err(format!("{name} is neither a recording nor a transcript")),
    };
    let (build, mono) = (opened.build.clone(), opened.now.mono);
    let mut transcript = Transcript::default();
    let (mut replay, mut result) = Replay::open(*opened);
    let mut inputs = 0;
    transcript.heard(mono, replay.effects());
    while result.is_ok() {
        match lines.next()? {
            None => break,
            Some(recording::Line::Opened(_) | recording::Line::Snapshot(_)) => {
                return Err(format!("{name}: two recordings are in one file"));
            }
            Some(recording::Line::Ends(why)) => transcript.ends = Some(why),
            Some(recording::Line::Told(told)) => {
                let mono = told.now.mono;
                if let Input::Done { effect, outcome } = &told.input {
                    transcript.lines.push(Line { mono, event: Event::Said(*effect, Box::new(outcome.clone())) });
                }
                inputs += 1;
                result = replay.tell(*told);
                transcript.heard(mono, replay.effects());
            }
        }
    }
    match result {
        Ok(()) => Ok(transcript),
        Err(_) if build != relive::build() => {
            let why = format!("from input {inputs} on this build decides otherwise than {build}, which recorded it");
            // What is asked from there on is not what was answered.
            transcript.ends = Some(why);
            Ok(transcript)
        }
        Err(Differs::Effects(_) | Differs::Unasked(_)) => {
            Err(format!("{name}: input {inputs} has other effects now; `xenops-sim replay` tells which"))
        }
    }
}
