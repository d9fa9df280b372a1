//! How a run is told to whoever asks at a command line: a timeline in columns, a page.

use crate::timeline::Timeline;
use crate::timeline::html::{self, About};
use crate::timeline::text::{self, Shown};
use crate::trace::Trace;
use std::path::PathBuf;

/// Options of all commands that can tell.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Telling {
    /// Print a timeline: time, inputs so far, VM, kind, what, outcome, and what was different; quiet stretches folded.
    #[arg(long)]
    timeline: bool,
    /// Print all of it.
    #[arg(long)]
    timeline_all: bool,
    /// Write a page that tells it to somebody who has never seen the code, in one file that needs no other.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Telling {
    /// Whether anybody wants to be told.
    pub fn is_wanted(&self) -> bool {
        self.timeline || self.timeline_all || self.html.is_some()
    }

    /// The same, with a timeline in any case.
    pub fn with_timeline(mut self) -> Telling {
        self.timeline = true;
        self
    }

    /// What collects what is to be told.
    pub fn trace(&self) -> Trace {
        if self.is_wanted() { Trace::telling() } else { Trace::default() }
    }

    /// Tells it.
    pub fn tell(&self, timeline: &Timeline, about: &About) -> Result<(), String> {
        if self.timeline_all {
            print!("{}", text::text(timeline, Shown::All));
        } else if self.timeline {
            print!("{}", text::text(timeline, Shown::Folded));
        }
        let Some(path) = &self.html else { return Ok(()) };
        std::fs::write(path, html::page(timeline, about)).map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("told in {}", path.display());
        Ok(())
    }
}

/// This command line without what tells or replays, and with what replays.
pub fn again(instead: &str) -> String {
    let mut words = vec!["xenops-sim".to_owned()];
    let mut skips = false;
    for word in std::env::args().skip(1) {
        if std::mem::take(&mut skips) {
            continue;
        }
        let flag = word.split('=').next().unwrap_or_default();
        match flag {
            "--html" | "--replay" => skips = !word.contains('='),
            "--timeline" | "--timeline-all" | "--json" | "--trace" => {}
            _ => words.push(word),
        }
    }
    words.push(instead.to_owned());
    words.join(" ")
}

/// What makes another process do the same wrong.
pub fn as_mutant() -> String {
    #[cfg(feature = "mutants")]
    return xenops_core::mutant::chosen().map_or_else(String::new, |mutant| format!(" --mutant {}", mutant.name()));
    #[cfg(not(feature = "mutants"))]
    String::new()
}

/// What this process was made to do wrong, if it was.
pub fn mutant() -> Option<String> {
    #[cfg(feature = "mutants")]
    return xenops_core::mutant::chosen().map(|mutant| format!("{} (mutant {})", mutant.breaks(), mutant.name()));
    #[cfg(not(feature = "mutants"))]
    None
}
