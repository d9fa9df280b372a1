//! What is going to happen on the simulated host by itself, in order of time.

use super::device::DeviceKey;
use super::guest::Step;
use std::collections::BTreeMap;
use xenops_core::host::{DomId, Token};

/// One thing that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An effect has its moment: its request is applied, its answer given, or its wait over.
    Effect(u64),
    /// A back end's driver takes a turn.
    Backend(DeviceKey),
    /// A front end's driver takes a turn.
    Frontend(DeviceKey),
    /// A process takes its next step.
    Process(u32),
    /// A process that was told to end does so.
    End(u32),
    /// A guest takes a step.
    Guest(DomId, Step),
    /// A domain that is being destroyed leaves.
    Leave(DomId),
    /// This many KiB have been scrubbed.
    Scrubbed(u64),
    /// The console daemon attaches to a domain.
    Console(DomId),
    /// A notice arrives.
    Notice(Token),
    /// The daemon counts domains, whatever xenstored tells.
    Census,
}

/// When, and which of those at the same time.
pub(super) type Moment = (u64, u64);

/// Events by time, then in the order in which they were thought of.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    events: BTreeMap<Moment, Event>,
    thought_of: u64,
}

impl Queue {
    /// All that is to come, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Event)> {
        self.events.iter().map(|((at, _), event)| (*at, event))
    }

    /// How many things were thought of so far.
    pub(super) fn thought_of(&self) -> u64 {
        self.thought_of
    }

    pub(super) fn push(&mut self, at: u64, event: Event) -> Moment {
        self.thought_of += 1;
        let moment = (at, self.thought_of);
        self.events.insert(moment, event);
        moment
    }

    pub(super) fn cancel_notice(&mut self, token: Token) {
        self.events.retain(|_, event| *event != Event::Notice(token));
    }

    pub(super) fn cancel(&mut self, moment: Moment) {
        self.events.remove(&moment);
    }

    /// When the first of them is.
    pub(super) fn first(&self) -> Option<u64> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// The first, if it is not later than this.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, Event)> {
        if self.first()? > until {
            return None;
        }
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
    }
}
