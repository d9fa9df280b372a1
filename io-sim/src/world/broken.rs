//! Parts of a host that are broken until somebody mends them: what no longer works, and of which VM.

use super::effect::Stage;
use super::world::World;
use std::collections::BTreeSet;
use xenops_core::host::{DomId, Fault, Outcome, Request, StorageCall, Uuid};
use xenops_core::machine::EffectId;

/// What no longer works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The storage behind its disks answers nothing.
    Storage,
    /// Hotplug scripts for its devices fail.
    Scripts,
    /// What builds, saves and restores its guest dies at once.
    Helpers,
    /// Its guest gives no device back.
    Frontends,
    /// Its guest has made as many nodes in xenstore as it may.
    Quota,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 5] = [Part::Storage, Part::Scripts, Part::Helpers, Part::Frontends, Part::Quota];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Part::Storage => "the storage of its disks never answers",
            Part::Scripts => "its scripts fail",
            Part::Helpers => "its helpers die",
            Part::Frontends => "its guest gives no device back",
            Part::Quota => "its guest's quota in xenstore is used up",
        }
    }
}

/// A part of one VM's that is broken.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What.
    pub part: Part,
    /// The VM's names.
    pub names: [Uuid; 2],
    /// Disks that no other VM has.
    pub disks: Vec<String>,
    /// Domains that it has or had.
    pub domids: BTreeSet<DomId>,
}

impl World {
    /// Something breaks.
    pub fn breaks(&mut self, broken: Broken) {
        self.broken.push(broken);
    }

    /// All is mended, and guests that sleep are woken. What was never answered was never done.
    pub fn mend(&mut self) {
        self.broken.clear();
        let asleep = self.hypervisor.iter().filter(|(_, domain)| domain.guest.asleep);
        let asleep: Vec<DomId> = asleep.map(|(domid, _)| domid).collect();
        asleep.into_iter().for_each(|domid| self.wake(domid));
        let stuck = |(effect, flight): (&u64, &super::effect::Flight)| {
            matches!(flight.stage, Stage::Stuck(_)).then_some(*effect)
        };
        let stuck: Vec<u64> = self.flights.iter().filter_map(stuck).collect();
        for effect in stuck {
            self.flights.remove(&effect);
            let outcome = Outcome::Unknown(Fault::Lost("the answer".to_owned()));
            self.outcomes.push_back((EffectId(effect), outcome));
        }
    }

    /// What is broken of one VM is mended before anything came of it.
    pub fn mend_of(&mut self, names: [Uuid; 2]) {
        self.broken.retain(|broken| broken.names != names);
    }

    pub(super) fn is_broken(&self, part: Part, domid: DomId) -> bool {
        self.broken.iter().any(|broken| broken.part == part && broken.domids.contains(&domid))
    }

    /// A domain has been made under this name.
    pub(super) fn is_of_broken(&mut self, domid: DomId, name: Uuid) {
        for broken in self.broken.iter_mut().filter(|broken| broken.names.contains(&name)) {
            broken.domids.insert(domid);
        }
    }

    /// Whether nobody will ever answer.
    pub(super) fn is_never_answered(&self, request: &Request) -> bool {
        let Request::Storage(call) = request else { return false };
        self.broken.iter().filter(|broken| broken.part == Part::Storage).any(|broken| {
            let disk = match call {
                StorageCall::Attach { vdi, .. }
                | StorageCall::Activate { vdi, .. }
                | StorageCall::Deactivate { vdi, .. }
                | StorageCall::EpochBegin { vdi, .. }
                | StorageCall::EpochEnd { vdi } => Some(vdi),
                StorageCall::Destroy { dp } => self.storage.behind(dp),
                StorageCall::List { .. } => None,
            };
            disk.is_some_and(|disk| broken.disks.contains(disk))
        })
    }
}
