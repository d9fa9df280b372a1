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
pub(super) struct Child {
    beginning: u64,
    name: Name,
    pub(super) id: Id,
}

/// A node's name; most are short and stand in place.
#[derive(Clone, Debug)]
enum Name {
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

const SHORT: usize = 15;

impl Name {
    fn new(name: &str) -> Name {
        if name.len() > SHORT {
            return Name::Long(name.into());
        }
        let mut bytes = [0; SHORT];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Name::Short(name.len() as u8, bytes)
    }

    fn text(&self) -> &str {
        match self {
            Name::Short(length, bytes) => {
                std::str::from_utf8(&bytes[..usize::from(*length)]).expect("it was made of a text")
            }
            Name::Long(name) => name,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Name::Short(length, bytes) => &bytes[..usize::from(*length)],
            Name::Long(name) => name.as_bytes(),
        }
    }
}

/// All nodes.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<Id>,
    nobody: Arc<Perms>,
    trail: Trail,
}

/// The last path that was reached, and its nodes: where each name ends, and which node it is. Paths that come one
/// after the other mostly begin alike, and are found from where they part.
#[derive(Clone, Debug, Default)]
struct Trail {
    path: String,
    nodes: Vec<(usize, Id)>,
}

impl Trail {
    /// How many of its nodes stand on this path too.
    fn shared(&self, path: &str) -> usize {
        let common = common(self.path.as_bytes(), path.as_bytes());
        let on_path =
            |(end, _): &&(usize, Id)| *end <= common && matches!(path.as_bytes().get(*end), None | Some(b'/'));
        let mut shared = self.nodes.partition_point(|(end, _)| *end <= common);
        // Only the last name within what is common may go on differently.
        if shared > 0 && Some(&self.nodes[shared - 1]).filter(on_path).is_none() {
            shared -= 1;
        }
        shared
    }

    fn clear(&mut self) {
        self.path.clear();
        self.nodes.clear();
    }
}

/// The length of what two texts begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

impl Tree {
    /// Only the root, which everybody may see and nobody but dom0 may touch.
    pub(super) fn new() -> Tree {
        let nobody = Arc::new(Perms::dom0());
        let mut tree = Tree { nodes: Vec::new(), free: Vec::new(), nobody, trail: Trail::default() };
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

    /// All nodes, present or not.
    pub(super) fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut()
    }

    fn make(&mut self, parent: Id) -> Id {
        if let Some(id) = self.free.pop() {
            // What it had room for it still has; all else of it was given up when it was freed.
            let node = self.node_mut(id);
            node.interests.clear();
            node.parent = parent;
            return id;
        }
        self.nodes.push(Node {
            present: false,
            value: String::new(),
            perms: self.nobody.clone(),
            interests: Vec::new(),
            parent,
            children: Vec::new(),
        });
        (self.nodes.len() - 1) as Id
    }

    /// A child by name, present or not.
    pub(super) fn child(&self, id: Id, name: &str) -> Option<Id> {
        self.search(id, name).ok().map(|at| self.node(id).children[at].id)
    }

    fn search(&self, id: Id, name: &str) -> Result<usize, usize> {
        let first = beginning(name);
        let children = &self.node(id).children;
        children
            .binary_search_by(|other| other.beginning.cmp(&first).then_with(|| other.name.bytes().cmp(name.as_bytes())))
    }

    /// A child by name; made, but not present, where it is missing.
    pub(super) fn step(&mut self, id: Id, name: &str) -> Id {
        match self.search(id, name) {
            Ok(at) => self.node(id).children[at].id,
            Err(at) => {
                let made = self.make(id);
                let child = Child { beginning: beginning(name), name: Name::new(name), id: made };
                self.node_mut(id).children.insert(at, child);
                made
            }
        }
    }

    /// A node by path, if it is present.
    pub(super) fn find(&self, path: &str) -> Option<Id> {
        let shared = self.trail.shared(path);
        let (end, mut id) = shared.checked_sub(1).map_or((0, ROOT), |last| self.trail.nodes[last]);
        for name in names(&path[end..]) {
            id = self.child(id, name)?;
        }
        self.node(id).present.then_some(id)
    }

    /// A node by path; made, but not present, where it is missing. `on_trail` tells the nodes on the way.
    pub(super) fn reach(&mut self, path: &str) -> Id {
        let shared = self.trail.shared(path);
        self.trail.nodes.truncate(shared);
        let (mut end, mut id) = self.trail.nodes.last().copied().unwrap_or((0, ROOT));
        for name in names(&path[end..]) {
            id = self.step(id, name);
            end += 1 + name.len();
            self.trail.nodes.push((end, id));
        }
        self.trail.path.clear();
        self.trail.path.push_str(path);
        id
    }

    /// The nth node below the root on the path that was reached last.
    pub(super) fn on_trail(&self, n: usize) -> Option<Id> {
        self.trail.nodes.get(n).map(|(_, id)| *id)
    }

    /// Children that are present, by name.
    pub(super) fn children(&self, id: Id) -> impl Iterator<Item = (&str, Id)> {
        let children = self.node(id).children.iter();
        children.filter(|child| self.node(child.id).present).map(|child| (child.name.text(), child.id))
    }

    /// How many nodes there are, present or not.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Give back a node that is not present, that nobody is interested in and that has no children, and such parents.
    pub(super) fn prune(&mut self, mut id: Id) {
        self.trail.clear();
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

    /// A node's children, to be given back by `keep_children` when they have been looked at.
    pub(super) fn take_children(&mut self, id: Id) -> Vec<Child> {
        std::mem::take(&mut self.node_mut(id).children)
    }

    /// The children that are left, without those that `prune` would give back.
    pub(super) fn keep_children(&mut self, id: Id, mut children: Vec<Child>) {
        self.trail.clear();
        children.retain(|child| {
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
    let mut wrong = false;
    let mut before = 0;
    for byte in bytes {
        let kind = KINDS[usize::from(*byte)];
        wrong |= kind | before > 2;
        before = kind << 1;
    }
    bytes.first() == Some(&b'/') && bytes.len() <= LONGEST && !wrong && (bytes.len() == 1 || before == 0)
}

/// What a byte is in a path: 0 part of a name, 1 a slash, 4 nothing that can be. A slash after a slash is 3.
const KINDS: [u8; 256] = {
    let mut kinds = [4; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'-') {
            kinds[byte] = 0;
        }
        byte += 1;
    }
    kinds[b'/' as usize] = 1;
    kinds
};
