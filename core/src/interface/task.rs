//! Operations that a client started and can watch.

use super::error::Error;
use super::pairs::Pairs;
use super::{Decode, Value};

record! {
    /// What became of an operation so far.
    pub struct Task "t" {
        /// Decimal.
        pub id: String,
        /// The log tag of the call that started it.
        pub dbg: String,
        /// Unix time in seconds.
        pub ctime: f64,
        /// How far it is.
        pub state: State,
        /// How far its parts are, newest first.
        pub subtasks: Pairs<State>,
        /// What helps to debug it, such as `cancel_points_seen`.
        pub debug_info: Pairs,
        /// Where it failed, as an S-expression; `()` where unknown.
        pub backtrace: String,
        /// Whether cancelling it has an effect.
        pub cancellable: bool,
    }
}

variant! {
    /// How far an operation is.
    pub enum State {
        /// It runs or waits; progress from 0 to 1.
        Pending(progress: f64),
        /// It has ended well.
        Completed {
            /// Seconds.
            duration: f64,
            /// What it found out, if that was its purpose.
            result: Option<Value>,
        },
        /// It has ended badly, for an [`Error`] as a value.
        Failed(why: Value),
    }
}

impl State {
    /// Ended badly, for that reason.
    pub fn failed(why: &Error) -> State {
        State::Failed(Value::of(why))
    }

    /// Why it has ended badly, if it has.
    pub fn error(&self) -> Option<Error> {
        match self {
            State::Failed(why) => Some(Error::decode(why).unwrap_or_else(Error::from)),
            _ => None,
        }
    }
}
