//! Disks, and what is behind them.

use super::table::columns;
use std::sync::Arc;
use xenops_core::interface::vbd::{Kind, Mode, State};
use xenops_core::interface::{Disk, Vbd};

/// A VM's disks.
pub fn table(vbds: &[(Arc<Vbd>, State)]) -> String {
    let header = ["Device", "Kind", "Mode", "Plugged", "Source"].map(str::to_owned);
    let rows = vbds.iter().map(|(vbd, state)| {
        let kind = match vbd.ty {
            Kind::Disk => "disk",
            Kind::Cdrom => "cdrom",
            Kind::Floppy => "floppy",
        };
        let mode = match vbd.mode {
            Mode::ReadOnly => "r",
            Mode::ReadWrite => "w",
        };
        let plugged = if state.plugged { "yes" } else { "no" };
        [&vbd.id.device, kind, mode, plugged, &source(vbd.backend.as_ref())].map(str::to_owned)
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// What is behind a disk, as in a configuration file.
pub(super) fn source(disk: Option<&Disk>) -> String {
    match disk {
        None => "(empty)".to_owned(),
        Some(Disk::Local(path)) => format!("phy:{path}"),
        Some(Disk::Vdi(name)) => format!("sm:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn disks_in_columns() {
        assert_eq!(
            table(&samples::vbds()),
            "Device  Kind   Mode  Plugged  Source\n\
             xvda    disk   w     yes      phy:/dev/vg/web\n\
             xvdb    disk   r     no       sm:sr/vdi\n\
             xvdc    cdrom  r     yes      (empty)\n"
        );
    }
}
