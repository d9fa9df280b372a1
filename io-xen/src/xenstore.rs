//! xenstore on a real host: xenstored's protocol, and a client that changes, reads and watches the store.
//!
//! `wire`, `permissions`, `connection` know bytes only; `link` carries them, reconnects and keeps watches; `store` is
//! what a host driver uses, in core's terms; `traits` shows the same client through `xenstore-rs`'s.

mod batch;
pub mod connection;
pub mod endpoint;
pub mod error;
mod find;
pub mod interest;
mod link;
mod permissions;
pub mod store;
mod traits;
mod transaction;
mod watches;
pub mod wire;

pub use store::Store;
