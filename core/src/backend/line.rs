//! The line between a procedure and the machine: one question at a time, one answer.

use super::{Change, Context, Failure, MicroOp};
use crate::host::{
    Attached, Batch, DomId, DomainAct, DomainInfo, Fault, Found, Handle, Now, Outcome, Process, Query, Reply, Request,
    StorageCall, Uuid, Wait,
};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Poller, Poll};

/// What a procedure asks of the machine.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Ask {
    /// Ask the host.
    Host(Request),
    /// Change a record of this VM; answered when it is durable.
    Record(Change),
    /// Pass the point of no return: from here the operation is finished, not undone. Answered when durable.
    Commit,
    /// A number for a process or stream.
    Handle,
    /// A fresh UUID.
    Uuid,
    /// This much of the micro-op is done, in thousandths.
    Progress(u32),
    /// Go on as another micro-op with an empty history: the end of one turn of a loop.
    Become(Box<MicroOp>),
}

/// The machine's answer, and when it was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// What came of it. `Handle` and `Uuid` answer `Number` and `Text`.
    pub outcome: Outcome,
    /// The time.
    pub now: Now,
}

/// One question or one answer is on the line, or neither.
#[derive(Debug)]
pub enum Line {
    /// Nothing.
    Idle,
    /// A question, and whether cancellation may answer it.
    Asked(Ask, bool),
    /// An answer.
    Said(Said),
}

/// A procedure's end of the line.
#[derive(Clone, Debug)]
pub struct Host {
    line: Arc<Mutex<Line>>,
    shielded: bool,
    started: Now,
    context: Arc<Context>,
}

impl Host {
    /// A procedure's end; the machine keeps `line`.
    pub fn new(line: Arc<Mutex<Line>>, context: Arc<Context>, started: Now) -> Host {
        Host { line, shielded: false, started, context }
    }

    /// What the micro-op is about.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The same host where cancellation cannot reach: for clean-up.
    pub fn shielded(&self) -> Host {
        Host { shielded: true, ..self.clone() }
    }

    /// When this micro-op began; waits are bounded from it or from an answer's time.
    pub fn started(&self) -> Now {
        self.started
    }

    fn ask<T>(&self, ask: Ask, take: Take<T>) -> Question<'_, T> {
        Question { line: &self.line, ask: Some((ask, self.shielded)), take }
    }

    fn ask_host<T>(&self, request: Request, take: Take<T>) -> Question<'_, T> {
        self.ask(Ask::Host(request), take)
    }

    /// Any request.
    pub fn request(&self, request: Request) -> Question<'_, Reply> {
        self.ask_host(request, |reply, _| Ok(reply))
    }

    /// A request whose reply is `Unit`.
    pub fn act(&self, request: Request) -> Question<'_, ()> {
        self.ask_host(request, |_, _| Ok(()))
    }

    /// One thing done to a domain.
    pub fn domain(&self, domid: DomId, act: DomainAct) -> Question<'_, ()> {
        self.act(Request::Domain(domid, act))
    }

    /// A xenstore transaction; whether its guards held.
    pub fn store(&self, batch: Batch) -> Question<'_, bool> {
        self.ask_host(Request::Store(batch), |reply, _| Ok(reply != Reply::GuardFailed))
    }

    /// Questions to xenstore, all at one moment.
    pub fn read(&self, queries: Vec<Query>) -> Question<'_, Vec<Found>> {
        self.ask_host(Request::Read(queries), |reply, _| found(reply))
    }

    /// One xenstore value.
    pub fn value(&self, path: impl Into<String>) -> Question<'_, Option<String>> {
        self.ask_host(Request::Read(vec![Query::Value(path.into())]), |reply, _| match found(reply)?.pop() {
            Some(Found::Value(value)) => Ok(value),
            _ => Err(wrong("read", &Reply::Unit)),
        })
    }

    /// Wait at most `nanoseconds` from now. Which condition held, and its process's state.
    pub async fn wait(
        &self,
        any: Vec<crate::host::Condition>,
        nanoseconds: u64,
    ) -> Result<(Option<usize>, Process), Failure> {
        let now = self.now().await?;
        let until = now.mono.saturating_add(nanoseconds);
        self.ask_host(Request::Wait(Wait { any, until }), |reply, _| match reply {
            Reply::Held(which, process) => Ok((which.map(|i| i as usize), process.unwrap_or_default())),
            other => Err(wrong("wait", &other)),
        })
        .await
    }

    /// The time, as of the machine's last input.
    pub fn now(&self) -> Question<'_, Now> {
        self.ask(Ask::Progress(0), |_, now| Ok(now))
    }

    /// Domains of a VM: those with its handle, and its tombstones.
    pub fn find_domains(&self, vm: Uuid) -> Question<'_, Vec<DomainInfo>> {
        self.ask_host(Request::FindDomains(vm), |reply, _| match reply {
            Reply::Domains(domains) => Ok(domains),
            other => Err(wrong("find domains", &other)),
        })
    }

    /// A question whose answer is yes or no.
    pub fn flag(&self, request: Request) -> Question<'_, bool> {
        self.ask_host(request, |reply, _| match reply {
            Reply::Flag(flag) => Ok(flag),
            other => Err(wrong("yes or no", &other)),
        })
    }

    /// A storage call that answers nothing.
    pub fn storage(&self, call: StorageCall) -> Question<'_, ()> {
        self.act(Request::Storage(call))
    }

    /// Attach a disk through the storage service.
    pub fn attach(&self, call: StorageCall) -> Question<'_, Attached> {
        self.ask_host(Request::Storage(call), |reply, _| match reply {
            Reply::Attached(attached) => Ok(attached),
            other => Err(wrong("attach", &other)),
        })
    }

    /// A record of this VM, durably.
    pub fn change(&self, change: Change) -> Question<'_, ()> {
        self.ask(Ask::Record(change), |_, _| Ok(()))
    }

    /// Pass the point of no return.
    pub fn commit(&self) -> Question<'_, ()> {
        self.ask(Ask::Commit, |_, _| Ok(()))
    }

    /// A number for a process or stream to be.
    pub fn handle(&self) -> Question<'_, Handle> {
        self.ask(Ask::Handle, |reply, _| match reply {
            Reply::Number(n) => Ok(Handle(n)),
            other => Err(wrong("handle", &other)),
        })
    }

    /// A fresh UUID, as text.
    pub fn uuid(&self) -> Question<'_, String> {
        self.ask(Ask::Uuid, |reply, _| match reply {
            Reply::Text(text) => Ok(text),
            other => Err(wrong("uuid", &other)),
        })
    }

    /// Say how much of the micro-op is done, in thousandths.
    pub fn progress(&self, thousandths: u32) -> Question<'_, ()> {
        self.ask(Ask::Progress(thousandths), |_, _| Ok(()))
    }

    /// Go on as another micro-op; never answers.
    pub fn become_op(&self, next: MicroOp) -> Question<'_, super::Product> {
        self.ask(Ask::Become(Box::new(next)), |_, _| Ok(super::Product::Nothing))
    }

    /// Run `body`; then, whether it went well or not, `clean`, through the shielded host. The body's failure wins.
    pub async fn then_always<T>(
        &self,
        body: impl Future<Output = Result<T, Failure>>,
        clean: impl AsyncFnOnce(Host) -> Result<(), Failure>,
    ) -> Result<T, Failure> {
        let result = body.await;
        let cleaned = clean(if mutant!(CleanupUnshielded) { self.clone() } else { self.shielded() }).await;
        let value = result?;
        cleaned.map(|()| value)
    }
}

/// A host that answers with the wrong kind of reply is outside: an error, not an assertion.
fn wrong(asked: &str, reply: &Reply) -> Failure {
    Failure::InDoubt(Fault::Other(format!("host answered {asked} with {reply:?}")))
}

fn found(reply: Reply) -> Result<Vec<Found>, Failure> {
    match reply {
        Reply::Found(found) => Ok(found),
        other => Err(wrong("read", &other)),
    }
}

/// What a reply, given at a moment, comes to.
type Take<T> = fn(Reply, Now) -> Result<T, Failure>;

/// A question that waits for its answer: the one leaf of all procedures. Were each kind of question a future around
/// another, every answer would be moved once more for each.
#[derive(Debug)]
pub struct Question<'a, T> {
    line: &'a Mutex<Line>,
    ask: Option<(Ask, bool)>,
    take: Take<T>,
}

impl<T> Future for Question<'_, T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<Result<T, Failure>> {
        let mut line = self.line.lock().expect("nothing panics while it holds the line");
        if let Some((ask, shielded)) = self.ask.take() {
            assert!(matches!(*line, Line::Idle), "a procedure has one request in flight");
            *line = Line::Asked(ask, shielded);
            return Poll::Pending;
        }
        let Line::Said(Said { outcome, now }) = std::mem::replace(&mut *line, Line::Idle) else {
            unreachable!("a procedure is polled only when its answer is there")
        };
        Poll::Ready(Failure::of(outcome).and_then(|reply| (self.take)(reply, now)))
    }
}
