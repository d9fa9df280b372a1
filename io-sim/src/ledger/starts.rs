//! Whether a guest that stopped is started again, and how soon.

use super::Place;
use crate::oracle::{Checked, Violation};
use crate::swarm::Swarm;
use xenops_core::host::ShutdownCode;
use xenops_core::interface::vm::Action as Wish;

/// Whether a guest that stopped so is started again.
pub(super) fn restarts(code: ShutdownCode, place: usize, swarm: &Swarm) -> bool {
    let [crash, shutdown, reboot] = &swarm.shapes[place].actions;
    let list = match code {
        ShutdownCode::Crash => crash,
        ShutdownCode::Reboot | ShutdownCode::Watchdog => reboot,
        ShutdownCode::SoftReset => return true,
        ShutdownCode::Suspend => return false,
        _ => shutdown,
    };
    list.contains(&Wish::Start)
}

/// A guest that stopped soon after its start is held back, and one that crashed is not started at all.
pub(super) fn too_soon(place: &Place, mono: u64, swarm: &Swarm) -> Checked {
    let Some((made, stopped, code)) = place.before else { return Ok(()) };
    if mono.saturating_sub(made) >= swarm.settings.minimum_reboot_delay {
        return Ok(());
    }
    if code == ShutdownCode::Crash {
        return Err(Violation::new("S27", "a guest that crashed soon after its start was started again".to_owned()));
    }
    if mono.saturating_sub(stopped) < swarm.settings.reboot_delay {
        let text = format!("a guest that stopped soon after its start was started again after {} ns", mono - stopped);
        return Err(Violation::new("S27", text));
    }
    Ok(())
}
