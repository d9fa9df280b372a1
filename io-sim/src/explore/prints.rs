//! States as hashes.

use super::moves::Move;
use super::state::{State, Waiting};
use crate::canon::{Canon, Memo, Tape};
use crate::ledger::reboots;
use std::hash::{Hash, Hasher};
use xenops_core::host::hash::Fingerprint;
use xenops_core::host::{Canonical, Request};
use xenops_core::machine::EffectId;

/// A state in hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Print {
    /// All of it.
    pub(super) whole: u64,
    /// What a crash would find and how many appends are on their way, with each VM in its place.
    pub(super) remains: u64,
    /// What a crash would find, with equal VMs exchanged.
    pub(super) found: u64,
}

/// What a crash would find.
#[derive(Clone, Debug)]
pub(super) struct Remains {
    tape: Tape,
    /// In one hash, with each VM in its place, and with how many appends are on their way: one that is asked for now
    /// comes before all that are asked for later, and so decides what a later crash may find.
    pub(super) hash: u64,
}

/// The orders in which equal VMs are called.
#[derive(Clone, Debug)]
pub(super) struct Orders(Vec<Vec<u8>>);

impl Orders {
    /// As they stand.
    pub(super) fn one(vms: usize) -> Orders {
        Orders(vec![(0..vms as u8).collect()])
    }

    /// All of so many.
    pub(super) fn all(vms: usize) -> Orders {
        let mut all = vec![Vec::new()];
        for _ in 0..vms {
            all = all
                .iter()
                .flat_map(|before: &Vec<u8>| {
                    let left = (0..vms as u8).filter(|vm| !before.contains(vm));
                    left.map(|vm| [&before[..], &[vm]].concat()).collect::<Vec<_>>()
                })
                .collect();
        }
        Orders(all)
    }

    fn fresh<'a>(&self, state: &'a State, memo: &'a Memo) -> Canon<'a> {
        let fresh = Canon::new(&state.names, state.world.now().mono, memo);
        if self.0.len() > 1 { fresh.open() } else { fresh }
    }

    /// What a crash would find.
    pub(super) fn remains(&self, state: &State, memo: &Memo) -> Remains {
        let mut hash = self.fresh(state, memo);
        state.remains(&mut hash);
        let tape = hash.tape();
        let hash = Fingerprint::of(&(tape.read(&self.0[0]), state.appends().count()));
        Remains { tape, hash }
    }

    /// What a reset of the host would find, in one hash, with equal VMs exchanged.
    pub(super) fn reset(&self, state: &State, memo: &Memo) -> u64 {
        let mut hash = self.fresh(state, memo);
        state.rest_after_reset(&mut hash);
        let tape = hash.tape();
        self.0.iter().map(|order| tape.read(order)).min().unwrap_or(0)
    }

    /// The state: the least of its hashes with equal VMs in all orders.
    pub(super) fn print(&self, state: &State, remains: &Remains, memo: &Memo) -> Print {
        let mut hash = self.fresh(state, memo);
        state.fingerprint_beside(&mut hash);
        let tape = hash.tape();
        let found: Vec<u64> = self.0.iter().map(|order| remains.tape.read(order)).collect();
        let least = found.iter().copied().min().unwrap_or(0);
        // Only orders that give the least of one are tried for the other.
        let orders = self.0.iter().zip(&found).filter(|(_, found)| **found == least);
        let beside = orders.map(|(order, _)| tape.read(order)).min().unwrap_or(0);
        Print { whole: Fingerprint::of(&(least, beside)), remains: remains.hash, found: least }
    }
}

impl State {
    /// What a reset of the host would find. What was asked, and all that is no record, image or epoch, is gone with it.
    fn rest_after_reset(&self, hash: &mut Canon) {
        self.world.fingerprint_of_reset(hash);
        hash.digests(self.records.values());
        self.left.hash(hash);
    }

    fn appends(&self) -> impl Iterator<Item = &Waiting> {
        self.asked.iter().filter(|waiting| matches!(waiting.request, Request::Append(_)))
    }

    fn remains(&self, hash: &mut Canon) {
        self.world.fingerprint_of_remains(hash);
        hash.digests(self.records.values());
        self.ledger.fingerprint(hash);
        hash.unordered(reboots(&self.behind(), &self.shelf, &self.swarm), |hash, place| {
            hash.write_u64((1 << 32) + place as u64);
        });
        self.left.hash(hash);
    }

    /// Which VM something is of that can happen; none where it is of several.
    pub(super) fn subject(&self, what: &Move) -> Option<usize> {
        let vm = match what {
            Move::Hear(at) => self.machine.subject(self.answered[*at].0),
            Move::Notice(at) => self.machine.noticed_vm(self.notices[*at]),
            Move::Do(at, _) | Move::Stop(at) => self.machine.subject(self.asked[*at].effect),
            _ => None,
        }?;
        self.swarm.shapes.iter().position(|shape| shape.is(vm))
    }

    /// The state in one hash, with each VM in its place.
    pub fn fingerprint(&self, memo: &Memo) -> u64 {
        self.fingerprint_as(Canon::new(&self.names, self.world.now().mono, memo))
    }

    /// The same, but all handles of a VM are alike, and appends are in no order where nothing can come between them.
    pub(super) fn blurred(&self, memo: &Memo) -> u64 {
        self.fingerprint_as(Canon::new(&self.names, self.world.now().mono, memo).blurred())
    }

    fn fingerprint_as(&self, mut hash: Canon) -> u64 {
        self.remains(&mut hash);
        self.fingerprint_beside(&mut hash);
        hash.finish()
    }

    /// All of it beside what a crash would find.
    fn fingerprint_beside(&self, hash: &mut Canon) {
        let purpose = |effect: EffectId, hash: &mut Canon| self.machine.purpose(effect, hash);
        self.machine.fingerprint(hash);
        self.world.fingerprint(&purpose, hash);
        hash.unordered(&self.asked, |hash, waiting| {
            purpose(waiting.effect, hash);
            (&waiting.request, waiting.aborted).hash(hash);
        });
        // Appends become durable in their order.
        if !(hash.is_blurred() && self.left.crashes == 0) {
            self.appends().for_each(|waiting| purpose(waiting.effect, hash));
        }
        hash.unordered(&self.answered, |hash, (effect, outcome)| {
            purpose(*effect, hash);
            outcome.fingerprint(hash);
        });
        hash.unordered(&self.notices, |hash, token| token.hash(hash));
        hash.unordered(self.flights.iter(), |hash, (effect, deadline)| {
            purpose(effect, hash);
            deadline.hash(hash);
        });
        hash.unordered(self.wants.iter().enumerate(), |hash, (n, wants)| {
            hash.write_u64((1 << 32) + n as u64);
            wants.hash(hash);
        });
    }
}
