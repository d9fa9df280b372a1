//! From an operation to its plan.
