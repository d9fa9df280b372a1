//! An error of the operating system as a fault of the host.

use crate::failure::plain;
use std::fmt::Display;
use std::io::{Error, ErrorKind};
use xenops_core::host::{Fault, Outcome, Reply};

/// What an error with this thing means.
pub fn fault(what: impl Display, error: &Error) -> Fault {
    match error.kind() {
        ErrorKind::NotFound => Fault::NotFound(what.to_string()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::NoSpace(what.to_string()),
        _ => Fault::Io(format!("{what}: {}", plain(error))),
    }
}

/// The outcome of something that an error leaves undone.
pub fn outcome(result: Result<Reply, Fault>) -> Outcome {
    result.map_or_else(Outcome::Refused, Outcome::Ok)
}
