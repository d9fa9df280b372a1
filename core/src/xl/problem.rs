//! What is wrong with a configuration file, and where.

use std::fmt;

/// A place in a text: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Spot {
    /// Where a text begins.
    pub(super) const START: Spot = Spot { line: 1, column: 1 };

    /// So many characters further on the same line.
    pub(super) fn right(self, characters: usize) -> Spot {
        Spot { column: self.column.saturating_add(u32::try_from(characters).unwrap_or(u32::MAX)), ..self }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a file makes no VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub spot: Spot,
    /// What is wrong there.
    pub text: String,
}

impl Error {
    pub(super) fn at(spot: Spot, text: impl Into<String>) -> Error {
        Error { spot, text: text.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.spot, self.text)
    }
}

impl std::error::Error for Error {}

/// What a file says that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub spot: Spot,
    /// What is said there, and what may have been meant.
    pub text: String,
}

impl Warning {
    pub(super) fn at(spot: Spot, text: impl Into<String>) -> Warning {
        Warning { spot, text: text.into() }
    }

    /// A key that is none of those known.
    pub(super) fn unknown(spot: Spot, what: &str, key: &str, known: &[&'static str]) -> Warning {
        let key = excerpt(key);
        let meant = match super::nearest(&key, known.iter().copied()).first() {
            Some(near) => format!("; did you mean '{near}'?"),
            None => String::new(),
        };
        Warning::at(spot, format!("{what} '{key}' is not known and has no effect{meant}"))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.spot, self.text)
    }
}

/// As much of a text from outside as a message should repeat, on one line.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push_str("...");
    }
    short
}
