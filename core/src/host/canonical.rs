//! Hashing of states that an explorer compares: names that mean nothing by themselves are left to the hasher.

use super::nodes::Listing;
use std::fmt::Debug;
use std::hash::Hasher;
use std::sync::Arc;

/// A hasher that takes names (domains, moments, identities) for what they stand for, however they are written.
pub trait Canonical: Hasher {
    /// A value that is seldom another one: it is hashed once.
    fn shared<T: Debug + Send + Sync + 'static>(&mut self, content: &Arc<T>);

    /// The same of nodes.
    fn listing(&mut self, content: &Arc<Listing>);

    /// A value of which only its text in a debugger tells all.
    fn debug(&mut self, value: &dyn Debug);

    /// Parts in no order, each by itself.
    fn unordered<T>(&mut self, parts: impl IntoIterator<Item = T>, each: impl FnMut(&mut Self, T));
}
