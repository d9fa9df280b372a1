//! Hashing of states that an explorer compares: names that mean nothing by themselves are left to the hasher.

use std::fmt::Debug;
use std::hash::Hasher;
use std::sync::Arc;

/// A hasher that takes names (domains, moments, identities) for what they stand for, however they are written.
pub trait Canonical: Hasher + Clone {
    /// A value that is seldom another one: it is hashed once.
    fn shared<T: Debug + Send + Sync + 'static>(&mut self, content: &Arc<T>);

    /// A value of which only its text in a debugger tells all.
    fn debug(&mut self, value: &dyn Debug);

    /// Parts in no order.
    fn unordered<T>(&mut self, parts: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        let (mut sum, mut count) = (0_u64, 0_u64);
        for part in parts {
            let mut hash = self.clone();
            each(&mut hash, part);
            sum = sum.wrapping_add(hash.finish());
            count += 1;
        }
        self.write_u64(sum);
        self.write_u64(count);
    }
}
