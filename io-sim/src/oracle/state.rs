//! In which state the world has a VM.

use super::records::{Records, Shelf};
use crate::fleet::Shape;
use crate::workload::Standing;
use crate::world::World;
use crate::world::guest::Life;
use crate::world::hypervisor::Domain;
use xenops_core::host::{DomId, Flavour, Role, Uuid};

/// The domains of a VM that are not being torn down.
pub fn living(world: &World, vm: Uuid) -> impl Iterator<Item = (DomId, &Domain)> {
    let hypervisor = world.hypervisor();
    let there = hypervisor.of(vm).filter_map(|domid| Some((domid, hypervisor.get(domid)?)));
    there.filter(|(domid, domain)| !domain.info.dying && !world.is_stray(*domid))
}

/// Its start or resume has come to its end.
pub fn is_complete(world: &World, domid: DomId, domain: &Domain) -> bool {
    let mark = world.store().value(&format!("/local/domain/{domid}/action-request"));
    domain.introduced && domain.info.total_pages > 0 && mark != Some("poweroff")
}

/// Its guest runs, or could.
pub fn is_intact(world: &World, domid: DomId, domain: &Domain) -> bool {
    let lives = matches!(domain.guest.life, Life::Booting | Life::Up);
    // A client that makes its domain step by step may leave this one out, and let it run.
    let modelled = domain.flavour != Flavour::Hvm || world.processes().of(domid, Role::DeviceModel).next().is_some();
    is_complete(world, domid, domain) && domain.info.runnable() && lives && modelled
}

/// By which of its names a VM goes, and how it stands.
pub fn standing(world: &World, shelf: &Shelf, shape: &Shape) -> (Uuid, Standing) {
    let rowed = |id: &&Uuid| shelf.of(**id).is_some_and(|records: &Records| records.row);
    let Some(id) = shape.ids.iter().find(rowed).copied() else { return (shape.ids[0], Standing::Absent) };
    let standing = match living(world, id).next() {
        Some((_, domain)) if domain.info.paused => Standing::Paused,
        Some(_) => Standing::Running,
        None if shelf.of(id).and_then(|records| records.image).is_some_and(|bytes| bytes > 0) => Standing::Suspended,
        None => Standing::Halted,
    };
    (id, standing)
}
