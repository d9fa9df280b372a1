//! Bytes to calls and answers to bytes: HTTP/1.1, binary frames, JSON-RPC and XML-RPC, without I/O.
//!
//! [`Connection`] is the serving side, [`Client`] the calling side. A driver hands them the bytes it
//! read and writes the bytes they give; nothing here waits, and everything here is bounded by [`Limits`].

mod body;
mod buffer;
mod call;
mod client;
mod connection;
mod encoding;
mod fault;
mod frame;
mod head;
mod json;
mod limits;
mod malformed;
#[cfg(test)]
mod properties;
mod replies;
mod requests;
mod xml;
mod xml_writer;

pub use client::{Client, Failure, Transport};
pub use connection::{Connection, Incoming, RequestId, Waiting};
pub use encoding::Encoding;
pub use limits::{HEADERS, Limits};
pub use malformed::Malformed;
