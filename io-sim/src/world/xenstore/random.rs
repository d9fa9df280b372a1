//! Changes in any order: what is known of permissions is what a look at every node says, and so is what a death costs.

use super::*;
use crate::world::{Choices, Concern};
use std::collections::{BTreeMap, BTreeSet};
use xenops_core::host::Access;

struct Wild {
    choices: Choices,
    store: Store,
    removed: usize,
}

impl Wild {
    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.choices.choose(Concern::Workload, of.len() as u32) as usize].clone()
    }

    fn path(&mut self) -> String {
        let homes = ["/", "/local", "/local/domain/1", "/local/domain/2", "/local/domain/1/device", "/vm", "/vm-data"];
        let mut path = self.one(&homes).to_owned();
        for _ in 0..self.choices.choose(Concern::Workload, 4) {
            let name = self.one(&["a", "b", "data-more", "data-most", "data"]);
            path = if path == "/" { format!("/{name}") } else { format!("{path}/{name}") };
        }
        path
    }

    fn perms(&mut self) -> Perms {
        let acl = self.one(&[vec![], vec![], vec![1], vec![2], vec![0], vec![2, 1], vec![1, 1]]);
        let access = self.one(&[Access::Both, Access::Read]);
        let acl = acl.into_iter().map(|domid| (domid, access)).collect();
        Perms { owner: self.one(&[0, 0, 1, 2]), others: self.one(&[Access::None, Access::Both]), acl }
    }

    fn step(&mut self) {
        let (path, domid) = (self.path(), self.one(&[1, 2]));
        match self.choices.choose(Concern::Workload, 24) {
            0..6 => self.store.write(&path, "1".to_owned()),
            6..12 => drop(self.store.write_as(domid, &path, "2")),
            12..18 => {
                let perms = self.perms();
                self.store.set_perms(&path, perms);
            }
            18..20 => self.store.watch(Token(u64::from(domid)), &[path]),
            20 => self.store.remove(&path),
            21 => drop(self.store.remove_as(domid, &path)),
            22 => self.store.mkdir(&path),
            _ => {
                let mut scanned = self.store.clone();
                bury_by_scan(&mut scanned, domid);
                self.removed += self.store.owned(domid) as usize;
                self.store.bury(domid);
                assert_eq!(seen(&self.store), seen(&scanned));
                assert_eq!((self.store.trace(), &self.store.raised), (scanned.trace(), &scanned.raised));
            }
        }
    }
}

/// All nodes that exist.
fn seen(store: &Store) -> BTreeMap<&str, (&str, Option<&Perms>)> {
    let present = store.tree.all().filter(|(_, node)| node.is_present());
    present.map(|(id, node)| (node.path(), (&*node.value, store.perms_of(id)))).collect()
}

/// What a domain's death does, told by a walk over all nodes.
fn bury_by_scan(store: &mut Store, domid: DomId) {
    fn below(store: &mut Store, path: &str, domid: DomId) {
        for name in store.children(path).unwrap_or_default().into_iter().map(str::to_owned).collect::<Vec<_>>() {
            let path = if path == "/" { format!("/{name}") } else { format!("{path}/{name}") };
            if store.perms(&path).is_some_and(|perms| perms.owner == domid) {
                store.remove(&path);
            } else {
                below(store, &path, domid);
            }
        }
    }
    below(store, &format!("/local/domain/{domid}"), domid);
    below(store, "/", domid);
    let nodes: Vec<(Id, Perms)> =
        store.tree.all().filter_map(|(id, _)| Some((id, store.perms_of(id)?.clone()))).collect();
    for (id, mut perms) in nodes {
        perms.acl.retain(|(named, _)| *named != domid);
        let kind = store.rights.kind(perms);
        store.seat(id, kind);
    }
}

/// Every node is found, and stands among those of its permissions as nothing else does; a domain is named where it is.
fn check(store: &Store) {
    let mut kinds: BTreeMap<Kind, BTreeSet<Id>> = BTreeMap::new();
    for (id, node) in store.tree.all() {
        assert_eq!(store.tree.find(node.path()), node.is_present().then_some(id), "{}", node.path());
        if let Some(seat) = node.seat {
            kinds.entry(seat.kind).or_default().insert(id);
        }
    }
    for (kind, nodes) in &kinds {
        assert_eq!(store.rights.nodes(*kind).iter().copied().collect::<BTreeSet<_>>(), *nodes);
        assert_eq!(store.rights.nodes(*kind).len(), nodes.len());
    }
    let perms: BTreeMap<Kind, &Perms> = kinds.keys().map(|kind| (*kind, store.rights.perms(*kind))).collect();
    assert_eq!(perms.values().collect::<BTreeSet<_>>().len(), perms.len(), "each is kept once");
    for domid in [1, 2] {
        let names = |perms: &Perms| perms.owner == domid || perms.acl.iter().any(|(named, _)| *named == domid);
        let naming: Vec<Kind> = perms.iter().filter(|(_, perms)| names(perms)).map(|(kind, _)| *kind).collect();
        let mut known = store.rights.naming(domid).to_vec();
        known.sort_unstable();
        assert_eq!(known, naming);
        let owned = kinds.iter().filter(|(kind, _)| perms[kind].owner == domid).map(|(_, nodes)| nodes.len());
        assert_eq!(store.owned(domid) as usize, owned.sum::<usize>());
    }
}

#[test]
fn what_is_known_of_permissions_is_what_a_scan_finds() {
    let mut removed = 0;
    for seed in 0..200 {
        let mut wild = Wild { choices: Choices::seeded(seed), store: Store::new(), removed: 0 };
        for _ in 0..200 {
            wild.step();
            check(&wild.store);
        }
        removed += wild.removed;
    }
    assert!(removed > 1000, "the dead owned something: {removed} nodes");
}
