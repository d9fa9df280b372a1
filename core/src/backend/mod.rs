//! The plug-in interface: what a back end is given, what it may ask, what it makes of it.
//!
//! A micro-op is an `async fn` over [`Host`] whose only leaf futures are requests of that host. `xc`
//! goes step by step through Xen's control library and xenstore.

pub mod change;
pub mod context;
pub mod failure;
pub mod line;
pub mod micro_op;
pub mod observation;
pub mod procedure;
pub mod settings;
pub mod xc;

pub use change::{Change, ExtraChange};
pub use context::Context;
pub use failure::Failure;
pub use line::{Ask, Host, Line, Said};
pub use micro_op::{ActionRequest, Hook, MicroOp, Reason};
pub use observation::{DeviceSeen, DomainSeen, Observation, ionice_words};
pub use procedure::{Procedure, Stepped};
pub use settings::Settings;

use crate::interface::Value;

/// What a finished micro-op gives back.
#[derive(Clone, Debug, PartialEq)]
pub enum Product {
    /// Only its effects.
    Nothing,
    /// The task's result value.
    Result(Value),
    /// The domain it made; later micro-ops of the plan get it in their context.
    Domain(crate::host::DomId),
    /// What a look saw.
    Seen(Box<Observation>),
}
