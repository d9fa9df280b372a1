//! A machine that lives through what was recorded, and all that can go wrong with that.

use super::file::First;
use crate::panic;
use std::fmt;
use xenops_core::machine::recording::{Differs, Replay, Told};
use xenops_core::machine::{Effect, EffectId, Effects, Machine};

/// What is wrong with an input, or with the beginning.
#[derive(Clone, Debug, PartialEq)]
pub enum Broken {
    /// The machine panics: mostly an assertion on its own state.
    Panics(String),
    /// Its effects are these, and others were recorded.
    Differs(Effects),
    /// It is the outcome of something that the machine has not asked for.
    Unasked(EffectId),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Panics(text) => write!(f, "panics: {text}"),
            Broken::Differs(effects) => write!(f, "has other effects now: {effects:#?}"),
            Broken::Unasked(effect) => write!(f, "is of effect {effect}, which nobody asks for now"),
        }
    }
}

impl Broken {
    /// Whether it is the same failure, numbers apart: the same panic, effects of the same kinds.
    pub fn is_like(&self, other: &Broken) -> bool {
        match (self, other) {
            (Broken::Panics(one), Broken::Panics(other)) => masked(one) == masked(other),
            (Broken::Differs(one), Broken::Differs(other)) => one.iter().map(kind).eq(other.iter().map(kind)),
            (Broken::Unasked(_), Broken::Unasked(_)) => true,
            _ => false,
        }
    }

    /// What it is, in a line.
    pub fn short(&self) -> String {
        match self {
            Broken::Panics(text) => format!("panics: {text}"),
            Broken::Differs(effects) if effects.is_empty() => "has no effects, and others were recorded".to_owned(),
            Broken::Differs(effects) => {
                let kinds = effects.iter().map(kind).collect::<Vec<_>>().join(", ");
                format!("has other effects than were recorded: {kinds}")
            }
            Broken::Unasked(_) => "is the outcome of something that nobody has asked for".to_owned(),
        }
    }
}

/// What kind of an effect it is.
fn kind(effect: &Effect) -> String {
    match effect {
        Effect::Do { request, .. } => {
            let text = format!("{request:?}");
            text.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
        }
        Effect::Abort { .. } => "abort".to_owned(),
        Effect::Reply { reply: Ok(_), .. } => "reply".to_owned(),
        Effect::Reply { reply: Err(_), .. } => "error".to_owned(),
    }
}

/// Effects in words that are the same whatever their numbers are: the kind first.
pub fn words(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(|effect| format!("{} {}", kind(effect), masked(&format!("{effect:?}")))).collect()
}

/// A text with one letter for each identity, and another for each number: they shift when inputs are missing.
pub fn masked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let letter = text[at..].chars().next().expect("it stands before the end");
        if bytes.get(at + 8) == Some(&b'-') && text.get(at..at + 36).is_some_and(is_identity) {
            masked.push('U');
            at += 36;
        } else if letter.is_ascii_digit() {
            masked.push('#');
            at += bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        } else {
            masked.push(letter);
            at += letter.len_utf8();
        }
    }
    masked
}

fn is_identity(text: &str) -> bool {
    text.parse::<xenops_core::host::Uuid>().is_ok()
}

/// A machine in mid-life.
pub struct Life {
    replay: Replay,
}

impl Life {
    /// Opens it, or goes on with it as it was.
    pub fn begin(first: First) -> Result<Life, Broken> {
        let opened = match first {
            First::Snapshot(was) => return Ok(Life { replay: Replay::resume(*was) }),
            First::Opened(opened) => opened,
        };
        let (replay, result) = panic::caught(|| Replay::open(*opened)).map_err(Broken::Panics)?;
        result.map_err(broken)?;
        checked(Life { replay })
    }

    /// Tells it the next thing.
    pub fn tell(&mut self, told: Told) -> Result<(), Broken> {
        panic::caught(|| self.replay.tell(told)).map_err(Broken::Panics)?.map_err(broken)?;
        panic::caught(|| self.replay.machine().check_all()).map_err(Broken::Panics)
    }

    /// What it did last.
    pub fn effects(&self) -> &[Effect] {
        self.replay.effects()
    }

    /// The machine as it is now.
    pub fn machine(&self) -> &Machine {
        self.replay.machine()
    }
}

fn checked(life: Life) -> Result<Life, Broken> {
    panic::caught(|| life.machine().check_all()).map_err(Broken::Panics)?;
    Ok(life)
}

fn broken(differs: Differs) -> Broken {
    match differs {
        Differs::Effects(effects) => Broken::Differs(effects),
        Differs::Unasked(effect) => Broken::Unasked(effect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_identities_are_masked() {
        let text = "vm 0f1e2d3c-0000-4000-8000-00000000000a, é 12 and 4294967297: x-3";
        assert_eq!(masked(text), "vm U, é # and #: x-#");
        let panic = |text: &str| Broken::Panics(text.to_owned());
        assert!(panic("effect 7 twice at a.rs:3").is_like(&panic("effect 12 twice at a.rs:3")));
        assert!(!panic("effect 7 twice").is_like(&Broken::Unasked(EffectId(7))));
    }
}
