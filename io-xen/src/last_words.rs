//! Work whose panic does not end the daemon at once: whoever asks for it has a word to say before.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static HEARD: Cell<bool> = const { Cell::new(false) };
}

/// What the work comes to; nothing if it panics. Then it is the caller's to end the daemon.
pub fn heard<T>(work: impl FnOnce() -> T) -> Option<T> {
    HEARD.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    HEARD.set(false);
    result.ok()
}

/// Whether a panic of this thread is somebody's to hear of.
pub fn is_heard() -> bool {
    HEARD.get()
}
