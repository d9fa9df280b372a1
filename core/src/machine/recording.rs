//! A recording: what a machine was opened with, or all that it was, then each of its inputs, with hashes of the effects
//! that came of them. A hash is missing where a machine panicked instead, and where effects are not to be compared.

use super::{Config, Effect, EffectId, Effects, Input, Machine};
use crate::host::hash::Fingerprint;
use crate::host::{Entry, Now};
use serde::{Deserialize, Serialize};
use std::hash::Hasher;

/// One line of a recording's file, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Line {
    /// The first: a machine is opened.
    Opened(Box<Opened>),
    /// The first where the machine had lived before: what it was then.
    Snapshot(Box<Snapshot>),
    /// What it is told.
    Told(Box<Told>),
    /// The recording ends here, though the machine went on, for this reason.
    Ends(String),
}

/// What a machine was opened with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opened {
    /// Which build recorded it: another one may decide otherwise.
    pub build: String,
    /// Its configuration.
    pub config: Config,
    /// When.
    pub now: Now,
    /// The records that it was given.
    pub records: Vec<Entry>,
    /// Hash of the effects.
    pub effects: Option<u64>,
}

/// All of a machine between two inputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which build recorded it: another one may decide otherwise, or not know what to make of it.
    pub build: String,
    /// When it had its last input.
    pub now: Now,
    /// Itself.
    pub machine: Machine,
}

/// One input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub now: Now,
    /// What.
    pub input: Input,
    /// Hash of the effects.
    pub effects: Option<u64>,
}

impl Snapshot {
    /// Of this machine, by this build.
    pub fn of(machine: &Machine, build: String) -> Snapshot {
        Snapshot { build, now: machine.now, machine: machine.clone() }
    }
}

/// Which build a program is, as recordings name it.
pub fn build(version: &str, commit: Option<&str>) -> String {
    format!("{version} ({})", commit.unwrap_or("unknown commit"))
}

/// The hash of effects, in their order.
pub fn hash(effects: &[Effect]) -> u64 {
    let mut hash = Fingerprint::new();
    for effect in effects {
        hash.write(&serde_json::to_vec(effect).expect("effects are plain data"));
    }
    hash.finish()
}

/// A machine that lives through a recording.
pub struct Replay {
    machine: Machine,
    effects: Effects,
}

/// How it lives otherwise than the recorded machine did.
#[derive(Clone, Debug, PartialEq)]
pub enum Differs {
    /// Its effects are these now.
    Effects(Effects),
    /// The outcome is of something that it has not asked for.
    Unasked(EffectId),
}

impl Replay {
    /// Opens it, and tells whether it begins as the recorded one did.
    pub fn open(opened: Opened) -> (Replay, Result<(), Differs>) {
        let Opened { config, now, records, effects: expected, .. } = opened;
        let mut effects = Effects::new();
        let machine = Machine::open(config, now, records, &mut effects);
        let replay = Replay { machine, effects };
        let result = replay.compare(expected);
        (replay, result)
    }

    /// Goes on with it as it was.
    pub fn resume(snapshot: Snapshot) -> Replay {
        Replay { machine: snapshot.machine, effects: Effects::new() }
    }

    /// Tells it the next thing.
    pub fn tell(&mut self, told: Told) -> Result<(), Differs> {
        if let Input::Done { effect, .. } = &told.input
            && self.machine.flights.get(effect.0).is_none()
        {
            return Err(Differs::Unasked(*effect));
        }
        self.effects.clear();
        self.machine.handle(told.now, told.input, &mut self.effects);
        self.compare(told.effects)
    }

    /// What it did last.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// The machine as it is now.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    fn compare(&self, expected: Option<u64>) -> Result<(), Differs> {
        let same = expected.is_none_or(|expected| hash(&self.effects) == expected);
        if same { Ok(()) } else { Err(Differs::Effects(self.effects.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Request;

    #[test]
    fn effects_have_the_hash_of_what_they_are_and_of_their_order() {
        let ask = |effect| Effect::Do { effect: EffectId(effect), request: Request::ListDomains, deadline: 7 };
        let all = [vec![], vec![ask(1)], vec![ask(2)], vec![ask(1), ask(2)], vec![ask(2), ask(1)]];
        let distinct: std::collections::BTreeSet<u64> = all.iter().map(|effects| hash(effects)).collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(hash(&all[3]), hash(&[ask(1), ask(2)]));
    }
}
