//! A daemon's recording, lived through again: the same inputs must have the same effects.

use crate::trace::{self, Trace};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use xenops_core::machine::recording::{self, Differs, Line, Replay};

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
    let (build, began, (mut replay, begins)) = match lines.next()? {
        Some(Line::Opened(opened)) => (opened.build.clone(), opened.now.mono, Replay::open(*opened)),
        Some(Line::Snapshot(was)) => (was.build.clone(), was.now.mono, (Replay::resume(*was), Ok(()))),
        _ => return Err(format!("{name} does not begin as a recording does")),
    };
    let mut relived = Relived { inputs: 0, differs: None, build, ends: None };
    replay.effects().iter().for_each(|effect| trace.line(0, 0, || trace::effect(effect)));
    let tell = |what: &str, differs| {
        Some(match differs {
            Differs::Effects(effects) => format!("{what}\nhas other effects now: {effects:#?}"),
            Differs::Unasked(effect) => format!("{what}\nis of effect {effect}, which nobody asks for now"),
        })
    };
    if let Err(differs) = begins {
        relived.differs = tell("the start", differs);
        return Ok(relived);
    }
    while let Some(line) = lines.next()? {
        match line {
            Line::Opened(_) | Line::Snapshot(_) => return Err(format!("{name}: two recordings are in one file")),
            Line::Ends(why) => relived.ends = Some(why),
            Line::Told(told) => {
                let input = format!("input {}: {:?}", relived.inputs + 1, told.input);
                let (mono, number) = (told.now.mono.saturating_sub(began), relived.inputs + 1);
                trace.line(mono, number, || trace::input(&told.input));
                if let Err(differs) = replay.tell(*told) {
                    relived.differs = tell(&input, differs);
                    return Ok(relived);
                }
                replay.effects().iter().for_each(|effect| trace.line(mono, number, || trace::effect(effect)));
                relived.inputs += 1;
            }
        }
    }
    Ok(relived)
}
