//! From a recording that fails to a short one: fewer inputs, and records, under which it fails in the same way.
//!
//! What comes after the failure goes first, then all that is about one VM, comes from one client or is of one kind, then
//! large parts, smaller ones, and single inputs, until none can be missed. An outcome is told under the number that its
//! request has now, and goes with a request that is not asked any more. No request waits longer than a driver lets it: what
//! is left could have happened.
//!
//! A panic tells itself. Other effects are a failure only beside those that were recorded, of which a recording holds
//! hashes, under numbers that shift where inputs are missing. So it takes the program that made it to say what would have
//! been recorded of a part (`--against`). Without it only inputs can go of which nothing that follows shows a trace.

mod survey;
mod trial;
mod witness;

use super::spent;
use crate::relive::build;
use crate::relive::file::{First, Recording};
use crate::relive::life::Broken;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use survey::{Survey, Surveyed};
use trial::{Compared, Lived, Part, live};
use witness::Witness;
use xenops_core::host::Outcome;
use xenops_core::machine::Input;

/// What was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left, a recording of its own.
    pub recording: Recording,
    /// Inputs of the recording, up to the one that fails.
    pub first: usize,
    /// Records that it begins with, and those that are left.
    pub records: [usize; 2],
    /// How the last input fails.
    pub broken: Broken,
    /// Processor seconds that it took, the other program's among them.
    pub seconds: f64,
}

impl Shrunk {
    /// Inputs that are left.
    pub fn inputs(&self) -> usize {
        self.recording.told.len()
    }

    /// Those of them that are something special: no request that went well, and no alarm.
    pub fn special(&self) -> usize {
        let plain = |input: &Input| matches!(input, Input::Tick | Input::Done { outcome: Outcome::Ok(_), .. });
        self.recording.told.iter().filter(|told| !plain(&told.input)).count()
    }
}

/// Looks for fewer inputs under which a recording fails in the same way. An error: it cannot be read, it is none, or it
/// does not fail.
pub fn shrink(path: &Path, against: Option<&Path>, time: Duration) -> Result<Shrunk, String> {
    let name = path.display();
    let began = spent();
    let until = began + time;
    let survey = match Survey::of(path)? {
        Surveyed::Fails(survey) => *survey,
        Surveyed::Well { cut } => {
            let cut = if cut { " as far as its last line, which is cut short" } else { "" };
            return Err(format!("{name} shows no failure{cut}: nothing to shrink"));
        }
    };
    let witness = match (&survey.broken, against) {
        // Of the beginning there is no less.
        (Broken::Differs(effects), Some(program)) if !survey.inputs.is_empty() => {
            Some(Witness::ask(&survey, effects, program)?)
        }
        _ => None,
    };
    let compared = match (&survey.broken, &witness) {
        (Broken::Differs(_), Some(_)) => Compared::Later,
        (Broken::Differs(_), None) => Compared::Recorded,
        (Broken::Panics(_) | Broken::Unasked(_), _) => Compared::Nothing,
    };
    let whole = whole(&survey);
    let first = survey.inputs.len();
    let Some(mut best) = live(&survey, &whole, compared, true) else {
        return Err(format!("{name} fails otherwise when it is lived through once more"));
    };
    if compared != Compared::Nothing {
        best.recording = survey.recording();
    }
    let patient = best.overdue;
    let records = whole.records.len();
    let mut search = Search { survey: &survey, witness, compared, patient, until, best };
    search.groups()?;
    search.parts()?;
    let seconds = (search.spent() - began).as_secs_f64();
    let best = search.best;
    let mut recording = best.recording;
    if compared == Compared::Nothing {
        by_this_build(&mut recording.first);
    }
    Ok(Shrunk { recording, first, records: [records, best.part.records.len()], broken: survey.broken, seconds })
}

fn whole(survey: &Survey) -> Part {
    let records = match &survey.first {
        First::Opened(opened) => opened.records.len(),
        First::Snapshot(_) => 0,
    };
    Part { records: (0..records).collect(), inputs: (0..survey.inputs.len().saturating_sub(1)).collect() }
}

fn by_this_build(first: &mut First) {
    match first {
        First::Opened(opened) => opened.build = build(),
        First::Snapshot(was) => was.build = build(),
    }
}

struct Search<'a> {
    survey: &'a Survey,
    witness: Option<Witness>,
    compared: Compared,
    patient: bool,
    until: Duration,
    best: Lived,
}

impl Search<'_> {
    fn spent(&self) -> Duration {
        spent() + self.witness.as_ref().map_or(Duration::ZERO, |witness| witness.spent())
    }

    fn is_over(&self) -> bool {
        self.spent() >= self.until
    }

    /// Whether this part fails too; then it is the best.
    fn attempt(&mut self, part: &Part) -> Result<bool, String> {
        let Some(mut lived) = live(self.survey, part, self.compared, self.patient) else { return Ok(false) };
        if let Some(witness) = &mut self.witness
            && !witness.differs(&mut lived)?
        {
            return Ok(false);
        }
        self.best = lived;
        Ok(true)
    }

    /// Without all that is about one VM, of one client or of one kind, the largest first.
    fn groups(&mut self) -> Result<(), String> {
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for part in self.survey.inputs.iter().flat_map(|heard| &heard.of) {
            *sizes.entry(part).or_default() += 1;
        }
        let mut groups: Vec<(usize, &str)> = sizes.into_iter().map(|(group, size)| (size, group)).collect();
        groups.sort_by(|one, other| other.cmp(one));
        for (_, group) in groups {
            if self.is_over() {
                break;
            }
            let mut part = self.best.part.clone();
            part.inputs.retain(|at| !self.survey.inputs[*at].of.contains(group));
            if let First::Opened(opened) = &self.survey.first {
                part.records.retain(|at| !opened.records[*at].key.contains(group));
            }
            if part != self.best.part {
                self.attempt(&part)?;
            }
        }
        Ok(())
    }

    /// Without half of it, a quarter, and so on to single inputs, until none of these can be missed.
    fn parts(&mut self) -> Result<(), String> {
        let mut size = self.units().div_ceil(2).max(1);
        loop {
            let mut better = false;
            let mut at = 0;
            while at < self.units() && !self.is_over() {
                let part = without(&self.best.part, at, size);
                if self.attempt(&part)? {
                    better = true;
                } else {
                    at += size;
                }
            }
            if self.is_over() || size == 1 && !better {
                return Ok(());
            }
            size = size.div_ceil(2);
        }
    }

    fn units(&self) -> usize {
        self.best.part.records.len() + self.best.part.inputs.len()
    }
}

/// A part without so many of its records and inputs, from this one on.
fn without(part: &Part, from: usize, count: usize) -> Part {
    let leaves = |at: usize| !(from..from + count).contains(&at);
    let pick = |all: &[usize], begins: usize| {
        all.iter().enumerate().filter(|(at, _)| leaves(begins + at)).map(|(_, what)| *what).collect::<Vec<_>>()
    };
    Part { records: pick(&part.records, 0), inputs: pick(&part.inputs, part.records.len()) }
}
