//! What the machine is told. All of it is plain, serialisable data.

use super::{CallId, ClientId, EffectId};
use crate::host::{Outcome, Token};
use crate::interface::Request;
use serde::{Deserialize, Serialize};

/// One input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A client asks.
    Call {
        /// To answer to.
        call: CallId,
        /// Who asks.
        client: ClientId,
        /// What.
        request: Request,
    },
    /// A client has gone; its open calls need no answer and get none.
    Hangup {
        /// Who.
        client: ClientId,
    },
    /// An effect has come to its outcome; exactly once for each `Do`.
    Done {
        /// Which.
        effect: EffectId,
        /// With what.
        outcome: Outcome,
    },
    /// Something watched has changed; or an effect that was answered `Unknown` has ended after all.
    Noticed {
        /// The machine's own token.
        token: Token,
    },
    /// Notices may have been lost: look at everything.
    Everything,
    /// Only time has passed.
    Tick,
}
