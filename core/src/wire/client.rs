//! The calling side of a connection: calls to bytes, and bytes to answers.

use super::body::Body;
use super::buffer::Buffer;
use super::encoding::Encoding;
use super::fault::Fault;
use super::frame;
use super::head::{self, ResponseHead};
use super::limits::Limits;
use super::malformed::Malformed;
use crate::interface::Value;
use serde::Serialize;
use std::fmt;
use std::io::Write;

/// How calls are wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1.
    Http {
        /// The `host` header: `localhost` on a Unix socket.
        host: String,
        /// The path to post to, with its query: on a Unix socket upstream's clients give the socket's path.
        path: String,
    },
    /// Frames of sixteen digits and a body.
    Binary,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server answered with this HTTP status and text instead.
    Status(u16, String),
    /// The bytes are no response.
    Framing(String),
    /// The response's body is no answer.
    Body(Malformed),
    /// The connection ended before the answer did.
    Ended,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Status(status, text) => write!(f, "server answered with HTTP status {status}: {text}"),
            Failure::Framing(why) => write!(f, "malformed response: {why}"),
            Failure::Body(why) => write!(f, "malformed answer: {why}"),
            Failure::Ended => f.write_str("connection ended before the answer"),
        }
    }
}

impl std::error::Error for Failure {}

/// A calling connection, without its socket. Answers come in the order of the calls.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    encoding: Encoding,
    limits: Limits,
    out: Buffer,
    input: Buffer,
    state: State,
    /// Calls not yet answered.
    open: usize,
    ended: bool,
    scratch: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// Between responses: so many bytes hold no head's end.
    Head(usize),
    /// A response's head has come.
    Http(ResponseHead),
    /// A frame's length has come.
    Frame(Body),
    /// No further answer comes, for this reason.
    Failed(Failure),
}

impl Client {
    /// A connection on which nothing was said.
    pub fn new(transport: Transport, encoding: Encoding, limits: Limits) -> Client {
        Client {
            transport,
            encoding,
            limits,
            out: Buffer::default(),
            input: Buffer::default(),
            state: State::Head(0),
            open: 0,
            ended: false,
            scratch: Vec::new(),
        }
    }

    /// Makes a call. Fails, and calls nothing, where a parameter has no form on the wire.
    pub fn call<P: Serialize>(&mut self, method: &str, params: &[P]) -> Result<(), Malformed> {
        self.scratch.clear();
        self.encoding.write_call(&mut self.scratch, method, params)?;
        let out = self.out.end();
        match &self.transport {
            Transport::Binary => frame::write(out, &self.scratch),
            Transport::Http { host, path } => {
                let (length, kind) = (self.scratch.len(), self.encoding.content_type());
                write!(
                    out,
                    "POST {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: xenops\r\n\
                     content-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
                )
                .expect("a vector takes any bytes");
                out.extend_from_slice(&self.scratch);
            }
        }
        self.open += 1;
        Ok(())
    }

    /// The bytes to send.
    pub fn outgoing(&self) -> &[u8] {
        self.out.bytes()
    }

    /// So many bytes of [`outgoing`](Self::outgoing) were sent.
    pub fn advance(&mut self, count: usize) {
        self.out.consume(count);
    }

    /// Takes bytes that were read, in any portions.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.open == 0 && !bytes.is_empty() {
            self.fail(Failure::Framing("bytes came that answer no call".to_owned()));
        } else if !matches!(self.state, State::Failed(_)) {
            self.input.append(bytes);
        }
    }

    /// The server sends no more.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next answer, the method's result or its error: one for each call. All that follow a failure are
    /// that failure.
    #[allow(clippy::should_implement_trait, reason = "answers come later, after none came")]
    pub fn next(&mut self) -> Option<Result<Result<Value, Value>, Failure>> {
        if self.open == 0 {
            return None;
        }
        let answer = match self.step() {
            Ok(None) if self.ended => Err(self.fail(Failure::Ended)),
            Ok(None) => return None,
            Ok(Some(answer)) => Ok(answer),
            Err(failure) => Err(self.fail(failure)),
        };
        self.open -= 1;
        Some(answer)
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.input.clear();
        self.state = State::Failed(failure.clone());
        failure
    }

    fn step(&mut self) -> Result<Option<Result<Value, Value>>, Failure> {
        loop {
            let state = match &mut self.state {
                State::Head(searched) if self.transport != Transport::Binary => {
                    let bytes = &self.input.bytes()[..self.input.len().min(self.limits.head_bytes)];
                    let Some(end) = head::end(bytes, *searched) else {
                        *searched = bytes.len().saturating_sub(2);
                        let full = bytes.len() == self.limits.head_bytes;
                        return if full { Err(Fault::head_too_large(bytes.len()).into()) } else { Ok(None) };
                    };
                    let head = head::parse_response(&bytes[..end], &self.limits)?;
                    self.input.consume(end);
                    if head.status < 200 { State::Head(0) } else { State::Http(head) }
                }
                State::Head(_) => match frame::parse(self.input.bytes(), &self.limits)? {
                    Some(body) => {
                        self.input.consume(frame::DIGITS);
                        State::Frame(body)
                    }
                    None => return Ok(None),
                },
                State::Http(ResponseHead { body, .. }) | State::Frame(body) => {
                    if !body.advance(&mut self.input, self.ended, &self.limits)? {
                        return Ok(None);
                    }
                    return self.finish().map(Some);
                }
                State::Failed(failure) => return Err(failure.clone()),
            };
            self.state = state;
        }
    }

    /// The answer of a response that has come in whole.
    fn finish(&mut self) -> Result<Result<Value, Value>, Failure> {
        let (status, close, body) = match std::mem::replace(&mut self.state, State::Head(0)) {
            State::Http(head) => (head.status, head.close, head.body),
            State::Frame(body) => (200, false, body),
            State::Head(_) | State::Failed(_) => return Err(Failure::Ended),
        };
        let text = body.bytes(&self.input);
        let answer = match status {
            200 => Encoding::of(text).and_then(|(encoding, text)| encoding.parse_answer(text, &self.limits)),
            _ => {
                let text = String::from_utf8_lossy(text).trim().chars().take(200).collect();
                return Err(Failure::Status(status, text));
            }
        };
        body.consume(&mut self.input);
        if close {
            // What was called besides is never answered.
            self.fail(Failure::Ended);
        }
        answer.map_err(Failure::Body)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Framing(fault.text.into_owned())
    }
}

#[cfg(test)]
mod tests;
