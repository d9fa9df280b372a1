//! Network interfaces, and what they are plugged into.

use super::table::columns;
use std::sync::Arc;
use xenops_core::interface::Vif;
use xenops_core::interface::vif::{LockingMode, State};

/// A VM's network interfaces.
pub fn table(vifs: &[(Arc<Vif>, State)]) -> String {
    let header = ["Device", "MAC", "Network", "Plugged", "Carrier", "Locking", "Host interface"].map(str::to_owned);
    let rows = vifs.iter().map(|(vif, state)| {
        let plugged = if state.plugged { "yes" } else { "no" };
        let carrier = if vif.carrier { "up" } else { "down" };
        let locking = match vif.locking_mode {
            LockingMode::Unlocked => "unlocked",
            LockingMode::Disabled => "disabled",
            LockingMode::Locked { .. } => "locked",
        };
        let device = state.device.as_deref().unwrap_or("-");
        [&vif.id.device, &vif.mac, &vif.backend.to_string(), plugged, carrier, locking, device].map(str::to_owned)
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn interfaces_in_columns() {
        assert_eq!(
            table(&samples::vifs()),
            "Device  MAC                Network  Plugged  Carrier  Locking   Host interface\n\
             0       00:16:3e:00:00:01  xenbr1   yes      up       unlocked  vif7.0\n"
        );
    }
}
