//! What the machine wants done, in order.

use super::{CallId, EffectId};
use crate::host::Request;
use crate::interface::{Answer, Error};
use serde::Serialize;

/// One effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Effect {
    /// Ask the host; answered by one `Done`.
    Do {
        /// The number to answer to.
        effect: EffectId,
        /// What to do.
        request: Request,
        /// Monotonic nanoseconds after which the driver answers `Unknown` and lets the straggler raise
        /// the notice of `straggler_token(effect)` when it ends.
        deadline: u64,
    },
    /// Please stop; the `Done` still comes, with what truly happened.
    Abort {
        /// Which.
        effect: EffectId,
        /// Monotonic nanoseconds: the request's deadline from now on, if it was later.
        deadline: u64,
    },
    /// Answer a call.
    Reply {
        /// Which.
        call: CallId,
        /// With what.
        reply: Result<Answer, Error>,
    },
}

/// Effects, appended by the machine, drained by its driver between inputs.
pub type Effects = Vec<Effect>;

/// The notice that a straggler raises when it has ended: its effect's number, apart from the watch tokens.
pub fn straggler_token(effect: EffectId) -> crate::host::Token {
    crate::host::Token(STRAGGLERS | effect.0)
}

/// The effect whose straggler raised this notice, if that is what it is.
pub fn straggler_of(token: crate::host::Token) -> Option<EffectId> {
    (token.0 & STRAGGLERS != 0).then_some(EffectId(token.0 & !STRAGGLERS))
}

const STRAGGLERS: u64 = 1 << 63;
