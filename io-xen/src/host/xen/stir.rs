//! Tells any number of listeners that something has changed.

use crate::bell::Bell;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// A source of changes. A listener is its bell; one that was dropped is forgotten.
#[derive(Debug, Default)]
pub struct Stir {
    listeners: RefCell<Vec<Weak<Bell>>>,
}

impl Stir {
    /// Rings this bell at each change from now on, for as long as somebody holds it.
    pub fn listen(&self, bell: &Rc<Bell>) {
        let mut listeners = self.listeners.borrow_mut();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Rc::downgrade(bell));
    }

    /// Something has changed.
    pub fn stir(&self) {
        for listener in self.listeners.borrow().iter() {
            if let Some(bell) = listener.upgrade() {
                bell.ring();
            }
        }
    }
}
