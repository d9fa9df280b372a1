//! Faults strike.

use super::phases::spec;
use super::step::EXTERNAL;
use super::{Damaged, Happens, Later, Ripe, Run, Theft, Who};
use crate::fault::{Kind, Planned};
use crate::fleet::pick;
use crate::oracle::{Checked, Violation, rest, state};
use crate::sometimes::Property;
use crate::workload::Standing;
use crate::world::{Concern, Fate};
use xenops_core::host::time::SECOND;
use xenops_core::host::{Batch, DomId, DomainAct, Request, ShutdownCode, Token, Uuid};
use xenops_core::interface::Call;
use xenops_core::machine::{EffectId, Input};

/// Inputs that a crash waits at most for its moment.
const PATIENCE: u64 = 300;

/// Inputs after which a VM may have nothing to do any more.
const BUSY: u64 = 15;

/// Inputs that are a long time.
const DEAF: u64 = 5000;

impl Run {
    /// A fault's moment has come.
    pub(super) fn strike(&mut self, kind: Kind) -> Checked {
        self.note(|| format!("FAULT {}", kind.name()));
        let troubles = kind != Kind::GuestStops;
        self.haste.troubled |= troubles;
        self.ledger.troubled |= troubles;
        match kind {
            // These are told when they happen.
            Kind::DaemonCrash | Kind::HostReboot | Kind::OddRequest | Kind::OddProcess => {}
            _ => self.mark(Happens::Fault, None, || kind.told().to_owned()),
        }
        match kind {
            Kind::DaemonCrash => {
                let ripe = match self.world.choices().choose(Concern::Fault, 5) {
                    0 => return self.crash(),
                    1 => {
                        self.cut = true;
                        return Ok(());
                    }
                    2 => Ripe::Writing,
                    3 => Ripe::Flying,
                    _ => Ripe::Naming,
                };
                let latest = self.steps + PATIENCE;
                self.later(0, Later::Crash(ripe, latest));
            }
            Kind::HostReboot => return self.host_reboot(),
            Kind::OddRequest => self.odd_request = true,
            Kind::OddProcess => {
                self.odd_process = true;
                self.processes_struck = self.odd_processes();
                self.world.config_mut().odd_processes = 1;
            }
            Kind::LostNotices => {
                self.deaf = true;
                self.struck.count(kind.name());
                let after = u64::from(self.world.choices().choose(Concern::Fault, 40));
                self.later(after, Later::Hear);
            }
            Kind::RepeatedNotice => self.repeat = true,
            Kind::DiskFull => {
                self.world.disk_mut().full = true;
                self.struck.count(kind.name());
                let after = u64::from(self.world.choices().choose(Concern::Fault, 200));
                self.later(after, Later::Space);
            }
            Kind::SlowDisk => self.slow = true,
            Kind::GuestStops => self.guest_stops(),
            Kind::Destroyed => self.destroyed(),
            Kind::ClockJump => {
                const YEAR: i64 = 365 * 86_400 * SECOND as i64;
                let by = pick(
                    self.world.choices(),
                    Concern::Fault,
                    &[60 * SECOND as i64, -(3600 * SECOND as i64), YEAR, -YEAR],
                );
                self.world.set_clock(by);
                self.ledger.clock_set = true;
                self.struck.count(kind.name());
            }
            Kind::Resize => {
                self.struck.count(kind.name());
                let size = pick(self.world.choices(), Concern::Fault, &[0, 1, 8]);
                self.resize(size);
                let after = u64::from(self.world.choices().choose(Concern::Fault, 100));
                self.later(after, Later::Pool);
            }
            Kind::StuckStorage => self.stuck = true,
            Kind::OddWord => self.odd_word(),
            Kind::Twin => return self.twin(),
            Kind::Damage => return self.damage(),
            Kind::LongDeaf => {
                self.deaf = true;
                self.struck.count(kind.name());
                self.later(DEAF, Later::Hear);
            }
            Kind::BareDestroy => {
                let Some((place, domid)) = self.some_domain(false) else { return Ok(()) };
                self.struck.count(kind.name());
                self.ledger.external(place);
                self.external(Request::Domain(domid, DomainAct::Destroy));
            }
        }
        Ok(())
    }

    fn is_ripe(&mut self, ripe: Ripe) -> bool {
        match ripe {
            Ripe::Writing => !self.journal.is_idle(),
            Ripe::Flying => self.world.in_flight() > 0,
            Ripe::Naming => {
                let named = self.ledger.pending().any(|(_, op)| op.asked.action.names());
                named && self.world.choices().choose(Concern::Fault, 4) == 1
            }
        }
    }

    fn odd_processes(&self) -> u64 {
        ["fails", "dies", "hangs"].iter().map(|kind| self.world.tally().of(kind)).sum()
    }

    fn resize(&mut self, size: u32) {
        let call = Call::HostSetWorkerPoolSize { pool_size: i64::from(size) };
        if size == 0 {
            self.sometimes.hit(Property::PoolOfNone);
        }
        let input = self.call(self.watcher.id, Who::Pool(size), "resize".to_owned(), call);
        self.inbox.push_back(input);
    }

    /// Something whose moment has come, or that nothing comes before any more.
    pub(super) fn later_now(&mut self, what: Later) -> Checked {
        match what {
            Later::Cancel(n, task) => self.cancel(n, task),
            Later::HangUp(n) => self.hang_up(n),
            Later::Hunt(n, call) => self.hunt(n, call),
            Later::Crash(ripe, latest) if self.steps < latest && !self.is_ripe(ripe) => {
                self.later(1, Later::Crash(ripe, latest));
            }
            Later::Crash(..) => return self.crash(),
            Later::Listen => self.watcher.ask(),
            Later::Space => self.world.disk_mut().full = false,
            Later::Takes(Theft::BackEnds, domid) => {
                self.world.lose_back_ends(domid);
                self.theft_goes_on(Theft::Domain, domid);
            }
            Later::Takes(Theft::Domain, domid) => {
                self.sometimes.hit(Property::DevicesTaken);
                self.take_domain(domid);
            }
            Later::Pool => self.resize(self.swarm.workers),
            Later::Mend => return self.mend(),
            Later::Hear => {
                if std::mem::take(&mut self.deaf) {
                    self.sometimes.hit(Property::EverythingLooked);
                    self.inbox.push_back(Input::Everything);
                }
            }
            Later::Again(token) => self.inbox.push_back(Input::Noticed { token: Token(token) }),
        }
        Ok(())
    }

    /// One of our domains that this holds of.
    fn some_domain(&mut self, runs: bool) -> Option<(usize, DomId)> {
        let mut found = Vec::new();
        for (place, shape) in self.swarm.shapes.iter().enumerate() {
            for id in shape.ids {
                let domains = state::living(&self.world, id);
                let fits = domains.filter(|(_, domain)| !runs || (domain.info.runnable() && domain.guest.exists()));
                found.extend(fits.map(|(domid, _)| (place, domid)));
            }
        }
        (!found.is_empty()).then(|| pick(self.world.choices(), Concern::Fault, &found))
    }

    fn guest_stops(&mut self) {
        let Some((place, domid)) = self.some_domain(true) else { return };
        use ShutdownCode::{Crash, Poweroff, Reboot, SoftReset, Suspend, Watchdog};
        let codes = [Poweroff, Reboot, Crash, Reboot, Watchdog, Suspend, SoftReset];
        let code = pick(self.world.choices(), Concern::Fault, &codes);
        self.struck.count(Kind::GuestStops.name());
        self.ledger.external(place);
        self.external(Request::Domain(domid, DomainAct::Shutdown(code)));
    }

    fn destroyed(&mut self) {
        let Some((place, domid)) = self.some_domain(false) else { return };
        self.struck.count(Kind::Destroyed.name());
        self.ledger.external(place);
        self.external(Request::Domain(domid, DomainAct::Pause));
        match self.world.choices().choose(Concern::Fault, 3) {
            // Of devices that it has not plugged libxl knows nothing.
            0 => self.take_domain(domid),
            // Of others it closes the back ends, waits, and takes them away, in steps that others come between.
            1 => {
                self.world.close_back_ends(domid);
                self.theft_goes_on(Theft::BackEnds, domid);
            }
            _ => {
                self.world.lose_back_ends(domid);
                self.theft_goes_on(Theft::Domain, domid);
            }
        }
    }

    /// Any text but one asks for a power-off.
    fn odd_word(&mut self) {
        let Some((place, domid)) = self.some_domain(true) else { return };
        let path = format!("/local/domain/{domid}/action-request");
        if self.world.store().exists(&path) {
            return;
        }
        self.struck.count(Kind::OddWord.name());
        let mono = self.now().mono;
        self.ledger.asked_to_stop(place, domid, mono, &self.swarm);
        let mut batch = Batch::new();
        batch.write(path, "hibernate");
        self.external(Request::Store(batch));
    }

    /// An empty domain under the name of a VM that has one.
    fn twin(&mut self) -> Checked {
        let Some((place, domid)) = self.some_domain(false) else { return Ok(()) };
        let Some(domain) = self.world.hypervisor().get(domid) else { return Ok(()) };
        let spec = spec(domain.info.handle);
        if self.world.strays().next().is_some() {
            return Ok(());
        }
        self.struck.count(Kind::Twin.name());
        self.ledger.external(place);
        self.world.make_stray(&spec);
        self.shown.doubled(place, self.steps);
        self.crash()
    }

    /// A VM's row is not what was written, or the run-time record of one that runs or is suspended, or that of one that
    /// runs is gone, or a device's row of one that is halted. The daemon that starts then has to leave that VM alone.
    fn damage(&mut self) -> Checked {
        let places = (0..self.swarm.shapes.len()).filter(|place| self.ledger.pending_of(*place).next().is_none());
        let found: Vec<_> = places.flat_map(|place| self.damageable(place)).collect();
        if self.damaged.is_some() {
            return Ok(());
        }
        // One that is suspended is seldom met, and has the most to lose.
        let image = |id: Uuid| self.shelf.of(id).and_then(|records| records.image).unwrap_or(0);
        let asleep: Vec<_> = found.iter().filter(|(_, id, _)| image(*id) > 0).cloned().collect();
        if found.is_empty() || asleep.is_empty() && !self.world.choices().odds(Concern::Fault, 6) {
            // All of them are busy, or not there.
            self.plan.postpone(Planned { at: self.steps + BUSY, kind: Kind::Damage });
            return Ok(());
        }
        let among = if asleep.is_empty() { &found } else { &asleep };
        let (place, id, key) = pick(self.world.choices(), Concern::Fault, among);
        // Without its run-time record it cannot be told from one that is halted.
        let suspended = !asleep.is_empty();
        let may_go = key.starts_with("extra/") && !suspended;
        let is = if may_go && self.world.choices().odds(Concern::Fault, 2) { None } else { Some("{") };
        let wanted = self.shelf.of(id).is_some_and(|records| records.intent.is_some());
        let Some(was) = self.journal.records().get(&key).filter(|_| !wanted).cloned() else { return Ok(()) };
        self.struck.count(Kind::Damage.name());
        // The others have to be looked at before it is.
        let least = if suspended { 60 } else { 0 };
        let after = least + u64::from(self.world.choices().choose(Concern::Fault, 120));
        self.later(after, Later::Mend);
        let poweroff = self.ledger.powered_off(place);
        let flags = suspended.then(|| (self.now().boot, rest::active(&self.world, id)));
        self.crash_with(Damaged { key, was, is, place, poweroff, flags })
    }

    /// Records of a VM that it can be told of by what stands there that they are damaged.
    fn damageable(&self, place: usize) -> Vec<(usize, Uuid, String)> {
        let (id, standing) = state::standing(&self.world, &self.shelf, &self.swarm.shapes[place]);
        let device = self.shelf.of(id).and_then(|records| records.devices.first());
        let keys = [
            Some(format!("VM/{id}/config")).filter(|_| standing != Standing::Absent),
            Some(format!("extra/{id}")).filter(|_| matches!(standing, Standing::Running | Standing::Suspended)),
            device.map(|device| format!("VM/{id}/{device}")).filter(|_| standing == Standing::Halted),
        ];
        keys.into_iter().flatten().map(|key| (place, id, key)).collect()
    }

    fn mend(&mut self) -> Checked {
        let Some(damaged) = self.damaged.take() else { return Ok(()) };
        if self.journal.records().get(&damaged.key).map(String::as_str) == damaged.is {
            self.journal.tamper(&damaged.key, Some(&damaged.was));
            self.left_flags(&damaged)?;
        }
        self.crash()
    }

    /// A suspended VM whose record was damaged has the same devices to plug when it is resumed.
    fn left_flags(&self, damaged: &Damaged) -> Checked {
        let Damaged { key, place, poweroff, flags: Some((boot, was)), .. } = damaged else { return Ok(()) };
        if self.now().boot != *boot || self.ledger.powered_off(*place) != *poweroff {
            return Ok(());
        }
        let (id, _) = state::standing(&self.world, &self.shelf, &self.swarm.shapes[*place]);
        let now = rest::active(&self.world, id);
        if now == *was {
            return Ok(());
        }
        Err(Violation::new(
            "law 13",
            format!("record {key} was damaged, and the flags of its devices {was:?} became {now:?}"),
        ))
    }

    fn theft_goes_on(&mut self, next: Theft, domid: DomId) {
        let after = u64::from(self.world.choices().choose(Concern::Fault, 12));
        self.later(after, Later::Takes(next, domid));
    }

    /// libxl's way: what the domain has in xenstore goes first, and its VM's tree with it.
    fn take_domain(&mut self, domid: DomId) {
        let domain = format!("/local/domain/{domid}");
        let vm = self.world.store().value(&format!("{domain}/vm")).map(str::to_owned);
        let mut batch = Batch::new();
        for path in [Some(domain), Some(format!("/libxl/{domid}")), vm].into_iter().flatten() {
            batch.remove(path);
        }
        self.external(Request::Store(batch));
        self.external(Request::Domain(domid, DomainAct::Destroy));
    }

    /// Somebody else asks the host for something.
    pub(super) fn external(&mut self, request: Request) {
        self.next_external += 1;
        self.world.start_with(EffectId(EXTERNAL + self.next_external), request, Fate::Plain);
    }
}
