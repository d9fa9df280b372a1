//! A bell: rung by any task of this thread, heard once by the one task that listens.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Rung before it is listened for, it is heard at once; rung twice, it is heard once.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Cell<bool>,
    listener: RefCell<Option<Waker>>,
}

impl Bell {
    /// Rings it.
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(listener) = self.listener.take() {
            listener.wake();
        }
    }

    /// Forgets that it rang.
    pub fn hush(&self) {
        self.rung.set(false);
    }

    /// Listens until it rings.
    pub async fn heard(&self) {
        poll_fn(|context| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            let mut listener = self.listener.borrow_mut();
            if !listener.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *listener = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}
