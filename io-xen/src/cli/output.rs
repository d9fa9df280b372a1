//! What a command says: text for people or JSON for programs, on a pipe that may close.

use super::failure::Failure;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write};

/// What a failed write to standard output was doing.
pub(super) const PRINTING: &str = "write to standard output";

/// What a command has to show in the end.
#[derive(Debug, PartialEq)]
pub struct Shown {
    /// For people; nothing where it went well and there is nothing to say.
    pub text: String,
    /// For programs.
    pub json: Value,
}

impl Shown {
    /// It is done, and there is nothing to say.
    pub fn done() -> Shown {
        Shown { text: String::new(), json: json!({}) }
    }

    /// A text, and what it was made from.
    pub fn of(text: impl Into<String>, source: &impl Serialize) -> Shown {
        let json = serde_json::to_value(source).expect("the interface's types have JSON forms");
        Shown { text: text.into(), json }
    }
}

/// Where a command says something: one of the two forms.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// JSON rather than text.
    pub json: bool,
}

impl Output {
    /// Says all that a command has to show.
    pub fn show(self, shown: &Shown) -> Result<(), Failure> {
        match self.json {
            true => print(&format!("{}\n", shown.json)),
            false if shown.text.is_empty() || shown.text.ends_with('\n') => print(&shown.text),
            false => print(&format!("{}\n", shown.text)),
        }
    }

    /// Says that it failed; people read that on standard error.
    pub fn show_failure(self, failure: &Failure) {
        // Whoever read it may be gone, and there is nobody else to tell.
        let _ = match (self.json, failure) {
            (_, Failure::Unread) => Ok(()),
            (true, _) => print(&format!("{}\n", failure.json())),
            (false, _) => {
                warn(&format!("error: {}", failure.message()));
                if let Some(hint) = failure.hint() {
                    warn(&format!("hint: {hint}"));
                }
                Ok(())
            }
        };
    }
}

/// Writes to standard output at once.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output at once.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::local(PRINTING))
}

/// Writes a line to standard error, if somebody reads it.
pub(super) fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
