//! Disks: who has which, and in what way.

use super::{Checked, Violation};
use crate::world::World;
use std::collections::BTreeMap;

/// One writer, or readers only; whoever writes may read too.
pub fn check(world: &World) -> Checked {
    let mut users: BTreeMap<&str, Vec<(u32, bool)>> = BTreeMap::new();
    for (_, held) in world.storage().datapaths() {
        users.entry(&held.vdi).or_default().push((held.domid, held.read_write));
    }
    for (vdi, users) in users {
        let writers = users.iter().filter(|(_, writes)| *writes).count();
        let others = users.iter().any(|(domid, _)| *domid != users[0].0);
        if writers > 1 || (writers == 1 && others) {
            return Err(Violation::new("S10", format!("disk {vdi} is attached by {users:?} (domain, writes)")));
        }
    }
    Ok(())
}

/// Memory is neither made nor lost.
pub fn check_memory(world: &World) -> Checked {
    let memory = world.hypervisor().memory();
    let held: u64 = world
        .hypervisor()
        .iter()
        .map(|(_, domain)| domain.info.total_pages * 4 + u64::from(domain.shadow) * 1024)
        .sum();
    if held + memory.free + memory.scrub != memory.total {
        return Err(Violation::new("S15", format!("{memory:?} and {held} KiB of domains do not add up")));
    }
    Ok(())
}
