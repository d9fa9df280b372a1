//! Which of a state's moves are enough, and what shows that they were not. See the module's documentation.

use super::moves::Move;
use super::state::State;
use crate::oracle::Violation;
use std::collections::BTreeSet;
use xenops_core::host::{Outcome, Request, Token, Uuid};
use xenops_core::machine::{Bearing, EffectId, Stretch};

/// What a move must leave as it is for the light ones to commute with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    /// By VM: the look that it takes or the plan that it is in.
    stretches: Vec<Option<Stretch>>,
    /// Tasks that have not ended.
    pending: usize,
    /// Watches and lists on their way.
    light: usize,
}

/// A state's moves: what is tried, and what only if that shows that it must be.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// What is tried, under its number among all.
    pub(super) tried: Vec<(usize, Move)>,
    /// Moves of other VMs: tried too if what is tried makes a difference to a crash.
    pub(super) others: Vec<(usize, Move)>,
    /// Light ones: tried too if what is tried does not leave them alone.
    pub(super) light: Vec<(usize, Move)>,
}

impl Chosen {
    /// All of them.
    pub(super) fn all(moves: Vec<Move>) -> Chosen {
        Chosen { tried: moves.into_iter().enumerate().collect(), ..Chosen::default() }
    }

    /// Whether some may be tried yet that are put off now.
    pub(super) fn may_be_more(&self) -> bool {
        !(self.others.is_empty() && self.light.is_empty())
    }
}

/// The only move that need be tried, by its number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sole {
    /// It is.
    Surely(usize),
    /// It is if it leaves alone what is put off.
    Perhaps(usize),
}

impl State {
    pub(super) fn stand(&self) -> Stand {
        let stretch = |ids: &[Uuid]| ids.iter().find_map(|id| self.machine.stretch(*id));
        let is_light = |effect| matches!(self.machine.bearing(effect), Bearing::List | Bearing::Watch(_));
        let asked = self.asked.iter().map(|waiting| waiting.effect);
        let answered = self.answered.iter().map(|(effect, _)| *effect);
        Stand {
            stretches: self.swarm.shapes.iter().map(|shape| stretch(&shape.ids)).collect(),
            pending: self.pending.len(),
            light: asked.chain(answered).filter(|effect| is_light(*effect)).count(),
        }
    }

    fn effect_of(&self, what: &Move) -> Option<EffectId> {
        match what {
            Move::Hear(at) => Some(self.answered[*at].0),
            Move::Do(at, _) | Move::Stop(at) => Some(self.asked[*at].effect),
            _ => None,
        }
    }

    fn place(&self, vm: Uuid) -> Option<usize> {
        self.swarm.shapes.iter().position(|shape| shape.is(vm))
    }

    /// Whether a move can only make VMs be looked at once more when they are through with what they are about.
    fn is_light(&self, what: &Move, stand: &Stand) -> bool {
        let inside = |vm| self.place(vm).is_some_and(|place| stand.stretches[place].is_some());
        let all = || stand.stretches.iter().all(Option::is_some);
        if let Move::Notice(at) = what {
            let token = self.notices[*at];
            return if token == Token::DOMAINS { all() } else { self.machine.noticed_vm(token).is_some_and(inside) };
        }
        match self.effect_of(what).map(|effect| self.machine.bearing(effect)) {
            Some(Bearing::List) => all(),
            Some(Bearing::Watch(vm)) => matches!(what, Move::Hear(_)) && inside(vm),
            _ => false,
        }
    }

    /// Whether the list of all domains may yet be read by what is under way.
    fn may_list(&self) -> bool {
        let asked = self.asked.iter().any(|waiting| matches!(waiting.request, Request::ListDomains));
        asked || self.notices.contains(&Token::DOMAINS) || self.machine.lists_again()
    }

    /// Whether the move that led here from a state that stood so has left alone what was light there.
    pub(super) fn has_left_alone(&self, before: &State, stand: &Stand) -> bool {
        let domains = std::ptr::eq(self.world.hypervisor(), before.world.hypervisor()) || !before.may_list();
        let again = self.raised.contains(&Token::DOMAINS) && before.notices.contains(&Token::DOMAINS);
        domains && !again && self.stand() == *stand
    }

    /// Which moves are tried; the first so many are ordinary.
    pub(super) fn chosen(&self, all: Vec<Move>, ordinary: usize, stand: &Stand) -> Chosen {
        let left = self.left;
        if left.guests > 0 {
            return Chosen::all(all);
        }
        let all = all.into_iter().enumerate();
        let (mut light, mut tried): (Vec<_>, Vec<_>) = all.partition(|(_, what)| self.is_light(what, stand));
        if tried.first().is_none_or(|(at, _)| *at >= ordinary) {
            tried.append(&mut light);
            tried.sort_unstable_by_key(|(at, _)| *at);
        }
        let mut others = Vec::new();
        if left.is_spent() || (left.faults, left.cancels) == (0, 0) {
            let first = |(at, what): &(usize, Move)| if *at < ordinary { self.subject(what) } else { None };
            // If there is one that leaves the host alone, so it does, most likely, what a crash would find.
            let acts = |what: &Move| !left.is_spent() && self.acts(what);
            let acting: BTreeSet<usize> = tried.iter().filter(|one| acts(&one.1)).filter_map(first).collect();
            if let Some(vm) = tried.iter().filter_map(first).min_by_key(|vm| (acting.contains(vm), *vm)) {
                let is_of = |one: &(usize, Move)| first(one).is_none_or(|of| of == vm);
                (tried, others) = tried.into_iter().partition(is_of);
            }
        }
        Chosen { tried, others, light }
    }

    /// Whether by it the host does more than look.
    fn acts(&self, what: &Move) -> bool {
        matches!(what, Move::Do(at, _) if !self.asked[*at].request.is_read_only())
    }

    /// Moves of which each alone may be enough.
    pub(super) fn soles(&self, moves: &[Move]) -> Vec<Sole> {
        let spent = self.left.is_spent();
        if let ([_], true) = (moves, spent) {
            return vec![Sole::Surely(0)];
        }
        if let Some(at) = moves.iter().position(|what| self.means_nothing(what)) {
            return vec![Sole::Surely(at)];
        }
        if (self.left.cancels, self.left.guests) != (0, 0) {
            return Vec::new();
        }
        let may = |what: &Move| match what {
            Move::Hear(_) => self.goes_on(what),
            Move::Do(at, _) => {
                let alone = !self.asked[*at].aborted && !self.is_beside_others(what) && !self.may_be_watched(what);
                spent && alone && self.goes_on(what)
            }
            _ => false,
        };
        (0..moves.len()).filter(|at| may(&moves[*at])).map(Sole::Perhaps).collect()
    }

    /// Whether the machine does nothing when it hears this.
    fn means_nothing(&self, what: &Move) -> bool {
        let Move::Hear(at) = what else { return false };
        let (effect, outcome) = &self.answered[*at];
        match self.machine.bearing(*effect) {
            Bearing::Nothing => true,
            Bearing::Mark => !matches!(outcome, Outcome::Unknown(_)),
            _ => false,
        }
    }

    /// Whether a VM gets on by it with what it is about.
    fn goes_on(&self, what: &Move) -> bool {
        match self.effect_of(what).map(|effect| self.machine.bearing(effect)) {
            Some(Bearing::Course(vm)) => self.machine.stretch(vm).is_some(),
            Some(Bearing::Mark) => matches!(what, Move::Do(..)) && self.left.is_spent(),
            _ => false,
        }
    }

    /// Whether a watch will be set that may or may not see what this does.
    fn may_be_watched(&self, what: &Move) -> bool {
        let Move::Do(at, _) = what else { return false };
        let comes = |effect| matches!(self.machine.bearing(effect), Bearing::Watch(_));
        !self.asked[*at].request.is_read_only() && self.asked.iter().any(|waiting| comes(waiting.effect))
    }

    /// Whether its VM does more than one thing at a time.
    fn is_beside_others(&self, what: &Move) -> bool {
        let of = self.effect_of(what).map(|effect| self.machine.bearing(effect));
        let beside = self.flights.iter().filter(|(effect, _)| Some(self.machine.bearing(*effect)) == of);
        beside.count() > 1
    }

    /// A move in words.
    pub(super) fn told(&self, what: &Move) -> String {
        let request = match what {
            Move::Do(at, _) | Move::Stop(at) => crate::trace::request(&self.asked[*at].request),
            Move::Hear(at) => format!("{:?}", self.answered[*at].1),
            Move::Notice(at) => format!("{:?}", self.notices[*at]),
            _ => String::new(),
        };
        let bearing = self.effect_of(what).map(|effect| self.machine.bearing(effect));
        format!("{what:?} ({bearing:?} {request})")
    }

    /// The same move in another state.
    fn same_in(&self, other: &State, what: &Move) -> Option<Move> {
        let asked = |at: usize| other.asked.iter().position(|waiting| waiting.effect == self.asked[at].effect);
        Some(match what {
            Move::Hear(at) => {
                let effect = self.answered[*at].0;
                Move::Hear(other.answered.iter().position(|(of, _)| *of == effect)?)
            }
            Move::Notice(at) => Move::Notice(other.notices.iter().position(|token| *token == self.notices[*at])?),
            Move::Do(at, fate) => Move::Do(asked(*at)?, fate.clone()),
            Move::Stop(at) => Move::Stop(asked(*at)?),
            Move::Cancel(at) => Move::Cancel(other.pending.iter().position(|(key, _)| *key == self.pending[*at].0)?),
            what => what.clone(),
        })
    }

    /// Whether it makes no difference which of two moves comes first, or what is put off is raised anew.
    pub(super) fn commute(
        &self,
        tried: &Move,
        put_off: &Move,
        print: impl Fn(&State) -> u64,
    ) -> Result<bool, Violation> {
        let (mut one, mut other) = (self.clone(), self.clone());
        one.make(tried)?;
        let alone = print(&one);
        other.make(put_off)?;
        let (Some(second), Some(first)) = (self.same_in(&one, put_off), self.same_in(&other, tried)) else {
            return Ok(false);
        };
        one.make(&second)?;
        other.make(&first)?;
        let both = print(&other);
        Ok(print(&one) == both || matches!(put_off, Move::Notice(_)) && alone == both)
    }
}
