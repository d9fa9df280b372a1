//! The line between a procedure and the machine: one question at a time, one answer.

use super::{Change, Context, Failure, MicroOp};
use crate::host::{
    Attached, Batch, DomId, DomainAct, DomainInfo, Fault, Found, Handle, Now, Outcome, Process, Query, Reply, Request,
    StorageCall, Uuid, Wait,
};
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
#[derive(Clone, Debug, PartialEq)]
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

    async fn ask(&self, ask: Ask) -> Result<(Reply, Now), Failure> {
        let said = Question { line: &self.line, ask: Some((ask, self.shielded)) }.await;
        Ok((Failure::of(said.outcome)?, said.now))
    }

    /// Any request.
    pub async fn request(&self, request: Request) -> Result<Reply, Failure> {
        Ok(self.ask(Ask::Host(request)).await?.0)
    }

    /// A request whose reply is `Unit`.
    pub async fn act(&self, request: Request) -> Result<(), Failure> {
        self.request(request).await.map(|_| ())
    }

    /// One thing done to a domain.
    pub async fn domain(&self, domid: DomId, act: DomainAct) -> Result<(), Failure> {
        self.act(Request::Domain(domid, act)).await
    }

    /// A xenstore transaction; whether its guards held.
    pub async fn store(&self, batch: Batch) -> Result<bool, Failure> {
        Ok(self.request(Request::Store(batch)).await? != Reply::GuardFailed)
    }

    /// Questions to xenstore, all at one moment.
    pub async fn read(&self, queries: Vec<Query>) -> Result<Vec<Found>, Failure> {
        match self.request(Request::Read(queries)).await? {
            Reply::Found(found) => Ok(found),
            other => Err(wrong("read", &other)),
        }
    }

    /// One xenstore value.
    pub async fn value(&self, path: impl Into<String>) -> Result<Option<String>, Failure> {
        match self.read(vec![Query::Value(path.into())]).await?.pop() {
            Some(Found::Value(value)) => Ok(value),
            _ => Err(wrong("read", &Reply::Unit)),
        }
    }

    /// Wait at most `nanoseconds` from now. Which condition held, and its process's state.
    pub async fn wait(
        &self,
        any: Vec<crate::host::Condition>,
        nanoseconds: u64,
    ) -> Result<(Option<usize>, Process), Failure> {
        let now = self.now().await?;
        let until = now.mono.saturating_add(nanoseconds);
        match self.request(Request::Wait(Wait { any, until })).await? {
            Reply::Held(which, process) => Ok((which.map(|i| i as usize), process.unwrap_or_default())),
            other => Err(wrong("wait", &other)),
        }
    }

    /// The time, as of the machine's last input.
    pub async fn now(&self) -> Result<Now, Failure> {
        Ok(self.ask(Ask::Progress(0)).await?.1)
    }

    /// Domains of a VM: those with its handle, and its tombstones.
    pub async fn find_domains(&self, vm: Uuid) -> Result<Vec<DomainInfo>, Failure> {
        match self.request(Request::FindDomains(vm)).await? {
            Reply::Domains(domains) => Ok(domains),
            other => Err(wrong("find domains", &other)),
        }
    }

    /// A storage call that answers nothing.
    pub async fn storage(&self, call: StorageCall) -> Result<(), Failure> {
        self.act(Request::Storage(call)).await
    }

    /// Attach a disk through the storage service.
    pub async fn attach(&self, call: StorageCall) -> Result<Attached, Failure> {
        match self.request(Request::Storage(call)).await? {
            Reply::Attached(attached) => Ok(attached),
            other => Err(wrong("attach", &other)),
        }
    }

    /// A record of this VM, durably.
    pub async fn change(&self, change: Change) -> Result<(), Failure> {
        self.ask(Ask::Record(change)).await.map(|_| ())
    }

    /// Pass the point of no return.
    pub async fn commit(&self) -> Result<(), Failure> {
        self.ask(Ask::Commit).await.map(|_| ())
    }

    /// A number for a process or stream to be.
    pub async fn handle(&self) -> Result<Handle, Failure> {
        match self.ask(Ask::Handle).await?.0 {
            Reply::Number(n) => Ok(Handle(n)),
            other => Err(wrong("handle", &other)),
        }
    }

    /// A fresh UUID, as text.
    pub async fn uuid(&self) -> Result<String, Failure> {
        match self.ask(Ask::Uuid).await?.0 {
            Reply::Text(text) => Ok(text),
            other => Err(wrong("uuid", &other)),
        }
    }

    /// Say how much of the micro-op is done, in thousandths.
    pub async fn progress(&self, thousandths: u32) -> Result<(), Failure> {
        self.ask(Ask::Progress(thousandths)).await.map(|_| ())
    }

    /// Go on as another micro-op; never answers.
    pub async fn become_op(&self, next: MicroOp) -> Result<super::Product, Failure> {
        self.ask(Ask::Become(Box::new(next))).await.map(|_| super::Product::Nothing)
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

struct Question<'a> {
    line: &'a Mutex<Line>,
    ask: Option<(Ask, bool)>,
}

impl Future for Question<'_> {
    type Output = Said;

    fn poll(mut self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<Said> {
        let ask = self.ask.take();
        let mut line = self.line.lock().expect("nothing panics while it holds the line");
        if let Some((ask, shielded)) = ask {
            assert!(matches!(*line, Line::Idle), "a procedure has one request in flight");
            *line = Line::Asked(ask, shielded);
            return Poll::Pending;
        }
        match std::mem::replace(&mut *line, Line::Idle) {
            Line::Said(said) => Poll::Ready(said),
            _ => unreachable!("a procedure is polled only when its answer is there"),
        }
    }
}
