//! A VM without domain: what it must not have any more, and what goes when the VM itself goes.

use super::{destroy, kernel, paths, vbd};
use crate::backend::{Change, ExtraChange, Failure, Host, MicroOp, Product};
use crate::host::{Batch, Request, StorageCall};
use crate::interface::vm::{BuilderInfo, PvBoot};
use crate::interface::{Disk, Vbd, Vm};
use std::sync::Arc;

/// Disks whose epochs one turn ends.
const TURN: usize = 32;

/// Clean what is left of a VM without domain. A suspended one keeps its record, its flags and its epochs; of a
/// halted one the record goes last, and not while a domain may still be made that would need it.
pub(super) async fn clean(host: &Host, suspended: bool) -> Result<Product, Failure> {
    let context = host.context();
    if let Some(remains) = destroy::next(host, &[], None).await?
        && !destroy::tear_down(host, remains).await?
    {
        return host.become_op(MicroOp::VmClean { suspended }).await;
    }
    host.act(Request::RemoveFiles(vec![kernel::boot_directory(&context.text)])).await?;
    if boots_from_storage(&context.vm) {
        host.storage(StorageCall::Destroy { dp: kernel::boot_datapath(&context.text) }).await?;
    }
    let mut batch = Batch::new();
    batch.remove(paths::scratch(&context.text));
    if suspended {
        return host.store(batch).await.map(|_| Product::Nothing);
    }
    if !mutant!(FlagsKept) {
        batch.remove(paths::vm(&context.text));
    }
    host.store(batch).await?;
    end_epochs(host, &context.vbds).await
}

/// Whether its boot loader reads a disk that the storage attaches for it.
fn boots_from_storage(vm: &Vm) -> bool {
    let (BuilderInfo::Pv(info) | BuilderInfo::PvInPvh(info) | BuilderInfo::Pvh(info)) = &vm.ty else { return false };
    matches!(&info.boot, PvBoot::Indirect(boot) if matches!(boot.devices.first(), Some(Disk::Vdi(_))))
}

/// Later turns of `clean`: the disks that come after this one. Should its row have gone, all of them: ending an
/// epoch that is not open is fine.
pub(super) async fn end_epochs_after(host: &Host, device: &str) -> Result<Product, Failure> {
    let vbds = &host.context().vbds;
    let from = vbds.iter().position(|vbd| vbd.id.device == device).map_or(0, |at| at + 1);
    end_epochs(host, &vbds[from..]).await
}

async fn end_epochs(host: &Host, vbds: &[Arc<Vbd>]) -> Result<Product, Failure> {
    let (turn, rest) = vbds.split_at(vbds.len().min(TURN));
    for vbd in turn.iter().filter(|_| !mutant!(EpochLeftOpen)) {
        vbd::epoch_end(host, vbd).await?;
    }
    match turn.last() {
        Some(last) if !rest.is_empty() => host.become_op(MicroOp::VmEndEpochsAfter(last.id.device.clone())).await,
        _ => {
            if host.context().is_on_record() && !host.context().straggles {
                host.change(Change::Extra(ExtraChange::Drop)).await?;
            }
            Ok(Product::Nothing)
        }
    }
}

/// The VM goes: all that we keep of it outside of its rows.
pub(super) async fn remove(host: &Host) -> Result<(), Failure> {
    let context = host.context();
    let mut batch = Batch::new();
    batch.remove(paths::vm(&context.text)).remove(paths::scratch(&context.text));
    host.store(batch).await?;
    if context.is_on_record() {
        host.change(Change::Extra(ExtraChange::Drop)).await?;
    }
    Ok(())
}
