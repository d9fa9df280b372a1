//! A micro-op in progress: a value that can be copied, compared and stepped.

use super::line::{Ask, Host, Line, Said};
use super::{Context, Failure, MicroOp, Product, xc};
use crate::host::hash::Fingerprint;
use crate::host::{Canonical, Now};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// Longest history of one procedure; a loop must end its turns with `Become`.
const MOST_REPLIES: usize = 64;

type Body = Pin<Box<dyn Future<Output = Result<Product, Failure>> + Send>>;

/// What a step came to.
#[derive(Debug)]
pub enum Stepped {
    /// It asks, and waits for the answer. The flag: cancellation may not answer this one.
    Asks(Ask, bool),
    /// It is over.
    Over(Result<Product, Failure>),
}

/// A micro-op and the answers it has had. The future is a cache: a copy, and what is read back, rebuilds it by replay.
#[derive(Serialize, Deserialize)]
pub struct Procedure {
    op: MicroOp,
    context: Arc<Context>,
    started: Now,
    history: Vec<(u64, Said)>,
    #[serde(skip)]
    live: Option<Live>,
}

struct Live {
    line: Arc<Mutex<Line>>,
    body: Body,
    /// Fingerprint of the question that waits for its answer.
    open: u64,
}

impl Procedure {
    /// A micro-op that has not been stepped.
    pub fn new(op: MicroOp, context: Arc<Context>, started: Now) -> Procedure {
        Procedure { op, context, started, history: Vec::new(), live: None }
    }

    /// What it does.
    pub fn op(&self) -> &MicroOp {
        &self.op
    }

    /// How many answers it has had.
    pub fn replies(&self) -> usize {
        self.history.len()
    }

    /// Its state in a hash: what it does and the answers that it has had; when those came does not matter any more.
    pub fn fingerprint<H: Canonical>(&self, hash: &mut H) {
        let Procedure { op, context, started, history, live: _ } = self;
        op.hash(hash);
        (context.id, context.domid, context.straggles, started.mono, history.len()).hash(hash);
        context.extra.iter().for_each(|extra| hash.shared(extra));
        // A drawn identity means nothing, and depends on what other VMs have drawn before.
        let drawn = Fingerprint::of(&Ask::Uuid);
        for (_, said) in history.iter().filter(|(asked, _)| *asked != drawn) {
            said.outcome.fingerprint(hash);
        }
    }

    /// Begin: run to the first question.
    pub fn begin(&mut self) -> Stepped {
        assert!(self.history.is_empty() && self.live.is_none(), "a procedure begins once");
        let (live, stepped) = self.fresh();
        self.keep(live, &stepped);
        stepped
    }

    /// Answer the open question and run to the next.
    pub fn answer(&mut self, said: Said) -> Stepped {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.replay(),
        };
        // The machine never lets a live procedure grow past its bound: its state is its history.
        assert!(self.history.len() < MOST_REPLIES, "{:?} asked too often without become", self.op);
        self.history.push((live.open, said.clone()));
        let stepped = poll(&mut live, said);
        self.keep(live, &stepped);
        stepped
    }

    fn keep(&mut self, live: Live, stepped: &Stepped) {
        self.live = matches!(stepped, Stepped::Asks(..)).then_some(live);
    }

    fn fresh(&self) -> (Live, Stepped) {
        let line = Arc::new(Mutex::new(Line::Idle));
        let host = Host::new(line.clone(), self.context.clone(), self.started);
        let mut live = Live { line, body: xc::run(self.op.clone(), host), open: 0 };
        let stepped = run(&mut live);
        (live, stepped)
    }

    fn replay(&self) -> Live {
        let (mut live, _) = self.fresh();
        for (asked, said) in &self.history {
            assert_eq!(*asked, live.open, "a replayed {:?} asks what it asked before", self.op);
            poll(&mut live, said.clone());
        }
        live
    }
}

fn poll(live: &mut Live, said: Said) -> Stepped {
    *live.line.lock().expect("nothing panics while it holds the line") = Line::Said(said);
    run(live)
}

fn run(live: &mut Live) -> Stepped {
    match live.body.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Stepped::Over(result),
        Poll::Pending => {
            let mut line = live.line.lock().expect("nothing panics while it holds the line");
            match std::mem::replace(&mut *line, Line::Idle) {
                Line::Asked(ask, shielded) => {
                    live.open = Fingerprint::of(&ask);
                    Stepped::Asks(ask, shielded)
                }
                _ => unreachable!("a procedure awaits only its host"),
            }
        }
    }
}

impl Clone for Procedure {
    fn clone(&self) -> Procedure {
        Procedure {
            op: self.op.clone(),
            context: self.context.clone(),
            started: self.started,
            history: self.history.clone(),
            live: None,
        }
    }
}

impl std::fmt::Debug for Procedure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} after {} replies", self.op, self.history.len())
    }
}
