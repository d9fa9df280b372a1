//! One client's connection, from its bytes to calls and from answers to bytes.

use super::encoding::Encoding;
use super::fault::{Fault, Status};
use super::limits::Limits;
use super::replies::Replies;
use super::requests::Requests;
use crate::interface::{Error, Request};
use serde::Serialize;

/// A request's number on its connection, to answer it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A request that waits for its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// What to answer by.
    pub id: RequestId,
    /// What is asked.
    pub request: Request,
}

/// What a connection waits for. While this stays equal, the same wait goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The client's request of this number.
    Request(u64),
    /// The rest of the request of this number.
    Rest(u64),
    /// The owner's answers.
    Answer,
    /// The client, to take its replies: bytes taken until now.
    Send(u64),
}

/// A serving connection, without its socket: both framings, both encodings, replies in order.
///
/// The owner passes what it read to [`receive`](Self::receive) while [`can_read`](Self::can_read), takes
/// requests from [`next`](Self::next) until there is none (after reading, and again after it has answered
/// or sent), answers each by [`reply`](Self::reply), and sends [`outgoing`](Self::outgoing).
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    requests: Requests,
    replies: Replies,
    sent: u64,
}

impl Connection {
    /// A connection of which no byte has come.
    pub fn new(limits: Limits) -> Connection {
        Connection { limits, requests: Requests::default(), replies: Replies::default(), sent: 0 }
    }

    /// Whether bytes should be read now. Not reading is how a client is slowed that asks faster than it
    /// is answered, or that leaves its replies.
    pub fn can_read(&self) -> bool {
        !self.requests.closed() && self.replies.has_room(&self.limits)
    }

    /// Takes bytes that were read, in any portions.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.requests.receive(bytes);
    }

    /// The client sends no more; what it has asked is still answered.
    pub fn end(&mut self) {
        self.requests.end();
    }

    /// The next request. What is no request of the interface is answered here and never seen.
    #[allow(clippy::should_implement_trait, reason = "requests come later, after none came")]
    pub fn next(&mut self) -> Option<Incoming> {
        while self.replies.has_room(&self.limits) {
            let arrival = match self.requests.poll(&self.limits) {
                Some(Ok(arrival)) => arrival,
                Some(Err(fault)) => {
                    self.replies.refuse(self.requests.fail(), &fault);
                    break;
                }
                None => break,
            };
            if !arrival.post {
                self.replies.not_found(arrival.framing);
                self.requests.finish();
                continue;
            }
            let body = Encoding::of(self.requests.body());
            let encoding = body.as_ref().map_or(Encoding::Json, |(encoding, _)| *encoding);
            let request = body
                .and_then(|(encoding, text)| encoding.parse_call(text, &self.limits))
                .map_err(|why| Error::InternalError(format!("malformed request: {why}")))
                .and_then(|call| Request::decode(&call.method, &call.params));
            self.requests.finish();
            let id = RequestId(self.replies.open(arrival.framing, encoding));
            match request {
                Ok(request) => return Some(Incoming { id, request }),
                Err(error) => self.reply(id, Err::<&(), _>(&error)),
            };
        }
        self.continue_if_due();
        None
    }

    /// Answers a request; false where it was answered before.
    pub fn reply<T, E>(&mut self, id: RequestId, answer: Result<&T, &E>) -> bool
    where
        T: Serialize + ?Sized,
        E: Serialize + ?Sized,
    {
        let answered = self.replies.answer(id.0, answer);
        self.continue_if_due();
        answered
    }

    fn continue_if_due(&mut self) {
        if !self.replies.unanswered() && self.requests.take_expectation() {
            self.replies.send_continue();
        }
    }

    /// The bytes to send.
    pub fn outgoing(&self) -> &[u8] {
        self.replies.out().bytes()
    }

    /// So many bytes of [`outgoing`](Self::outgoing) were sent.
    pub fn advance(&mut self, count: usize) {
        self.sent += count as u64;
        self.replies.advance(count);
    }

    /// Whether all is said: nothing more will be read, answered or sent.
    ///
    /// The owner then shuts down its sending side and reads on for a moment before it closes: closing on
    /// unread bytes can take the last reply away from the client.
    pub fn wants_close(&self) -> bool {
        self.requests.closed() && !self.replies.unanswered() && self.replies.out().is_empty()
    }

    /// What this connection waits for.
    pub fn waiting(&self) -> Waiting {
        let request = self.requests.whole();
        if !self.replies.out().is_empty() {
            Waiting::Send(self.sent)
        } else if self.requests.begun() && !self.requests.closed() && self.can_read() {
            Waiting::Rest(request)
        } else if self.replies.unanswered() {
            Waiting::Answer
        } else {
            Waiting::Request(request)
        }
    }

    /// How long the present [wait](Self::waiting) may last, in nanoseconds, before the owner calls
    /// [`expire`](Self::expire); nothing where it is the owner who is waited for.
    pub fn patience_ns(&self) -> Option<u64> {
        match self.waiting() {
            Waiting::Request(_) => Some(self.limits.idle_ns),
            Waiting::Rest(_) => Some(self.limits.request_ns),
            Waiting::Answer => None,
            Waiting::Send(_) => Some(self.limits.send_ns),
        }
    }

    /// The present wait has lasted too long: no further request is taken, and a client in the middle of
    /// one is told. One that leaves its replies will not take them any more: the owner closes at once.
    pub fn expire(&mut self) {
        let begun = self.requests.begun();
        let framing = self.requests.fail();
        if begun {
            let fault = Fault::new(Status::REQUEST_TIMEOUT, "request took too long to arrive");
            self.replies.refuse(framing, &fault);
        }
    }
}

#[cfg(test)]
mod tests;
