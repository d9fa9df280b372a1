//! What must be so when an operation has ended well.

use super::{Op, View};
use crate::action::Action::*;
use crate::client::Asked;
use crate::oracle::{Checked, Violation, rest, state};
use crate::world::hypervisor::Domain;
use xenops_core::host::DomId;

/// A device of a domain that its flag says is there, and that is not.
fn lacks(place: usize, domain: Option<(DomId, &Domain)>, view: &View) -> Option<String> {
    let (domid, domain) = domain?;
    rest::flagged(view.world, view.shelf, domain.info.handle, domid, &view.swarm.shapes[place])
        .into_iter()
        .find_map(|(path, there)| (!there).then_some(path))
}

/// What must be so when an operation has ended well.
pub(super) fn claims(op: &Op, view: &View) -> Checked {
    let Asked { action, place, id, .. } = &op.asked;
    let shape = &view.swarm.shapes[*place];
    let wrong =
        |rule, text: &str| Err(Violation::new(rule, format!("{} of vm {place} went well: {text}", action.name())));
    // A VM may have been renamed since it was asked.
    let living: Vec<_> = shape.ids.iter().flat_map(|id| state::living(view.world, *id)).collect();
    let one = match living.as_slice() {
        [(domid, domain)] => Some((*domid, *domain)),
        _ => None,
    };
    let complete = one.filter(|(domid, domain)| state::is_complete(view.world, *domid, domain));
    let paused = one.is_some_and(|(_, domain)| domain.info.paused);
    let image = shape.ids.iter().find_map(|id| view.shelf.of(*id)?.image);
    match action {
        VmStart | VmResume if complete.is_none() => wrong("L4", "there is not one complete domain"),
        VmStart | VmResume if lacks(*place, complete, view).is_some() => {
            wrong("L4", &format!("its device {} is not there", lacks(*place, complete, view).unwrap_or_default()))
        }
        VmStart | VmResume if !paused => wrong("S25", "its domain is not paused"),
        VmResume if image != Some(0) => wrong("S20", "its image may be resumed again"),
        VmRebootClean | VmRebootHard if complete.is_none() => wrong("L4", "there is not one complete domain"),
        VmRebootClean | VmRebootHard | VmUnpause if paused => wrong("L4", "its domain is paused"),
        VmPause if one.is_some() && !paused => wrong("L4", "its domain is not paused"),
        VmShutdownClean | VmShutdownHard | VmDestroy | VmRemove | VmSuspend if !living.is_empty() => {
            wrong("S28", "there is a domain")
        }
        VmSuspend => {
            let file = view.world.images().get(&shape.image());
            let good = file.is_some_and(|image| image.complete() && image.synced == image.parts.len());
            match (good, image) {
                (false, _) => wrong("S13", "its image is not complete and durable"),
                (true, Some(bytes)) if bytes > 0 => Ok(()),
                _ => wrong("S20", "its record does not tell of its image"),
            }
        }
        VmRemove if view.shelf.of(*id).is_some() => wrong("L4", "its records are there"),
        VmAdd | VmImport | VmImportAsync if !view.shelf.of(*id).is_some_and(|records| records.row) => {
            wrong("S19", "its row is not durable")
        }
        VmRename => {
            let to = if *id == shape.ids[0] { shape.ids[1] } else { shape.ids[0] };
            let rowed = |id| view.shelf.of(id).is_some_and(|records| records.row);
            let under_old = state::living(view.world, *id).next().is_some();
            if rowed(*id) || !rowed(to) || under_old { wrong("H12", "its old name is there") } else { Ok(()) }
        }
        _ => Ok(()),
    }
}
