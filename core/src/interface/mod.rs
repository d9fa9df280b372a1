//! What clients say: types, calls, errors and defaults of upstream's interface.

pub mod value;

pub use value::Value;
