//! One connection to xenstored, without I/O: requests and received bytes go in, bytes to send and events come out.

use super::error::{Code, Error};
use super::wire::{self, Decoder, Message, Op, Violation};
use std::collections::{HashMap, VecDeque};

/// Requests that may wait for those in flight.
const MOST_WAITING: usize = 1 << 16;
/// Bytes of one listing that comes in parts.
const LONGEST_LISTING: usize = 16 << 20;
/// How often a listing in parts may begin again because its node has changed.
const MOST_LISTINGS: u32 = 64;

/// A request: everything but its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub op: Op,
    /// Within which transaction; 0 is none.
    pub transaction: u32,
    /// As the protocol has it. Never empty: oxenstored waits for more of a message without one, for ever.
    pub payload: Vec<u8>,
}

impl Request {
    /// A request of texts, each ended by a zero, outside transactions.
    pub fn new(op: Op, texts: &[&str]) -> Request {
        Request { op, transaction: 0, payload: wire::payload(texts) }
    }

    /// A request about a node.
    pub fn at(op: Op, path: &str) -> Result<Request, Error> {
        if wire::is_path(path) { Ok(Request::new(op, &[path])) } else { Err(Error::Path(path.to_owned())) }
    }

    /// A request about a node with raw bytes at its end.
    pub fn with(op: Op, path: &str, rest: &[u8]) -> Result<Request, Error> {
        let mut request = Request::at(op, path)?;
        request.payload.extend_from_slice(rest);
        match request.payload.len() {
            length if length > wire::MOST_SENT => Err(Error::TooLong(length)),
            _ => Ok(request),
        }
    }

    /// The same in a transaction.
    pub fn within(mut self, transaction: u32) -> Request {
        self.transaction = transaction;
        self
    }
}

/// The caller's name for a request.
pub type Ticket = u64;

/// Something that came of what was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request's answer: its payload, or what xenstored has against it. Exactly one for each request, unless the
    /// connection ends before.
    Answered(Ticket, Result<Vec<u8>, Error>),
    /// Something at or below a watched path may have changed.
    Changed {
        /// What has changed.
        path: Vec<u8>,
        /// The watch's token.
        token: Vec<u8>,
    },
}

/// The state of a connection.
#[derive(Debug)]
pub struct Connection {
    most_in_flight: usize,
    number: u32,
    in_flight: HashMap<u32, Flight>,
    waiting: VecDeque<(Ticket, Request)>,
    decoder: Decoder,
    out: Vec<u8>,
    sent: usize,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    op: Op,
    transaction: u32,
    listing: Option<Listing>,
}

/// A listing too long for one answer, as far as it has come.
#[derive(Debug)]
struct Listing {
    path: Vec<u8>,
    generation: Vec<u8>,
    names: Vec<u8>,
    begun: u32,
}

impl Connection {
    /// A fresh one, which has at most so many requests in flight.
    pub fn new(most_in_flight: usize) -> Connection {
        Connection {
            most_in_flight,
            number: 0,
            in_flight: HashMap::new(),
            waiting: VecDeque::new(),
            decoder: Decoder::default(),
            out: Vec::new(),
            sent: 0,
            events: VecDeque::new(),
        }
    }

    /// Asks something. Its answer bears the ticket; requests are sent in the order in which they were submitted.
    pub fn submit(&mut self, ticket: Ticket, request: Request) -> Result<(), Error> {
        if request.payload.len() > wire::MOST_SENT {
            return Err(Error::TooLong(request.payload.len()));
        }
        if self.waiting.len() >= MOST_WAITING {
            return Err(Error::Busy);
        }
        self.waiting.push_back((ticket, request));
        self.depart();
        Ok(())
    }

    fn depart(&mut self) {
        while self.in_flight.len() < self.most_in_flight {
            let Some((ticket, request)) = self.waiting.pop_front() else { return };
            let listing = (request.op == Op::Directory).then(|| Listing::new(&request.payload));
            self.send(ticket, request, listing);
        }
    }

    fn send(&mut self, ticket: Ticket, request: Request, listing: Option<Listing>) {
        let Request { op, transaction, payload } = request;
        // 0 is what watch events bear.
        self.number = self.number.wrapping_add(1).max(1);
        while self.in_flight.contains_key(&self.number) {
            self.number = self.number.wrapping_add(1).max(1);
        }
        let message = Message { op, request: self.number, transaction, payload };
        message.encode(&mut self.out).expect("no request is made with more than may be sent");
        self.in_flight.insert(self.number, Flight { ticket, op, transaction, listing });
    }

    /// What is to be sent.
    pub fn outgoing(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// So many bytes of it have been.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        assert!(self.sent <= self.out.len(), "more was sent than there was");
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
    }

    /// Takes received bytes, however they are split.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.decoder.push(bytes);
        while let Some(message) = self.decoder.next_message()? {
            self.take(message)?;
        }
        Ok(())
    }

    /// The stream has ended; an error where it should not have ended there.
    pub fn end(&self) -> Result<(), Violation> {
        if self.decoder.is_between() { Ok(()) } else { Err(Violation::Truncated) }
    }

    /// What has come of it, in order.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Requests that are not answered.
    pub fn pending(&self) -> usize {
        self.in_flight.len() + self.waiting.len()
    }

    fn take(&mut self, message: Message) -> Result<(), Violation> {
        if message.op == Op::WatchEvent {
            let mut texts = message.payload.split(|byte| *byte == 0);
            // Two texts and their zeros leave something, if nothing, behind the second zero.
            let (Some(path), Some(token), Some(_)) = (texts.next(), texts.next(), texts.next()) else {
                return Err(Violation::Event);
            };
            if path.is_empty() {
                return Err(Violation::Event);
            }
            self.events.push_back(Event::Changed { path: path.to_vec(), token: token.to_vec() });
            return Ok(());
        }
        let flight = self.in_flight.remove(&message.request).ok_or(Violation::Unmatched(message.request))?;
        if message.transaction != flight.transaction || (message.op != flight.op && message.op != Op::Error) {
            return Err(Violation::Mismatched(message.request));
        }
        let answer = match message.op {
            Op::Error => Err(Code::parse(&message.payload)),
            _ => Ok(message.payload),
        };
        self.land(flight, answer);
        self.depart();
        Ok(())
    }

    fn land(&mut self, mut flight: Flight, answer: Result<Vec<u8>, Code>) {
        let progress = match flight.listing.take() {
            Some(listing) => listing.goes_on(flight.op, answer),
            None => Progress::Over(answer.map_err(Error::Refused)),
        };
        match progress {
            Progress::Over(answer) => self.events.push_back(Event::Answered(flight.ticket, answer)),
            Progress::More(listing) => {
                let mut payload = listing.path.clone();
                payload.extend_from_slice(format!("{}\0", listing.names.len()).as_bytes());
                let request = Request { op: Op::DirectoryPart, transaction: flight.transaction, payload };
                self.send(flight.ticket, request, Some(listing));
            }
        }
    }
}

enum Progress {
    Over(Result<Vec<u8>, Error>),
    More(Listing),
}

impl Listing {
    fn new(path: &[u8]) -> Listing {
        Listing { path: path.to_vec(), generation: Vec::new(), names: Vec::new(), begun: 0 }
    }

    /// C xenstored refuses a long DIRECTORY and gives it in parts; oxenstored gives it whole and knows no parts.
    fn goes_on(self, asked: Op, answer: Result<Vec<u8>, Code>) -> Progress {
        match (asked, answer) {
            (Op::Directory, Err(Code::E2big)) => self.begins(),
            (Op::DirectoryPart, Err(Code::Enosys)) => Progress::Over(Err(Error::Refused(Code::E2big))),
            (Op::DirectoryPart, Ok(part)) => self.grows(&part),
            (_, answer) => Progress::Over(answer.map_err(Error::Refused)),
        }
    }

    fn begins(mut self) -> Progress {
        self.begun += 1;
        self.names.clear();
        self.generation.clear();
        // Its path and an offset may be longer than a message, though no path is that long.
        if self.begun > MOST_LISTINGS || self.path.len() + 21 > wire::MOST_SENT {
            return Progress::Over(Err(Error::Refused(Code::E2big)));
        }
        Progress::More(self)
    }

    fn grows(mut self, part: &[u8]) -> Progress {
        let Some(end) = part.iter().position(|byte| *byte == 0) else {
            return Progress::Over(Err(Error::Answer("part of a listing")));
        };
        let (generation, names) = (&part[..end], &part[end + 1..]);
        if self.names.is_empty() {
            self.generation = generation.to_vec();
        } else if self.generation != generation {
            // The node has other children now.
            return self.begins();
        }
        // The last part ends with an empty name.
        let last = names.is_empty() || names == b"\0" || names.ends_with(b"\0\0");
        self.names.extend_from_slice(names);
        if last {
            return Progress::Over(Ok(self.names));
        }
        if !names.ends_with(b"\0") || self.names.len() > LONGEST_LISTING {
            return Progress::Over(Err(Error::Answer("part of a listing")));
        }
        Progress::More(self)
    }
}

#[cfg(test)]
mod tests;
