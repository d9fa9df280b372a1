//! A connection that comes back: carries requests, tells of changes, and after a loss connects and watches again.

use super::connection::{Connection, Event, Request, Ticket};
use super::endpoint::{Endpoint, Stream};
use super::error::Error;
use super::watches::{Serial, Target, Watches};
use super::wire::Op;
use crate::bell::Bell;
use crate::failure::plain;
use crate::inbox::{Arrival, Inbox};
use crate::log;
use smol::Timer;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use xenops_core::host::Token;

/// Pauses between attempts to connect again: the first, and the longest that doubling leads to.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Bytes taken at once.
const CHUNK: usize = 64 << 10;

/// How many connections there were before: a transaction belongs to one.
pub(super) type Epoch = u64;

/// See the module. All of it is on one thread.
#[derive(Debug)]
pub(super) struct Link {
    endpoint: Endpoint,
    inbox: Rc<Inbox>,
    state: RefCell<State>,
    /// Rung when something is left to be sent.
    left: Bell,
}

#[derive(Debug)]
struct State {
    line: Result<Line, String>,
    epoch: Epoch,
    tickets: Ticket,
    waiters: HashMap<Ticket, Waiter>,
    watches: Watches,
}

#[derive(Debug)]
struct Line {
    stream: Rc<Stream>,
    connection: Connection,
}

#[derive(Debug)]
enum Waiter {
    /// A call that waits.
    Call(Option<Waker>),
    /// A call that has its answer.
    Answered(Result<Vec<u8>, Error>),
    /// Nobody: but a transaction that it begins is to be ended.
    Transaction,
    /// A watch that is made for a task.
    Watch(Serial),
}

impl Link {
    /// A link over this stream.
    pub(super) fn new(endpoint: Endpoint, stream: Stream, inbox: Rc<Inbox>) -> Link {
        let state = State {
            line: Ok(Line::new(stream)),
            epoch: 0,
            tickets: 0,
            waiters: HashMap::new(),
            watches: Watches::default(),
        };
        Link { endpoint, inbox, state: RefCell::new(state), left: Bell::default() }
    }

    /// Carries everything, for ever.
    pub(super) async fn tend(&self) -> Infallible {
        loop {
            let why = match self.serve().await {
                Ok(never) => match never {},
                Err(error) => plain(&error),
            };
            self.lost(&why);
            self.connect().await;
        }
    }

    async fn serve(&self) -> io::Result<Infallible> {
        let stream = match &self.state.borrow().line {
            Ok(line) => line.stream.clone(),
            Err(why) => return Err(io::Error::other(why.clone())),
        };
        let read = async {
            let mut buffer = vec![0; CHUNK];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return Err(self.ended()),
                    Ok(length) => self.receive(&buffer[..length])?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
                    Err(error) => return Err(error),
                }
                // A daemon that never stops talking is not all that there is.
                smol::future::yield_now().await;
            }
        };
        let write = async {
            loop {
                while let Some(sent) = self.send(&stream) {
                    match sent {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
                        sent => sent?,
                    }
                }
                self.left.heard().await;
            }
        };
        smol::future::or(write, read).await
    }

    fn send(&self, stream: &Stream) -> Option<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let connection = &mut state.line.as_mut().ok()?.connection;
        if connection.outgoing().is_empty() {
            return None;
        }
        Some(stream.write(connection.outgoing()).and_then(|length| match length {
            0 => Err(io::ErrorKind::WriteZero.into()),
            length => {
                connection.sent(length);
                Ok(())
            }
        }))
    }

    fn ended(&self) -> io::Error {
        let state = self.state.borrow();
        let end = state.line.as_ref().map(|line| line.connection.end());
        match end {
            Ok(Err(violation)) => io::Error::other(violation),
            _ => io::Error::other("it closed the connection"),
        }
    }

    fn receive(&self, bytes: &[u8]) -> io::Result<()> {
        let mut raised = BTreeSet::new();
        let mut state = self.state.borrow_mut();
        let Ok(line) = &mut state.line else { return Ok(()) };
        let violated = line.connection.receive(bytes);
        while let Some(event) = state.line.as_mut().ok().and_then(|line| line.connection.event()) {
            match event {
                Event::Answered(ticket, answer) => state.answered(ticket, answer),
                Event::Changed { path, token } => raised.extend(state.watches.event(&token, &path)),
            }
        }
        drop(state);
        raised.into_iter().for_each(|token| self.inbox.push(Arrival::Noticed(token)));
        // Answers may have let requests depart that waited.
        self.left.ring();
        violated.map_err(io::Error::other)
    }

    fn lost(&self, why: &str) {
        log::error("xenstore", format_args!("lost {}: {why}", self.endpoint));
        let text = format!("{}: {why}", self.endpoint);
        let mut state = self.state.borrow_mut();
        state.line = Err(text.clone());
        state.epoch += 1;
        let tickets: Vec<Ticket> = state.waiters.keys().copied().collect();
        for ticket in tickets {
            state.answered(ticket, Err(Error::Lost(text.clone())));
        }
    }

    async fn connect(&self) {
        let mut pause = PAUSES.0;
        loop {
            Timer::after(pause).await;
            match self.endpoint.connect() {
                Ok(stream) => break self.found(stream),
                Err(error) => {
                    self.state.borrow_mut().line = Err(format!("{}: {}", self.endpoint, plain(&error)));
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
        log::info("xenstore", format_args!("connected to {} again", self.endpoint));
    }

    /// A new connection: everything is watched again before anybody is told to look.
    fn found(&self, stream: Stream) {
        let mut state = self.state.borrow_mut();
        state.line = Ok(Line::new(stream));
        let watches: Vec<(Serial, Request)> =
            state.watches.iter().map(|(serial, path)| (serial, watch(serial, path))).collect();
        for (serial, request) in watches {
            state.submit(request, Waiter::Watch(serial));
        }
        drop(state);
        self.left.ring();
        self.inbox.push(Arrival::Everything);
    }

    /// Asks something. It is on its way, in the order of the calls, when this returns; it needs [`tend`](Self::tend)
    /// to run elsewhere.
    pub(super) fn call(self: &Rc<Self>, request: Request) -> Call {
        let begins = (request.op == Op::TransactionStart).then(|| self.epoch());
        let ticket = self.state.borrow_mut().submit(request, Waiter::Call(None));
        self.left.ring();
        Call { link: self.clone(), ticket, begins }
    }

    /// Asks something, if this is still that connection.
    pub(super) fn call_on(self: &Rc<Self>, epoch: Epoch, request: Request) -> Call {
        if self.epoch() == epoch {
            return self.call(request);
        }
        let down = Error::Down(format!("{}: it was connected to anew meanwhile", self.endpoint));
        let ticket = self.state.borrow_mut().await_one(Waiter::Answered(Err(down)));
        Call { link: self.clone(), ticket, begins: None }
    }

    /// Which connection this is.
    pub(super) fn epoch(&self) -> Epoch {
        self.state.borrow().epoch
    }

    /// Tells xenstored something whose answer does not matter, if this is still that connection.
    pub(super) fn tell_on(&self, epoch: Epoch, request: Request) {
        if self.epoch() == epoch {
            self.state.borrow_mut().tell(request);
            self.left.ring();
        }
    }

    /// Why there is no connection, where there is none.
    pub(super) fn down(&self) -> Option<Error> {
        self.state.borrow().line.as_ref().err().cloned().map(Error::Down)
    }

    /// What is watched for the machine under a token.
    pub(super) fn watched(&self, token: Token) -> Vec<(Serial, String)> {
        self.state.borrow().watches.of(token)
    }

    /// Watches a path for the machine, on every connection from now on.
    pub(super) fn watch(self: &Rc<Self>, path: &str, token: Token) -> (Serial, Call) {
        let serial = self.state.borrow_mut().watches.add(path, Target::Notice(token));
        (serial, self.call(watch(serial, path)))
    }

    /// Watches a path for a task, on every connection from now on; a refusal is told to the target.
    pub(super) fn watch_for(&self, path: &str, target: Target) -> Serial {
        let mut state = self.state.borrow_mut();
        let serial = state.watches.add(path, target);
        if state.line.is_ok() {
            state.submit(watch(serial, path), Waiter::Watch(serial));
        }
        drop(state);
        self.left.ring();
        serial
    }

    /// Watches no more. Events that are on their way find nobody.
    pub(super) fn unwatch(&self, serial: Serial) {
        let mut state = self.state.borrow_mut();
        if let Some(path) = state.watches.remove(serial) {
            state.tell(Request::new(Op::Unwatch, &[&path, &serial.to_string()]));
        }
        drop(state);
        self.left.ring();
    }
}

fn watch(serial: Serial, path: &str) -> Request {
    Request::new(Op::Watch, &[path, &serial.to_string()])
}

impl Line {
    fn new(stream: Stream) -> Line {
        let connection = Connection::new(stream.most_in_flight());
        Line { stream: Rc::new(stream), connection }
    }
}

impl State {
    fn await_one(&mut self, waiter: Waiter) -> Ticket {
        self.tickets += 1;
        self.waiters.insert(self.tickets, waiter);
        self.tickets
    }

    fn submit(&mut self, request: Request, waiter: Waiter) -> Ticket {
        let ticket = self.await_one(waiter);
        let submitted = match &mut self.line {
            Ok(line) => line.connection.submit(ticket, request),
            Err(why) => Err(Error::Down(why.clone())),
        };
        if let Err(error) = submitted {
            self.answered(ticket, Err(error));
        }
        ticket
    }

    /// Without a waiter an answer is nobody's.
    fn tell(&mut self, request: Request) {
        self.tickets += 1;
        if let Ok(line) = &mut self.line
            && let Err(error) = line.connection.submit(self.tickets, request)
        {
            log::warning("xenstore", format_args!("{error}; a watch or transaction is left behind"));
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: Result<Vec<u8>, Error>) {
        match self.waiters.remove(&ticket) {
            Some(Waiter::Call(waker)) => {
                self.waiters.insert(ticket, Waiter::Answered(answer));
                waker.into_iter().for_each(Waker::wake);
            }
            Some(answered @ Waiter::Answered(_)) => {
                self.waiters.insert(ticket, answered);
            }
            Some(Waiter::Transaction) => self.abandon(answer),
            Some(Waiter::Watch(serial)) => {
                // One that was lost is watched again on the next connection.
                if let Err(error @ (Error::Refused(_) | Error::Busy | Error::TooLong(_))) = answer {
                    self.watches.fail(serial, error);
                }
            }
            None => {}
        }
    }

    /// A transaction has begun that nobody wants any more.
    fn abandon(&mut self, answer: Result<Vec<u8>, Error>) {
        if let Some(transaction) = answer.ok().and_then(|id| number(&id)) {
            self.tell(Request::new(Op::TransactionEnd, &["F"]).within(transaction));
        }
    }
}

/// A decimal number, as answers have it.
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    let text = payload.strip_suffix(b"\0").unwrap_or(payload);
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// An answer to come. Dropped before, the request still is at work, and what it leaves behind is undone: a
/// transaction that it began is ended.
#[derive(Debug)]
pub(super) struct Call {
    link: Rc<Link>,
    ticket: Ticket,
    /// On which connection it begins a transaction, if it does.
    begins: Option<Epoch>,
}

impl Future for Call {
    type Output = Result<Vec<u8>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.link.state.borrow_mut();
        match state.waiters.get_mut(&self.ticket) {
            Some(Waiter::Call(waker)) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            _ => match state.waiters.remove(&self.ticket) {
                Some(Waiter::Answered(answer)) => Poll::Ready(answer),
                _ => panic!("a call was polled after it was answered"),
            },
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.link.state.borrow_mut();
        match state.waiters.remove(&self.ticket) {
            Some(Waiter::Call(_)) if self.begins.is_some() => {
                state.waiters.insert(self.ticket, Waiter::Transaction);
            }
            Some(Waiter::Answered(answer)) if self.begins == Some(state.epoch) => {
                state.abandon(answer);
                drop(state);
                self.link.left.ring();
            }
            _ => {}
        }
    }
}
