//! The daemon is killed, the host is reset, and a daemon starts again.

use super::{Damaged, Happens, Later, Phase, Run};
use crate::fleet::pick;
use crate::journal::Tail;
use crate::oracle::{Checked, rest};
use crate::sometimes::Property;
use crate::swarm::Swarm;
use crate::world::{Concern, World};
use xenops_core::host::time::SECOND;
use xenops_core::machine::{ClientId, Config, Effects, Input, Machine};

impl Run {
    /// What the machine is opened with in this life.
    pub(super) fn config(swarm: &Swarm, world: &World, seed: u64, life: u64) -> Config {
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&seed.to_le_bytes());
        entropy[8..16].copy_from_slice(&life.to_le_bytes());
        Config {
            entropy,
            facts: world.facts(),
            settings: swarm.settings.clone(),
            workers: swarm.workers,
            bounds: swarm.bounds.clone(),
        }
    }

    /// The same, and the daemon that starts finds a record that is not what was written.
    pub(super) fn crash_with(&mut self, damaged: Damaged) -> Checked {
        self.down()?;
        self.journal.tamper(&damaged.key, damaged.is);
        self.damaged = Some(damaged);
        self.start_again()
    }

    /// The daemon is killed; after a while it is started again.
    pub(super) fn crash(&mut self) -> Checked {
        self.down()?;
        self.start_again()
    }

    fn down(&mut self) -> Checked {
        self.struck.count("daemon crash");
        self.gone("the daemon is killed");
        self.mourn();
        let behind = self.journal.behind();
        let tail = self.journal.crash(self.world.disk().full, self.world.choices());
        self.tail(tail);
        self.world.daemon_crash();
        self.look_while_down()?;
        self.ledger.crashed(false);
        self.ledger.reboots_stay(&behind, &self.shelf, &self.swarm);
        let down = pick(self.world.choices(), Concern::Fault, &[0, SECOND, 100 * SECOND]);
        let until = self.now().mono + down;
        self.world.run_until(until);
        self.look_while_down()
    }

    /// The host is reset, and starts again with everything on it.
    pub(super) fn host_reboot(&mut self) -> Checked {
        self.struck.count("host reboot");
        self.gone("the host is reset: all domains are gone, and what was not durable");
        if self.ledger.pending().next().is_some() {
            self.sometimes.hit(Property::RebootInOperation);
        }
        let tail = self.journal.crash(self.world.disk().full, self.world.choices());
        self.tail(tail);
        self.world.host_reboot();
        self.first = rest::picture(&self.world).without_epochs();
        self.ledger.crashed(true);
        self.look_while_down()?;
        self.start_again()
    }

    fn gone(&mut self, what: &str) {
        let at = (self.now().mono, self.steps);
        if let Some(story) = self.trace.story() {
            story.killed(at, what);
        }
    }

    fn tail(&mut self, tail: Tail) {
        if tail.kept > 0 && tail.lost > 0 {
            self.sometimes.hit(Property::TornTail);
        }
        if tail.kept > 0 {
            self.struck.count("torn write");
        }
        if tail.lost > 0 {
            self.struck.count("torn write");
            self.sometimes.hit(Property::AppendLost);
        }
    }

    /// In the middle of what the daemon dies.
    fn mourn(&mut self) {
        if self.ledger.pending().next().is_some() {
            self.sometimes.hit(Property::CrashInOperation);
        }
        if !self.machine.is_at_rest() && self.recovering == self.life && self.life > 0 {
            self.sometimes.hit(Property::CrashInRecovery);
        }
        if self.shelf.iter().any(|(_, records)| records.intent.as_ref().is_some_and(|intent| intent.committed)) {
            self.sometimes.hit(Property::CrashAfterCommit);
        }
    }

    /// Nobody hears what happens now; it happens all the same.
    fn look_while_down(&mut self) -> Checked {
        while self.world.take_outcome().is_some() || self.world.take_notice().is_some() {}
        self.read_records()?;
        let before = self.stopped_guests();
        self.look()?;
        self.show(None);
        if self.stopped_guests() > before {
            self.sometimes.hit(Property::GuestWhileDown);
        }
        Ok(())
    }

    fn stopped_guests(&self) -> u64 {
        self.guests_stopped
    }

    fn start_again(&mut self) -> Checked {
        self.life += 1;
        self.recovering = self.life;
        self.note(|| "daemon starts".to_owned());
        self.mark(Happens::Start, None, || "a daemon starts: it reads its records and looks at the host".to_owned());
        self.world.daemon_starts();
        self.look_while_down()?;
        let whole = self.world.hypervisor().iter().filter(|(_, domain)| domain.info.handle.is_tombstone()).count();
        if whole > 0 {
            self.sometimes.hit(Property::Tombstone);
        }
        self.take_over();
        self.haste.crashed();
        self.begins.clear();
        self.traffic.crashed(self.swarm.workers);
        self.flights = Default::default();
        self.schedule.forget();
        self.inbox.clear();
        self.open.clear();
        self.turn = 0;
        (self.deaf, self.repeat, self.slow, self.cut, self.stuck) = (false, false, false, false, false);
        self.later.retain(|_, later| matches!(later, Later::Space | Later::Mend));
        let mono = self.now().mono;
        for n in 0..self.clients.len() {
            let id = self.fresh_client();
            self.clients[n].reconnect(id, mono);
        }
        let id = self.fresh_client();
        let forgets = self.world.choices().odds(Concern::Workload, 2);
        self.watcher.reconnect(id, forgets);
        if self.watcher.from().is_some() {
            self.sometimes.hit(Property::OldNumber);
        }
        let config = Run::config(&self.swarm, &self.world, self.seed, self.life);
        let mut effects = Effects::new();
        let records = self.journal.entries();
        self.record_start(&config, &records);
        self.machine = Machine::open(config, self.now(), records, &mut effects);
        self.record_started(&effects);
        self.carry_out(&mut effects)?;
        if self.phase == Phase::Clearing {
            self.phase = Phase::Settling;
        }
        Ok(())
    }

    pub(super) fn fresh_client(&mut self) -> ClientId {
        self.next_client += 1;
        ClientId(self.next_client)
    }

    /// A call of nobody in particular, for the input queue.
    pub(super) fn queue(&mut self, input: Input) {
        self.inbox.push_back(input);
    }
}
