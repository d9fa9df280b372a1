//! xenstored's messages as bytes: a header of four numbers, then a payload.

use super::error::Error;
use std::fmt;

/// Bytes of a payload that may be sent.
pub const MOST_SENT: usize = 4096;
/// Bytes of a payload that are taken: oxenstored gives sockets longer lists than the protocol has.
pub const MOST_TAKEN: usize = 1 << 20;
/// Bytes of a header.
pub const HEADER: usize = 16;
/// Bytes of a path.
pub const LONGEST_PATH: usize = 3072;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Op {
    /// Asks something of the daemon itself.
    Control = 0,
    /// Names of a node's children.
    Directory = 1,
    /// A node's value.
    Read = 2,
    /// A node's permissions.
    GetPerms = 3,
    /// Sets a watch.
    Watch = 4,
    /// Removes a watch.
    Unwatch = 5,
    /// Begins a transaction.
    TransactionStart = 6,
    /// Ends a transaction.
    TransactionEnd = 7,
    /// Makes a domain known.
    Introduce = 8,
    /// Forgets a domain.
    Release = 9,
    /// A domain's directory.
    GetDomainPath = 10,
    /// Sets a value.
    Write = 11,
    /// Makes a node.
    Mkdir = 12,
    /// Removes a node and all below it.
    Rm = 13,
    /// Sets a node's permissions.
    SetPerms = 14,
    /// Something changed; from the daemon only.
    WatchEvent = 15,
    /// A refusal; from the daemon only.
    Error = 16,
    /// Whether a domain is known.
    IsDomainIntroduced = 17,
    /// Lets a domain's next shutdown be told.
    Resume = 18,
    /// Lets a domain act for another.
    SetTarget = 19,
    /// Drops the caller's watches and transactions. 20 was never given to anything that lasted.
    ResetWatches = 21,
    /// A part of the names of a node's children.
    DirectoryPart = 22,
}

impl Op {
    const ALL: [Op; 22] = [
        Op::Control,
        Op::Directory,
        Op::Read,
        Op::GetPerms,
        Op::Watch,
        Op::Unwatch,
        Op::TransactionStart,
        Op::TransactionEnd,
        Op::Introduce,
        Op::Release,
        Op::GetDomainPath,
        Op::Write,
        Op::Mkdir,
        Op::Rm,
        Op::SetPerms,
        Op::WatchEvent,
        Op::Error,
        Op::IsDomainIntroduced,
        Op::Resume,
        Op::SetTarget,
        Op::ResetWatches,
        Op::DirectoryPart,
    ];

    /// The operation of a number.
    pub fn of(number: u32) -> Option<Op> {
        Op::ALL.into_iter().find(|op| *op as u32 == number)
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub op: Op,
    /// Which request it is or answers; 0 in watch events.
    pub request: u32,
    /// The transaction it belongs to; 0 is none.
    pub transaction: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

impl Message {
    /// Appends it. It is not for sending more than the daemon takes: C xenstored would hear nothing more from us, and
    /// oxenstored would take the rest for the next message.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.payload.len() > MOST_SENT {
            return Err(Error::TooLong(self.payload.len()));
        }
        for number in [self.op as u32, self.request, self.transaction, self.payload.len() as u32] {
            out.extend_from_slice(&number.to_ne_bytes());
        }
        out.extend_from_slice(&self.payload);
        Ok(())
    }
}

/// What nothing that speaks this protocol says; the connection cannot be used after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A message of so many bytes.
    TooLong(u32),
    /// No message has this type.
    UnknownType(u32),
    /// The stream ended within a message.
    Truncated,
    /// No request has this number.
    Unmatched(u32),
    /// Request so-and-so was answered with another type or transaction than its own.
    Mismatched(u32),
    /// A watch event without a path and a token.
    Event,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::TooLong(length) => write!(f, "it sent a message of {length} bytes"),
            Violation::UnknownType(number) => write!(f, "it sent a message of unknown type {number}"),
            Violation::Truncated => f.write_str("it closed the connection within a message"),
            Violation::Unmatched(request) => write!(f, "it answered request {request}, which was not made"),
            Violation::Mismatched(request) => write!(f, "it answered request {request} with something else"),
            Violation::Event => f.write_str("it sent a malformed watch event"),
        }
    }
}

impl std::error::Error for Violation {}

/// Bytes that have come, as messages. It holds no more than one message and what was last pushed.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    read: usize,
}

impl Decoder {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, once it is complete.
    pub fn next_message(&mut self) -> Result<Option<Message>, Violation> {
        let rest = &self.bytes[self.read..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let number = |at: usize| {
            let bytes = header[4 * at..][..4].try_into().expect("a header is four times four bytes");
            u32::from_ne_bytes(bytes)
        };
        let (op, length) = (number(0), number(3));
        // Before the payload is waited for: its length may be as wrong as its type.
        let op = Op::of(op).ok_or(Violation::UnknownType(op))?;
        if length as usize > MOST_TAKEN {
            return Err(Violation::TooLong(length));
        }
        let Some(payload) = rest.get(..length as usize) else { return Ok(None) };
        let message = Message { op, request: number(1), transaction: number(2), payload: payload.to_vec() };
        self.read += HEADER + length as usize;
        Ok(Some(message))
    }

    /// Whether it stands between two messages.
    pub fn is_between(&self) -> bool {
        self.read == self.bytes.len()
    }
}

/// Texts ended by zeros, one after the other; empty ones are none.
pub fn texts(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    payload.split(|byte| *byte == 0).filter(|text| !text.is_empty())
}

/// Texts as a payload.
pub fn payload(texts: &[&str]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(texts.iter().map(|text| text.len() + 1).sum());
    for text in texts {
        payload.extend_from_slice(text.as_bytes());
        payload.push(0);
    }
    payload
}

/// Whether both daemons take this absolute path for a node's.
pub fn is_path(path: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'-'))
    };
    path.len() <= LONGEST_PATH
        && path.strip_prefix('/').is_some_and(|names| names.is_empty() || names.split('/').all(name))
}

#[cfg(test)]
mod tests;
