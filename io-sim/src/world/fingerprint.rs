//! The host's state in a hash, for explorers: what two hosts with the same one do from here on is the same.
//!
//! Left out is what nothing depends on: counters that only name things, traces and tallies, how much CPU time was
//! used and when a guest began. Who waits for what follows from the effects in flight.

use super::device::DeviceKey;
use super::effect::{Flight, Stage};
use super::event::Event;
use super::guest::Guest;
use super::hypervisor::Domain;
use super::process::Running;
use super::world::World;
use crate::canon::Canon;
use std::hash::Hash;
use xenops_core::host::{Canonical, DomId, Request};
use xenops_core::machine::EffectId;

/// Writes what an effect is for.
type Purpose<'a> = &'a dyn Fn(EffectId, &mut Canon);

impl World {
    /// All of it beside what remains; `purpose` says what an effect is called.
    pub fn fingerprint(&self, purpose: Purpose, hash: &mut Canon) {
        let effects = |effects: &[u64], hash: &mut Canon| {
            hash.unordered(effects, |hash, effect| purpose(EffectId(*effect), hash));
        };
        hash.unordered(&self.flights, |hash, (effect, flight)| {
            purpose(EffectId(*effect), hash);
            self.flight(flight, hash);
        });
        let leaving = self.hypervisor.iter().filter(|(_, domain)| !domain.leaving.is_empty());
        hash.unordered(leaving, |hash, (domid, domain)| {
            domid.hash(hash);
            effects(&domain.leaving, hash);
        });
        let killed = self.processes.iter().filter(|process| !process.killers.is_empty());
        hash.unordered(killed, |hash, process| {
            self.process(process, hash);
            effects(&process.killers, hash);
        });
        self.coming_effects(purpose, hash);
        (self.outcomes.len(), self.notices.len()).hash(hash);
    }

    /// How many things have been set to happen by themselves so far.
    pub fn thought_of(&self) -> u64 {
        self.queue.thought_of()
    }

    /// What of it a daemon's death, or its own, could make a difference to: requests that are being carried out, but
    /// not who waits for what.
    pub fn fingerprint_of_remains(&self, hash: &mut Canon) {
        let due = |flight: &&Flight| matches!(flight.stage, Stage::Due(_) | Stage::DuePartly(_));
        hash.unordered(self.flights.values().filter(due), |hash, flight| self.flight(flight, hash));
        self.now.boot.hash(hash);
        self.store.fingerprint(hash);
        self.hypervisor.memory().hash(hash);
        hash.unordered(self.hypervisor.iter(), |hash, (domid, domain)| self.domain(domid, domain, hash));
        hash.unordered(self.devices.iter(), |hash, device: (&DeviceKey, _)| device.hash(hash));
        hash.unordered(self.nics.vifs(), |hash, vif| vif.hash(hash));
        hash.unordered(self.nics.taps(), |hash, tap| tap.hash(hash));
        hash.unordered(self.processes.iter(), |hash, process| self.process(process, hash));
        self.attachments.fingerprint(hash);
        hash.unordered(self.storage.datapaths(), |hash, datapath| datapath.hash(hash));
        hash.unordered(self.storage.epochs(), |hash, epoch| epoch.hash(hash));
        self.images.fingerprint(&self.lineages, hash);
        hash.unordered(&self.disk.left, |hash, file| file.hash(hash));
        self.disk.full.hash(hash);
        self.coming(hash);
    }

    /// What of it a reset leaves.
    pub fn fingerprint_of_reset(&self, hash: &mut Canon) {
        self.now.boot.hash(hash);
        hash.unordered(self.storage.epochs(), |hash, epoch| epoch.hash(hash));
        self.images.fingerprint(&self.lineages, hash);
        self.disk.full.hash(hash);
    }

    /// What is to come, but for effects. Of what comes at the same moment only what is of the same domain has an order.
    fn coming(&self, hash: &mut Canon) {
        let mut before: Vec<(u64, Option<DomId>)> = Vec::new();
        let events = self.queue.iter().filter(|(_, event)| !matches!(event, Event::Effect(_)));
        hash.unordered(events, |hash, (at, event)| {
            let one = (at, self.domain_of(event));
            at.hash(hash);
            self.event(event, hash);
            before.iter().filter(|other| **other == one).count().hash(hash);
            before.push(one);
        });
    }

    /// Effects that are to come, in their order among what is of no domain; that a wait is over only tells its machine.
    fn coming_effects(&self, purpose: Purpose, hash: &mut Canon) {
        let waits =
            |effect: &u64| self.flights.get(effect).is_some_and(|flight| matches!(flight.stage, Stage::Waits(_)));
        let ordered = |event: &Event| match event {
            Event::Effect(effect) => !waits(effect),
            event => self.domain_of(event).is_none(),
        };
        let mut before: Vec<u64> = Vec::new();
        hash.unordered(self.queue.iter(), |hash, (at, event)| {
            if let Event::Effect(effect) = event {
                purpose(EffectId(*effect), hash);
                at.hash(hash);
            }
            if ordered(event) {
                before.iter().filter(|other| **other == at).count().hash(hash);
                before.push(at);
            }
        });
    }

    fn domain_of(&self, event: &Event) -> Option<DomId> {
        match event {
            Event::Backend(key) | Event::Frontend(key) => Some(key.domid),
            Event::Process(pid) | Event::End(pid) => self.processes.all.get(pid)?.spawn.domid,
            Event::Guest(domid, _) | Event::Leave(domid) | Event::Console(domid) => Some(*domid),
            Event::Effect(_) | Event::Scrubbed(_) | Event::Notice(_) | Event::Census => None,
        }
    }

    fn domain<H: Canonical>(&self, domid: DomId, domain: &Domain, hash: &mut H) {
        let Domain { info: _, flavour, max_vcpus, shadow, introduced, guest, ports, since: _, waits: _, leaving: _ } =
            domain;
        domid.hash(hash);
        domain.told(self.now.mono).hash(hash);
        (flavour, max_vcpus, shadow, introduced, ports).hash(hash);
        let Guest { lineage, generation, life, traits, drivers, asleep, console: _, parked, began: _, .. } = guest;
        let Guest { heeds, below, suspended_with, targets, .. } = guest;
        (life, traits, drivers, asleep, heeds, parked, below, suspended_with, targets).hash(hash);
        if let Some(lineage) = lineage {
            self.lineages.fingerprint(*lineage, *generation, hash);
        }
    }

    fn process<H: Canonical>(&self, process: &Running, hash: &mut H) {
        let Running { pid: _, spawn, shown, ready, of_this_daemon, told, steps, reads, next, waits: _, killers: _ } =
            process;
        (spawn, shown, ready, of_this_daemon).hash(hash);
        (told, steps, reads, next.map(|(at, _)| at)).hash(hash);
    }

    fn flight<H: Canonical>(&self, flight: &Flight, hash: &mut H) {
        let Flight { stage, timer, back, hidden } = flight;
        std::mem::discriminant(stage).hash(hash);
        (timer.map(|(at, _)| at), back, hidden).hash(hash);
        match stage {
            Stage::Due(request) | Stage::DuePartly(request) | Stage::Stuck(request) => {
                request.hash(hash);
                if let Request::OpenImage { stream, .. } = &**request {
                    self.images.shut().any(|shut| shut == stream).hash(hash);
                }
            }
            Stage::Waits(wait) => wait.hash(hash),
            Stage::Goes(missing) => missing.hash(hash),
            Stage::Answered(outcome) => outcome.fingerprint(hash),
        }
    }

    fn event<H: Canonical>(&self, event: &Event, hash: &mut H) {
        std::mem::discriminant(event).hash(hash);
        match event {
            Event::Effect(_) | Event::Census => {}
            Event::Backend(key) | Event::Frontend(key) => key.hash(hash),
            Event::Process(pid) | Event::End(pid) => {
                let process = self.processes.all.get(pid);
                process.map(|process| (process.spawn.role, process.spawn.domid, process.spawn.process)).hash(hash);
            }
            Event::Guest(domid, step) => (domid, step).hash(hash),
            Event::Leave(domid) | Event::Console(domid) => domid.hash(hash),
            Event::Scrubbed(kib) => kib.hash(hash),
            Event::Notice(token) => token.hash(hash),
        }
    }
}
