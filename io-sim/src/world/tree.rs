//! The nodes of the simulated xenstore: an arena of nodes, some of which only mark what somebody waits for.

use super::rights::Seat;
use crate::canon::{Digest, Sums};
use crate::shared::Shared;
use hashbrown::HashTable;
use std::cmp::Ordering;
use std::hash::Hasher;
use std::sync::OnceLock;
use xenops_core::host::Token;
use xenops_core::host::hash::Fingerprint;

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

/// A node. One without permissions does not exist for anybody; it stands for somebody's interest in its path.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    path: String,
    /// Where in its path its name begins.
    name: usize,
    /// Of its path.
    hash: u64,
    pub(super) parent: Id,
    /// Its permissions.
    pub(super) seat: Option<Seat>,
    pub(super) value: String,
    pub(super) interests: Vec<Interest>,
    children: Vec<Child>,
    /// Its text's, for who compares states; of the node as it is now.
    digest: OnceLock<Digest>,
}

impl Node {
    /// Its digest, made when it is asked for first.
    pub(super) fn digest(&self, make: impl FnOnce() -> Digest) -> &Digest {
        self.digest.get_or_init(make)
    }

    /// All names from the root on.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The last of them; of the root none.
    pub(super) fn name(&self) -> &str {
        &self.path[self.name..]
    }

    /// Whether it exists.
    pub(super) fn is_present(&self) -> bool {
        self.seat.is_some()
    }

    /// Whether anybody needs it.
    fn is_of_use(&self) -> bool {
        self.is_present() || !self.interests.is_empty() || !self.children.is_empty()
    }
}

/// A child, with the beginning of its name beside it as a number: most comparisons end there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    beginning: u64,
    pub(super) id: Id,
}

/// All nodes. Each is found by its path at once, and from there by its parent and its children.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Shared<Node>>,
    free: Vec<Id>,
    index: HashTable<Id>,
    /// Of all nodes as they are now, for who compares states.
    sums: OnceLock<Sums>,
}

impl Tree {
    /// Only the root.
    pub(super) fn new() -> Tree {
        let mut tree = Tree { nodes: Vec::new(), free: Vec::new(), index: HashTable::new(), sums: OnceLock::new() };
        tree.place("/", hash("/"), ROOT);
        tree
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        self.sums.take();
        let node = &mut *self.nodes[id as usize];
        node.digest.take();
        node
    }

    /// The sums of all nodes' digests, which `digest` makes where there are none.
    pub(super) fn sums(&self, digest: impl Fn(&Node) -> Digest) -> &Sums {
        self.sums.get_or_init(|| self.all().map(|(_, node)| node.digest(|| digest(node))).collect())
    }

    /// A node by path, if it is present.
    pub(super) fn find(&self, path: &str) -> Option<Id> {
        self.look(path, hash(path)).filter(|id| self.node(*id).is_present())
    }

    fn look(&self, path: &str, hash: u64) -> Option<Id> {
        self.index.find(hash, |id| self.node(*id).path == path).copied()
    }

    /// A node by path; made, but not present, where it is missing.
    pub(super) fn reach(&mut self, path: &str) -> Id {
        let hash = hash(path);
        if let Some(id) = self.look(path, hash) {
            return id;
        }
        let parent = self.reach(above(path));
        let id = self.place(path, hash, parent);
        let name = self.node(id).name();
        let child = Child { beginning: beginning(name), id };
        let at = self.search(parent, name).unwrap_or_else(|at| at);
        self.node_mut(parent).children.insert(at, child);
        id
    }

    fn place(&mut self, path: &str, hash: u64, parent: Id) -> Id {
        // What a node that was freed had room for it still has; all else of it was given up.
        let id = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Shared::default());
            (self.nodes.len() - 1) as Id
        });
        let node = self.node_mut(id);
        node.path.push_str(path);
        (node.name, node.hash, node.parent) = (slash(path) + 1, hash, parent);
        self.index.insert_unique(hash, id, |id| self.nodes[*id as usize].hash);
        id
    }

    fn free(&mut self, id: Id) {
        if let Ok(entry) = self.index.find_entry(self.node(id).hash, |other| *other == id) {
            entry.remove();
        }
        self.node_mut(id).path.clear();
        self.free.push(id);
    }

    /// Where among its parent's children a name is, or would be.
    fn search(&self, parent: Id, name: &str) -> Result<usize, usize> {
        let first = beginning(name);
        let by_name = |child: &Child| match child.beginning.cmp(&first) {
            Ordering::Equal => self.node(child.id).name().cmp(name),
            unequal => unequal,
        };
        self.node(parent).children.binary_search_by(by_name)
    }

    /// Children that are present, by name.
    pub(super) fn children(&self, id: Id) -> impl Iterator<Item = (Id, &Node)> {
        let children = self.node(id).children.iter().map(|child| (child.id, self.node(child.id)));
        children.filter(|(_, node)| node.is_present())
    }

    /// All nodes, present or not.
    pub(super) fn all(&self) -> impl Iterator<Item = (Id, &Node)> {
        self.index.iter().map(|id| (*id, self.node(*id)))
    }

    /// Give back a node that is of no use, and such parents.
    pub(super) fn prune(&mut self, mut id: Id) {
        while id != ROOT && !self.node(id).is_of_use() {
            let parent = self.node(id).parent;
            if let Ok(at) = self.search(parent, self.node(id).name()) {
                self.node_mut(parent).children.remove(at);
            }
            self.free(id);
            id = parent;
        }
    }

    /// A node's children, to be given back by `keep_children` when they have been looked at.
    pub(super) fn take_children(&mut self, id: Id) -> Vec<Child> {
        std::mem::take(&mut self.node_mut(id).children)
    }

    /// The children that are left, without those that `prune` would give back.
    pub(super) fn keep_children(&mut self, id: Id, mut children: Vec<Child>) {
        children.retain(|child| {
            let keep = self.node(child.id).is_of_use();
            if !keep {
                self.free(child.id);
            }
            keep
        });
        self.node_mut(id).children = children;
    }
}

fn hash(path: &str) -> u64 {
    let mut hash = Fingerprint::new();
    hash.write(path.as_bytes());
    hash.finish()
}

/// The first eight bytes; names have no zero bytes, so that numbers and names have the same order.
fn beginning(name: &str) -> u64 {
    let mut first = [0; 8];
    let length = name.len().min(8);
    first[..length].copy_from_slice(&name.as_bytes()[..length]);
    u64::from_be_bytes(first)
}

/// The path of a node's parent; of `/` itself.
pub(super) fn above(path: &str) -> &str {
    &path[..slash(path).max(1)]
}

/// Where a path's last slash is. Names are short: a plain loop finds it sooner than a search built for long texts.
fn slash(path: &str) -> usize {
    path.bytes().rposition(|byte| byte == b'/').unwrap_or(0)
}

/// Whether xenstored takes this path.
pub(super) fn valid(path: &str) -> bool {
    const LONGEST: usize = 3072;
    let fine =
        |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'/') | (byte == b'_') | (byte == b'@');
    let (bytes, rest) = (path.as_bytes(), path.as_bytes().get(1..).unwrap_or_default());
    // Without early ends, for whole words at once.
    let wrong = bytes.iter().fold(0, |wrong, byte| wrong | u8::from(!fine(*byte)));
    let empty = bytes.iter().zip(rest).fold(0, |empty, (a, b)| empty | u8::from((*a == b'/') & (*b == b'/')));
    bytes.first() == Some(&b'/')
        && bytes.len() <= LONGEST
        && wrong | empty == 0
        && (rest.is_empty() || !rest.ends_with(b"/"))
}
