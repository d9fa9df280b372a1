//! The requests of a connection: where each begins and ends, whichever framing its first byte chose.

use super::body::Body;
use super::buffer::Buffer;
use super::fault::Fault;
use super::frame;
use super::head::{self, RequestHead};
use super::limits::Limits;
use super::replies::Framing;

#[derive(Debug, Default)]
pub(super) struct Requests {
    input: Buffer,
    state: State,
    binary: bool,
    /// Requests that have come in whole.
    whole: u64,
    ended: bool,
}

#[derive(Debug, Default)]
enum State {
    /// No byte has come.
    #[default]
    First,
    /// An HTTP head, of which so many bytes hold no end.
    Head(usize),
    /// The body that a head announced, and whether its `100 Continue` is still owed.
    Body(RequestHead, bool),
    /// The length of a frame.
    Length,
    /// The body that a length announced.
    Frame(Body),
    /// No further request.
    Closed,
}

/// A request that has come in whole; its body is in [`Requests::body`] until [`Requests::finish`].
pub(super) struct Arrival {
    pub(super) framing: Framing,
    pub(super) post: bool,
}

impl Requests {
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if !self.closed() {
            self.input.append(bytes);
        }
    }

    /// No byte will follow.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether a request has begun to arrive.
    pub(super) fn begun(&self) -> bool {
        !self.input.is_empty() || matches!(self.state, State::Body(..) | State::Frame(_))
    }

    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// The next whole request, or why none can follow: then [`Requests::fail`].
    pub(super) fn poll(&mut self, limits: &Limits) -> Option<Result<Arrival, Fault>> {
        match self.step(limits) {
            Ok(None) if self.ended && self.begun() => Some(Err(Fault::bad("request is cut off"))),
            Ok(None) if self.ended => {
                self.close();
                None
            }
            other => other.transpose(),
        }
    }

    /// Takes no further request, and says how to frame the reply that tells why.
    pub(super) fn fail(&mut self) -> Framing {
        let interim = self.take_expectation();
        self.close();
        if self.binary { Framing::Binary } else { Framing::Http { old: false, close: true, interim } }
    }

    fn step(&mut self, limits: &Limits) -> Result<Option<Arrival>, Fault> {
        loop {
            match &mut self.state {
                State::First => match self.input.bytes().first() {
                    None => return Ok(None),
                    Some(byte) => {
                        self.binary = byte.is_ascii_digit();
                        self.state = self.between();
                    }
                },
                State::Head(searched) => {
                    if *searched == 0 {
                        let blank = self.input.bytes().iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
                        self.input.consume(blank);
                    }
                    let bytes = &self.input.bytes()[..self.input.len().min(limits.head_bytes)];
                    let Some(end) = head::end(bytes, *searched) else {
                        // An end may have begun in the last two bytes.
                        *searched = bytes.len().saturating_sub(2);
                        let full = bytes.len() == limits.head_bytes;
                        return if full { Err(Fault::head_too_large(limits.head_bytes)) } else { Ok(None) };
                    };
                    let head = head::parse_request(&bytes[..end], limits)?;
                    self.input.consume(end);
                    let owed = head.expects;
                    self.state = State::Body(head, owed);
                }
                State::Body(head, owed) => {
                    if !head.body.advance(&mut self.input, self.ended, limits)? {
                        return Ok(None);
                    }
                    let framing = Framing::Http { old: head.old, close: head.close, interim: *owed };
                    return Ok(Some(Arrival { framing, post: head.post }));
                }
                State::Length => match frame::parse(self.input.bytes(), limits)? {
                    Some(body) => {
                        self.input.consume(frame::DIGITS);
                        self.state = State::Frame(body);
                    }
                    None => return Ok(None),
                },
                State::Frame(body) => {
                    let whole = body.advance(&mut self.input, self.ended, limits)?;
                    return Ok(whole.then_some(Arrival { framing: Framing::Binary, post: true }));
                }
                State::Closed => return Ok(None),
            }
        }
    }

    fn between(&self) -> State {
        if self.binary { State::Length } else { State::Head(0) }
    }

    /// The body of the request that [`Requests::poll`] gave.
    pub(super) fn body(&self) -> &[u8] {
        match &self.state {
            State::Body(RequestHead { body, .. }, _) | State::Frame(body) => body.bytes(&self.input),
            _ => &[],
        }
    }

    /// Lets go of the request that [`Requests::poll`] gave.
    pub(super) fn finish(&mut self) {
        let next = self.between();
        self.whole += 1;
        match std::mem::replace(&mut self.state, next) {
            State::Body(RequestHead { body, close, .. }, _) => {
                body.consume(&mut self.input);
                if close {
                    self.close();
                }
            }
            State::Frame(body) => body.consume(&mut self.input),
            _ => {}
        }
    }

    /// Takes no further request and forgets what has come of one.
    pub(super) fn close(&mut self) {
        self.state = State::Closed;
        self.input.clear();
    }

    /// Whether the client waits for `100 Continue`; asked once, it is owed no more.
    pub(super) fn take_expectation(&mut self) -> bool {
        match &mut self.state {
            State::Body(_, owed) => std::mem::take(owed),
            _ => false,
        }
    }
}
