//! What came of an effect.

use super::{Fault, Reply};
use serde::{Deserialize, Serialize};

/// Exactly one of these answers every `Do`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Applied, and this is what was seen.
    Ok(Reply),
    /// Certainly not applied.
    Refused(Fault),
    /// Certainly not applied, because an `Abort` asked so.
    Aborted,
    /// May have been applied: look before deciding. After `Unknown(TimedOut)` the request may still be at work: the
    /// driver raises the notice of its `straggler_token` when it has ended. After any other fault it has ended.
    Unknown(Fault),
}
