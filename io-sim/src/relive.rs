//! A daemon's recording, lived through again: the same inputs must have the same effects.

pub mod cli;
pub mod file;
pub mod life;
pub mod other;

use crate::oracle::Violation;
use crate::timeline::{Kind, Scene};
use crate::trace::Trace;
use file::{First, Lines};
use life::{Broken, Life};
use std::collections::BTreeMap;
use std::path::Path;
use xenops_core::host::{Entry, Outcome, Request};
use xenops_core::machine::recording::{self, Line};
use xenops_core::machine::{Effect, EffectId, Input};

/// What this program's recordings would say of it.
pub fn build() -> String {
    recording::build(env!("CARGO_PKG_VERSION"), option_env!("XENOPS_COMMIT"))
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relived {
    /// Inputs that had the same effects.
    pub inputs: u64,
    /// Those among them of which the recording does not say what came of them.
    pub untold: u64,
    /// The one that had others, and those, or at which the machine panics.
    pub differs: Option<String>,
    /// The rule of which that is a breach: a panic breaks one of the machine's own.
    pub rule: &'static str,
    /// Which build made the recording.
    pub build: String,
    /// Why the recording ends before its daemon did, if it says so.
    pub ends: Option<String>,
    /// Whether its last line was cut short.
    pub cut: bool,
}

/// Lives through a recording, and traces it, its times counted from its beginning. An error: it cannot be read, or it is
/// none.
pub fn relive(path: &Path, trace: &mut Trace) -> Result<Relived, String> {
    let mut lines = Lines::open(path)?;
    let mut records = Records::default();
    let first = lines.first()?;
    if let First::Opened(opened) = &first {
        opened.records.iter().cloned().for_each(|entry| records.apply(entry));
    }
    let (mut relived, began) = (Relived { build: first.build().to_owned(), ..Relived::default() }, first.mono());
    if let Some(story) = trace.story() {
        story.begins_at(began);
        story.mark((0, 0), Kind::Start, None, "the recording begins".to_owned());
    }
    let mut life = match Life::begin(first) {
        Ok(life) => life,
        Err(why) => {
            relived.breaks((0, 0), "the start", &why, trace);
            return Ok(relived);
        }
    };
    records.wanted((0, 0), &life, trace);
    while let Some(line) = lines.next()? {
        let told = match line {
            Line::Opened(_) | Line::Snapshot(_) => {
                return Err(format!("{}: two recordings are in one file", path.display()));
            }
            Line::Ends(why) => {
                relived.ends = Some(why);
                continue;
            }
            Line::Told(told) => told,
        };
        let input = format!("input {}: {:?}", relived.inputs + 1, told.input);
        let at = (told.now.mono.saturating_sub(began), relived.inputs + 1);
        trace.heard(at.0, at.1, &told.input, life.machine());
        records.heard(&told.input);
        let untold = u64::from(told.effects.is_none());
        if let Err(why) = life.tell(*told) {
            relived.breaks(at, &input, &why, trace);
            return Ok(relived);
        }
        relived.inputs += 1;
        relived.untold += untold;
        records.wanted(at, &life, trace);
    }
    relived.cut = lines.is_cut();
    Ok(relived)
}

impl Relived {
    /// This input is not as it was.
    fn breaks(&mut self, at: (u64, u64), input: &str, why: &Broken, trace: &mut Trace) {
        let what = format!("{input}\n{why}");
        self.rule = if matches!(why, Broken::Panics(_)) { "machine" } else { "law 1" };
        if let Some(story) = trace.story() {
            story.broken(at, &Violation::new(self.rule, what.clone()));
        }
        self.differs = Some(what);
    }
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
    fn wanted(&mut self, at: (u64, u64), life: &Life, trace: &mut Trace) {
        if let Some(story) = trace.story() {
            story.look(at, None, Scene::of_records(&self.durable));
        }
        for effect in life.effects() {
            if let Effect::Do { effect, request: Request::Append(entries), .. } = effect {
                self.asked.insert(*effect, entries.clone());
            }
            trace.wanted(at.0, at.1, effect, life.machine());
        }
    }
}
