//! Effects in flight: from a request to its moment, and from there to its one outcome.

use super::choice::Concern;
use super::event::{Event, Moment};
use super::fate::Fate;
use super::pace::Takes;
use super::world::World;
use xenops_core::host::{DomId, Fault, Outcome, Reply, Request, Wait};
use xenops_core::machine::EffectId;

/// Where an effect stands.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Its moment is to come.
    Due(Box<Request>),
    /// Its moment is to come, and then only a part of it is done.
    DuePartly(Box<Request>),
    /// Nobody will ever do it.
    Stuck(Box<Request>),
    /// It waits.
    Waits(Wait),
    /// It is answered when so many processes, or its domain, have gone.
    Goes(u32),
    /// Its answer is on the way.
    Answered(Outcome),
}

/// An effect that has no outcome yet.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) stage: Stage,
    pub(super) timer: Option<Moment>,
    /// Nanoseconds that the answer will take.
    pub(super) back: u64,
    /// What is answered will not be what happened.
    pub(super) hidden: bool,
}

/// What became of a request at its moment.
pub(super) enum Applied {
    /// It has an answer.
    Now(Result<Reply, Fault>),
    /// It waits.
    Waits(Wait),
    /// It is answered when so many others have ended.
    Goes(u32),
}

impl World {
    /// The machine's `Do`: what comes of it is among the outcomes, now or later.
    pub fn start(&mut self, effect: EffectId, request: Request) {
        if self.is_never_answered(&request) {
            return self.gets_stuck(effect, request);
        }
        let fate = self.draw_fate(&request);
        self.start_with(effect, request, fate);
    }

    /// The same with a fate that the caller has chosen.
    pub fn start_with(&mut self, effect: EffectId, request: Request, fate: Fate) {
        let (mut to, mut back) = if request.is_wait() {
            (0, self.draw(Takes::Request))
        } else {
            (self.draw(Takes::Request), self.draw(Takes::Request))
        };
        if fate == Fate::Plain && to == 0 {
            self.carry_out(effect.0, request, back, false);
            return self.settle();
        }
        let mut hidden = false;
        let lost = || Outcome::Unknown(Fault::Lost("the answer".to_owned()));
        let stage = match fate {
            Fate::Plain => Stage::Due(Box::new(request)),
            Fate::Refused(fault) => Stage::Answered(Outcome::Refused(fault)),
            Fate::Unapplied => Stage::Answered(lost()),
            Fate::Unanswered => {
                hidden = true;
                Stage::Due(Box::new(request))
            }
            Fate::Partly => Stage::DuePartly(Box::new(request)),
            Fate::AppliedLate(by) => {
                to += by;
                Stage::Due(Box::new(request))
            }
            Fate::AnsweredLate(by) => {
                back += by;
                Stage::Due(Box::new(request))
            }
        };
        match stage {
            Stage::Due(request) if to == 0 => self.carry_out(effect.0, *request, back, hidden),
            Stage::Answered(outcome) if to == 0 => self.outcomes.push_back((effect, outcome)),
            stage => {
                let timer = self.queue.push(self.now.mono + to, Event::Effect(effect.0));
                self.flights.insert(effect.0, Flight { stage, timer: Some(timer), back, hidden });
            }
        }
        self.settle();
    }

    /// The same, but unless something goes wrong with it the host does nothing before [`World::release`].
    pub fn hold(&mut self, effect: EffectId, request: Request) {
        if self.is_never_answered(&request) {
            return self.gets_stuck(effect, request);
        }
        let fate = self.draw_fate(&request);
        if fate != Fate::Plain || request.is_wait() {
            return self.start_with(effect, request, fate);
        }
        let stage = Stage::Due(Box::new(request));
        self.flights.insert(effect.0, Flight { stage, timer: None, back: 0, hidden: false });
    }

    fn gets_stuck(&mut self, effect: EffectId, request: Request) {
        let stage = Stage::Stuck(Box::new(request));
        self.flights.insert(effect.0, Flight { stage, timer: None, back: 0, hidden: false });
    }

    /// Requests that are held, in the order in which they were asked.
    pub fn held(&self) -> impl Iterator<Item = EffectId> {
        let held = self.flights.iter().filter(|(_, flight)| flight.timer.is_none());
        held.filter(|(_, flight)| matches!(flight.stage, Stage::Due(_))).map(|(effect, _)| EffectId(*effect))
    }

    /// The host does what it was asked.
    pub fn release(&mut self, effect: EffectId) {
        self.effect_is_due(effect.0);
        self.settle();
    }

    /// Whether a request is on its way that will do something to a domain.
    pub fn will_act_on(&self, domid: DomId) -> bool {
        let acts = |stage: &Stage| match stage {
            Stage::Due(request) | Stage::DuePartly(request) => {
                matches!(&**request, Request::Domain(on, _) if *on == domid)
            }
            _ => false,
        };
        self.flights.values().any(|flight| acts(&flight.stage))
    }

    /// Its moment: the request is applied.
    fn carry_out(&mut self, effect: u64, request: Request, back: u64, hidden: bool) {
        let flight = |stage| Flight { stage, timer: None, back, hidden };
        match self.apply(effect, request) {
            Applied::Now(result) => self.answer(effect, result, back, hidden),
            Applied::Waits(wait) => {
                self.flights.insert(effect, flight(Stage::Waits(wait)));
                self.wait_begins(effect);
            }
            Applied::Goes(0) => self.answer(effect, Ok(Reply::Unit), back, hidden),
            Applied::Goes(n) => {
                self.flights.insert(effect, flight(Stage::Goes(n)));
            }
        }
    }

    /// It has happened; the answer takes its time.
    pub(super) fn answer(&mut self, effect: u64, result: Result<Reply, Fault>, back: u64, hidden: bool) {
        let outcome = match result {
            _ if hidden => Outcome::Unknown(Fault::Lost("the answer".to_owned())),
            Ok(reply) => Outcome::Ok(reply),
            Err(fault) => Outcome::Refused(fault),
        };
        if back == 0 {
            self.outcomes.push_back((EffectId(effect), outcome));
            return;
        }
        let timer = self.queue.push(self.now.mono + back, Event::Effect(effect));
        self.flights.insert(effect, Flight { stage: Stage::Answered(outcome), timer: Some(timer), back: 0, hidden });
    }

    /// An effect's timer.
    pub(super) fn effect_is_due(&mut self, effect: u64) {
        let Some(flight) = self.flights.remove(&effect) else { return };
        match flight.stage {
            Stage::Due(request) => self.carry_out(effect, *request, flight.back, flight.hidden),
            Stage::DuePartly(request) => {
                self.apply_partly(effect, *request);
                let outcome = Outcome::Unknown(Fault::Lost("the answer".to_owned()));
                self.outcomes.push_back((EffectId(effect), outcome));
            }
            Stage::Answered(outcome) => self.outcomes.push_back((EffectId(effect), outcome)),
            stage @ (Stage::Waits(_) | Stage::Goes(_) | Stage::Stuck(_)) => {
                self.flights.insert(effect, Flight { stage, timer: None, ..flight });
                self.wait_ends(effect, None);
            }
        }
    }

    /// One of those that a kill or a destruction waits for is gone.
    pub(super) fn killed_one(&mut self, effect: u64) {
        let Some(flight) = self.flights.get_mut(&effect) else { return };
        let Stage::Goes(n) = &mut flight.stage else { return };
        *n -= 1;
        if *n == 0 {
            let (back, hidden) = (flight.back, flight.hidden);
            self.flights.remove(&effect);
            self.answer(effect, Ok(Reply::Unit), back, hidden);
        }
    }

    /// The machine's `Abort`: what has not happened may yet be stopped; the outcome says whether it was.
    pub fn abort(&mut self, effect: EffectId) {
        let Some(flight) = self.flights.get(&effect.0) else { return };
        match &flight.stage {
            Stage::Waits(_) => {
                self.wait_ends_for_good(effect.0);
                self.outcomes.push_back((effect, Outcome::Aborted));
            }
            Stage::Due(request) if request.is_own() => {}
            Stage::Due(_) if self.choices.choose(Concern::Fault, 2) == 0 => {
                if let Some(moment) = self.flights.remove(&effect.0).and_then(|flight| flight.timer) {
                    self.queue.cancel(moment);
                }
                self.outcomes.push_back((effect, Outcome::Aborted));
            }
            // The abort comes too late, or the work cannot be stopped.
            _ => {}
        }
        self.settle();
    }

    /// The next outcome, if there is one.
    pub fn take_outcome(&mut self) -> Option<(EffectId, Outcome)> {
        self.outcomes.pop_front()
    }

    /// All effects that have an outcome, in its order.
    pub fn outcomes(&self) -> impl Iterator<Item = EffectId> {
        self.outcomes.iter().map(|(effect, _)| *effect)
    }

    /// The outcome of this effect is taken before others.
    pub fn take_outcome_of(&mut self, effect: EffectId) -> Option<Outcome> {
        let at = self.outcomes.iter().position(|(of, _)| *of == effect)?;
        self.outcomes.remove(at).map(|(_, outcome)| outcome)
    }

    /// Whether nothing is in flight and nothing will happen by itself.
    pub fn at_rest(&self) -> bool {
        self.flights.is_empty() && self.queue.first().is_none() && self.outcomes.is_empty() && self.notices.is_empty()
    }

    /// How many effects have no outcome yet.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The daemon is gone: each effect whose moment has not come is, independently, done, done in part, or not.
    pub(super) fn cut_off_effects(&mut self) {
        let flights = std::mem::take(&mut self.flights);
        for (effect, flight) in flights {
            if let Some(moment) = flight.timer {
                self.queue.cancel(moment);
            }
            match flight.stage {
                Stage::Due(request) => {
                    self.tally.count("cut off");
                    match self.choices.choose(Concern::Fault, 3) {
                        0 => {}
                        1 => drop(self.apply(effect, *request)),
                        _ => self.apply_partly(effect, *request),
                    }
                }
                Stage::Waits(wait) => self.forget_wait(effect, &wait),
                Stage::DuePartly(_) | Stage::Stuck(_) | Stage::Goes(_) | Stage::Answered(_) => {}
            }
        }
    }
}
