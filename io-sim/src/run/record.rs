//! What the daemon of a run is told, kept as a real one records it: each of its lives begins anew.

use super::Run;
use crate::relive::build;
use crate::relive::file::{First, Recording};
use xenops_core::host::Entry;
use xenops_core::machine::recording::{Opened, Told, hash};
use xenops_core::machine::{Config, Effect, Input};

impl Run {
    /// From here on, where a daemon has just been started.
    pub(super) fn record(&mut self) {
        let (config, effects) = (Run::config(&self.swarm, &self.world, self.seed, self.life), hash(&self.effects));
        let opened = self.opened(config, self.journal.entries(), Some(effects));
        self.recorded = Some(Recording { first: First::Opened(Box::new(opened)), told: Vec::new() });
    }

    /// A daemon is about to be started.
    pub(super) fn record_start(&mut self, config: &Config, records: &[Entry]) {
        if self.recorded.is_some() {
            let opened = self.opened(config.clone(), records.to_vec(), None);
            self.recorded = Some(Recording { first: First::Opened(Box::new(opened)), told: Vec::new() });
        }
    }

    /// It has been, with these effects.
    pub(super) fn record_started(&mut self, effects: &[Effect]) {
        if let Some(Recording { first: First::Opened(opened), .. }) = &mut self.recorded {
            opened.effects = Some(hash(effects));
        }
    }

    fn opened(&self, config: Config, records: Vec<Entry>, effects: Option<u64>) -> Opened {
        Opened { build: build(), config, now: self.now(), records, effects }
    }

    /// The machine is about to be told this.
    pub(super) fn record_input(&mut self, input: &Input) {
        let now = self.now();
        if let Some(recorded) = &mut self.recorded {
            recorded.told.push(Told { now, input: input.clone(), effects: None });
        }
    }

    /// It has been, with these effects.
    pub(super) fn record_effects(&mut self, effects: &[Effect]) {
        if let Some(told) = self.recorded.as_mut().and_then(|recorded| recorded.told.last_mut()) {
            told.effects = Some(hash(effects));
        }
    }
}
