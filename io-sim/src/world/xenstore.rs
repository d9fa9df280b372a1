//! The simulated xenstored: values, permissions, quotas, transactions as batches, watches.

use super::rights::{Kind, Rights, allow};
use super::tree::{Id, Interest, Node, ROOT, Tree, above, valid};
use crate::canon::{Canon, Digest, is_drawn};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use xenops_core::host::hash::Fingerprint;
use xenops_core::host::{Batch, Change, DomId, Fault, Found, Guard, Listing, Perms, Query, Token};

/// Bytes of one message: a path, its end and a value.
const MESSAGE: usize = 4096;
/// Bytes of a node that a guest writes.
const NODE: usize = 2048;
/// Nodes that a guest may own.
const NODES: u32 = 1000;

/// Why a guest's request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No such path can be.
    Invalid,
    /// Permissions do not let it.
    Access,
    /// There is no such node.
    Missing,
    /// The guest has all it may have.
    Quota,
}

/// The tree, and who is told of its changes.
#[derive(Clone, Debug)]
pub struct Store {
    tree: Tree,
    rights: Rights,
    watches: BTreeMap<Token, Vec<Id>>,
    /// Told since the world last took them.
    pub(super) raised: Vec<Interest>,
    trace: Fingerprint,
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

impl Store {
    /// Only the root, which nobody but dom0 may see or touch.
    pub fn new() -> Store {
        let mut store = Store {
            tree: Tree::new(),
            rights: Rights::default(),
            watches: BTreeMap::new(),
            raised: Vec::new(),
            trace: Fingerprint::new(),
        };
        let kind = store.rights.kind(Perms::dom0());
        store.seat(ROOT, kind);
        store
    }

    /// All nodes, and who is told of their changes.
    pub(super) fn fingerprint(&self, hash: &mut Canon) {
        hash.sums(self.tree.sums(|node| self.digest(node)));
    }

    fn digest(&self, node: &Node) -> Digest {
        let mut text = String::with_capacity(256);
        let value = if is_drawn(node.path().as_bytes()) { "" } else { &node.value };
        let perms = node.seat.map(|seat| self.rights.perms(seat.kind));
        let _ = write!(text, "{}\0{value}\0{perms:?}", node.path());
        for interest in &node.interests {
            match interest {
                Interest::Token(Token::DOMAINS) => text.push_str(" all"),
                // By its VM, whose place it is.
                Interest::Token(token) => drop(write!(text, " vm{}", (token.0 as u32).wrapping_add(1))),
                Interest::Wait(_) => {}
            }
        }
        Digest::of(&[text.as_bytes()])
    }

    /// A hash of all changes so far.
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// A node's value.
    pub fn value(&self, path: &str) -> Option<&str> {
        let id = self.tree.find(path)?;
        Some(&self.tree.node(id).value)
    }

    /// Whether a node exists.
    pub fn exists(&self, path: &str) -> bool {
        self.tree.find(path).is_some()
    }

    /// A node's permissions.
    pub fn perms(&self, path: &str) -> Option<&Perms> {
        self.perms_of(self.tree.find(path)?)
    }

    /// The names of a node's children.
    pub fn children(&self, path: &str) -> Option<Vec<&str>> {
        let id = self.tree.find(path)?;
        Some(self.tree.children(id).map(|(_, node)| node.name()).collect())
    }

    /// How many nodes a guest owns.
    pub fn owned(&self, domid: DomId) -> u32 {
        self.rights.owning(domid).map(|kind| self.rights.nodes(kind).len() as u32).sum()
    }

    /// Answer one question.
    pub fn query(&self, query: &Query) -> Found {
        match query {
            Query::Value(path) => Found::Value(self.tree.find(path).map(|id| self.tree.node(id).value.clone())),
            Query::Children(path) => {
                Found::Children(self.children(path).map(|names| names.into_iter().map(str::to_owned).collect()))
            }
            Query::Tree { path, depth, limit } => {
                let mut found = Listing::default();
                if let Some(id) = self.tree.find(path) {
                    let skip = if id == ROOT { 1 } else { path.len() + 1 };
                    self.list(id, skip, *depth, *limit as usize, &mut found);
                }
                Found::Tree(found.into())
            }
        }
    }

    fn list(&self, id: Id, skip: usize, depth: u32, limit: usize, found: &mut Listing) {
        if depth == 0 {
            return;
        }
        for (child, node) in self.tree.children(id) {
            if found.len() >= limit {
                return;
            }
            found.push(&node.path()[skip..], &node.value);
            self.list(child, skip, depth - 1, limit, found);
        }
    }

    /// A transaction of dom0: whether its guards held, and then all of its changes were made.
    pub fn apply(&mut self, batch: Batch) -> Result<bool, Fault> {
        let holds = |guard: &Guard| match guard {
            Guard::Exists(path) => self.tree.find(path).is_some(),
            Guard::Absent(path) => self.tree.find(path).is_none(),
            Guard::Equals(path, value) => self.tree.find(path).is_some_and(|id| self.tree.node(id).value == *value),
        };
        for change in &batch.changes {
            check(change)?;
        }
        if !batch.guards.iter().all(holds) {
            return Ok(false);
        }
        for change in batch.changes {
            match change {
                Change::Write(path, value) => self.write(&path, value),
                Change::Mkdir(path) => self.mkdir(&path),
                Change::Remove(path) => self.remove(&path),
                Change::SetPerms(path, perms) => self.set_perms(&path, perms),
            }
        }
        Ok(true)
    }

    /// Dom0 sets a value. The path is a valid one.
    pub fn write(&mut self, path: &str, value: String) {
        path.hash(&mut self.trace);
        value.hash(&mut self.trace);
        let id = self.tree.reach(path);
        self.make(id, true);
        self.tree.node_mut(id).value = value;
    }

    /// Dom0 makes a node, if it is missing.
    pub fn mkdir(&mut self, path: &str) {
        let id = self.tree.reach(path);
        if !self.tree.node(id).is_present() {
            path.hash(&mut self.trace);
            self.make(id, true);
        }
    }

    /// The node and its missing parents, which inherit permissions; tells of the change.
    fn make(&mut self, id: Id, changed: bool) {
        let Node { parent, seat, .. } = *self.tree.node(id);
        if seat.is_some() {
            self.tell_above(id);
            return self.tell(id, changed);
        }
        self.make(parent, false);
        if let Some(above) = self.tree.node(parent).seat {
            self.seat(id, above.kind);
        }
        self.tell(id, true);
    }

    /// Tells who watches what is above a node, from the root on.
    fn tell_above(&mut self, id: Id) {
        if id != ROOT {
            let parent = self.tree.node(id).parent;
            self.tell_above(parent);
            self.tell(parent, false);
        }
    }

    #[inline]
    fn tell(&mut self, id: Id, itself: bool) {
        for interest in &self.tree.node(id).interests {
            if (itself || matches!(interest, Interest::Token(_))) && self.raised.last() != Some(interest) {
                self.raised.push(*interest);
            }
        }
    }

    /// A node has these permissions from now on, and is present.
    fn seat(&mut self, id: Id, kind: Kind) {
        if self.tree.node(id).seat.is_some_and(|seat| seat.kind == kind) {
            return;
        }
        self.unseat(id);
        self.tree.node_mut(id).seat = Some(self.rights.join(kind, id));
    }

    /// A node is present no longer. Whether it was.
    fn unseat(&mut self, id: Id) -> bool {
        let Some(seat) = self.tree.node_mut(id).seat.take() else { return false };
        if let Some(other) = self.rights.leave(seat) {
            self.tree.node_mut(other).seat = Some(seat);
        }
        true
    }

    fn perms_of(&self, id: Id) -> Option<&Perms> {
        Some(self.rights.perms(self.tree.node(id).seat?.kind))
    }

    fn may(&self, domid: DomId, id: Id, write: bool) -> bool {
        self.perms_of(id).is_some_and(|perms| allow(perms, domid, write))
    }

    /// Dom0 removes a node and all below it; a missing one is fine. `/` stays.
    pub fn remove(&mut self, path: &str) {
        if let Some(id) = self.tree.find(path).filter(|id| *id != ROOT) {
            self.cut(id);
        }
    }

    fn cut(&mut self, id: Id) {
        self.tree.node(id).path().hash(&mut self.trace);
        self.tell_above(id);
        self.vanish(id);
        self.tree.prune(id);
    }

    /// Who watches below it, where there is nothing, is not told.
    fn vanish(&mut self, id: Id) {
        if self.unseat(id) {
            self.tree.node_mut(id).value = String::new();
            self.tell(id, true);
        }
        let children = self.tree.take_children(id);
        if !children.is_empty() {
            children.iter().for_each(|child| self.vanish(child.id));
            self.tree.keep_children(id, children);
        }
    }

    /// Dom0 sets the permissions of a node; one that is missing is left so, as a transaction before has seen it go.
    pub fn set_perms(&mut self, path: &str, perms: Perms) {
        let Some(id) = self.tree.find(path) else { return };
        perms.hash(&mut self.trace);
        self.make(id, false);
        let kind = self.rights.kind(perms);
        self.seat(id, kind);
    }

    /// Raise `token` when any of these paths, or anything below it, changes; instead of the token's earlier paths.
    pub fn watch(&mut self, token: Token, paths: &[String]) {
        self.unwatch(token);
        let mut nodes = Vec::with_capacity(paths.len());
        for path in paths.iter().filter(|path| valid(path)) {
            let id = self.tree.reach(path);
            if !nodes.contains(&id) {
                self.tree.node_mut(id).interests.push(Interest::Token(token));
                nodes.push(id);
            }
        }
        self.watches.insert(token, nodes);
    }

    /// Forget a token.
    pub fn unwatch(&mut self, token: Token) {
        for id in self.watches.remove(&token).unwrap_or_default() {
            self.tree.node_mut(id).interests.retain(|interest| *interest != Interest::Token(token));
            self.tree.prune(id);
        }
    }

    /// Forget all tokens: the connection was lost.
    pub fn unwatch_all(&mut self) {
        while let Some((token, _)) = self.watches.first_key_value() {
            let token = *token;
            self.unwatch(token);
        }
        self.raised.clear();
    }

    /// Tokens raised since they were last taken, for one who drives a store without a world.
    pub fn take_raised(&mut self) -> Vec<Token> {
        let raised = std::mem::take(&mut self.raised).into_iter();
        raised.filter_map(|interest| if let Interest::Token(token) = interest { Some(token) } else { None }).collect()
    }

    /// Tell a waiting effect of changes of one node.
    pub(super) fn await_on(&mut self, path: &str, effect: u64) {
        if valid(path) {
            let id = self.tree.reach(path);
            self.tree.node_mut(id).interests.push(Interest::Wait(effect));
        }
    }

    /// The effect waits no more.
    pub(super) fn unawait(&mut self, path: &str, effect: u64) {
        if valid(path) {
            let id = self.tree.reach(path);
            self.tree.node_mut(id).interests.retain(|interest| *interest != Interest::Wait(effect));
            self.tree.prune(id);
        }
    }

    /// What a guest reads, where permissions let it.
    pub fn read_as(&self, domid: DomId, path: &str) -> Result<&str, Denied> {
        let id = self.reach_as(domid, path, false)?;
        Ok(&self.tree.node(id).value)
    }

    /// A node that a guest may read or write. Whether one is missing is for those to know who may do that with the
    /// nearest node above it.
    fn reach_as(&self, domid: DomId, path: &str, write: bool) -> Result<Id, Denied> {
        if !valid(path) {
            return Err(Denied::Invalid);
        }
        let (id, missing) = self.nearest(path);
        match self.may(domid, id, write) {
            true if missing > 0 => Err(Denied::Missing),
            true => Ok(id),
            false => Err(Denied::Access),
        }
    }

    /// The last node on a path that is present, and how many are missing below it.
    fn nearest(&self, mut path: &str) -> (Id, u32) {
        let mut missing = 0;
        loop {
            match self.tree.find(path) {
                Some(id) => return (id, missing),
                None => (path, missing) = (above(path), missing + 1),
            }
        }
    }

    /// A guest sets a value, where permissions and quotas let it. What it makes is its own.
    pub fn write_as(&mut self, domid: DomId, path: &str, value: &str) -> Result<(), Denied> {
        if !valid(path) {
            return Err(Denied::Invalid);
        }
        let (id, missing) = self.nearest(path);
        if !self.may(domid, id, true) {
            return Err(Denied::Access);
        }
        if domid != 0 && (value.len() > NODE || (missing > 0 && self.owned(domid) + missing > NODES)) {
            return Err(Denied::Quota);
        }
        self.write(path, value.to_owned());
        if missing > 0 && domid != 0 {
            self.give(path, id, domid);
        }
        Ok(())
    }

    /// The nodes of a path below `top` were made by a guest: it becomes their owner.
    fn give(&mut self, path: &str, top: Id, domid: DomId) {
        let Some(perms) = self.perms_of(top).filter(|perms| perms.owner != domid) else { return };
        let perms = Perms { owner: domid, ..perms.clone() };
        let mut next = self.tree.find(path);
        while let Some(id) = next.filter(|id| *id != top) {
            let kind = self.rights.kind(perms.clone());
            self.seat(id, kind);
            next = Some(self.tree.node(id).parent);
        }
    }

    /// A guest removes a node, where permissions let it; a missing one is fine if its parent is there.
    pub fn remove_as(&mut self, domid: DomId, path: &str) -> Result<(), Denied> {
        match self.reach_as(domid, path, true) {
            Ok(_) => {
                self.remove(path);
                Ok(())
            }
            Err(Denied::Missing) if self.exists(above(path)) => Ok(()),
            Err(denied) => Err(denied),
        }
    }

    /// A domain has died: what it owned is removed, what named it in its permissions does so no more.
    pub fn bury(&mut self, domid: DomId) {
        for id in self.estate(domid) {
            // With what stood above it, it may have gone.
            if self.tree.node(id).is_present() {
                self.cut(id);
            }
        }
        // Another domain of that number is not meant by what is said of this one, wherever it is said.
        for kind in self.rights.naming(domid).to_vec() {
            let mut perms = self.rights.perms(kind).clone();
            perms.acl.retain(|(named, _)| *named != domid);
            for id in self.rights.nodes(kind).to_vec() {
                let kind = self.rights.kind(perms.clone());
                self.seat(id, kind);
            }
        }
    }

    /// What a domain owns, without what stands below that: first what is in its own directory, then the rest, both in
    /// the order of their paths. `/` and its directory's own node stay as long as they can.
    fn estate(&self, domid: DomId) -> Vec<Id> {
        let inside = format!("/local/domain/{domid}/");
        let home = self.tree.find(above(&inside));
        let owns = |id: Id| self.perms_of(id).is_some_and(|perms| perms.owner == domid);
        let is_top = |id: &Id| {
            let parent = self.tree.node(*id).parent;
            *id != ROOT && (parent == ROOT || Some(parent) == home || !owns(parent))
        };
        let nodes = self.rights.owning(domid).flat_map(|kind| self.rights.nodes(kind));
        let mut tops: Vec<Id> = nodes.copied().filter(is_top).collect();
        // A slash comes before whatever a name may have in it.
        tops.sort_by_cached_key(|id| {
            let path = self.tree.node(*id).path();
            (!path.starts_with(&inside), path.replace('/', "\0"))
        });
        tops
    }
}

fn check(change: &Change) -> Result<(), Fault> {
    let (Change::Write(path, _) | Change::Mkdir(path) | Change::Remove(path) | Change::SetPerms(path, _)) = change;
    // What becomes of a store without a root is not the same with every xenstored; hosts do not ask them.
    let wrong = !valid(path) || (path == "/" && matches!(change, Change::Remove(_)));
    if wrong {
        return Err(Fault::Other(format!("xenstore does not take the path {path:?}")));
    }
    match change {
        Change::Write(path, value) if path.len() + 1 + value.len() > MESSAGE => {
            Err(Fault::NoSpace(format!("{} bytes in one xenstore message", value.len())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
