//! A daemon's recording, lived through again: the same inputs must have the same effects.

use crate::oracle::Violation;
use crate::panic;
use crate::timeline::{Kind, Scene};
use crate::trace::Trace;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use xenops_core::host::{Entry, Outcome, Request};
use xenops_core::machine::recording::{self, Differs, Line, Replay};
use xenops_core::machine::{Effect, EffectId, Input};

/// What this program's recordings would say of it.
pub fn build() -> String {
    recording::build(env!("CARGO_PKG_VERSION"), option_env!("XENOPS_COMMIT"))
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Relived {
    /// Inputs that had the same effects.
    pub inputs: u64,
    /// The one that had others, and those.
    pub differs: Option<String>,
    /// Which build made the recording.
    pub build: String,
    /// Why the recording ends before its daemon did, if it says so.
    pub ends: Option<String>,
}

/// The lines of a recording's file.
pub struct Lines {
    name: String,
    lines: std::io::Lines<BufReader<File>>,
    read: u64,
}

impl Lines {
    /// Opens the file.
    pub fn open(path: &Path) -> Result<Lines, String> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
        Ok(Lines { name, lines: BufReader::new(file).lines(), read: 0 })
    }

    /// The next, if there is one.
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> Result<Option<Line>, String> {
        let name = &self.name;
        let Some(text) = self.lines.next() else { return Ok(None) };
        let text = text.map_err(|error| format!("{name}: {error}"))?;
        self.read += 1;
        match serde_json::from_str(&text) {
            Ok(line) => Ok(Some(line)),
            // A daemon that was killed may have left the beginning of a line.
            Err(_) if self.read > 1 && self.lines.next().is_none() => Ok(None),
            Err(error) => Err(format!("{name}: line {} is none of a recording: {error}", self.read)),
        }
    }
}

/// Lives through a recording, and traces it, its times counted from its beginning. An error: it cannot be read, or it is
/// none.
pub fn relive(path: &Path, trace: &mut Trace) -> Result<Relived, String> {
    let name = path.display();
    let mut lines = Lines::open(path)?;
    let mut records = Records::default();
    let (build, began, (mut replay, begins)) = match lines.next()? {
        Some(Line::Opened(opened)) => {
            opened.records.iter().cloned().for_each(|entry| records.apply(entry));
            (opened.build.clone(), opened.now.mono, Replay::open(*opened))
        }
        Some(Line::Snapshot(was)) => (was.build.clone(), was.now.mono, (Replay::resume(*was), Ok(()))),
        _ => return Err(format!("{name} does not begin as a recording does")),
    };
    let mut relived = Relived { inputs: 0, differs: None, build, ends: None };
    if let Some(story) = trace.story() {
        story.begins_at(began);
        story.mark((0, 0), Kind::Start, None, "the recording begins".to_owned());
    }
    records.wanted((0, 0), &replay, trace);
    let differs = |what: &str, differs| match differs {
        Differs::Effects(effects) => format!("{what}\nhas other effects now: {effects:#?}"),
        Differs::Unasked(effect) => format!("{what}\nis of effect {effect}, which nobody asks for now"),
    };
    if let Err(why) = begins {
        relived.differs = Some(differs("the start", why));
    }
    while let Some(line) = if relived.differs.is_none() { lines.next()? } else { None } {
        match line {
            Line::Opened(_) | Line::Snapshot(_) => return Err(format!("{name}: two recordings are in one file")),
            Line::Ends(why) => relived.ends = Some(why),
            Line::Told(told) => {
                let input = format!("input {}: {:?}", relived.inputs + 1, told.input);
                let at = (told.now.mono.saturating_sub(began), relived.inputs + 1);
                trace.heard(at.0, at.1, &told.input, replay.machine());
                records.heard(&told.input);
                match panic::caught(|| replay.tell(*told)) {
                    Ok(Ok(())) => relived.inputs += 1,
                    Ok(Err(why)) => relived.differs = Some(differs(&input, why)),
                    Err(text) => relived.differs = Some(format!("{input}\npanics: {text}")),
                }
                if relived.differs.is_none() {
                    records.wanted(at, &replay, trace);
                }
            }
        }
        if let (Some(what), Some(story)) = (&relived.differs, trace.story()) {
            story.broken((0, relived.inputs), &Violation::new("law 1", what.clone()));
        }
    }
    Ok(relived)
}

/// The records that are durable, as far as a recording tells.
#[derive(Default)]
struct Records {
    durable: BTreeMap<String, String>,
    asked: BTreeMap<EffectId, Vec<Entry>>,
}

impl Records {
    fn apply(&mut self, Entry { key, value }: Entry) {
        match value {
            Some(value) => drop(self.durable.insert(key, value)),
            None => drop(self.durable.remove(&key)),
        }
    }

    fn heard(&mut self, input: &Input) {
        let Input::Done { effect, outcome } = input else { return };
        let entries = self.asked.remove(effect).unwrap_or_default();
        if matches!(outcome, Outcome::Ok(_)) {
            entries.into_iter().for_each(|entry| self.apply(entry));
        }
    }

    /// What the machine wants now, and how the records stand.
    fn wanted(&mut self, at: (u64, u64), replay: &Replay, trace: &mut Trace) {
        if let Some(story) = trace.story() {
            story.look(at, None, Scene::of_records(&self.durable));
        }
        for effect in replay.effects() {
            if let Effect::Do { effect, request: Request::Append(entries), .. } = effect {
                self.asked.insert(*effect, entries.clone());
            }
            trace.wanted(at.0, at.1, effect, replay.machine());
        }
    }
}
