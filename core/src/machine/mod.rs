//! The machine: calls and outcomes in, requests and replies out.

pub mod config;
pub mod effect;
pub mod id;
pub mod input;

pub use config::{Bounds, Config};
pub use effect::{Effect, Effects};
pub use id::{CallId, ClientId, EffectId, TaskId};
pub use input::Input;
