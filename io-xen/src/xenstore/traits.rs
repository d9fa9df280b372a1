//! The same client through xenstore-rs's traits.
//!
//! Only the traits are taken from that crate: its own clients match answers by order, trim values, keep no raw bytes,
//! and its asynchronous one runs on tokio and stops reading while a watcher is slow.
//!
//! `LocalAsyncXsTransaction` cannot be offered: it requires `AsyncXs`, whose futures are `Send`, and a `Span: Xs`, whose
//! methods block; a transaction on a single-threaded executor is neither. Nor can `Xs`: it blocks the thread that
//! carries the answer. Batches, permissions, introductions and raw errors have no trait there; they are `Store`'s own.

use super::connection::Request;
use super::error::Error;
use super::find::{names, text};
use super::interest::Interest;
use super::store::Store;
use super::watches::Signal;
use super::wire::Op;
use smol::stream::Stream;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use xenstore_rs::{LocalAsyncWatch, LocalAsyncXs};

/// An error says by its kind what xenstore-rs's clients say by it; `downcast` gives ours.
impl LocalAsyncXs for Store {
    async fn directory(&self, path: &str) -> io::Result<Vec<Box<str>>> {
        let listing = self.link.call(Request::at(Op::Directory, path)?).await?;
        Ok(names(&listing).into_iter().map(String::into_boxed_str).collect())
    }

    async fn read(&self, path: &str) -> io::Result<Box<str>> {
        Ok(text(self.link.call(Request::at(Op::Read, path)?).await?).into())
    }

    async fn write(&self, path: &str, data: &str) -> io::Result<()> {
        Ok(self.link.call(Request::with(Op::Write, path, data.as_bytes())?).await.map(drop)?)
    }

    async fn rm(&self, path: &str) -> io::Result<()> {
        Ok(self.link.call(Request::at(Op::Rm, path)?).await.map(drop)?)
    }
}

/// A stream of changed paths, the watched one first; one that changes several times before it is taken comes once. It
/// ends where xenstored refuses the watch, and unwatches when it is dropped.
impl LocalAsyncWatch for Store {
    async fn watch(&self, path: &str) -> io::Result<impl Stream<Item = Box<str>> + Unpin + 'static> {
        Request::at(Op::Watch, path)?;
        let signal = Signal { names: Some(RefCell::default()), ..Signal::default() };
        let interest = Interest::new(self.link.clone(), &[path], signal);
        let state = (interest, VecDeque::new());
        Ok(Box::pin(smol::stream::unfold(state, async |(interest, mut names)| {
            while names.is_empty() {
                let changed: Result<(), Error> = interest.changed().await;
                changed.ok()?;
                names.extend(interest.take_names());
            }
            Some((names.pop_front()?, (interest, names)))
        })))
    }
}
