//! Before all comes to rest: parts of some VMs are broken and stay so, and clients go on. Every other VM has to come to
//! rest, within a bound; which one need not is said by what is broken of it, and by nothing else.

use super::{Phase, Run};
use crate::fleet::{SHARED, pick};
use crate::oracle::{Checked, Violation, rest};
use crate::sometimes::Property;
use crate::world::Concern;
use crate::world::broken::{Broken, Part};
use std::collections::BTreeSet;
use xenops_core::host::time::SECOND;
use xenops_core::interface::Disk;

/// Operations that clients ask for while something is broken.
const MORE: u32 = 15;

/// Nanoseconds of virtual time after which they ask for nothing new.
const ASKING: u64 = 3600 * SECOND;

/// Nanoseconds from then within which every VM of which nothing is broken is at rest: two hours. Each wait in a shutdown,
/// suspend or unplug has an end of its own, twenty minutes at most (`backend::Settings`); few are in a row, and few
/// operations wait. A request that was late before comes within 34 minutes. The longest of 3,000 runs took one.
const BOUND: u64 = 2 * 3600 * SECOND;

impl Run {
    /// Something breaks for good; `false` where this run has nothing that does.
    pub(super) fn breaks(&mut self) -> bool {
        let vms = self.swarm.shapes.len();
        if self.swarm.broken == 0 || vms < 2 {
            return false;
        }
        for _ in 0..self.swarm.broken {
            let place = self.world.choices().choose(Concern::Fault, vms as u32) as usize;
            let part = pick(self.world.choices(), Concern::Fault, &Part::ALL);
            let domids = self.domains.of(place).collect();
            let broken = Broken { part, names: self.swarm.shapes[place].ids, disks: self.own_disks(place), domids };
            self.note(|| format!("BROKEN of vm {place}: {}", part.name()));
            self.world.breaks(broken);
            self.broken.push((place, part));
        }
        if (0..vms).all(|place| self.excuse(place).is_some()) {
            // Nobody would be left to come to rest.
            let (place, _) = self.broken.swap_remove(0);
            self.broken.retain(|(other, _)| *other != place);
            self.world.mend_of(self.swarm.shapes[place].ids);
        }
        self.haste.troubled = true;
        self.ledger.troubled = true;
        self.phase = Phase::Enduring;
        self.budget = MORE;
        self.asking_until = self.now().mono + ASKING;
        true
    }

    fn own_disks(&self, place: usize) -> Vec<String> {
        let vdis = |place: usize| {
            let backends = self.swarm.shapes[place].disks.iter().filter_map(|disk| disk.backend.as_ref());
            backends.filter_map(|disk| if let Disk::Vdi(vdi) = disk { Some(vdi) } else { None })
        };
        let of_others: BTreeSet<&String> =
            (0..self.swarm.shapes.len()).filter(|other| *other != place).flat_map(vdis).collect();
        vdis(place).filter(|vdi| *vdi != SHARED && !of_others.contains(vdi)).cloned().collect()
    }

    /// What of a VM is broken.
    fn excuse(&self, place: usize) -> Option<Part> {
        self.broken.iter().find(|(of, _)| *of == place).map(|(_, part)| *part)
    }

    /// Whether every VM of which nothing is broken has come to rest.
    pub(super) fn endured(&mut self) -> Result<bool, Violation> {
        let mono = self.now().mono;
        if self.budget > 0 && mono < self.asking_until {
            return Ok(false);
        }
        if std::mem::take(&mut self.budget) > 0 || self.asking_until > mono {
            self.asking_until = mono;
        }
        match self.restless_one(|place| self.excuse(place).is_none()) {
            None => {
                self.sometimes.hit(Property::RestBesideBroken);
                self.rests[0] = mono - self.asking_until;
                if self.restless_one(|place| self.excuse(place).is_some()).is_some() {
                    self.sometimes.hit(Property::ExcusedByBroken);
                }
                Ok(true)
            }
            Some((place, why)) if mono > self.asking_until + BOUND => Err(self.unexcused(place, &why)),
            Some(_) => Ok(false),
        }
    }

    /// Nothing will happen any more.
    pub(super) fn endures_nothing(&mut self) -> Checked {
        self.asking_until = 0;
        if self.endured()? {
            return self.settle();
        }
        match self.restless_one(|place| self.excuse(place).is_none()) {
            Some((place, why)) => Err(self.unexcused(place, &format!("{why}, and nothing will happen any more"))),
            None => Ok(()),
        }
    }

    /// One of these VMs that is not at rest, and why not.
    fn restless_one(&self, of: impl Fn(usize) -> bool) -> Option<(usize, String)> {
        let places = (0..self.swarm.shapes.len()).filter(|place| of(*place) && !self.sleeps(*place));
        places.into_iter().find_map(|place| Some((place, self.why_restless(place)?)))
    }

    /// A guest that sleeps runs no script until somebody wakes it; that is waited for for a day.
    fn sleeps(&self, place: usize) -> bool {
        let hypervisor = self.world.hypervisor();
        let domids = self.swarm.shapes[place].ids.into_iter().flat_map(|id| hypervisor.of(id));
        domids.filter_map(|domid| hypervisor.get(domid)).any(|domain| domain.guest.asleep)
    }

    fn unexcused(&self, place: usize, why: &str) -> Violation {
        let broken: Vec<String> =
            self.broken.iter().map(|(place, part)| format!("of vm {place} {}", part.name())).collect();
        let id = self.swarm.shapes[place].ids[0];
        let text =
            format!("vm {place} ({id}) has not come to rest, and nothing broken excuses it: {why}; broken {broken:?}");
        Violation::new("L3", text)
    }

    /// Why a VM is not at rest: what is asked of it, what is asked of the host for it, or what it is like.
    fn why_restless(&self, place: usize) -> Option<String> {
        let shape = &self.swarm.shapes[place];
        if let Some(op) = self.ledger.pending_of(place).find(|op| !op.unwatched) {
            return Some(format!("{} has not ended", op.asked.action.name()));
        }
        let of_it = |id| shape.ids.contains(&id);
        if let Some((effect, _)) =
            self.flights.iter().find(|(effect, _)| self.machine.subject(*effect).is_some_and(of_it))
        {
            return Some(format!("{effect:?} has not ended"));
        }
        rest::sensible(&self.world, &self.shelf, shape).err().map(|violation| violation.to_string())
    }
}
