//! A transaction: one view of the store, and changes that happen at once or not at all.

use super::connection::Request;
use super::error::Error;
use super::link::{Call, Epoch, Link, number};
use super::wire::Op;
use smol::Timer;
use std::rc::Rc;
use std::time::Duration;

/// How often a transaction is tried that meets others.
const ATTEMPTS: u32 = 12;
/// The longest pause between two attempts; the first is 1 ms, and each is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// An open transaction; ended without effect where it is dropped.
#[derive(Debug)]
pub(super) struct Transaction {
    link: Rc<Link>,
    epoch: Epoch,
    id: u32,
    open: bool,
}

impl Transaction {
    /// Begins one.
    pub(super) async fn begin(link: &Rc<Link>) -> Result<Transaction, Error> {
        let epoch = link.epoch();
        let answer = link.call(Request::new(Op::TransactionStart, &[""])).await?;
        let id = number(&answer).filter(|id| *id != 0).ok_or(Error::Answer("transaction"))?;
        Ok(Transaction { link: link.clone(), epoch, id, open: true })
    }

    /// Asks something within it.
    pub(super) fn call(&self, request: Request) -> Call {
        self.link.call_on(self.epoch, request.within(self.id))
    }

    /// Makes its changes happen, if nobody else has changed what it has seen. `Lost` is not to know whether they did.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        let call = self.call(Request::new(Op::TransactionEnd, &["T"]));
        self.open = false;
        call.await.map(drop)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.open {
            self.link.tell_on(self.epoch, Request::new(Op::TransactionEnd, &["F"]).within(self.id));
        }
    }
}

/// Tries what may conflict, with growing pauses; gives up with the last conflict.
pub(super) async fn retried<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut pause = Duration::from_millis(1);
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.is_conflict() => {}
            ended => return ended,
        }
        Timer::after(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    attempt().await
}
