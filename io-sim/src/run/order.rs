//! What comes first of what may, where the run's scheduler says so.

use super::Run;
use super::step::EXTERNAL;
use crate::oracle::Violation;
use crate::schedule::{Move, PATIENCE, Ready};
use xenops_core::host::{Request, Uuid};
use xenops_core::machine::{EffectId, Input};

impl Run {
    /// The machine has asked for something.
    pub(super) fn waits_for_its_turn(&mut self, effect: EffectId, request: &Request, deadline: u64) {
        let (place, mono) = (self.place(self.machine.subject(effect)), self.now().mono);
        self.schedule.asked(effect, place, request, mono, deadline);
    }

    pub(super) fn place(&self, id: Option<Uuid>) -> Option<usize> {
        let id = id?;
        self.swarm.shapes.iter().position(|shape| shape.ids.contains(&id))
    }

    /// What the machine is told next; nothing where time is to pass, or nothing is ready.
    pub(super) fn chosen(&mut self) -> Result<Option<Input>, Violation> {
        let mut ready = std::mem::take(&mut self.ready);
        let input = loop {
            self.gather(&mut ready);
            if ready.is_empty() {
                break None;
            }
            let ledger = &self.ledger;
            let pending = |place| ledger.pending_of(place).count() as u64;
            let at = self.schedule.pick(&ready, pending, self.world.choices());
            match ready[at].what {
                Move::Do(effect) => {
                    self.note(|| format!("  host does {effect:?}"));
                    self.world.release(effect);
                    self.look()?;
                }
                Move::Hear(effect) => {
                    let outcome = self.world.take_outcome_of(effect).expect("what is ready is there");
                    if let Some(input) = self.landed(effect, outcome)? {
                        break Some(input);
                    }
                }
                Move::Notice(token) => {
                    self.world.take_notice_of(token);
                    if let Some(input) = self.heard(token) {
                        break Some(input);
                    }
                }
                Move::Wait => break None,
            }
        };
        self.ready = ready;
        Ok(input)
    }

    /// All that may happen now, what was ready first first.
    fn gather(&mut self, ready: &mut Vec<Ready>) {
        ready.clear();
        let mono = self.now().mono;
        let outcomes: Vec<EffectId> = self.world.outcomes().collect();
        for effect in outcomes {
            match self.schedule.of_effect(Move::Hear(effect), effect, mono) {
                Some(one) => ready.push(one),
                None if effect.0 < EXTERNAL => ready.push(Ready::late(effect, mono)),
                None => drop(self.world.take_outcome_of(effect)),
            }
        }
        for at in 0..self.world.notices().len() {
            let token = self.world.notices()[at];
            let place = self.place(self.machine.noticed_vm(token));
            ready.push(self.schedule.of_notice(token, place, mono));
        }
        let schedule = &mut self.schedule;
        ready.extend(self.world.held().filter_map(|effect| schedule.of_effect(Move::Do(effect), effect, mono)));
        if !ready.is_empty() && self.may_wait(ready) {
            ready.push(Ready::wait());
        }
    }

    /// Whether time may pass, or a client act, before any of these happens.
    fn may_wait(&self, ready: &[Ready]) -> bool {
        let Some(next) = self.next_moment() else { return false };
        ready.iter().all(|one| next < one.deadline && next <= one.since + PATIENCE)
    }
}
