//! What to do when a domain ends by itself, in `xl`'s words.

use super::keys::Text;
use super::problem::{Error, excerpt};
use crate::interface::vm::Action;

const WORDS: [(&str, &[Action]); 6] = [
    ("destroy", &[Action::Shutdown]),
    ("restart", &[Action::Start]),
    ("preserve", &[Action::Pause]),
    ("coredump-destroy", &[Action::Coredump, Action::Shutdown]),
    ("coredump-restart", &[Action::Coredump, Action::Start]),
    ("soft-reset", &[Action::Softreboot]),
];

pub(super) fn read((spot, word): Text<'_>) -> Result<Vec<Action>, Error> {
    match WORDS.iter().find(|(known, _)| *known == word) {
        Some((_, actions)) => Ok(actions.to_vec()),
        None => {
            let known = WORDS.map(|(known, _)| known).join(", ");
            Err(Error::at(spot, format!("'{}' is none of {known}", excerpt(word))))
        }
    }
}

pub(super) fn write(actions: &[Action]) -> Option<&'static str> {
    WORDS.iter().find(|(_, known)| *known == actions).map(|(word, _)| *word)
}
