//! What is watched, and who is told: the watches that every connection is given.

use super::error::Error;
use crate::bell::Bell;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use xenops_core::host::Token;

/// Changed paths that are kept for one who wants their names and does not come for them.
const MOST_NAMES: usize = 1024;

/// One watch's number; its text is the token that xenstored gives back. No number is used twice, so that an event
/// which was on its way when its watch was removed is nobody's.
pub(super) type Serial = u64;

/// A bit that is set when something watched may have changed.
#[derive(Debug, Default)]
pub(super) struct Signal {
    pub(super) bell: Bell,
    /// Why xenstored does not watch.
    pub(super) failure: RefCell<Option<Error>>,
    /// What has changed, where that is wanted.
    pub(super) names: Option<RefCell<BTreeSet<Box<str>>>>,
}

/// Who is told.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// The machine, by its own token.
    Notice(Token),
    /// A task.
    Signal(Rc<Signal>),
}

#[derive(Debug)]
struct Watch {
    path: String,
    target: Target,
}

/// All watches, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Watches {
    last: Serial,
    all: BTreeMap<Serial, Watch>,
    tokens: HashMap<Token, Vec<Serial>>,
}

impl Watches {
    /// Adds one.
    pub(super) fn add(&mut self, path: &str, target: Target) -> Serial {
        self.last += 1;
        if let Target::Notice(token) = target {
            self.tokens.entry(token).or_default().push(self.last);
        }
        self.all.insert(self.last, Watch { path: path.to_owned(), target });
        self.last
    }

    /// Removes one; answers its path.
    pub(super) fn remove(&mut self, serial: Serial) -> Option<String> {
        let Watch { path, target } = self.all.remove(&serial)?;
        if let Target::Notice(token) = target
            && let Some(serials) = self.tokens.get_mut(&token)
        {
            serials.retain(|other| *other != serial);
            if serials.is_empty() {
                self.tokens.remove(&token);
            }
        }
        Some(path)
    }

    /// The watches of a token, with their paths.
    pub(super) fn of(&self, token: Token) -> Vec<(Serial, String)> {
        let serials = self.tokens.get(&token).map(Vec::as_slice).unwrap_or_default();
        serials.iter().filter_map(|serial| Some((*serial, self.all.get(serial)?.path.clone()))).collect()
    }

    /// Every watch.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Serial, &str)> {
        self.all.iter().map(|(serial, watch)| (*serial, watch.path.as_str()))
    }

    /// xenstored does not watch it: whoever waits is told, and nothing is kept.
    pub(super) fn fail(&mut self, serial: Serial, error: Error) {
        if let Some(Watch { target: Target::Signal(signal), .. }) = self.all.get(&serial) {
            signal.failure.replace(Some(error));
            signal.bell.ring();
        }
        self.remove(serial);
    }

    /// An event came. The machine's token, where it is one of its watches.
    ///
    /// The first event of a watch is one that xenstored sends for its making. It is passed on like every other: a
    /// daemon that finds an event still unsent does not send it twice, so that a change may have come in it.
    pub(super) fn event(&self, token: &[u8], path: &[u8]) -> Option<Token> {
        let serial: Serial = std::str::from_utf8(token).ok()?.parse().ok()?;
        match &self.all.get(&serial)?.target {
            Target::Notice(token) => Some(*token),
            Target::Signal(signal) => {
                if let Some(names) = &signal.names {
                    let mut names = names.borrow_mut();
                    if names.len() >= MOST_NAMES {
                        // "Something below": what events may say anyway.
                        names.clear();
                        names.insert(self.all[&serial].path.as_str().into());
                    } else {
                        names.insert(String::from_utf8_lossy(path).into());
                    }
                }
                signal.bell.ring();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_removed_watch_is_nobodys() {
        let mut watches = Watches::default();
        let first = watches.add("/a", Target::Notice(Token(7)));
        let second = watches.add("/b", Target::Notice(Token(7)));
        assert_eq!(watches.of(Token(7)), [(first, "/a".to_owned()), (second, "/b".to_owned())]);
        assert_eq!(watches.event(first.to_string().as_bytes(), b"/a"), Some(Token(7)));
        assert_eq!(watches.remove(first), Some("/a".to_owned()));
        assert_eq!(watches.event(first.to_string().as_bytes(), b"/a"), None);
        for foreign in [&b"x"[..], b"", b"-1", b"\xff", b"99999999999999999999999"] {
            assert_eq!(watches.event(foreign, b"/a"), None);
        }
        assert_eq!(watches.remove(second), Some("/b".to_owned()));
        assert!(watches.tokens.is_empty() && watches.iter().next().is_none());
    }

    #[test]
    fn names_that_nobody_takes_are_bounded() {
        let mut watches = Watches::default();
        let signal = Rc::new(Signal { names: Some(RefCell::default()), ..Signal::default() });
        let serial = watches.add("/a", Target::Signal(signal.clone())).to_string();
        for n in 0..10 * MOST_NAMES {
            watches.event(serial.as_bytes(), format!("/a/{n}").as_bytes());
        }
        let names = signal.names.as_ref().expect("made with names").borrow();
        assert!(names.len() <= MOST_NAMES && names.contains("/a"));
    }
}
