//! The queues of all VMs: what waits on each, in order.

use super::slab::place;
use serde::{Deserialize, Serialize};

/// All that wait stand in one table, which grows to the most that ever waited at once, on whichever VMs; a VM's queue
/// is a chain in it. A VM on which nothing waits costs three numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queues<T> {
    entries: Vec<Entry<T>>,
    /// The first of the entries that hold nothing.
    free: Link,
    /// By VM's place.
    queues: Vec<Queue>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry<T> {
    item: Option<T>,
    next: Link,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Queue {
    first: Link,
    last: Link,
    len: u32,
}

/// An entry's number, one more than its index; 0 is none.
type Link = u32;

impl<T> Default for Queues<T> {
    fn default() -> Queues<T> {
        Queues { entries: Vec::new(), free: 0, queues: Vec::new() }
    }
}

impl<T> Queues<T> {
    /// Last in line on a VM from now on.
    pub fn push(&mut self, vm: u64, item: T) {
        let new = self.entry(item);
        let queue = self.queue_mut(vm);
        let (first, last) = (queue.first, queue.last);
        queue.len += 1;
        if mutant!(LastComesFirst) && first != 0 {
            queue.first = new;
            self.at(new).next = first;
            return;
        }
        queue.last = new;
        match last {
            0 => queue.first = new,
            last => self.at(last).next = new,
        }
    }

    /// The first in line on a VM, which waits no more.
    pub fn pop(&mut self, vm: u64) -> Option<T> {
        self.remove(vm, |_| true)
    }

    /// The first in line of which this is true; it waits no more.
    pub fn remove(&mut self, vm: u64, mut is: impl FnMut(&T) -> bool) -> Option<T> {
        let (mut before, mut link) = (0, self.queue(vm).first);
        while link != 0 {
            let next = self.at(link).next;
            if self.at(link).item.as_ref().is_some_and(&mut is) {
                return self.unlink(vm, before, link, next);
            }
            (before, link) = (link, next);
        }
        None
    }

    fn unlink(&mut self, vm: u64, before: Link, link: Link, next: Link) -> Option<T> {
        let queue = self.queue_mut(vm);
        queue.len -= 1;
        if next == 0 {
            queue.last = before;
        }
        match before {
            0 => queue.first = next,
            before => self.at(before).next = next,
        }
        let free = std::mem::replace(&mut self.free, link);
        let entry = self.at(link);
        entry.next = free;
        entry.item.take()
    }

    /// The first in line on a VM.
    pub fn first(&self, vm: u64) -> Option<&T> {
        self.iter(vm).next()
    }

    /// All that wait on a VM, in order.
    pub fn iter(&self, vm: u64) -> impl Iterator<Item = &T> {
        let entry = |link: Link| self.entries.get((link as usize).checked_sub(1)?);
        let chain = std::iter::successors(entry(self.queue(vm).first), move |before| entry(before.next));
        chain.filter_map(|entry| entry.item.as_ref())
    }

    /// How many wait on a VM.
    pub fn len(&self, vm: u64) -> usize {
        self.queue(vm).len as usize
    }

    /// Whether none does.
    pub fn is_empty(&self, vm: u64) -> bool {
        self.queue(vm).first == 0
    }

    fn entry(&mut self, item: T) -> Link {
        match self.free {
            0 => {
                self.entries.push(Entry { item: Some(item), next: 0 });
                Link::try_from(self.entries.len()).expect("bounded by what clients may grow")
            }
            link => {
                let entry = self.at(link);
                entry.item = Some(item);
                self.free = std::mem::replace(&mut entry.next, 0);
                link
            }
        }
    }

    fn at(&mut self, link: Link) -> &mut Entry<T> {
        &mut self.entries[link as usize - 1]
    }

    fn queue(&self, vm: u64) -> Queue {
        self.queues.get(place(vm)).copied().unwrap_or_default()
    }

    fn queue_mut(&mut self, vm: u64) -> &mut Queue {
        if self.queues.len() <= place(vm) {
            self.queues.resize(place(vm) + 1, Queue::default());
        }
        &mut self.queues[place(vm)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn each_vm_has_a_queue_of_its_own(steps in prop::collection::vec((0..3_u64, 0..4_u8, 0..6_u32), 0..80)) {
            let mut queues = Queues::default();
            let mut expected = [const { VecDeque::new() }; 3];
            for (vm, what, item) in steps {
                let line: &mut VecDeque<u32> = &mut expected[vm as usize];
                match what {
                    0 => prop_assert_eq!(queues.pop(vm), line.pop_front()),
                    1 => {
                        let place = line.iter().position(|other| *other == item);
                        prop_assert_eq!(queues.remove(vm, |other| *other == item), place.and_then(|at| line.remove(at)));
                    }
                    _ => {
                        queues.push(vm, item);
                        line.push_back(item);
                    }
                }
                for (vm, line) in (0..).zip(&expected) {
                    prop_assert_eq!(queues.iter(vm).collect::<Vec<_>>(), line.iter().collect::<Vec<_>>());
                    prop_assert_eq!((queues.len(vm), queues.is_empty(vm)), (line.len(), line.is_empty()));
                    prop_assert_eq!(queues.first(vm), line.front());
                }
            }
        }
    }

    #[test]
    fn what_has_waited_makes_room_for_what_waits_elsewhere() {
        let mut queues = Queues::default();
        for vm in 0..100 {
            (0..8).for_each(|item| queues.push(vm, item));
            assert_eq!(std::iter::from_fn(|| queues.pop(vm)).count(), 8);
        }
        assert_eq!(queues.entries.len(), 8);
    }
}
