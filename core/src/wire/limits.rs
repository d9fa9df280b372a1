//! What a peer may make us hold, and for how long.

/// The most header lines an HTTP head may have; they are parsed on the stack.
pub const HEADERS: usize = 64;

/// Bounds of one connection. The driver enforces the times, see [`super::Connection::patience_ns`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an HTTP head, and of the trailers of a chunked body.
    pub head_bytes: usize,
    /// Bytes of a body, after chunks are joined.
    pub body_bytes: usize,
    /// Arrays and objects within each other; in JSON the message's own object is the first.
    pub depth: usize,
    /// Bytes of one string, decoded.
    pub string_bytes: usize,
    /// Values in one body: each costs more memory than the bytes that ask for it.
    pub values: usize,
    /// Requests of one connection taken in and not yet answered.
    pub pipelined: usize,
    /// Bytes of replies that the peer has not taken, beyond which no further request is taken in.
    pub backlog_bytes: usize,
    /// How long a connection may stay between requests, in nanoseconds.
    pub idle_ns: u64,
    /// How long one request may take to arrive, in nanoseconds.
    pub request_ns: u64,
    /// How long the peer may take none of its replies, in nanoseconds.
    pub send_ns: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        const SECOND: u64 = 1_000_000_000;
        Limits {
            head_bytes: 16 << 10,
            body_bytes: 16 << 20,
            depth: 64,
            string_bytes: 4 << 20,
            values: 1 << 20,
            pipelined: 64,
            backlog_bytes: 1 << 20,
            idle_ns: 300 * SECOND,
            request_ns: 60 * SECOND,
            send_ns: 60 * SECOND,
        }
    }
}
