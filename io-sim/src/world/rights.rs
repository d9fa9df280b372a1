//! Permissions of nodes: many have the same, and each set of them knows which nodes have it.

use super::tree::Id;
use std::collections::BTreeMap;
use xenops_core::host::{Access, DomId, Perms};

/// A set of permissions.
pub(super) type Kind = u32;

/// Where a node stands among those that have the same permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) kind: Kind,
    at: u32,
}

#[derive(Clone, Debug)]
struct Shared {
    perms: Perms,
    nodes: Vec<Id>,
}

/// All permissions that some node has, each set of them once.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    kinds: Vec<Shared>,
    free: Vec<Kind>,
    /// By each domain that they name; those that name nobody but dom0 stand under it.
    named: BTreeMap<DomId, Vec<Kind>>,
}

impl Rights {
    pub(super) fn perms(&self, kind: Kind) -> &Perms {
        &self.kinds[kind as usize].perms
    }

    /// The nodes that have these permissions.
    pub(super) fn nodes(&self, kind: Kind) -> &[Id] {
        &self.kinds[kind as usize].nodes
    }

    /// Permissions that name a domain, other than dom0.
    pub(super) fn naming(&self, domid: DomId) -> &[Kind] {
        self.named.get(&domid).map_or(&[], |kinds| kinds)
    }

    /// Those of them that make it the owner.
    pub(super) fn owning(&self, domid: DomId) -> impl Iterator<Item = Kind> {
        self.naming(domid).iter().copied().filter(move |kind| self.perms(*kind).owner == domid)
    }

    /// A set of permissions, for a node that takes its seat at once.
    pub(super) fn kind(&mut self, perms: Perms) -> Kind {
        let most = names(&perms).max().unwrap_or(0);
        if let Some(known) = self.naming(most).iter().find(|kind| *self.perms(**kind) == perms) {
            return *known;
        }
        let kind = self.free.pop().unwrap_or(self.kinds.len() as Kind);
        for domid in names(&perms) {
            let kinds = self.named.entry(domid).or_default();
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let shared = Shared { perms, nodes: Vec::new() };
        match self.kinds.get_mut(kind as usize) {
            Some(free) => *free = shared,
            None => self.kinds.push(shared),
        }
        kind
    }

    /// A node has these permissions from now on.
    pub(super) fn join(&mut self, kind: Kind, id: Id) -> Seat {
        let nodes = &mut self.kinds[kind as usize].nodes;
        nodes.push(id);
        Seat { kind, at: (nodes.len() - 1) as u32 }
    }

    /// A node has them no longer; the node, if there is one, that has its seat now.
    pub(super) fn leave(&mut self, seat: Seat) -> Option<Id> {
        let Shared { perms, nodes } = &mut self.kinds[seat.kind as usize];
        nodes.swap_remove(seat.at as usize);
        if nodes.is_empty() {
            for domid in names(perms) {
                if let Some(kinds) = self.named.get_mut(&domid) {
                    kinds.retain(|kind| *kind != seat.kind);
                    if kinds.is_empty() {
                        self.named.remove(&domid);
                    }
                }
            }
            self.free.push(seat.kind);
        }
        nodes.get(seat.at as usize).copied()
    }
}

/// The domains that permissions name; dom0 only where there is no other.
fn names(perms: &Perms) -> impl Iterator<Item = DomId> {
    let all = std::iter::once(perms.owner).chain(perms.acl.iter().map(|(domid, _)| *domid));
    let others = all.filter(|domid| *domid != 0);
    let nobody = others.clone().next().is_none();
    others.chain(nobody.then_some(0))
}

/// Whether permissions let a domain read or write.
pub(super) fn allow(perms: &Perms, domid: DomId, write: bool) -> bool {
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
