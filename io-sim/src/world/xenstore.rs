//! The simulated xenstored: values, permissions, quotas, transactions as batches, watches.

use super::tree::{Id, Interest, ROOT, Tree, names, valid};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use xenops_core::host::hash::Fingerprint;
use xenops_core::host::{Access, Batch, Change, DomId, Fault, Found, Guard, Listing, Perms, Query, Token};

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
    watches: BTreeMap<Token, Vec<Id>>,
    owned: BTreeMap<DomId, u32>,
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
    /// An empty tree.
    pub fn new() -> Store {
        Store {
            tree: Tree::new(),
            watches: BTreeMap::new(),
            owned: BTreeMap::new(),
            raised: Vec::new(),
            trace: Fingerprint::new(),
        }
    }

    /// A hash of all changes so far.
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// A node's value.
    pub fn value(&self, path: &str) -> Option<&str> {
        let id = self.look(path)?;
        Some(&self.tree.node(id).value)
    }

    /// Whether a node exists.
    pub fn exists(&self, path: &str) -> bool {
        self.look(path).is_some()
    }

    /// A node's permissions.
    pub fn perms(&self, path: &str) -> Option<&Perms> {
        Some(&self.tree.node(self.look(path)?).perms)
    }

    /// The names of a node's children.
    pub fn children(&self, path: &str) -> Option<Vec<&str>> {
        let id = self.look(path)?;
        Some(self.tree.children(id).map(|(name, _)| name).collect())
    }

    /// How many nodes a guest owns.
    pub fn owned(&self, domid: DomId) -> u32 {
        self.owned.get(&domid).copied().unwrap_or(0)
    }

    /// Answer one question.
    pub fn query(&self, query: &Query) -> Found {
        match query {
            Query::Value(path) => Found::Value(self.look(path).map(|id| self.tree.node(id).value.clone())),
            Query::Children(path) => Found::Children(
                self.look(path).map(|id| self.tree.children(id).map(|(name, _)| name.to_owned()).collect()),
            ),
            Query::Tree { path, depth, limit } => {
                let mut found = Listing::default();
                if let Some(id) = self.look(path) {
                    self.list(id, &mut String::new(), *depth, *limit as usize, &mut found);
                }
                Found::Tree(found.into())
            }
        }
    }

    fn look(&self, path: &str) -> Option<Id> {
        if path.starts_with('/') { self.tree.find(path) } else { None }
    }

    fn list(&self, id: Id, at: &mut String, depth: u32, limit: usize, found: &mut Listing) {
        if depth == 0 {
            return;
        }
        for (name, child) in self.tree.children(id) {
            if found.len() >= limit {
                return;
            }
            let length = at.len();
            if length > 0 {
                at.push('/');
            }
            at.push_str(name);
            found.push(at, &self.tree.node(child).value);
            self.list(child, at, depth - 1, limit, found);
            at.truncate(length);
        }
    }

    /// A transaction of dom0: whether its guards held, and then all of its changes were made.
    pub fn apply(&mut self, batch: Batch) -> Result<bool, Fault> {
        let holds = |guard: &Guard| match guard {
            Guard::Exists(path) => self.look(path).is_some(),
            Guard::Absent(path) => self.look(path).is_none(),
            Guard::Equals(path, value) => self.look(path).is_some_and(|id| self.tree.node(id).value == *value),
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
        let id = self.make(path, true);
        self.tree.node_mut(id).value = value;
    }

    /// Dom0 makes a node, if it is missing.
    pub fn mkdir(&mut self, path: &str) {
        if self.tree.find(path).is_none() {
            path.hash(&mut self.trace);
            self.make(path, true);
        }
    }

    /// The node and its missing parents, which inherit permissions; tells of the change.
    fn make(&mut self, path: &str, changed: bool) -> Id {
        let last = self.tree.reach(path);
        self.tell(ROOT, false);
        let (mut n, mut above) = (0, ROOT);
        while let Some(id) = self.tree.on_trail(n) {
            if self.tree.node(id).present {
                self.tell(id, changed && id == last);
            } else {
                let perms = self.tree.node(above).perms.clone();
                self.count(perms.owner, 1);
                let node = self.tree.node_mut(id);
                node.present = true;
                node.perms = perms;
                self.tell(id, true);
            }
            (n, above) = (n + 1, id);
        }
        last
    }

    fn tell(&mut self, id: Id, itself: bool) {
        for interest in &self.tree.node(id).interests {
            if (itself || matches!(interest, Interest::Token(_))) && self.raised.last() != Some(interest) {
                self.raised.push(*interest);
            }
        }
    }

    fn count(&mut self, owner: DomId, by: i32) {
        if owner != 0 {
            let owned = self.owned.entry(owner).or_default();
            *owned = owned.saturating_add_signed(by);
            if *owned == 0 {
                self.owned.remove(&owner);
            }
        }
    }

    /// Dom0 removes a node and all below it; a missing one is fine. `/` stays.
    pub fn remove(&mut self, path: &str) {
        let Some(id) = self.tree.find(path).filter(|id| *id != ROOT) else { return };
        path.hash(&mut self.trace);
        self.tree.reach(path);
        let mut above = ROOT;
        for n in 0.. {
            self.tell(above, false);
            match self.tree.on_trail(n).filter(|next| *next != id) {
                Some(next) => above = next,
                None => break,
            }
        }
        self.vanish(id);
        self.tree.prune(id);
    }

    /// Who watches below it, where there is nothing, is not told.
    fn vanish(&mut self, id: Id) {
        let node = self.tree.node_mut(id);
        let owner = node.perms.owner;
        if std::mem::replace(&mut node.present, false) {
            node.value = String::new();
            self.count(owner, -1);
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
        let owner = self.tree.node(id).perms.owner;
        self.count(owner, -1);
        self.count(perms.owner, 1);
        self.make(path, false);
        self.tree.node_mut(id).perms = Arc::new(perms);
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
        let mut id = ROOT;
        let mut missing = false;
        for name in names(path) {
            match self.tree.child(id, name).filter(|child| self.tree.node(*child).present) {
                Some(child) => id = child,
                None => {
                    missing = true;
                    break;
                }
            }
        }
        match may(&self.tree.node(id).perms, domid, write) {
            true if missing => Err(Denied::Missing),
            true => Ok(id),
            false => Err(Denied::Access),
        }
    }

    /// A guest sets a value, where permissions and quotas let it. What it makes is its own.
    pub fn write_as(&mut self, domid: DomId, path: &str, value: &str) -> Result<(), Denied> {
        if !valid(path) {
            return Err(Denied::Invalid);
        }
        let mut id = ROOT;
        let mut missing = 0;
        for name in names(path) {
            match self.tree.child(id, name).filter(|child| missing == 0 && self.tree.node(*child).present) {
                Some(child) => id = child,
                None => missing += 1,
            }
        }
        if !may(&self.tree.node(id).perms, domid, true) {
            return Err(Denied::Access);
        }
        if domid != 0 && (value.len() > NODE || (missing > 0 && self.owned(domid) + missing > NODES)) {
            return Err(Denied::Quota);
        }
        let above = self.tree.node(id).perms.clone();
        self.write(path, value.to_owned());
        if missing > 0 && domid != 0 && above.owner != domid {
            self.give(path, missing, domid);
        }
        Ok(())
    }

    /// The last `made` nodes of a path were made by a guest: it becomes their owner.
    fn give(&mut self, path: &str, made: u32, domid: DomId) {
        let nodes: Vec<Id> = names(path)
            .scan(ROOT, |id, name| {
                *id = self.tree.child(*id, name)?;
                Some(*id)
            })
            .collect();
        for id in nodes.iter().rev().take(made as usize) {
            let mut perms = Perms::clone(&self.tree.node(*id).perms);
            self.count(perms.owner, -1);
            self.count(domid, 1);
            perms.owner = domid;
            self.tree.node_mut(*id).perms = Arc::new(perms);
        }
    }

    /// A guest removes a node, where permissions let it; a missing one is fine if its parent is there.
    pub fn remove_as(&mut self, domid: DomId, path: &str) -> Result<(), Denied> {
        match self.reach_as(domid, path, true) {
            Ok(_) => {
                self.remove(path);
                Ok(())
            }
            Err(Denied::Missing) if self.look(above(path)).is_some() => Ok(()),
            Err(denied) => Err(denied),
        }
    }

    /// A domain has died: what it owned is removed, what named it in its permissions does so no more.
    pub fn bury(&mut self, domid: DomId) {
        let home = format!("/local/domain/{domid}");
        if let Some(id) = self.tree.find(&home) {
            self.bury_below(id, home, domid);
        }
        if self.owned(domid) > 0 {
            self.bury_below(ROOT, "/".to_owned(), domid);
        }
        // Another domain of that number is not meant by what is said of this one, wherever it is said.
        for node in self.tree.nodes_mut() {
            if node.perms.acl.iter().any(|(named, _)| *named == domid) {
                Arc::make_mut(&mut node.perms).acl.retain(|(named, _)| *named != domid);
            }
        }
    }

    fn bury_below(&mut self, id: Id, path: String, domid: DomId) {
        let children: Vec<(String, Id)> =
            self.tree.children(id).map(|(name, child)| (name.to_owned(), child)).collect();
        for (name, child) in children {
            let path = if path == "/" { format!("/{name}") } else { format!("{path}/{name}") };
            if self.tree.node(child).perms.owner == domid {
                self.remove(&path);
                continue;
            }
            self.bury_below(child, path, domid);
        }
    }
}

/// The path of a node's parent.
fn above(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
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

fn may(perms: &Perms, domid: DomId, write: bool) -> bool {
    if domid == 0 || perms.owner == domid {
        return true;
    }
    let access = perms.acl.iter().find(|(named, _)| *named == domid).map_or(perms.others, |(_, access)| *access);
    match access {
        Access::None => false,
        Access::Read => !write,
        Access::Write => write,
        Access::Both => true,
    }
}

#[cfg(test)]
mod tests;
