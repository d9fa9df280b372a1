//! A call as both encodings carry it, before its method is known.

use crate::interface::Value;

/// A method's name and its parameters, by position; named ones are one dictionary.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// The method's name as sent.
    pub(super) method: String,
    /// The parameters as sent.
    pub(super) params: Vec<Value>,
}
