//! Domains: whose they are, that no VM has two, that none runs that must not, that strangers are left alone.

use super::{Checked, Violation};
use crate::world::World;
use crate::world::guest::Life;
use std::collections::BTreeMap;
use std::fmt;
use xenops_core::host::{DomId, ShutdownCode, Uuid};

/// What was last seen of a domain.
#[derive(Clone, Debug)]
struct Known {
    /// Whose it is or was before it got its tombstone: a place in the fleet.
    place: Option<usize>,
    handle: Uuid,
    /// The name it has, or had before it got its tombstone.
    name: Uuid,
    paused: bool,
    dying: bool,
    shutdown: Option<ShutdownCode>,
    built: bool,
    suspended: bool,
}

/// Something that happened to a domain of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was made.
    Made,
    /// It was let run.
    Unpaused,
    /// It was stopped by the toolstack.
    Paused,
    /// Its guest stopped.
    Stopped(ShutdownCode),
    /// Its guest suspended, as it was asked to and had said that it would.
    Suspended,
    /// Its guest runs on after it had stopped.
    Resumed,
    /// Its destruction has begun.
    Dying,
    /// It got another name.
    Renamed,
    /// It has left. A guest was in it; which goes on elsewhere.
    Gone(bool, bool),
}

/// To which domain of which VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The VM's place in the fleet.
    pub place: usize,
    /// The domain.
    pub domid: DomId,
    /// What.
    pub what: What,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "domain {} ", self.domid)?;
        match self.what {
            What::Made => f.write_str("is made"),
            What::Unpaused => f.write_str("is let run"),
            What::Paused => f.write_str("is paused"),
            What::Stopped(code) => write!(f, "has stopped: {code:?}"),
            What::Suspended => f.write_str("has suspended as it was asked to"),
            What::Resumed => f.write_str("runs on after it had stopped"),
            What::Dying => f.write_str("begins to be destroyed"),
            What::Renamed => f.write_str("gets another name"),
            What::Gone(..) => f.write_str("is gone"),
        }
    }
}

/// All domains as they were when last looked at.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    known: BTreeMap<DomId, Known>,
    names: BTreeMap<Uuid, usize>,
    foreign: Option<(DomId, Uuid)>,
    /// The host's start, and the hypervisor's changes since then, when they were last looked at.
    looked: (u64, u64),
    /// Whose those were that have gone, and when.
    gone: BTreeMap<DomId, (Option<usize>, u64)>,
}

impl Domains {
    /// For a fleet of which these are the names.
    pub fn new(names: BTreeMap<Uuid, usize>, foreign: Option<(DomId, Uuid)>) -> Domains {
        Domains { known: BTreeMap::new(), names, foreign, looked: (1, 0), gone: BTreeMap::new() }
    }

    /// Those of one VM.
    pub fn of(&self, place: usize) -> impl Iterator<Item = DomId> {
        self.known.iter().filter(move |(_, known)| known.place == Some(place)).map(|(domid, _)| *domid)
    }

    /// Whose name that is.
    pub fn named(&self, name: Uuid) -> Option<usize> {
        self.names.get(&name).copied()
    }

    /// What the daemon destroys has its tombstone, so that nobody takes it for a VM that lives; unless nothing else
    /// names it, which would be nobody's then.
    pub fn destroys(&self, domid: DomId, world: &World) -> Checked {
        let Some(domain) = world.hypervisor().get(domid).filter(|_| self.place(domid).is_some()) else { return Ok(()) };
        // What another had that number for does not name it.
        let named = world.store().value(&format!("/local/domain/{domid}/vm"));
        let own = format!("/vm/{}", domain.info.handle);
        if domain.info.handle.is_tombstone() || named.is_none_or(|named| *named != own) {
            return Ok(());
        }
        Err(Violation::new("law 10", format!("domain {domid} has its vm's name while it is destroyed")))
    }

    /// Whose domain that is.
    pub fn place(&self, domid: DomId) -> Option<usize> {
        self.known.get(&domid)?.place
    }

    /// A client was told of these domains of a VM: each was its at some moment since then.
    pub fn told(&self, vm: &str, domids: &[i64], since: u64) -> Checked {
        let place = vm.parse().ok().and_then(|id: Uuid| self.names.get(&id).copied());
        for domid in domids.iter().map(|domid| *domid as DomId) {
            let now = self.known.get(&domid).map(|known| self.named(known.name));
            let then = self.gone.get(&domid).filter(|(_, gone)| *gone >= since).map(|(place, _)| *place);
            if now != Some(place) && then != Some(place) {
                return Err(Violation::new("S5", format!("vm {vm} is shown with domain {domid}, which was not its")));
            }
        }
        Ok(())
    }

    /// Whether nothing can have happened since the last look.
    pub fn has_looked(&self, world: &World) -> bool {
        self.looked == (world.now().boot, world.hypervisor().changes())
    }

    /// What has happened since the last look; none of it may break a rule.
    pub fn look(&mut self, world: &World, events: &mut Vec<Event>) -> Checked {
        if self.has_looked(world) {
            return Ok(());
        }
        let now = (world.now().boot, world.hypervisor().changes());
        let before = std::mem::replace(&mut self.looked, now);
        if now.0 != before.0 {
            self.foreign = None;
            self.known.clear();
            self.gone.clear();
        }
        let before = events.len();
        self.find_gone(world, events);
        for (domid, domain) in world.hypervisor().iter().filter(|(domid, _)| *domid != 0) {
            let info = &domain.info;
            let fresh = !self.known.contains_key(&domid);
            let names = &self.names;
            let known = self.known.entry(domid).or_insert_with(|| Known {
                place: names.get(&info.handle).copied().filter(|_| !world.is_stray(domid)),
                handle: info.handle,
                name: info.handle,
                paused: true,
                dying: false,
                shutdown: None,
                built: false,
                suspended: false,
            });
            let Some(place) = known.place else { continue };
            let mut tell = |what| events.push(Event { place, domid, what });
            if fresh {
                tell(What::Made);
            }
            if known.handle != info.handle {
                tell(What::Renamed);
            }
            match (known.paused, info.paused) {
                (true, false) => tell(What::Unpaused),
                (false, true) => tell(What::Paused),
                _ => {}
            }
            match (known.shutdown, info.shutdown) {
                (None, Some(code)) => {
                    tell(What::Stopped(code));
                    if code == ShutdownCode::Suspend && domain.guest.heeds {
                        tell(What::Suspended);
                    }
                }
                (Some(_), None) => tell(What::Resumed),
                _ => {}
            }
            if info.dying && !known.dying {
                tell(What::Dying);
            }
            known.handle = info.handle;
            if !info.handle.is_tombstone() {
                known.name = info.handle;
            }
            known.shutdown = info.shutdown;
            known.paused = info.paused;
            known.dying = info.dying;
            known.built |= domain.guest.lineage.is_some();
            known.suspended = info.shutdown == Some(ShutdownCode::Suspend) && domain.guest.life != Life::Empty;
        }
        if events.len() > before {
            self.one_each(world)?;
            self.marked_ones_rest(world, &events[before..])?;
        }
        self.strangers(world)
    }

    fn find_gone(&mut self, world: &World, events: &mut Vec<Event>) {
        let gone: Vec<DomId> =
            self.known.keys().copied().filter(|domid| world.hypervisor().get(*domid).is_none()).collect();
        for domid in gone {
            let Some(known) = self.known.remove(&domid) else { continue };
            self.gone.insert(domid, (self.named(known.name), world.now().mono));
            if let Some(place) = known.place {
                events.push(Event { place, domid, what: What::Gone(known.built, known.suspended) });
            }
        }
    }

    /// No VM has two domains, whatever they are called; and if it had, two never run.
    fn one_each(&self, world: &World) -> Checked {
        let mut living: BTreeMap<Uuid, DomId> = BTreeMap::new();
        let mut running: BTreeMap<Uuid, DomId> = BTreeMap::new();
        for (domid, known) in &self.known {
            let (Some(place), Some(domain)) = (known.place, world.hypervisor().get(*domid)) else { continue };
            let alive = !known.dying && !known.handle.is_tombstone();
            if alive && let Some(other) = living.insert(known.name, *domid) {
                return Err(Violation::new("S1", format!("vm {place} has domains {other} and {domid}")));
            }
            if domain.info.runnable()
                && domain.guest.exists()
                && let Some(other) = running.insert(known.name, *domid)
            {
                return Err(Violation::new("S2", format!("vm {place} runs in domains {other} and {domid}")));
            }
        }
        Ok(())
    }

    /// What is marked as incomplete does not run.
    fn marked_ones_rest(&self, world: &World, events: &[Event]) -> Checked {
        for event in events.iter().filter(|event| event.what == What::Unpaused) {
            let mark = world.store().value(&format!("/local/domain/{}/action-request", event.domid));
            if mark == Some("poweroff") {
                let text = format!("domain {} of vm {} was let run with its mark on", event.domid, event.place);
                return Err(Violation::new("S25", text));
            }
        }
        Ok(())
    }

    /// What is not ours is never touched.
    fn strangers(&self, world: &World) -> Checked {
        let Some((domid, handle)) = self.foreign else { return Ok(()) };
        let whole = world.hypervisor().get(domid).is_some_and(|domain| {
            let info = &domain.info;
            info.handle == handle && !info.paused && !info.dying && info.shutdown.is_none()
        });
        if !whole {
            return Err(Violation::new("S4", format!("domain {domid}, which is not ours, was touched")));
        }
        Ok(())
    }
}
