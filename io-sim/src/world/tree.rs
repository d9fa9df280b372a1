//! The nodes of the simulated xenstore: an arena of nodes, some of which only mark what somebody waits for.

use std::sync::Arc;
use xenops_core::host::{Perms, Token};

/// A node's place in the arena.
pub(super) type Id = u32;

/// `/`.
pub(super) const ROOT: Id = 0;

/// Who is told when a node changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// A watch: told of changes of the node and of all below it.
    Token(Token),
    /// A waiting effect: told of changes of the node only.
    Wait(u64),
}

/// A node. One that is not `present` does not exist for anybody; it stands for somebody's interest in its path.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) present: bool,
    pub(super) value: String,
    pub(super) perms: Arc<Perms>,
    pub(super) interests: Vec<Interest>,
    parent: Id,
    children: Vec<Child>,
}

/// A name, with its beginning beside it as a number: most comparisons end there.
#[derive(Clone, Debug)]
struct Child {
    beginning: u64,
    name: Box<str>,
    id: Id,
}

/// All nodes.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<Id>,
    nobody: Arc<Perms>,
}

impl Tree {
    /// Only the root, which everybody may see and nobody but dom0 may touch.
    pub(super) fn new() -> Tree {
        let nobody = Arc::new(Perms::dom0());
        let mut tree = Tree { nodes: Vec::new(), free: Vec::new(), nobody };
        tree.make(ROOT);
        tree.nodes[0].present = true;
        tree
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    fn make(&mut self, parent: Id) -> Id {
        let node = Node {
            present: false,
            value: String::new(),
            perms: self.nobody.clone(),
            interests: Vec::new(),
            parent,
            children: Vec::new(),
        };
        match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as Id
            }
        }
    }

    /// A child by name, present or not.
    pub(super) fn child(&self, id: Id, name: &str) -> Option<Id> {
        self.search(id, name).ok().map(|at| self.node(id).children[at].id)
    }

    fn search(&self, id: Id, name: &str) -> Result<usize, usize> {
        let first = beginning(name);
        let children = &self.node(id).children;
        children.binary_search_by(|other| other.beginning.cmp(&first).then_with(|| (*other.name).cmp(name)))
    }

    /// A child by name; made, but not present, where it is missing.
    pub(super) fn step(&mut self, id: Id, name: &str) -> Id {
        match self.search(id, name) {
            Ok(at) => self.node(id).children[at].id,
            Err(at) => {
                let made = self.make(id);
                let child = Child { beginning: beginning(name), name: name.into(), id: made };
                self.node_mut(id).children.insert(at, child);
                made
            }
        }
    }

    /// A node by path, if it is present.
    pub(super) fn find(&self, path: &str) -> Option<Id> {
        let mut id = ROOT;
        for name in names(path) {
            id = self.child(id, name)?;
        }
        self.node(id).present.then_some(id)
    }

    /// A node by path; made, but not present, where it is missing.
    pub(super) fn reach(&mut self, path: &str) -> Id {
        names(path).fold(ROOT, |id, name| self.step(id, name))
    }

    /// Children that are present, by name.
    pub(super) fn children(&self, id: Id) -> impl Iterator<Item = (&str, Id)> {
        let children = self.node(id).children.iter();
        children.filter(|child| self.node(child.id).present).map(|child| (&*child.name, child.id))
    }

    /// All that stand below a node, present or not.
    pub(super) fn below(&self, id: Id) -> impl Iterator<Item = Id> {
        self.node(id).children.iter().map(|child| child.id)
    }

    /// Give back a node that is not present, that nobody is interested in and that has no children, and such parents.
    pub(super) fn prune(&mut self, mut id: Id) {
        while id != ROOT {
            let node = self.node(id);
            if node.present || !node.interests.is_empty() || !node.children.is_empty() {
                return;
            }
            let parent = node.parent;
            self.node_mut(parent).children.retain(|child| child.id != id);
            self.free.push(id);
            id = parent;
        }
    }

    /// Give back what `prune` would, of the whole subtree below and at a node.
    pub(super) fn prune_below(&mut self, id: Id) {
        let mut children = std::mem::take(&mut self.node_mut(id).children);
        children.retain(|child| {
            self.prune_below(child.id);
            let node = self.node(child.id);
            let keep = node.present || !node.interests.is_empty() || !node.children.is_empty();
            if !keep {
                self.free.push(child.id);
            }
            keep
        });
        self.node_mut(id).children = children;
    }
}

/// The first eight bytes; names have no zero bytes, so that numbers and names have the same order.
fn beginning(name: &str) -> u64 {
    let mut first = [0; 8];
    let length = name.len().min(8);
    first[..length].copy_from_slice(&name.as_bytes()[..length]);
    u64::from_be_bytes(first)
}

/// A path's parts; of `/` none.
pub(super) fn names(path: &str) -> Names<'_> {
    Names { rest: path.get(1..).unwrap_or_default() }
}

/// See [`names`].
pub(super) struct Names<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        // Names are short: a plain loop finds their ends sooner than a search built for long texts.
        let end = self.rest.bytes().position(|byte| byte == b'/');
        let (name, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, ""),
        };
        self.rest = rest;
        Some(name)
    }
}

/// Whether xenstored takes this path.
pub(super) fn valid(path: &str) -> bool {
    const LONGEST: usize = 3072;
    let bytes = path.as_bytes();
    let mut before = 0;
    for byte in bytes {
        let fine = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'-');
        if !fine && (*byte != b'/' || before == b'/') {
            return false;
        }
        before = *byte;
    }
    bytes.first() == Some(&b'/') && bytes.len() <= LONGEST && (bytes.len() == 1 || before != b'/')
}
