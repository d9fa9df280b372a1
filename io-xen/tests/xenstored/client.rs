//! The client on the real thing.
