//! What clients are shown of a VM: what was so at some moment within their call.

use super::domains::{Event, What};
use super::{Checked, Violation, state};
use crate::fleet::Shape;
use crate::world::World;
use xenops_core::interface::PowerState;

/// When something last happened to each VM's domain, in inputs, and whether the daemon did it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    changed: Vec<(u64, bool)>,
}

impl Shown {
    /// For so many VMs.
    pub fn new(places: usize) -> Shown {
        Shown { changed: vec![(0, false); places] }
    }

    /// Something happened, perhaps by somebody else, of which the daemon is told in its time.
    pub fn happened(&mut self, event: &Event, by_others: bool, step: u64) {
        let others = by_others || matches!(event.what, What::Stopped(_));
        self.changed[event.place] = (step, !others);
    }

    /// Somebody else has made a domain under a VM's name: until the daemon does something to its own, which is which?
    pub fn doubled(&mut self, place: usize, step: u64) {
        self.changed[place] = (step, false);
    }

    /// A VM's state was asked for at that input and is answered now. Where the daemon did what happened last, and nothing
    /// has happened since it was asked, it is as it was then.
    pub fn told(&self, at: (usize, u64), rebooting: bool, power: PowerState, seen: (&World, &Shape)) -> Checked {
        let ((place, asked), (world, shape)) = (at, seen);
        let (changed, ours) = self.changed[place];
        if changed >= asked || !ours {
            return Ok(());
        }
        // One that is being renamed goes by either name.
        if shape.ids.iter().flat_map(|id| world.hypervisor().of(*id)).nth(1).is_some() {
            // Somebody has made one under its name: which of them is it?
            return Ok(());
        }
        let mut living = shape.ids.iter().flat_map(|id| state::living(world, *id));
        let right = match (living.next(), living.next()) {
            (None, _) => matches!(power, PowerState::Halted | PowerState::Suspended),
            (Some((_, domain)), None) if domain.info.paused => power == PowerState::Paused,
            (Some(_), None) => power == PowerState::Running,
            _ => true,
        };
        // A reboot shows as running throughout.
        if right || (rebooting && power == PowerState::Running) {
            return Ok(());
        }
        Err(Violation::new(
            "law 12",
            format!("vm {place} is shown as {power:?}, which it was not while that was asked"),
        ))
    }
}
