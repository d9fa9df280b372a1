//! xenstore as a micro-op uses it: one read of several paths, or guards then changes in one transaction.

use super::DomId;
use serde::{Deserialize, Serialize};

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Access {
    /// `n`
    None,
    /// `r`
    Read,
    /// `w`
    Write,
    /// `b`
    Both,
}

/// A node's permissions: its owner has full access, `others` is everybody not named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Perms {
    /// The domain that owns the node.
    pub owner: DomId,
    /// Access of domains not named.
    pub others: Access,
    /// Access of named domains.
    pub acl: Vec<(DomId, Access)>,
}

impl Perms {
    /// `n0`: dom0 only.
    pub fn dom0() -> Perms {
        Perms { owner: 0, others: Access::None, acl: Vec::new() }
    }

    /// `n<owner>`: the owner (and dom0) only.
    pub fn owned(owner: DomId) -> Perms {
        Perms { owner, others: Access::None, acl: Vec::new() }
    }

    /// `n<owner>,r<reader>`.
    pub fn readable(owner: DomId, reader: DomId) -> Perms {
        Perms { owner, others: Access::None, acl: vec![(reader, Access::Read)] }
    }

    /// `r0`: everybody may read.
    pub fn world_readable() -> Perms {
        Perms { owner: 0, others: Access::Read, acl: Vec::new() }
    }
}

/// What must hold for a batch to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Guard {
    /// The node exists.
    Exists(String),
    /// The node does not exist.
    Absent(String),
    /// The node has this value.
    Equals(String, String),
}

/// One change of the tree. Parents are made as needed and inherit permissions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// Set a value.
    Write(String, String),
    /// Make a node if it is missing; its value stays as it is.
    Mkdir(String),
    /// Remove a node and all below it; a missing one is fine.
    Remove(String),
    /// Set permissions of one node.
    SetPerms(String, Perms),
}

/// Guards, then changes, in one transaction. Conflicts are retried by the host a bounded number of times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Batch {
    /// All must hold, else nothing is applied and the answer is `Reply::GuardFailed`.
    pub guards: Vec<Guard>,
    /// Applied in order, all or none.
    pub changes: Vec<Change>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Require something of the tree first.
    pub fn guard(&mut self, guard: Guard) -> &mut Batch {
        self.guards.push(guard);
        self
    }

    /// Set a value.
    pub fn write(&mut self, path: impl Into<String>, value: impl Into<String>) -> &mut Batch {
        self.changes.push(Change::Write(path.into(), value.into()));
        self
    }

    /// Make a directory with its own permissions.
    pub fn mkdir(&mut self, path: impl Into<String>, perms: Perms) -> &mut Batch {
        let path = path.into();
        self.changes.push(Change::Mkdir(path.clone()));
        self.changes.push(Change::SetPerms(path, perms));
        self
    }

    /// Remove a subtree.
    pub fn remove(&mut self, path: impl Into<String>) -> &mut Batch {
        self.changes.push(Change::Remove(path.into()));
        self
    }
}

/// One question to the tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Query {
    /// A node's value.
    Value(String),
    /// The names of a node's children.
    Children(String),
    /// All nodes below a path, with values, at most `limit` of them and `depth` levels deep.
    Tree {
        /// Where to begin; the node itself is not listed.
        path: String,
        /// Levels: 1 is the children only.
        depth: u32,
        /// Nodes at most.
        limit: u32,
    },
}
