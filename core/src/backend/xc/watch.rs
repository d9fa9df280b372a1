//! What is watched of a VM.

use super::device::KINDS;
use super::paths;
use crate::host::DomId;

/// Of a domain's directory.
const DOMAIN: [&str; 16] = [
    "action-request",
    "attr",
    "data/ts",
    "data/service",
    "data/pvs_target",
    "memory/target",
    "memory/uncooperative",
    "console/vnc-port",
    "console/tty",
    "qemu-pid-signal",
    "control",
    "device",
    "rrd",
    "vm-data",
    "feature",
    "xenserver/attr",
];

/// The paths whose changes may make a difference to a VM with this domain, all under one token: what changed is
/// found by looking. Back ends are watched whole, so that devices which come later are watched too. Of the guest's
/// own `data` only some keys are: the rest is noisy.
pub(crate) fn watched(id: &str, domid: DomId) -> Vec<String> {
    let domain = paths::domain(domid);
    let own = DOMAIN.iter().map(|name| paths::below(&domain, name));
    let back = KINDS.iter().map(|kind| paths::backends(kind, domid));
    own.chain(back).chain([paths::time_offset(id)]).collect()
}
