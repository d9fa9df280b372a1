//! What can be done to a simulated domain.

use super::effect::Applied;
use super::event::Event;
use super::guest::Life;
use super::hypervisor::PAGE;
use super::pace::Takes;
use super::traits::Whim;
use super::world::World;
use xenops_core::host::{DomId, DomainAct, Fault, Flavour, Reply, ShutdownCode};

impl World {
    /// One act.
    pub(super) fn act(&mut self, effect: u64, domid: DomId, act: DomainAct) -> Applied {
        if self.hypervisor.get(domid).is_none() {
            return Applied::Now(Err(Fault::NoDomain(domid)));
        }
        if domid == 0 && !matches!(act, DomainAct::SetHandle(_)) {
            return Applied::Now(Err(Fault::Unsupported("do that to domain 0".to_owned())));
        }
        if act == DomainAct::Destroy {
            self.begin_destroy(domid);
            if let Some(domain) = self.hypervisor.get_mut(domid) {
                domain.leaving.push(effect);
            }
            return Applied::Goes(1);
        }
        let dying = self.hypervisor.get(domid).is_some_and(|domain| domain.info.dying);
        if dying && !matches!(act, DomainAct::SetHandle(_) | DomainAct::Pause) {
            return Applied::Now(Err(Fault::NoDomain(domid)));
        }
        self.note(1, u64::from(domid), xenops_core::host::hash::Fingerprint::of(&act));
        Applied::Now(self.act_on_living(domid, act))
    }

    fn act_on_living(&mut self, domid: DomId, act: DomainAct) -> Result<Reply, Fault> {
        let now = self.now.mono;
        let Some(domain) = self.hypervisor.get_mut(domid) else { return Err(Fault::NoDomain(domid)) };
        let hvm = domain.flavour != Flavour::Pv;
        match act {
            DomainAct::Pause => {
                domain.info.paused = true;
                domain.count_time(now);
            }
            DomainAct::Unpause => {
                domain.info.paused = false;
                self.guest_may_run(domid);
            }
            DomainAct::Shutdown(code) => self.guest_stops(domid, code),
            DomainAct::Resume => return self.resume(domid),
            DomainAct::SoftReset => return self.soft_reset(domid),
            DomainAct::SetHandle(handle) => self.hypervisor.rename(domid, handle),
            DomainAct::SetMaxMem(kib) => domain.info.max_pages = kib / PAGE,
            DomainAct::MaxVcpus(n) if n == 0 || domain.max_vcpus > n => return Err(invalid("xc_domain_max_vcpus")),
            DomainAct::MaxVcpus(n) => domain.max_vcpus = n,
            DomainAct::MemmapLimit(_) if hvm => return Err(invalid("xc_domain_set_memmap_limit")),
            DomainAct::TimerMode(_) if !hvm => return Err(invalid("xc_hvm_param_set")),
            DomainAct::ShadowAllocation(mib) => {
                self.hypervisor.set_shadow(domid, mib)?;
                self.memory_changed();
            }
            DomainAct::AcpiWake => self.wake(domid),
            DomainAct::AllocUnbound => {
                domain.ports += 1;
                return Ok(Reply::Number(domain.ports));
            }
            DomainAct::HasPvCallback => return Ok(Reply::Flag(domain.guest.drivers)),
            DomainAct::GetShadowAllocation => return Ok(Reply::Number(u64::from(domain.shadow))),
            DomainAct::HardAffinity { .. }
            | DomainAct::Schedule { .. }
            | DomainAct::MemmapLimit(_)
            | DomainAct::TimerMode(_)
            | DomainAct::Channels { .. }
            | DomainAct::Destroy => {}
        }
        Ok(Reply::Unit)
    }

    /// A suspend is undone: the guest's call returns.
    fn resume(&mut self, domid: DomId) -> Result<Reply, Fault> {
        let Some(domain) = self.hypervisor.get_mut(domid) else { return Err(Fault::NoDomain(domid)) };
        if domain.info.shutdown != Some(ShutdownCode::Suspend) {
            return Err(invalid("xc_domain_resume"));
        }
        (domain.info.shutdown, domain.guest.heeds) = (None, false);
        self.notice_domains();
        self.guest_may_run(domid);
        Ok(Reply::Unit)
    }

    /// The guest's memory stays, all else of the domain is as after its creation.
    fn soft_reset(&mut self, domid: DomId) -> Result<Reply, Fault> {
        let Some(domain) = self.hypervisor.get_mut(domid) else { return Err(Fault::NoDomain(domid)) };
        if domain.info.shutdown != Some(ShutdownCode::SoftReset) || domain.guest.lineage.is_none() {
            return Err(invalid("xc_domain_soft_reset"));
        }
        domain.info.shutdown = None;
        domain.ports = 0;
        domain.guest.life = Life::Fresh;
        domain.guest.drivers = false;
        // Another kernel runs now, and it wants nothing of its own.
        domain.guest.traits.whim = Whim::None;
        self.notice_domains();
        self.guest_may_run(domid);
        Ok(Reply::Unit)
    }

    pub(super) fn wake(&mut self, domid: DomId) {
        if let Some(domain) = self.hypervisor.get_mut(domid) {
            domain.guest.asleep = false;
            self.guest_catches_up(domid);
        }
    }

    /// The domain is torn down from now on; it stays in the list until its memory has been given back.
    pub(super) fn begin_destroy(&mut self, domid: DomId) {
        let now = self.now.mono;
        let Some(domain) = self.hypervisor.get_mut(domid) else { return };
        if std::mem::replace(&mut domain.info.dying, true) {
            return;
        }
        domain.count_time(now);
        domain.guest.parked.clear();
        if let (Some(lineage), true) = (domain.guest.lineage, domain.guest.exists()) {
            domain.guest.life = Life::Over;
            self.lineages.ends(lineage, domid, now);
        }
        self.note(2, u64::from(domid), 0);
        self.domain_changed(domid);
        self.later(Takes::Destroy, Event::Leave(domid));
    }

    /// It leaves the list; xenstored forgets it, and what it owned.
    pub(super) fn domain_leaves(&mut self, domid: DomId) {
        let Some((domain, kib)) = self.hypervisor.remove(domid) else { return };
        self.strays.retain(|stray| *stray != domid);
        if let Some(lineage) = domain.guest.lineage {
            self.lineages.dropped(lineage);
        }
        self.note(3, u64::from(domid), kib);
        self.store.bury(domid);
        self.all_turns(domid);
        self.domain_ended(&domain.waits);
        self.later(Takes::Scrub, Event::Scrubbed(kib));
        for effect in domain.leaving {
            self.killed_one(effect);
        }
    }
}

fn invalid(call: &str) -> Fault {
    Fault::Other(format!("{call}: 22 invalid argument"))
}
