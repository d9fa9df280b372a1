//! `xenops-sim replay FILE`: a recording lived through, told and shrunk at a command line.

use super::life::Broken;
use super::{Relived, build, relive};
use crate::oracle::Violation;
use crate::shrink::{FEW, recording};
use crate::tell::{self, Telling};
use crate::timeline::html::About;
use crate::trace::Trace;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What concerns recordings only.
#[derive(clap::Args)]
pub struct Options {
    /// A daemon's recording (`xenopsd --record FILE`): the same effects must come of its inputs.
    #[arg(conflicts_with_all = ["profile", "choices", "record"])]
    recording: Option<PathBuf>,
    /// Drop from the recording what it fails without in the same way, and write what is left, a recording of its own.
    #[arg(long, value_name = "OUT", requires = "recording")]
    shrink: Option<PathBuf>,
    /// The `xenops-sim` of the build that made the recording: it says what would be recorded of less. Only with it other
    /// effects than were recorded shrink far.
    #[arg(long, value_name = "PROGRAM", requires = "shrink")]
    against: Option<PathBuf>,
    /// Processor seconds to try.
    #[arg(long, default_value_t = 30, requires = "shrink")]
    seconds: u64,
    /// Print a line of JSON.
    #[arg(long, requires = "shrink")]
    json: bool,
}

impl Options {
    /// What is to be done with a recording, if one was named; whether it lives as it did.
    pub fn lived_again(&self, trace: bool, telling: &Telling) -> Option<Result<bool, String>> {
        let path = self.recording.as_deref()?;
        Some(match &self.shrink {
            None => told(path, trace, telling, Vec::new()),
            Some(to) => self.shrunk(path, to, trace, telling),
        })
    }

    fn shrunk(&self, path: &Path, to: &Path, trace: bool, telling: &Telling) -> Result<bool, String> {
        let same = to.canonicalize().is_ok_and(|to| path.canonicalize().is_ok_and(|path| path == to));
        if same {
            return Err(format!("{} would be overwritten by what is left of it", path.display()));
        }
        let found = recording::shrink(path, self.against.as_deref(), Duration::from_secs(self.seconds))?;
        found.recording.keep(to)?;
        let (inputs, special, [records, left], took) = (found.inputs(), found.special(), found.records, found.seconds);
        if self.json {
            let line = serde_json::json!({
                "first": found.first, "inputs": inputs, "special": special, "records": left, "seconds": took,
                "failure": found.broken.short(),
            });
            println!("{line}");
        }
        let said = format!(
            "{inputs} inputs are left of {}, {special} of them calls, notices and what did not go well, and {left} records \
             of {records}, after {took:.1} s.",
            found.first
        );
        let well = if self.json && !telling.is_wanted() {
            relive(to, &mut Trace::default())?.differs.is_none()
        } else {
            told(to, trace, telling, vec![said.clone()])?
        };
        if well {
            return Err(format!("{} does not fail: the failure is not the same each time", to.display()));
        }
        if !self.json {
            println!("{said}");
            if matches!(found.broken, Broken::Differs(_)) && self.against.is_none() && inputs > FEW {
                println!("more may go with --against PROGRAM: the xenops-sim of the build that recorded it");
            }
            println!("again: xenops-sim replay {}{}", to.display(), tell::as_mutant());
        }
        Ok(false)
    }
}

fn told(path: &Path, trace: bool, telling: &Telling, found: Vec<String>) -> Result<bool, String> {
    let mut trace = if trace { Trace::kept() } else { telling.trace() };
    let relived = relive(path, &mut trace);
    trace.lines().iter().for_each(|line| println!("{line}"));
    let relived = relived?;
    if let Some(timeline) = trace.told() {
        let about = About {
            run: format!("a recording of a daemon, made by {}", relived.build),
            violation: relived.differs.clone().map(|what| Violation::new(relived.rule, what)),
            mutant: tell::mutant(),
            again: format!("xenops-sim replay {}{}", path.display(), tell::as_mutant()),
            found,
        };
        telling.tell(&timeline, &about)?;
    }
    if let Some(why) = &relived.ends {
        eprintln!("the recording ends before its daemon did: {why}");
    }
    if relived.cut {
        eprintln!("the last line of the recording is cut short, as when its daemon is killed");
    }
    println!("{}", summary(&relived));
    Ok(relived.differs.is_none())
}

fn summary(relived: &Relived) -> String {
    let Relived { inputs, untold, differs, build: there, .. } = relived;
    let mut text = format!("{inputs} inputs had the same effects");
    if *untold > 0 {
        text = format!("{inputs} inputs were lived through, and effects of {untold} of them are not on record");
    }
    let Some(what) = differs else { return text };
    let mut text = format!("{text}; {what}");
    let here = build();
    if *there != here {
        text += &format!("\nit was recorded by {there}, and this is {here}: another build may decide otherwise");
    }
    text
}
