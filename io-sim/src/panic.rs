//! A panic of the machine is a rule that was broken: it is caught, with its text and place.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on panics are not printed; whoever catches one tells of it.
pub fn keep_quiet() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        LAST.with(|last| *last.borrow_mut() = place);
    }));
}

/// What a piece of work came to, or what its panic said.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    LAST.with(|last| last.borrow_mut().clear());
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => payload.downcast_ref::<&str>().map_or_else(|| "panic".to_owned(), |text| (*text).to_owned()),
        };
        text + &LAST.with(|last| last.borrow().clone())
    })
}
