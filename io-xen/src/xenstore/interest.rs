//! What a wait needs of xenstore: to be woken when one of some paths may have changed.

use super::error::Error;
use super::link::Link;
use super::watches::{Serial, Signal, Target};
use super::wire;
use std::rc::Rc;

/// Paths watched for as long as it lives. To wait for something of the store without polling:
///
/// ```text
/// let interest = store.interest(paths);
/// loop {
///     interest.changed().await?;                    // at once, the first time
///     let values = store.values(paths).await;       // an error while there is no connection: go on waiting
///     if values.is_ok_and(|values| wait.held(..)) { break }
/// }
/// ```
///
/// Nothing is missed: xenstored sends an event for the making of a watch, so that the first `changed` comes when
/// everything later will be told, and a bit that is set while somebody reads is still set afterwards. It is told too
/// after a reconnection, when everything may be different.
#[derive(Debug)]
pub struct Interest {
    link: Rc<Link>,
    signal: Rc<Signal>,
    serials: Vec<Serial>,
}

impl Interest {
    pub(super) fn new(link: Rc<Link>, paths: &[impl AsRef<str>], signal: Signal) -> Interest {
        let signal = Rc::new(signal);
        let mut watched: Vec<&str> = paths.iter().map(AsRef::as_ref).filter(|path| wire::is_path(path)).collect();
        watched.sort_unstable();
        watched.dedup();
        if watched.is_empty() {
            // Nothing will ever be told of what cannot be; the first look is due nonetheless.
            signal.bell.ring();
        }
        let serials = watched.into_iter().map(|path| link.watch_for(path, Target::Signal(signal.clone()))).collect();
        Interest { link, signal, serials }
    }

    /// Waits until something at or below one of the paths may have changed since it was waited for last. May be
    /// dropped at any moment: a change that was not told yet is told next time.
    pub async fn changed(&self) -> Result<(), Error> {
        self.signal.bell.heard().await;
        match self.signal.failure.borrow().clone() {
            Some(error) => {
                self.signal.bell.ring();
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Takes the names of what has changed, where it was made to keep them.
    pub(super) fn take_names(&self) -> Vec<Box<str>> {
        let names = self.signal.names.as_ref();
        names.map(|names| names.take().into_iter().collect()).unwrap_or_default()
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.serials.iter().for_each(|serial| self.link.unwatch(*serial));
    }
}
