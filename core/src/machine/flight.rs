//! What is on its way to the host, and whose it is.

use super::CallId;
use super::budget::Purse;
use super::rows::Row;
use super::run::NodeId;
use super::slot::Seat;
use crate::host::Request;
use crate::host::time::SECOND;
use crate::interface::Answer;
use crate::recovery::Intent;
use serde::{Deserialize, Serialize};

/// An effect that has not come to its outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flight {
    pub(crate) owner: Owner,
    /// What it holds of the budget until its outcome.
    pub(crate) purse: Option<Purse>,
}

/// A request that waits for a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Parked {
    pub(crate) vm: u64,
    pub(crate) seat: Seat,
    pub(crate) request: Request,
    /// Cancellation may not answer it.
    pub(crate) shielded: bool,
}

/// Whose an effect is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Owner {
    /// A procedure's request.
    Seat(u64, Seat),
    /// A micro-op's change of a record.
    Record(u64, NodeId, Row),
    /// The point of no return of a plan.
    Commit(u64, NodeId),
    /// The intent of an operation that is to begin.
    ///
    /// Its outcome decides whether the plan begins; the intent before it comes back if not.
    Intent(u64, Option<Intent>),
    /// The intent of a VM that is settled.
    Settle(u64),
    /// An intent that has become void.
    Abandon(u64),
    /// Rows of which nobody knew how they stand on disk.
    Restate(u64),
    /// Rows that an operation changes at its end.
    Rows(u64, Vec<Row>),
    /// A row that a client changed; then this is the answer.
    Client {
        vm: u64,
        row: Row,
        call: CallId,
        #[serde(with = "answered")]
        answer: Answer,
    },
    /// A VM's watch.
    Watch(u64),
    /// The watch on all domains.
    WatchDomains,
    /// The list of all domains.
    Domains,
    /// A client's question to the host.
    Call(CallId, HostCall),
    /// Nobody waits for it.
    Nobody,
}

/// An answer beside its kind, which on the wire follows from its call.
mod answered {
    use crate::interface::{Answer, Value, answer::Kind};
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(answer: &Answer, serializer: S) -> Result<S::Ok, S::Error> {
        (answer.kind(), answer).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Answer, D::Error> {
        let (kind, value) = <(Kind, Value)>::deserialize(deserializer)?;
        Answer::decode(kind, &value).map_err(D::Error::custom)
    }
}

/// Calls whose answer is the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HostCall {
    Stat,
    Console,
    TotalMemory,
    /// Any request without an answer of its own.
    Unit,
}

/// Nanoseconds that a request may take before its outcome counts as unknown.
pub(crate) fn patience(request: &Request, mono: u64) -> u64 {
    use crate::host::{DomainAct, StorageCall};
    let seconds = match request {
        Request::Wait(wait) => return wait.until.saturating_sub(mono).saturating_add(10 * SECOND),
        Request::Domain(_, DomainAct::Destroy) => 300,
        Request::Storage(StorageCall::List { .. }) => 30,
        Request::Storage(_) | Request::SyncImage(_) | Request::OpenImage { .. } => 600,
        Request::Kill(..) | Request::Domain(..) | Request::CreateDomain(_) | Request::Qmp(..) => 60,
        _ => 30,
    };
    seconds * SECOND
}

/// Nanoseconds after an abort in which the outcome must come: a cancelled task ends within half a minute.
pub(crate) const ABORT_PATIENCE: u64 = 20 * SECOND;

/// The same for what a hard power-off ends.
pub(crate) const POWEROFF_PATIENCE: u64 = 2 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Wait;

    #[test]
    fn a_wait_may_take_as_long_as_it_is_to_and_a_little_more() {
        let wait = |until| patience(&Request::Wait(Wait { any: Vec::new(), until }), 7 * SECOND);
        assert_eq!(wait(7 * SECOND), 10 * SECOND);
        assert_eq!(wait(1207 * SECOND), 1210 * SECOND);
        assert_eq!(wait(SECOND), 10 * SECOND, "one that is over");
        assert_eq!(wait(u64::MAX), u64::MAX);
        assert_eq!(patience(&Request::ListDomains, 7 * SECOND), 30 * SECOND);
    }
}
