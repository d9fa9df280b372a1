//! Why a command failed, and what its user can do next.

use super::advice;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use xenops_core::interface::{Answer, Error};
use xenops_core::xl;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for what cannot be.
    Usage(String),
    /// A configuration file is wrong.
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        error: xl::Error,
    },
    /// Nobody answers at the socket.
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The conversation broke off or made no sense.
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// The daemon refused, or a task of its failed.
    Refused(Box<Refusal>),
    /// No VM has that name.
    NoSuchVm {
        /// The name.
        name: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// Several VMs have that name: their ids.
    Ambiguous {
        /// The name.
        name: String,
        /// The ids, and what each VM is doing.
        candidates: Vec<(String, String)>,
    },
    /// A VM has no such device.
    NoSuchDevice {
        /// As `VM.DEVICE`.
        name: String,
        /// What it has.
        devices: Vec<String>,
    },
    /// Something of this machine failed: what was tried, and why it failed.
    Local(String, io::Error),
    /// What was asked cannot be done as things are, and the advice on that.
    Impossible(String, String),
    /// The user would not wait.
    Interrupted(String),
    /// Nobody reads our output any more.
    Unread,
}

/// The daemon's own error, and what it is about.
#[derive(Debug)]
pub struct Refusal {
    /// The error.
    pub error: Error,
    /// What the user called the VM.
    pub vm: Option<String>,
    /// What the user called the device.
    pub device: Option<String>,
}

impl Failure {
    /// The daemon's own error.
    pub fn refused(error: Error) -> Failure {
        Failure::Refused(Box::new(Refusal { error, vm: None, device: None }))
    }

    /// The same, about what the user called so.
    pub fn about(self, vm: &str, device: Option<&str>) -> Failure {
        match self {
            Failure::Refused(mut refusal) => {
                refusal.vm = Some(vm.to_owned());
                refusal.device = device.map(str::to_owned);
                Failure::Refused(refusal)
            }
            other => other,
        }
    }

    /// An answer of another type than its method has: decoding has seen to it that there is none.
    pub fn strange(answer: &Answer) -> Failure {
        Failure::refused(Error::InternalError(format!("an answer of type {:?}", answer.kind())))
    }

    /// Something of this machine failed.
    pub fn local(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let doing = doing.into();
        move |error| match error.kind() {
            io::ErrorKind::BrokenPipe if doing == super::output::PRINTING => Failure::Unread,
            _ => Failure::Local(doing, error),
        }
    }

    /// The status that the program exits with.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Config { .. } => 2,
            Failure::Interrupted(_) => 130,
            // As a program that SIGPIPE ends, to a shell with pipefail.
            Failure::Unread => 141,
            _ => 1,
        }
    }

    /// What went wrong.
    pub fn message(&self) -> String {
        match self {
            Failure::Usage(text) | Failure::Impossible(text, _) | Failure::Interrupted(text) => text.clone(),
            Failure::Config { file, error } => format!("{}: {error}", file.display()),
            Failure::Unreachable { socket, error } => {
                format!("no daemon answers at {}: {}", socket.display(), plain(error))
            }
            Failure::Broken { socket, why } => format!("the daemon at {} broke off: {why}", socket.display()),
            Failure::Refused(refusal) => refusal.error.to_string(),
            Failure::NoSuchVm { name, .. } => format!("Failed to find VM: {name}"),
            Failure::Ambiguous { name, candidates } => {
                let mut text = format!("{} VMs are called {name}:", candidates.len());
                for (id, state) in candidates {
                    text.push_str(&format!("\n  {id} {state}"));
                }
                text
            }
            Failure::NoSuchDevice { name, .. } => format!("Failed to find device: {name}"),
            Failure::Local(doing, error) => format!("cannot {doing}: {}", plain(error)),
            Failure::Unread => "nobody reads the output".to_owned(),
        }
    }

    /// What to do next, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Failure::Unreachable { socket, error } => Some(advice::unreachable(socket, error)),
            Failure::Broken { .. } => {
                Some("what was asked may go on or have happened; 'xenops tasks' and 'xenops list' tell".to_owned())
            }
            Failure::Refused(refusal) => advice::refused(
                &refusal.error,
                refusal.vm.as_deref().unwrap_or("VM"),
                refusal.device.as_deref().unwrap_or("VM.DEVICE"),
            ),
            Failure::NoSuchVm { near, .. } => Some(match near.as_slice() {
                [] => "'xenops list' shows the VMs there are".to_owned(),
                near => format!("did you mean {}?", near.join(" or ")),
            }),
            Failure::Ambiguous { .. } => Some("name it by its UUID".to_owned()),
            Failure::NoSuchDevice { devices, .. } => Some(match devices.as_slice() {
                [] => "the VM has none of that kind".to_owned(),
                devices => format!("the VM has {}", devices.join(", ")),
            }),
            Failure::Impossible(_, hint) => Some(hint.clone()),
            _ => None,
        }
    }

    /// The whole, for programs: `error` is the daemon's own where it is one, else a name of ours with what it
    /// is about.
    pub fn json(&self) -> Value {
        let error = match self {
            Failure::Refused(refusal) => match serde_json::to_value(&refusal.error) {
                Ok(Value::String(tag)) => json!([tag]),
                Ok(other) => other,
                Err(_) => json!(["Unknown_error"]),
            },
            Failure::Usage(text) => json!(["Usage", text]),
            Failure::Config { file, error } => {
                json!(["Config", [file, error.spot.line, error.spot.column, error.text]])
            }
            Failure::Unreachable { socket, error } => json!(["Unreachable", [socket, plain(error)]]),
            Failure::Broken { socket, why } => json!(["Broken", [socket, why]]),
            Failure::NoSuchVm { name, near } => json!(["No_such_VM", [name, near]]),
            Failure::Ambiguous { name, candidates } => {
                let ids: Vec<_> = candidates.iter().map(|(id, _)| id).collect();
                json!(["Ambiguous", [name, ids]])
            }
            Failure::NoSuchDevice { name, devices } => json!(["No_such_device", [name, devices]]),
            Failure::Local(doing, error) => json!(["Local", [doing, plain(error)]]),
            Failure::Impossible(text, _) => json!(["Impossible", text]),
            Failure::Interrupted(text) => json!(["Interrupted", text]),
            Failure::Unread => json!(["Unread"]),
        };
        json!({ "error": error, "message": self.message(), "hint": self.hint() })
    }
}

/// The system's words, without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = words.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
