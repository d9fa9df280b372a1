//! The stream of changes that clients follow: numbers, coalescing, barriers.

use super::TaskId;
use crate::host::Uuid;
use crate::interface::DeviceId;
use crate::interface::dynamic::{Barrier, Id};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Anything that has a state, in less than its texts: each stands in the stream twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Object {
    /// A VM.
    Vm(Uuid),
    /// One of its disks.
    Vbd(Uuid, Arc<str>),
    /// One of its network interfaces.
    Vif(Uuid, Arc<str>),
    /// A task.
    Task(TaskId),
}

impl Object {
    /// As clients name it.
    pub(crate) fn id(&self) -> Id {
        let device = |vm: &Uuid, device: &Arc<str>| DeviceId::new(vm.text(), &**device);
        match self {
            Object::Vm(vm) => Id::Vm(vm.text()),
            Object::Vbd(vm, name) => Id::Vbd(device(vm, name)),
            Object::Vif(vm, name) => Id::Vif(device(vm, name)),
            Object::Task(task) => Id::Task(task.to_string()),
        }
    }

    fn is_of(&self, of: Uuid) -> bool {
        matches!(self, Object::Vm(vm) | Object::Vbd(vm, _) | Object::Vif(vm, _) if *vm == of)
    }
}

/// The largest number given, what changed last under which number, and barriers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Updates {
    next: i64,
    by_number: BTreeMap<i64, Object>,
    #[serde(with = "super::listed")]
    by_object: BTreeMap<Object, i64>,
    barriers: VecDeque<Stored>,
    most_barriers: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    token: i64,
    number: i64,
    snapshot: Vec<(i64, Object)>,
}

/// What `UPDATES.get` answers.
pub(crate) type Batch = (Vec<Barrier>, Vec<Id>, i64);

impl Updates {
    /// An empty stream that keeps at most so many barriers.
    pub(crate) fn new(most_barriers: usize) -> Updates {
        Updates {
            next: 1,
            by_number: BTreeMap::new(),
            by_object: BTreeMap::new(),
            barriers: VecDeque::new(),
            most_barriers,
        }
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }

    /// Something changed.
    pub(crate) fn add(&mut self, object: Object) {
        if mutant!(SecondChangeLost) && self.by_object.contains_key(&object) {
            return;
        }
        let number = self.number();
        match self.by_object.get_mut(&object) {
            Some(last) => {
                self.by_number.remove(last);
                *last = number;
            }
            None => {
                self.by_object.insert(object.clone(), number);
            }
        }
        self.by_number.insert(number, object);
    }

    /// Something is gone: nobody is told but by asking for it.
    pub(crate) fn remove(&mut self, object: &Object) {
        self.number();
        if let Some(number) = self.by_object.remove(object) {
            self.by_number.remove(&number);
        }
    }

    /// The largest number given.
    pub(crate) fn last(&self) -> i64 {
        self.next - 1
    }

    /// Keep what has changed of a VM until now, under a client's token.
    pub(crate) fn inject_barrier(&mut self, token: i64, vm: &str) {
        let snapshot = match vm.parse() {
            Ok(vm) => {
                let of_vm = self.by_number.iter().filter(|(_, object)| object.is_of(vm));
                of_vm.map(|(number, object)| (*number, object.clone())).collect()
            }
            Err(_) => Vec::new(),
        };
        let number = self.number();
        if self.barriers.len() >= self.most_barriers {
            self.barriers.pop_front();
        }
        self.barriers.push_back(Stored { token, number, snapshot });
    }

    /// Forget a token's barriers.
    pub(crate) fn remove_barrier(&mut self, token: i64) {
        self.number();
        self.barriers.retain(|barrier| barrier.token != token);
    }

    /// All that is newer than `from`, or `None` if nothing is. A number that this daemon never gave counts as none
    /// (H14): a client that outlived a restart is told of everything.
    pub(crate) fn get(&self, from: i64) -> Option<Batch> {
        let from = if from > self.last() && !mutant!(OldNumberDeaf) { 0 } else { from };
        let changed: Vec<_> = self.by_number.range(from + 1..).map(|(_, object)| object.id()).collect();
        let barriers: Vec<_> = self
            .barriers
            .iter()
            .filter(|barrier| barrier.number > from)
            .map(|barrier| {
                let newer = barrier.snapshot.iter().filter(|(number, _)| *number > from);
                Barrier { token: barrier.token, ids: newer.map(|(_, object)| object.id()).collect() }
            })
            .collect();
        if changed.is_empty() && barriers.is_empty() {
            return None;
        }
        let newest = self.by_number.last_key_value().map_or(from, |(number, _)| *number);
        let next = newest.max(self.barriers.back().map_or(from, |barrier| barrier.number)).max(from);
        Some((barriers, changed, next))
    }

    /// What changed last under which number, for the diagnostics.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&i64, &Object)> {
        self.by_number.iter()
    }

    /// Token, number and snapshot of each barrier, for the diagnostics.
    pub(crate) fn barriers(&self) -> impl Iterator<Item = (i64, i64, &[(i64, Object)])> {
        self.barriers.iter().map(|b| (b.token, b.number, b.snapshot.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VMs by a byte.
    fn vm(n: u8) -> Object {
        Object::Vm(Uuid([n; 16]))
    }

    fn id(n: u8) -> Id {
        vm(n).id()
    }

    #[test]
    fn changes_coalesce_and_come_in_order() {
        let mut updates = Updates::new(8);
        assert_eq!((updates.last(), updates.get(0)), (0, None));
        updates.add(vm(1));
        updates.add(vm(2));
        updates.add(vm(1));
        let (_, changed, next) = updates.get(0).unwrap();
        assert_eq!((changed, next), (vec![id(2), id(1)], 3));
        assert_eq!(updates.get(3), None);
        updates.remove(&vm(2));
        assert_eq!(updates.get(0).unwrap().1, vec![id(1)]);
    }

    #[test]
    fn a_barrier_shows_what_its_vm_had_changed_before_it() {
        let mut updates = Updates::new(8);
        updates.add(vm(1));
        updates.add(Object::Task(TaskId(0)));
        updates.inject_barrier(7, &Uuid([1; 16]).text());
        updates.add(vm(1));
        let (barriers, changed, next) = updates.get(0).unwrap();
        assert_eq!(barriers, vec![Barrier { token: 7, ids: vec![id(1)] }]);
        assert_eq!((changed.len(), next), (2, 4));
        assert_eq!(updates.get(3).unwrap().0, vec![], "an older barrier is not given again");
        updates.remove_barrier(7);
        assert!(updates.get(0).unwrap().0.is_empty());
    }

    // Change `if from > self.last() { 0 }` to `if from > self.last() { from }` and the client waits for ever.
    #[test]
    fn h14_a_number_of_another_daemon_is_as_none() {
        let mut updates = Updates::new(8);
        updates.add(vm(1));
        assert_eq!(updates.get(1_000).unwrap().1, vec![id(1)]);
    }

    #[test]
    fn barriers_are_bounded() {
        let mut updates = Updates::new(2);
        for token in 0..10 {
            updates.inject_barrier(token, "a");
        }
        let tokens: Vec<_> = updates.get(0).unwrap().0.into_iter().map(|barrier| barrier.token).collect();
        assert_eq!(tokens, vec![8, 9]);
    }
}
