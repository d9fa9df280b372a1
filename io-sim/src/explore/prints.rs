//! States as hashes.

use super::moves::Move;
use super::state::State;
use crate::canon::{Canon, Memo};
use std::hash::{Hash, Hasher};
use xenops_core::host::{Canonical, Request};
use xenops_core::machine::EffectId;

impl State {
    /// What a crash would find, in one hash.
    pub(super) fn remains(&self, memo: &Memo) -> u64 {
        let order: Vec<u8> = (0..self.wants.len() as u8).collect();
        let names = self.names.at(self.world.now().mono, &order);
        let mut hash = Canon::new(&names, memo);
        self.world.fingerprint_of_remains(&mut hash);
        hash.digests(self.records.values());
        self.ledger.fingerprint(&mut hash);
        self.asked.iter().any(|waiting| matches!(waiting.request, Request::Append(_))).hash(&mut hash);
        self.left.hash(&mut hash);
        hash.finish()
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

    /// The state in one hash, with equal VMs in this order.
    pub fn fingerprint(&self, order: &[u8], memo: &Memo) -> u64 {
        let names = self.names.at(self.world.now().mono, order);
        self.fingerprint_as(Canon::new(&names, memo))
    }

    /// The same, but all handles are alike.
    pub(super) fn blurred(&self, memo: &Memo) -> u64 {
        let order: Vec<u8> = (0..self.wants.len() as u8).collect();
        let names = self.names.at(self.world.now().mono, &order);
        self.fingerprint_as(Canon::new(&names, memo).blurred())
    }

    fn fingerprint_as(&self, fresh: Canon) -> u64 {
        let purpose = |effect: EffectId| self.machine.purpose(effect, fresh.clone()).unwrap_or(0);
        let mut hash = fresh.clone();
        self.machine.fingerprint(&mut hash);
        self.world.fingerprint(&purpose, &mut hash);
        hash.unordered(&self.asked, |hash, waiting| {
            purpose(waiting.effect).hash(hash);
            (&waiting.request, waiting.aborted).hash(hash);
        });
        // Appends become durable in their order.
        for waiting in self.asked.iter().filter(|waiting| matches!(waiting.request, Request::Append(_))) {
            purpose(waiting.effect).hash(&mut hash);
        }
        hash.unordered(&self.answered, |hash, (effect, outcome)| {
            purpose(*effect).hash(hash);
            outcome.fingerprint(hash);
        });
        hash.unordered(&self.notices, |hash, token| token.hash(hash));
        hash.unordered(self.flights.iter(), |hash, (effect, deadline)| (purpose(effect), deadline).hash(hash));
        hash.digests(self.records.values());
        self.ledger.fingerprint(&mut hash);
        hash.unordered(self.wants.iter().enumerate(), |hash, (n, wants)| {
            hash.write_u64((1 << 32) + n as u64);
            wants.hash(hash);
        });
        self.left.hash(&mut hash);
        hash.finish()
    }
}
