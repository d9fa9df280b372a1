//! Answers as text: pure functions, each with a table of what it should say.

pub mod disk;
pub mod event;
pub mod host;
pub mod list;
pub mod nic;
#[cfg(test)]
mod samples;
pub mod stat;
mod table;
pub mod task;

/// A value of the interface on one line.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("the interface's types have JSON forms")
}
