//! Bytes to calls and answers to bytes: HTTP/1.1, binary frames, JSON-RPC and XML-RPC, without I/O.
//!
//! [`Connection`] is the serving side, [`Client`] the calling side. A driver hands them the bytes it
//! read and writes the bytes they give; nothing here waits, and everything here is bounded by [`Limits`].

mod body;
mod buffer;
mod call;
pub mod client;
pub mod connection;
mod encoding;
mod fault;
mod frame;
mod head;
mod json;
pub mod limits;
mod malformed;
mod replies;
mod requests;
mod xml;
mod xml_writer;

pub use call::Call;
pub use client::{Client, Failure, Transport};
pub use connection::{CallId, Connection, Incoming, Waiting};
pub use encoding::Encoding;
pub use limits::Limits;
pub use malformed::Malformed;
