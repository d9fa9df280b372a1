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
    /// May have been applied: look before deciding.
    Unknown(Fault),
}
