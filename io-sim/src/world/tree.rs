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
    children: Vec<(Box<str>, Id)>,
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
        let children = &self.node(id).children;
        children.binary_search_by(|(other, _)| (**other).cmp(name)).ok().map(|at| children[at].1)
    }

    /// A child by name; made, but not present, where it is missing.
    pub(super) fn step(&mut self, id: Id, name: &str) -> Id {
        match self.node(id).children.binary_search_by(|(other, _)| (**other).cmp(name)) {
            Ok(at) => self.node(id).children[at].1,
            Err(at) => {
                let child = self.make(id);
                self.node_mut(id).children.insert(at, (name.into(), child));
                child
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
        self.node(id)
            .children
            .iter()
            .filter(|(_, child)| self.node(*child).present)
            .map(|(name, child)| (&**name, *child))
    }

    /// All that stand below a node, present or not.
    pub(super) fn below(&self, id: Id) -> impl Iterator<Item = Id> {
        self.node(id).children.iter().map(|(_, child)| *child)
    }

    /// Give back a node that is not present, that nobody is interested in and that has no children, and such parents.
    pub(super) fn prune(&mut self, mut id: Id) {
        while id != ROOT {
            let node = self.node(id);
            if node.present || !node.interests.is_empty() || !node.children.is_empty() {
                return;
            }
            let parent = node.parent;
            self.node_mut(parent).children.retain(|(_, child)| *child != id);
            self.free.push(id);
            id = parent;
        }
    }

    /// Give back what `prune` would, of the whole subtree below and at a node.
    pub(super) fn prune_below(&mut self, id: Id) {
        let mut children = std::mem::take(&mut self.node_mut(id).children);
        children.retain(|(_, child)| {
            self.prune_below(*child);
            let node = self.node(*child);
            let keep = node.present || !node.interests.is_empty() || !node.children.is_empty();
            if !keep {
                self.free.push(*child);
            }
            keep
        });
        self.node_mut(id).children = children;
    }
}

/// A path's parts; of `/` none.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    path[1..].split('/').filter(|name| !name.is_empty())
}

/// Whether xenstored takes this path.
pub(super) fn valid(path: &str) -> bool {
    const LONGEST: usize = 3072;
    let bytes = path.as_bytes();
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'@' | b'-');
    bytes.first() == Some(&b'/')
        && bytes.len() <= LONGEST
        && bytes.iter().all(fine)
        && (bytes.len() == 1 || bytes.last() != Some(&b'/'))
        && !bytes.windows(2).any(|pair| pair == b"//")
}
