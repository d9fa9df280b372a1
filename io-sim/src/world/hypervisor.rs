//! The simulated hypervisor: its domains and its memory.

use super::guest::Guest;
use std::collections::{BTreeMap, BTreeSet};
use xenops_core::host::{DomId, DomainInfo, DomainSpec, Fault, Flavour, Memory, ShutdownCode, Uuid};

/// KiB of a page.
pub(super) const PAGE: u64 = 4;
/// Numbers from here on are not domains.
pub(super) const FIRST_RESERVED: DomId = 0x7ff0;

/// A domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// What the hypervisor tells of it; its CPU time is counted up to `since`.
    pub info: DomainInfo,
    /// Its container.
    pub flavour: Flavour,
    /// Most vCPUs it can have; 0 until that was said.
    pub max_vcpus: u32,
    /// MiB of its shadow pool.
    pub shadow: u32,
    /// xenstored knows it.
    pub introduced: bool,
    /// What runs in it.
    pub guest: Guest,
    /// Event channels so far.
    pub(super) ports: u64,
    /// Since when its vCPUs have been running.
    pub(super) since: Option<u64>,
    /// Waits that ask about it.
    pub(super) waits: Vec<u64>,
    /// Effects that are answered when it has left.
    pub(super) leaving: Vec<u64>,
}

/// All domains and the memory that they share.
#[derive(Clone, Debug)]
pub struct Hypervisor {
    domains: BTreeMap<DomId, Domain>,
    handles: BTreeSet<(Uuid, DomId)>,
    next: DomId,
    /// Numbers are below this.
    most: DomId,
    memory: Memory,
    changes: u64,
    /// Waits that ask for free memory.
    pub(super) waits: Vec<u64>,
}

impl Hypervisor {
    /// With dom0, and this much memory for others, in KiB; the first of those has this number.
    pub(super) fn new(memory: u64, cpus: u32, next: DomId, most: DomId) -> Hypervisor {
        const DOM0: u64 = 1024 * 1024;
        let memory = Memory { total: memory + DOM0, free: memory, scrub: 0 };
        let (domains, handles) = (BTreeMap::new(), BTreeSet::new());
        let mut hypervisor = Hypervisor { domains, handles, next, most, memory, changes: 0, waits: Vec::new() };
        let mut dom0 = domain(0, Uuid::default(), Flavour::Pv, cpus);
        dom0.info.paused = false;
        dom0.info.vcpus = cpus;
        dom0.info.total_pages = DOM0 / PAGE;
        dom0.info.max_pages = u64::MAX / PAGE;
        dom0.introduced = true;
        hypervisor.domains.insert(0, dom0);
        hypervisor
    }

    /// The host's memory.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// A domain.
    pub fn get(&self, domid: DomId) -> Option<&Domain> {
        self.domains.get(&domid)
    }

    pub(super) fn get_mut(&mut self, domid: DomId) -> Option<&mut Domain> {
        self.changes += 1;
        self.domains.get_mut(&domid)
    }

    /// How often since the host's start a domain may have changed: while this stays, all of them do.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Every domain, dom0 too, by number.
    pub fn iter(&self) -> impl Iterator<Item = (DomId, &Domain)> {
        self.domains.iter().map(|(domid, domain)| (*domid, domain))
    }

    /// The domains that say they are this VM.
    pub fn of(&self, handle: Uuid) -> impl Iterator<Item = DomId> {
        self.handles.range((handle, 0)..=(handle, DomId::MAX)).map(|(_, domid)| *domid)
    }

    /// The domains with any of the handles that mark one which is being destroyed.
    pub(super) fn tombstones(&self) -> impl Iterator<Item = DomId> {
        let (first, last) = (Uuid::tombstone(0), Uuid::tombstone(0xffff));
        self.handles.range((first, 0)..=(last, DomId::MAX)).map(|(_, domid)| *domid)
    }

    /// An empty, paused domain.
    pub(super) fn create(&mut self, spec: &DomainSpec) -> Result<DomId, Fault> {
        if spec.max_vcpus == 0 {
            return Err(Fault::Other("xc_domain_create: 22 no vcpus".to_owned()));
        }
        let domid = self.next_free().ok_or_else(|| Fault::NoSpace("domain numbers".to_owned()))?;
        self.next = if domid + 1 < self.most { domid + 1 } else { 1 };
        self.changes += 1;
        self.domains.insert(domid, domain(domid, spec.handle, spec.flavour, 0));
        self.handles.insert((spec.handle, domid));
        Ok(domid)
    }

    /// The number that the next domain gets.
    pub fn next_free(&self) -> Option<DomId> {
        (self.next..self.most).chain(1..self.next).find(|domid| !self.domains.contains_key(domid))
    }

    /// The next domain has this number, if no domain has it.
    pub(super) fn set_next(&mut self, domid: DomId) {
        self.next = domid;
    }

    /// Somebody else has made a domain.
    pub(super) fn appear(&mut self, domid: DomId, handle: Uuid) {
        self.changes += 1;
        self.domains.insert(domid, domain(domid, handle, Flavour::Pv, 1));
        self.handles.insert((handle, domid));
    }

    /// A domain is as this says.
    pub(super) fn set_info(&mut self, info: &DomainInfo) {
        self.rename(info.domid, info.handle);
        if let Some(domain) = self.get_mut(info.domid) {
            domain.info = info.clone();
        }
    }

    /// The host has this memory.
    pub(super) fn set_memory(&mut self, memory: Memory) {
        self.memory = memory;
    }

    pub(super) fn rename(&mut self, domid: DomId, handle: Uuid) {
        if let Some(domain) = self.get_mut(domid) {
            let before = std::mem::replace(&mut domain.info.handle, handle);
            self.handles.remove(&(before, domid));
            self.handles.insert((handle, domid));
        }
    }

    /// A domain's pages and pool are no longer its own; KiB that must be scrubbed.
    pub(super) fn remove(&mut self, domid: DomId) -> Option<(Domain, u64)> {
        self.changes += 1;
        let domain = self.domains.remove(&domid)?;
        self.handles.remove(&(domain.info.handle, domid));
        let kib = domain.info.total_pages * PAGE + u64::from(domain.shadow) * 1024;
        self.memory.scrub += kib;
        Some((domain, kib))
    }

    /// Nobody waits any more for domains that are being destroyed.
    pub(super) fn forget_leaving(&mut self) {
        self.changes += 1;
        self.domains.values_mut().for_each(|domain| domain.leaving.clear());
    }

    pub(super) fn scrubbed(&mut self, kib: u64) {
        self.memory.scrub -= kib;
        self.memory.free += kib;
    }

    /// Give a domain this many pages in all, more or fewer than it has.
    pub(super) fn populate(&mut self, domid: DomId, pages: u64) -> Result<(), Fault> {
        let Some(domain) = self.domains.get_mut(&domid) else { return Err(Fault::NoDomain(domid)) };
        let more = pages.saturating_sub(domain.info.total_pages) * PAGE;
        if pages > domain.info.max_pages || more > self.memory.free {
            return Err(Fault::NoMemory(more));
        }
        self.memory.free = self.memory.free + domain.info.total_pages * PAGE - pages * PAGE;
        domain.info.total_pages = pages;
        Ok(())
    }

    /// A domain's shadow pool, in MiB.
    pub(super) fn set_shadow(&mut self, domid: DomId, mib: u32) -> Result<(), Fault> {
        let Some(domain) = self.domains.get_mut(&domid) else { return Err(Fault::NoDomain(domid)) };
        let (old, new) = (u64::from(domain.shadow) * 1024, u64::from(mib) * 1024);
        if domain.flavour == Flavour::Pv || domain.max_vcpus == 0 {
            return Err(Fault::Other("xc_shadow_control: 22 invalid argument".to_owned()));
        }
        if new.saturating_sub(old) > self.memory.free {
            return Err(Fault::NoMemory(new - old));
        }
        self.memory.free = self.memory.free + old - new;
        domain.shadow = mib;
        Ok(())
    }
}

fn domain(domid: DomId, handle: Uuid, flavour: Flavour, max_vcpus: u32) -> Domain {
    let info = DomainInfo {
        domid,
        handle,
        paused: true,
        dying: false,
        shutdown: None,
        hvm: flavour != Flavour::Pv,
        total_pages: 0,
        max_pages: 0,
        cpu_time: 0,
        vcpus: 0,
    };
    Domain {
        info,
        flavour,
        max_vcpus,
        shadow: 0,
        introduced: false,
        guest: Guest::default(),
        ports: 0,
        since: None,
        waits: Vec::new(),
        leaving: Vec::new(),
    }
}

impl Domain {
    /// What the hypervisor tells of it at a moment.
    pub fn told(&self, now: u64) -> DomainInfo {
        let running = self.since.map_or(0, |since| now.saturating_sub(since));
        DomainInfo { cpu_time: self.info.cpu_time + running, ..self.info.clone() }
    }

    /// Its vCPUs run from now on, or no longer; the first run takes at least a microsecond.
    pub(super) fn count_time(&mut self, now: u64) {
        const LEAST: u64 = 1_000;
        match (self.info.runnable() && self.guest.exists(), self.since) {
            (true, None) => {
                self.since = Some(now);
                self.info.cpu_time += LEAST;
            }
            (false, Some(since)) => {
                self.since = None;
                self.info.cpu_time += now.saturating_sub(since);
            }
            _ => {}
        }
    }

    /// Its guest stopped itself with this code, if it has.
    pub fn stopped(&self) -> Option<ShutdownCode> {
        self.info.shutdown
    }
}
