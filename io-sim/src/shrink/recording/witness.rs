//! The program that made a recording, and how it differs from this one: in what is left it has to differ in the same way.

use super::survey::Survey;
use super::trial::Lived;
use crate::relive::file::{First, Recording};
use crate::relive::life::words;
use crate::relive::other::{Answer, Other};
use std::path::Path;
use std::time::Duration;
use xenops_core::machine::Effects;

/// It, while it runs.
pub(super) struct Witness {
    other: Other,
    /// Kinds of effects at the last input: those of this program only, those of that one only.
    difference: [Vec<String>; 2],
}

impl Witness {
    /// Starts it; an error if it has other effects than were recorded. Here the last input has these.
    pub(super) fn ask(survey: &Survey, here: &Effects, program: &Path) -> Result<Witness, String> {
        let mut other = Other::start(program)?;
        let whole = survey.recording();
        let Answer { effects, last, .. } = other.live(&whole)?;
        let begins = match &whole.first {
            // Of what came before a snapshot nothing is told.
            First::Snapshot(_) => None,
            First::Opened(opened) => opened.effects,
        };
        let recorded = [begins].into_iter().chain(whole.told.iter().map(|told| told.effects));
        for (at, recorded) in recorded.enumerate() {
            if recorded.is_some_and(|recorded| effects.get(at) != Some(&recorded)) {
                return Err(format!("{} has other effects than were recorded, too, at input {at}", program.display()));
            }
        }
        Ok(Witness { other, difference: difference(&words(here), &last) })
    }

    /// Whether it has the same effects as this program up to the last input, and there differs in the same way. Then what
    /// it does is on record.
    pub(super) fn differs(&mut self, lived: &mut Lived) -> Result<bool, String> {
        let Answer { effects, last: there, .. } = self.other.live(&lived.recording)?;
        let last = lived.effects.len() - 1;
        let same = effects.len() > last && effects[..last] == lived.effects[..last];
        if !same || effects[last] == lived.effects[last] || difference(&lived.last, &there) != self.difference {
            return Ok(false);
        }
        record(&mut lived.recording, &effects);
        Ok(true)
    }

    /// What it has computed.
    pub(super) fn spent(&self) -> Duration {
        self.other.spent()
    }
}

/// Kinds of effects that only one of two programs has; of replies only where there is nothing else.
fn difference(here: &[String], there: &[String]) -> [Vec<String>; 2] {
    let mut both = [only(here, there), only(there, here)];
    let is_reply = |kind: &String| kind == "reply" || kind == "error";
    if both.iter().flatten().any(|kind| !is_reply(kind)) {
        both.iter_mut().for_each(|kinds| kinds.retain(|kind| !is_reply(kind)));
    }
    both
}

/// Kinds of the effects that are only among these.
fn only(these: &[String], others: &[String]) -> Vec<String> {
    let (mut these, mut others) = (these.to_vec(), others.to_vec());
    these.retain(|this| others.iter().position(|other| other == this).map(|at| others.swap_remove(at)).is_none());
    let mut kinds: Vec<String> = these.iter().filter_map(|text| text.split(' ').next()).map(str::to_owned).collect();
    kinds.sort();
    kinds
}

/// What it has done goes on record: first at the beginning, then of each input.
fn record(recording: &mut Recording, effects: &[u64]) {
    if let First::Opened(opened) = &mut recording.first {
        opened.effects = effects.first().copied();
    }
    for (told, effects) in recording.told.iter_mut().zip(&effects[1..]) {
        told.effects = Some(*effects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_do_is_no_difference() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let here = texts(&["Append a", "Wait b", "reply c"]);
        let there = texts(&["Wait b", "Domain d", "reply e"]);
        assert_eq!(difference(&here, &there), [texts(&["Append"]), texts(&["Domain"])]);
        let there = texts(&["Append a", "Wait b", "error e"]);
        assert_eq!(difference(&here, &there), [texts(&["reply"]), texts(&["error"])]);
    }
}
