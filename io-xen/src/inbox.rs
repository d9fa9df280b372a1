//! What has come in for the machine and was not handled yet.

use crate::bell::Bell;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use xenops_core::host::{Fault, Outcome, Token};
use xenops_core::interface::Request;
use xenops_core::machine::{CallId, ClientId, EffectId};

/// Something that came in.
#[derive(Debug)]
pub enum Arrival {
    /// A client asks.
    Call(CallId, ClientId, Request),
    /// A client has gone.
    Hangup(ClientId),
    /// A request to the host has ended, in time or late.
    Answered(EffectId, Outcome),
    /// The host has seen something that is watched.
    Noticed(Token),
    /// The host may have missed something.
    Everything,
}

/// Arrivals in order, and a bell for whoever handles them.
#[derive(Debug, Default)]
pub struct Inbox {
    arrivals: RefCell<VecDeque<Arrival>>,
    attended: Cell<bool>,
    bell: Bell,
}

impl Inbox {
    /// Adds one.
    pub fn push(&self, arrival: Arrival) {
        self.arrivals.borrow_mut().push_back(arrival);
        if !self.attended.get() {
            self.bell.ring();
        }
    }

    /// Whether somebody is handling arrivals right now, and will look whether more have come: no bell is needed.
    pub fn attend(&self, attended: bool) {
        self.attended.set(attended);
    }

    /// Takes the first.
    pub fn pop(&self) -> Option<Arrival> {
        self.arrivals.borrow_mut().pop_front()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.arrivals.borrow().is_empty()
    }

    /// Rung when arrivals are left to be handled, and when the driver should look at its timers again.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }
}

/// The duty to answer one request to the host: kept by [`answer`](Self::answer), or, when it is dropped with
/// whatever held it, by saying that nobody knows.
#[derive(Debug)]
pub struct Promise {
    effect: EffectId,
    inbox: Rc<Inbox>,
    kept: Cell<bool>,
}

impl Promise {
    /// A promise for this effect.
    pub fn new(effect: EffectId, inbox: Rc<Inbox>) -> Promise {
        Promise { effect, inbox, kept: Cell::new(false) }
    }

    /// The effect to be answered.
    pub fn effect(&self) -> EffectId {
        self.effect
    }

    /// Keeps it.
    pub fn answer(self, outcome: Outcome) {
        self.kept.set(true);
        self.inbox.push(Arrival::Answered(self.effect, outcome));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept.get() {
            let outcome = Outcome::Unknown(Fault::Lost("the task of a request".to_owned()));
            self.inbox.push(Arrival::Answered(self.effect, outcome));
        }
    }
}
