//! Requests on their way: of whom, how many at once, in which order; and those that have outlasted their deadline.

use super::domains::{Domains, Event, What};
use super::{Checked, Violation};
use std::collections::{BTreeMap, BTreeSet};
use xenops_core::host::{DomId, DomainAct, Request, StorageCall};
use xenops_core::machine::EffectId;

/// What matters of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// Whose it is: a place in the fleet.
    place: Option<usize>,
    /// The domain that it asks something of Xen for.
    on: Option<DomId>,
    /// It is done with a worker of the pool.
    pooled: bool,
    /// It makes a domain, which is nobody's yet.
    makes: bool,
    /// It lets a domain run.
    unpauses: bool,
    /// It may still complete a suspend image.
    saves: bool,
    /// A disk of this domain is attached for writing.
    writes: Option<DomId>,
    late: bool,
}

/// Those that change something.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    sent: BTreeMap<EffectId, Sent>,
    late: usize,
    /// Domains that have a disk which is only read.
    readers: BTreeSet<DomId>,
    /// The size of the worker pool.
    pub pool: usize,
}

/// The domain that a request is about, and what it does.
fn about(request: &Request) -> Option<DomId> {
    match request {
        Request::Domain(_, DomainAct::HasPvCallback | DomainAct::GetShadowAllocation) => None,
        Request::Domain(domid, _) | Request::Kill(domid, _) | Request::Introduce(domid, ..) => Some(*domid),
        Request::Spawn(spawn) => spawn.domid,
        Request::Storage(
            StorageCall::Attach { dp, .. }
            | StorageCall::Activate { dp, .. }
            | StorageCall::Deactivate { dp, .. }
            | StorageCall::Destroy { dp },
        ) => dp.split('/').nth(1)?.parse().ok(),
        _ => None,
    }
}

impl Traffic {
    /// With a pool of this size.
    pub fn new(pool: u32) -> Traffic {
        Traffic { pool: pool as usize, ..Traffic::default() }
    }

    /// One is sent, for that VM; `starts`: its VM is being started or resumed, and nothing else is asked of it.
    pub fn departs(
        &mut self,
        (effect, place): (EffectId, Option<usize>),
        request: &Request,
        domains: &Domains,
        starts: impl Fn(usize) -> bool,
    ) -> Checked {
        let sent = match request {
            Request::CreateDomain(spec) => {
                Sent { place: domains.named(spec.handle), pooled: true, makes: true, ..Sent::default() }
            }
            Request::AppendImage(..) | Request::SyncImage(_) | Request::Tell(..) => {
                Sent { place, saves: true, ..Sent::default() }
            }
            _ => {
                let Some(domid) = about(request) else { return Ok(()) };
                let pooled = matches!(request, Request::Storage(StorageCall::Attach { .. }));
                let place = domains.place(domid);
                let unpauses = matches!(request, Request::Domain(_, DomainAct::Unpause));
                let on = matches!(request, Request::Domain(..)).then_some(domid);
                Sent { place, on, pooled, unpauses, ..Sent::default() }
            }
        };
        let sent = self.in_order(request, sent, starts)?;
        self.sent.insert(effect, sent);
        let pooled = || self.sent.values().filter(|sent| sent.pooled && !sent.late).count();
        if sent.pooled && self.sent.len() > self.pool.max(1) && pooled() > self.pool.max(1) {
            let text = format!("{} requests that need a worker are under way, and there are {}", pooled(), self.pool);
            return Err(Violation::new("S35", text));
        }
        Ok(())
    }

    /// Storage cannot make a writer of a reader: whoever writes comes first.
    fn in_order(&mut self, request: &Request, sent: Sent, starts: impl Fn(usize) -> bool) -> Result<Sent, Violation> {
        let Request::Storage(StorageCall::Attach { dp, domid, read_write, .. }) = request else { return Ok(sent) };
        if !dp.starts_with("vbd/") || !sent.place.is_some_and(starts) {
            return Ok(sent);
        }
        if !read_write {
            self.readers.insert(*domid);
            if self.sent.values().any(|other| other.writes == Some(*domid)) {
                let text = format!("domain {domid} gets a disk for reading while one for writing is under way");
                return Err(Violation::new("S8", text));
            }
        } else if self.readers.contains(domid) {
            return Err(Violation::new("S8", format!("domain {domid} gets a disk for writing after one for reading")));
        }
        Ok(Sent { writes: Some(*domid).filter(|_| *read_write), ..sent })
    }

    /// One has outlasted its deadline.
    pub fn is_late(&mut self, effect: EffectId) {
        if let Some(sent) = self.sent.get_mut(&effect) {
            sent.late = true;
            self.late += 1;
        }
    }

    /// One has ended.
    pub fn lands(&mut self, effect: EffectId) {
        if self.sent.remove(&effect).is_some_and(|sent| sent.late) {
            self.late -= 1;
        }
    }

    /// Whether a domain of that VM may still be made for something that is over.
    pub fn makes_late(&self, place: usize) -> bool {
        self.sent.values().any(|sent| sent.late && sent.makes && sent.place == Some(place))
    }

    /// The daemon has gone, and its requests with it.
    pub fn crashed(&mut self, pool: u32) {
        *self = Traffic::new(pool);
    }

    /// No domain of a VM is made, or let run by itself, while a request of it has not ended; nor does a guest run on after
    /// its suspend while its image may still become complete.
    pub fn happened(&mut self, event: &Event, nobody_asked: bool) -> Checked {
        if matches!(event.what, What::Gone(..)) {
            self.readers.remove(&event.domid);
            // There is nothing left that they could do.
            let moot = self.sent.values_mut().filter(|sent| sent.on == Some(event.domid));
            moot.for_each(|sent| sent.place = None);
        }
        let matters = match event.what {
            What::Made => true,
            What::Unpaused | What::Resumed => nobody_asked,
            _ => false,
        };
        if self.late == 0 || !matters {
            return Ok(());
        }
        let holds = |sent: &&Sent| {
            let bears = match event.what {
                What::Made => !sent.makes,
                What::Unpaused => !sent.unpauses,
                _ => sent.saves,
            };
            sent.late && sent.place == Some(event.place) && bears
        };
        if self.sent.values().any(|sent| holds(&sent)) {
            let Event { domid, place, what } = event;
            let text = format!("domain {domid} of vm {place} was {what:?} while a request of it had not ended");
            return Err(Violation::new("law 3", text));
        }
        Ok(())
    }
}
