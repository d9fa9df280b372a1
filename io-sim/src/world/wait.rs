//! Waiting effects: who is told when something that a wait mentions has changed.

use super::effect::Stage;
use super::event::Event;
use super::world::World;
use xenops_core::host::{Condition, DomId, DomainInfo, Handle, Process, Reply, View, Wait};

impl View for World {
    fn value(&self, path: &str) -> Option<&str> {
        if path.starts_with('/') { self.store.value(path) } else { None }
    }

    fn domain(&self, domid: DomId) -> Option<&DomainInfo> {
        self.hypervisor.get(domid).map(|domain| &domain.info)
    }

    fn process(&self, process: Handle) -> Option<&Process> {
        self.processes.by_handle(process).map(|process| &process.shown)
    }

    fn free_memory(&self) -> u64 {
        self.hypervisor.memory().free
    }
}

impl World {
    /// A wait has begun: it is over at once, or somebody will tell it.
    pub(super) fn wait_begins(&mut self, effect: u64) {
        if self.wait_looks(effect) {
            return;
        }
        let Some(Stage::Waits(wait)) = self.flights.get(&effect).map(|flight| &flight.stage) else { return };
        let until = wait.until;
        if until <= self.now.mono {
            return self.wait_ends(effect, None);
        }
        for condition in &wait.any {
            match condition {
                Condition::Present(path)
                | Condition::Absent(path)
                | Condition::Equals(path, _)
                | Condition::Differs(path, _) => self.store.await_on(path, effect),
                Condition::Exited(process) | Condition::Said(process, _) => {
                    let pid = self.processes.handles.get(process).copied();
                    if let Some(process) = pid.and_then(|pid| self.processes.all.get_mut(&pid)) {
                        process.waits.push(effect);
                    }
                }
                Condition::Stopped(domid) => {
                    if let Some(domain) = self.hypervisor.get_mut(*domid) {
                        domain.waits.push(effect);
                    }
                }
                Condition::FreeMemory(_) => self.hypervisor.waits.push(effect),
            }
        }
        let timer = self.queue.push(until, Event::Effect(effect));
        if let Some(flight) = self.flights.get_mut(&effect) {
            flight.timer = Some(timer);
        }
    }

    /// Something that it mentions has changed. Whether that was the end of it.
    pub(super) fn wait_looks(&mut self, effect: u64) -> bool {
        let Some(Stage::Waits(wait)) = self.flights.get(&effect).map(|flight| &flight.stage) else { return false };
        let held = wait.held(self);
        if held.is_some() {
            self.wait_ends(effect, held);
        }
        held.is_some()
    }

    /// A condition holds, or its time is over.
    pub(super) fn wait_ends(&mut self, effect: u64, held: Option<usize>) {
        let Some(flight) = self.flights.get(&effect) else { return };
        let (Stage::Waits(wait), back, hidden) = (&flight.stage, flight.back, flight.hidden) else { return };
        let shown = held.and_then(|held| wait.any[held].process()).and_then(|(process, from)| {
            let shown = &self.processes.by_handle(process)?.shown;
            let lines = shown.lines.get(from as usize..).unwrap_or_default().to_vec();
            Some(Process { lines, exit: shown.exit })
        });
        self.wait_ends_for_good(effect);
        self.answer(effect, Ok(Reply::Held(held.map(|held| held as u32), shown)), back, hidden);
    }

    /// It is over, and nobody tells it any more.
    pub(super) fn wait_ends_for_good(&mut self, effect: u64) {
        let Some(flight) = self.flights.remove(&effect) else { return };
        if let Some(moment) = flight.timer {
            self.queue.cancel(moment);
        }
        if let Stage::Waits(wait) = &flight.stage {
            self.forget_wait(effect, wait);
        }
    }

    /// Nobody tells it any more.
    pub(super) fn forget_wait(&mut self, effect: u64, wait: &Wait) {
        for condition in &wait.any {
            match condition {
                Condition::Present(path)
                | Condition::Absent(path)
                | Condition::Equals(path, _)
                | Condition::Differs(path, _) => self.store.unawait(path, effect),
                Condition::Exited(process) | Condition::Said(process, _) => {
                    let pid = self.processes.handles.get(process).copied();
                    if let Some(process) = pid.and_then(|pid| self.processes.all.get_mut(&pid)) {
                        process.waits.retain(|other| *other != effect);
                    }
                }
                Condition::Stopped(domid) => {
                    if let Some(domain) = self.hypervisor.get_mut(*domid) {
                        domain.waits.retain(|other| *other != effect);
                    }
                }
                Condition::FreeMemory(_) => self.hypervisor.waits.retain(|other| *other != effect),
            }
        }
    }
}
