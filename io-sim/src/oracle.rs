//! The oracle: it looks at the world, not at what the machine thinks of it.

pub mod domains;
pub mod haste;
pub mod records;
pub mod rest;
pub mod shown;
pub mod state;
pub mod storage;
pub mod traffic;

use std::fmt;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, as the list of safety and liveness properties numbers them; `machine` for a panic.
    pub rule: &'static str,
    /// How.
    pub text: String,
}

impl Violation {
    /// A rule that was broken.
    pub fn new(rule: &'static str, text: impl Into<String>) -> Violation {
        Violation { rule, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// What a check comes to.
pub type Checked = Result<(), Violation>;
