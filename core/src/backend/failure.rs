//! Why a micro-op stopped before its end.

use crate::host::{Fault, Outcome, Reply};
use crate::interface::Error;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// A micro-op's failure; what remains in the world is the next look's to find out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Failure {
    /// The host refused a request; it was certainly not applied.
    Refused(Fault),
    /// A request may have been applied: nothing may be decided before a look.
    InDoubt(Fault),
    /// An error of the interface, as the client will see it.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

impl Failure {
    /// The reply that an outcome holds, or why there is none.
    pub fn of(outcome: Outcome) -> Result<Reply, Failure> {
        match outcome {
            Outcome::Ok(reply) => Ok(reply),
            Outcome::Refused(fault) => Err(Failure::Refused(fault)),
            Outcome::Aborted => Err(Failure::Refused(Fault::Cancelled)),
            Outcome::Unknown(fault) if mutant!(UnknownIsRefused) => Err(Failure::Refused(fault)),
            Outcome::Unknown(fault) => Err(Failure::InDoubt(fault)),
        }
    }

    /// Whether this is the answer to a cancellation.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Failure::Refused(Fault::Cancelled) | Failure::Error(Error::Cancelled(_)))
    }

    /// What the client is told. `vm` names the VM, `task` the task, where the fault does not.
    pub fn into_error(self, vm: &str, task: impl Display) -> Error {
        match self {
            Failure::Error(error) => error,
            Failure::Refused(fault) => error_of(fault, vm, task),
            Failure::InDoubt(fault) => Error::InternalError(format!("outcome unknown: {fault}")),
        }
    }
}

fn error_of(fault: Fault, vm: &str, task: impl Display) -> Error {
    match fault {
        Fault::Cancelled => Error::Cancelled(task.to_string()),
        Fault::NoDomain(_) => Error::DoesNotExist("domain".to_owned(), vm.to_owned()),
        Fault::NoMemory(kib) => Error::NotEnoughMemory((kib * 1024) as i64),
        Fault::Storage(code, params) => Error::StorageBackendError(code, params),
        Fault::Io(_) => Error::IoError,
        Fault::Unsupported(what) => Error::Unimplemented(what),
        other => Error::InternalError(other.to_string()),
    }
}
