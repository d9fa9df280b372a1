//! Nodes found below a path of xenstore: one text for all of them, shared by everybody who keeps them.

use super::Canonical;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Paths relative to where the search began, and values, in order: a node, then all below it, then its next sibling.
#[derive(Clone, Default)]
pub struct Nodes {
    found: Option<Arc<Listing>>,
    from: usize,
    to: usize,
    /// Bytes of each path that are not shown: what all of them begin with.
    skip: usize,
}

/// Nodes as they are found.
#[derive(Debug, Default)]
pub struct Listing {
    text: String,
    /// Where each path ends in the text, and where its value does.
    ends: Vec<(usize, usize)>,
}

impl Listing {
    /// One more node.
    pub fn push(&mut self, path: &str, value: &str) {
        self.text.push_str(path);
        let end = self.text.len();
        self.text.push_str(value);
        self.ends.push((end, self.text.len()));
    }

    /// One more node, by its path below another.
    pub fn push_below(&mut self, root: &str, path: &str, value: &str) {
        self.text.push_str(root);
        self.text.push('/');
        self.push(path, value);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Paths and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len()).map(|at| self.node(at))
    }

    fn begin(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.ends[before].1)
    }

    fn node(&self, at: usize) -> (&str, &str) {
        let (path, value) = self.ends[at];
        (&self.text[self.begin(at)..path], &self.text[path..value])
    }

    /// A path from its nth byte on. Searches compare bytes: they need not know where characters begin.
    fn path(&self, at: usize, skip: usize) -> &[u8] {
        &self.text.as_bytes()[self.begin(at) + skip..self.ends[at].0]
    }
}

impl Nodes {
    /// All of them in a hash, which is made once for all who keep them. Parts of a listing differ from whole ones.
    pub fn fingerprint<H: Canonical>(&self, hash: &mut H) {
        (self.from, self.to, self.skip).hash(hash);
        self.found.iter().for_each(|found| hash.listing(found));
    }

    /// Paths and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let node = |at| self.found.as_ref().map(|found| found.node(at));
        (self.from..self.to).filter_map(node).map(|(path, value)| (&path[self.skip..], value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// A node's value.
    pub fn get(&self, path: &str) -> Option<&str> {
        let found = self.found.as_ref()?;
        let at = (self.from..self.to).find(|at| found.path(*at, self.skip) == path.as_bytes())?;
        Some(found.node(at).1)
    }

    /// Those whose paths begin with this, without it.
    pub fn below(&self, prefix: &str) -> Nodes {
        let Some(found) = &self.found else { return Nodes::default() };
        let is_inside = |at: &usize| found.path(*at, self.skip).starts_with(prefix.as_bytes());
        let from = (self.from..self.to).find(is_inside).unwrap_or(self.to);
        let to = (from..self.to).find(|at| !is_inside(at)).unwrap_or(self.to);
        Nodes { found: Some(found.clone()), from, to, skip: self.skip + prefix.len() }
    }
}

impl From<Listing> for Nodes {
    fn from(found: Listing) -> Nodes {
        let to = found.len();
        Nodes { found: (to > 0).then(|| Arc::new(found)), from: 0, to, skip: 0 }
    }
}

impl<P: AsRef<str>, V: AsRef<str>> FromIterator<(P, V)> for Nodes {
    fn from_iter<I: IntoIterator<Item = (P, V)>>(nodes: I) -> Nodes {
        let mut found = Listing::default();
        nodes.into_iter().for_each(|(path, value)| found.push(path.as_ref(), value.as_ref()));
        found.into()
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Nodes {
    fn eq(&self, other: &Nodes) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Nodes {}

impl Hash for Nodes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.to - self.from).hash(state);
        self.iter().for_each(|node| node.hash(state));
    }
}

impl Serialize for Nodes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Nodes, D::Error> {
        Vec::<(String, String)>::deserialize(deserializer).map(Nodes::from_iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::hash::Fingerprint;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nodes_are_their_paths_and_values(pairs in prop::collection::vec(("[a-c/]{0,4}", "[x-z]{0,3}"), 0..12)) {
            let nodes: Nodes = pairs.iter().cloned().collect();
            let shown: Vec<_> = nodes.iter().map(|(path, value)| (path.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(&shown, &pairs);
            prop_assert_eq!(nodes.is_empty(), pairs.is_empty());
            let text = serde_json::to_string(&pairs).unwrap();
            prop_assert_eq!(serde_json::to_string(&nodes).unwrap(), text.clone());
            prop_assert_eq!(&serde_json::from_str::<Nodes>(&text).unwrap(), &nodes);
            prop_assert_eq!(Fingerprint::of(&nodes), Fingerprint::of(&pairs));
        }

        #[test]
        fn below_is_a_filter_of_what_is_in_order(
            paths in prop::collection::btree_set("[a-b](/[a-b]){0,3}", 0..12),
            prefixes in prop::collection::vec("[a-b]/", 1..3),
        ) {
            let mut nodes: Nodes = paths.iter().map(|path| (path, path)).collect();
            let mut expected: Vec<&str> = paths.iter().map(String::as_str).collect();
            for prefix in prefixes {
                nodes = nodes.below(&prefix);
                expected = expected.iter().filter_map(|path| path.strip_prefix(&*prefix)).collect();
                prop_assert_eq!(nodes.iter().map(|(path, _)| path).collect::<Vec<_>>(), expected.clone());
                for path in &expected {
                    prop_assert!(nodes.get(path).unwrap().ends_with(path));
                }
            }
        }
    }
}
