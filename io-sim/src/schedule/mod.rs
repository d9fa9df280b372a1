//! Which of those things that can happen next does: the run's scheduler.
//!
//! With [`Kind::Random`] nobody chooses: how long a request's way to the host takes, and its answer's way back, is drawn
//! (`world::Pace`), and all comes in the order of time. With any other kind these ways take no time. Instead what was
//! asked waits until the scheduler has the host do it, its answer and all notices until the scheduler has the machine
//! hear of them, and time passes, and clients act, when the scheduler says so; but nothing waits longer than
//! [`PATIENCE`], or beyond its deadline: what is late is a fault, and drawn as one. What hosts, guests and scripts do
//! takes its time as ever.
//!
//! - [`Kind::Shuffled`]: any of what is ready, each as likely.
//! - [`Kind::Priorities`]: PCT (Burckhardt and others, ASPLOS 2010), over chains of causes, as for messages (Ozkan and
//!   others, OOPSLA 2018): each chain has a priority, the highest goes, and at a few moments falls behind all others.
//! - [`Kind::Walk`]: a uniform walk (after Zhao and others, ASPLOS 2025): in proportion to what each VM has still before
//!   it, so that whole interleavings are nearly equally likely, and not those in which all take turns.
//! - [`Kind::Starved`]: one VM, chain, kind of request or source of notices waits while anything else may go.
//!
//! Replay needs no scheduler: it takes the same choices from a tape. All choices are of [`Concern::Schedule`]; where all
//! are 0 time decides, or outcomes go before notices, these before requests, and each in their order.

mod lanes;
mod pct;
mod starve;
mod walk;

pub use lanes::{Move, Ready, Sort};

use crate::sometimes::Property;
use crate::world::{Choices, Concern};
use lanes::Lanes;
use pct::Pct;
use starve::Starve;
use std::sync::OnceLock;
use walk::Walk;
use xenops_core::host::time::MILLISECOND;
use xenops_core::host::{Request, Token};
use xenops_core::machine::EffectId;

/// Nanoseconds that anything waits at most for its turn. Who asks how a VM stands may be told what was so a second ago.
pub const PATIENCE: u64 = 500 * MILLISECOND;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal),+ $(,)?) => {
        /// A way to choose.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum Kind { #[default] $($(#[$doc])* $kind),+ }

        impl Kind {
            /// All of them, the plainest first.
            pub const ALL: &[Kind] = &[$(Kind::$kind),+];

            /// What reports call it.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name),+ }
            }
        }
    };
}

kinds! {
    /// By time, which is drawn.
    Random "random",
    /// Each as likely.
    Shuffled "shuffled",
    /// The highest priority, with a few changes.
    Priorities "priorities",
    /// By what is left to do.
    Walk "walk",
    /// One of them last.
    Starved "starved",
}

/// How often each kind is drawn.
const DRAWN: [Kind; 8] = {
    use Kind::{Priorities, Random, Shuffled, Starved, Walk};
    [Random, Random, Random, Random, Shuffled, Priorities, Walk, Starved]
};

static ALWAYS: OnceLock<Kind> = OnceLock::new();

impl Kind {
    /// One for a run.
    pub fn draw(choices: &mut Choices) -> Kind {
        if let Some(kind) = ALWAYS.get() {
            choices.begin(Concern::Schedule, kind.choice());
        }
        DRAWN[choices.choose(Concern::Schedule, DRAWN.len() as u32) as usize]
    }

    /// The choices of a seed, but this scheduler.
    pub fn seeded(self, seed: u64) -> Choices {
        let mut choices = Choices::seeded(seed);
        choices.begin(Concern::Schedule, self.choice());
        choices
    }

    /// All runs of this process have this scheduler.
    pub fn always(self) {
        ALWAYS.get_or_init(|| self);
    }

    /// The scheduler of all runs, if that has been said.
    pub fn of_all() -> Option<Kind> {
        ALWAYS.get().copied()
    }

    fn choice(self) -> u32 {
        DRAWN.iter().position(|kind| *kind == self).expect("each kind is drawn") as u32
    }

    /// What is counted when a run has it, if anything is.
    pub fn property(self) -> Option<Property> {
        match self {
            Kind::Random => None,
            Kind::Shuffled => Some(Property::Shuffled),
            Kind::Priorities => Some(Property::Priorities),
            Kind::Walk => Some(Property::Walked),
            Kind::Starved => Some(Property::Starved),
        }
    }

    /// The one with that name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[derive(Clone, Debug)]
enum Policy {
    Random,
    Shuffled,
    Priorities(Pct),
    Walk(Walk),
    Starved(Starve),
}

/// A run's scheduler.
#[derive(Clone, Debug)]
pub struct Schedule {
    policy: Policy,
    lanes: Lanes,
}

impl Schedule {
    /// One of a kind, for so many VMs, of which so many operations will be asked.
    pub fn new(kind: Kind, vms: usize, operations: u32, choices: &mut Choices) -> Schedule {
        let policy = match kind {
            Kind::Random => Policy::Random,
            Kind::Shuffled => Policy::Shuffled,
            Kind::Priorities => Policy::Priorities(Pct::draw(operations, choices)),
            Kind::Walk => Policy::Walk(Walk::new(vms)),
            Kind::Starved => Policy::Starved(Starve::default()),
        };
        Schedule { policy, lanes: Lanes::default() }
    }

    /// Whether anything waits to be chosen.
    pub fn chooses(&self) -> bool {
        !matches!(self.policy, Policy::Random)
    }

    /// The machine is told something: what came of this effect, or something else.
    pub fn told(&mut self, ended: Option<EffectId>) {
        self.lanes.told(ended);
    }

    /// The machine asks the host for something, for the VM in this place or for several.
    pub fn asked(&mut self, effect: EffectId, place: Option<usize>, request: &Request, mono: u64, deadline: u64) {
        self.lanes.asked(effect, place, request, mono, deadline);
    }

    /// It is to be over sooner.
    pub fn hastened(&mut self, effect: EffectId, deadline: u64) {
        self.lanes.hastened(effect, deadline);
    }

    /// An operation on a VM has ended.
    pub fn operation_ended(&mut self, place: usize) {
        if let Policy::Walk(walk) = &mut self.policy {
            walk.operation_ended(place);
        }
    }

    /// The daemon is gone.
    pub fn forget(&mut self) {
        self.lanes = Lanes::default();
    }

    /// An effect whose moment may have come, or whose outcome may be heard; none of a request of somebody else's.
    pub fn of_effect(&mut self, what: Move, effect: EffectId, mono: u64) -> Option<Ready> {
        self.lanes.of_effect(what, effect, mono)
    }

    /// A notice that may be given, about the VM in this place or several.
    pub fn of_notice(&mut self, token: Token, place: Option<usize>, mono: u64) -> Ready {
        self.lanes.of_notice(token, place, mono)
    }

    /// What goes now; `pending` says of how many operations on a VM the end is not known.
    pub fn pick(&mut self, ready: &[Ready], pending: impl Fn(usize) -> u64, choices: &mut Choices) -> usize {
        let at = match &mut self.policy {
            _ if ready.len() < 2 => 0,
            Policy::Random => 0,
            Policy::Shuffled => choices.choose(Concern::Schedule, ready.len() as u32) as usize,
            Policy::Priorities(pct) => pct.pick(ready, choices),
            Policy::Walk(walk) => walk.pick(ready, pending, choices),
            Policy::Starved(starve) => starve.pick(ready, choices),
        };
        if let (Policy::Walk(walk), Some(place)) = (&mut self.policy, ready[at].place) {
            walk.moved(place);
        }
        if let Move::Notice(token) = ready[at].what {
            self.lanes.given(token);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three VMs, each with so many moves before it, one after the other; the order in which they went, by place.
    fn order(kind: Kind, moves: [u64; 3], choices: &mut Choices) -> Vec<usize> {
        let mut schedule = Schedule::new(kind, 3, 6, choices);
        let (mut left, mut order) = (moves, Vec::new());
        let mut next = 0;
        let mut asked = [None; 3];
        loop {
            let mut ready = Vec::new();
            for place in 0..3 {
                if left[place] > 0 {
                    let effect = *asked[place].get_or_insert_with(|| {
                        next += 1;
                        schedule.asked(EffectId(next), Some(place), &Request::Memory, next, u64::MAX);
                        EffectId(next)
                    });
                    ready.extend(schedule.of_effect(Move::Hear(effect), effect, next));
                }
            }
            if ready.is_empty() {
                return order;
            }
            let at = schedule.pick(&ready, |place| left[place], choices);
            let place = ready[at].place.expect("each is of a VM");
            schedule.told(asked[place].take());
            left[place] -= 1;
            order.push(place);
        }
    }

    #[test]
    fn all_zero_goes_in_order() {
        for kind in Kind::ALL {
            let order = order(*kind, [2, 2, 2], &mut Choices::nothing());
            assert_eq!(order[0], 0, "{}", kind.name());
            assert_eq!(order.len(), 6);
        }
    }

    #[test]
    fn every_kind_comes_to_every_order() {
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Random) {
            let mut orders = std::collections::BTreeSet::new();
            for seed in 0..3000 {
                orders.insert(order(*kind, [1, 1, 2], &mut Choices::seeded(seed)));
            }
            // 4! / 2!; but who has fallen behind comes after all that have not: no 2, 0, 2, 1 and no 2, 1, 2, 0.
            let all = if *kind == Kind::Priorities { 10 } else { 12 };
            assert_eq!(orders.len(), all, "{}", kind.name());
        }
    }

    /// A short VM beside a long one: with each move as likely the short one is done early, in a uniform walk its last
    /// move is as likely to be among the last as among the first.
    #[test]
    fn a_walk_does_not_let_the_short_go_first() {
        let late = |kind| {
            let last = |seed| {
                let order = order(kind, [2, 30, 0], &mut Choices::seeded(seed));
                order.iter().rposition(|place| *place == 0).expect("it went") > 16
            };
            (0..400).filter(|seed| last(*seed)).count()
        };
        assert!(late(Kind::Shuffled) < 4, "{}", late(Kind::Shuffled));
        // 1 - C(17,2) / C(32,2) = 0.73 if all orders were as likely.
        assert!((230..350).contains(&late(Kind::Walk)), "{}", late(Kind::Walk));
    }
}
