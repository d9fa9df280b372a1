//! A part of a recording, lived through: whether it fails as the whole does.

use super::survey::{Ask, Heard, Refers, Survey, about_task};
use crate::relive::file::{First, Recording};
use crate::relive::life::{Broken, Life, masked, words};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use xenops_core::host::time::SECOND;
use xenops_core::interface::{Answer, Request as Asked};
use xenops_core::machine::effect::straggler_token;
use xenops_core::machine::recording::{Told, hash};
use xenops_core::machine::{CallId, Effect, EffectId, Flights, Input};

/// Which records of the beginning, and which inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) records: Vec<usize>,
    pub(super) inputs: Vec<usize>,
}

/// What is compared on the way to the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// Nothing: the failure tells itself.
    Nothing,
    /// Effects are those that were recorded.
    Recorded,
    /// Effects are told, for somebody else to compare them.
    Later,
}

/// A part that fails as the whole does.
#[derive(Clone, Debug)]
pub(super) struct Lived {
    /// What of the part has been told: outcomes of what nobody asked for have not.
    pub(super) part: Part,
    /// It, as a recording.
    pub(super) recording: Recording,
    /// The same with what came of each input, where that is compared later, and of the beginning.
    pub(super) effects: Vec<u64>,
    /// The last of these, in words.
    pub(super) last: Vec<String>,
    /// Whether a request has waited much longer than any driver lets it.
    pub(super) overdue: bool,
}

/// So much may a driver be late.
const LATE: u64 = 10 * SECOND;

/// A life, and what goes by which number in it.
struct Trial<'a> {
    survey: &'a Survey,
    compared: Compared,
    patient: bool,
    life: Life,
    flights: Flights,
    open: Vec<Ask>,
    ended: BTreeMap<usize, EffectId>,
    tasks: BTreeMap<CallId, String>,
    lived: Lived,
}

/// Lives through a part; nothing if it does not fail, fails otherwise, or would be `overdue` and must not.
pub(super) fn live(survey: &Survey, part: &Part, compared: Compared, patient: bool) -> Option<Lived> {
    let first = beginning(survey, part, compared);
    let lived = Lived {
        part: Part { records: part.records.clone(), inputs: Vec::new() },
        recording: Recording { first: first.clone(), told: Vec::new() },
        effects: Vec::new(),
        last: Vec::new(),
        overdue: false,
    };
    let life = match Life::begin(first) {
        Ok(life) => life,
        Err(broken) => return (survey.inputs.is_empty() && broken.is_like(&survey.broken)).then_some(lived),
    };
    let (flights, open, ended, tasks) = Default::default();
    let mut trial = Trial { survey, compared, patient, life, flights, open, ended, tasks, lived };
    trial.note();
    let last = survey.inputs.len().checked_sub(1)?;
    let mut inputs = part.inputs.iter().copied().chain([last]);
    let fails = inputs.find_map(|at| trial.hears(at, at == last).break_value());
    fails.unwrap_or(false).then_some(trial.lived)
}

fn beginning(survey: &Survey, part: &Part, compared: Compared) -> First {
    let mut first = survey.first.clone();
    if let First::Opened(opened) = &mut first {
        opened.records = part.records.iter().map(|at| opened.records[*at].clone()).collect();
        opened.effects = opened.effects.filter(|_| compared == Compared::Recorded);
    }
    first
}

impl Trial<'_> {
    /// It hears one input; where that ends it, whether it fails as the whole does.
    fn hears(&mut self, at: usize, last: bool) -> ControlFlow<bool> {
        let heard = &self.survey.inputs[at];
        let Some(input) = self.translated(heard, last) else {
            return if last { ControlFlow::Break(false) } else { ControlFlow::Continue(()) };
        };
        let effects = heard.told.effects.filter(|_| self.compared == Compared::Recorded);
        let told = Told { now: heard.told.now, input, effects };
        self.lived.overdue |= self.flights.next().is_some_and(|next| next.saturating_add(LATE) < told.now.mono);
        if self.lived.overdue && !self.patient {
            return ControlFlow::Break(false);
        }
        self.over(&told.input, heard.refers);
        let later = self.compared == Compared::Later;
        match self.life.tell(told.clone()) {
            // It is as likely the outcome of something that was asked before the recording began.
            Err(Broken::Unasked(_)) if !last => return ControlFlow::Continue(()),
            Err(_) if last && later => return ControlFlow::Break(false),
            Err(broken) => {
                // It may panic before; then that is what is needed, and not the last.
                self.lived.part.inputs.extend((!last).then_some(at));
                self.lived.recording.told.push(told);
                let in_time = last || matches!(broken, Broken::Panics(_));
                return ControlFlow::Break(in_time && broken.is_like(&self.survey.broken));
            }
            Ok(()) => {}
        }
        self.lived.recording.told.push(told);
        self.note();
        if last {
            // Whether it differs is for the other to say.
            self.lived.last = words(self.life.effects());
            return ControlFlow::Break(later);
        }
        self.lived.part.inputs.push(at);
        ControlFlow::Continue(())
    }

    /// What the machine has just done, if that is compared later; what it asked, and the tasks that it made.
    fn note(&mut self) {
        if self.compared == Compared::Later {
            self.lived.effects.push(hash(self.life.effects()));
        }
        for effect in self.life.effects() {
            match effect {
                Effect::Do { effect, request, deadline } => {
                    let vm = self.life.machine().subject(*effect);
                    self.open.push(Ask { effect: *effect, vm, request: request.clone() });
                    self.flights.depart(*effect, *deadline);
                }
                Effect::Abort { effect, deadline } => self.flights.hasten(*effect, *deadline),
                Effect::Reply { call, reply: Ok(Answer::TaskId(task)) } => {
                    self.tasks.insert(*call, task.clone());
                }
                Effect::Reply { .. } => {}
            }
        }
    }

    /// The input under the numbers of this life; nothing where there is not what it is about.
    fn translated(&self, heard: &Heard, last: bool) -> Option<Input> {
        let input = heard.told.input.clone();
        Some(match (input, heard.refers) {
            (Input::Done { outcome, .. }, Refers::Ask(ask)) => {
                // What nobody asks for any more was asked for once.
                let unasked = last && matches!(self.survey.broken, Broken::Unasked(_));
                let effect = if unasked { self.ended.get(&ask).copied() } else { self.asked(&self.survey.asks[ask]) };
                Input::Done { effect: effect?, outcome }
            }
            (Input::Noticed { .. }, Refers::Straggler(ask)) => {
                Input::Noticed { token: straggler_token(*self.ended.get(&ask)?) }
            }
            (Input::Noticed { .. }, Refers::Vm(vm)) => Input::Noticed { token: self.life.machine().notice_of(vm)? },
            (Input::Call { call, client, request: Asked { debug_info, call: what } }, Refers::Task(by)) => {
                let what = about_task(what, self.tasks.get(&by)?);
                Input::Call { call, client, request: Asked { debug_info, call: what } }
            }
            (input, _) => input,
        })
    }

    /// The request in flight that is this one, of several the one with its number; where none is, this one but for
    /// numbers.
    fn asked(&self, ask: &Ask) -> Option<EffectId> {
        let of_vm = || self.open.iter().filter(|open| open.vm == ask.vm);
        let same = || of_vm().filter(|open| open.request == ask.request);
        let own = same().find(|open| open.effect == ask.effect).or_else(|| same().next());
        let alike = || {
            let text = masked(&format!("{:?}", ask.request));
            let kind = std::mem::discriminant(&ask.request);
            of_vm().find(|open| {
                std::mem::discriminant(&open.request) == kind && masked(&format!("{:?}", open.request)) == text
            })
        };
        own.or_else(alike).map(|open| open.effect)
    }

    /// This request ends.
    fn over(&mut self, input: &Input, refers: Refers) {
        let Input::Done { effect, .. } = input else { return };
        self.open.retain(|open| open.effect != *effect);
        self.flights.land(*effect);
        if let Refers::Ask(ask) = refers {
            self.ended.insert(ask, *effect);
        }
    }
}
