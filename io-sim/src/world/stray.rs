//! Domains that somebody else has made under a name that is taken.

use super::world::World;
use xenops_core::host::{DomId, DomainSpec};

impl World {
    /// Somebody else makes an empty domain under a name that is taken.
    pub fn make_stray(&mut self, spec: &DomainSpec) {
        if let Ok(domid) = self.hypervisor.create(spec) {
            self.strays.push(domid);
        }
    }

    /// Domains that somebody else has made so and that are there.
    pub fn strays(&self) -> impl Iterator<Item = DomId> {
        self.strays.iter().copied().filter(|domid| self.hypervisor.get(*domid).is_some_and(|domain| !domain.info.dying))
    }

    /// Whether that domain is one of them.
    pub fn is_stray(&self, domid: DomId) -> bool {
        self.strays.contains(&domid)
    }
}
