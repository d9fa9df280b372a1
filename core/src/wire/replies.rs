//! The replies of a connection, in the order of their requests whenever they are ready.

use super::buffer::{self, Buffer};
use super::encoding::Encoding;
use super::fault::{Fault, Status};
use super::frame;
use super::limits::Limits;
use crate::interface::Error;
use serde::Serialize;
use std::collections::VecDeque;
use std::io::Write;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How a reply is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Binary,
    Http {
        /// The request was HTTP/1.0.
        old: bool,
        /// The connection ends after this reply.
        close: bool,
        /// A `100 Continue` is owed before it.
        interim: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Replies {
    slots: VecDeque<Slot>,
    /// The number of the first slot's request.
    first: u64,
    out: Buffer,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Slot {
    framing: Framing,
    encoding: Encoding,
    /// The reply, waiting for those before it.
    ready: Option<Vec<u8>>,
}

impl Replies {
    /// Whether another request may be taken in.
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        self.slots.len() < limits.pipelined && self.out.len() <= limits.backlog_bytes
    }

    pub(super) fn unanswered(&self) -> bool {
        !self.slots.is_empty()
    }

    pub(super) fn out(&self) -> &Buffer {
        &self.out
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.out.consume(count);
    }

    /// A place for the reply to a request that has come in; its number.
    pub(super) fn open(&mut self, framing: Framing, encoding: Encoding) -> u64 {
        self.slots.push_back(Slot { framing, encoding, ready: None });
        self.first + self.slots.len() as u64 - 1
    }

    /// Sends `100 Continue`, ahead of the request that it is for: only while nothing is unanswered.
    pub(super) fn send_continue(&mut self) {
        self.out.append(CONTINUE);
    }

    /// Answers request `number`; false where it does not wait for an answer.
    pub(super) fn answer<T, E>(&mut self, number: u64, answer: Result<&T, &E>) -> bool
    where
        T: Serialize + ?Sized,
        E: Serialize + ?Sized,
    {
        let Some(index) = self.waiting(number) else { return false };
        let encoding = self.slots[index].encoding;
        let mut body = std::mem::take(&mut self.scratch);
        encoding.write_answer(&mut body, answer);
        self.put(index, Status::OK, encoding.content_type(), &body);
        buffer::clear(&mut body);
        self.scratch = body;
        true
    }

    /// Answers a request whose framing is at fault.
    pub(super) fn refuse(&mut self, framing: Framing, fault: &Fault) {
        let number = self.open(framing, Encoding::Json);
        match framing {
            Framing::Binary => {
                self.answer(number, Err::<&(), _>(&Error::InternalError(fault.text.to_string())));
            }
            Framing::Http { .. } => {
                let index = self.slots.len() - 1;
                self.put(index, fault.status, "text/plain", format!("{}\n", fault.text).as_bytes());
            }
        }
    }

    /// Answers a request of another method than POST, as upstream: no body, which HEAD could not carry.
    pub(super) fn not_found(&mut self, framing: Framing) {
        self.open(framing, Encoding::Json);
        self.put(self.slots.len() - 1, Status::NOT_FOUND, "text/plain", b"");
    }

    fn waiting(&self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slots.get(index).filter(|slot| slot.ready.is_none()).map(|_| index)
    }

    fn put(&mut self, index: usize, status: Status, content_type: &str, body: &[u8]) {
        let slot = &mut self.slots[index];
        if index > 0 {
            let mut reply = Vec::new();
            slot.framing.write(&mut reply, status, content_type, body);
            slot.ready = Some(reply);
            return;
        }
        slot.framing.write(self.out.end(), status, content_type, body);
        self.pop();
        while let Some(reply) = self.slots.front_mut().and_then(|slot| slot.ready.take()) {
            self.out.append(&reply);
            self.pop();
        }
    }

    fn pop(&mut self) {
        self.slots.pop_front();
        self.first += 1;
    }
}

impl Framing {
    fn write(self, out: &mut Vec<u8>, status: Status, content_type: &str, body: &[u8]) {
        let Framing::Http { old, close, interim } = self else { return frame::write(out, body) };
        if interim {
            out.extend_from_slice(CONTINUE);
        }
        let connection = match (close, old) {
            (true, _) => "connection: close\r\n",
            (false, true) => "connection: keep-alive\r\n",
            (false, false) => "",
        };
        let (Status(code, reason), length) = (status, body.len());
        write!(
            out,
            "HTTP/1.1 {code} {reason}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n{connection}\r\n"
        )
        .expect("a vector takes any bytes");
        out.extend_from_slice(body);
    }
}
