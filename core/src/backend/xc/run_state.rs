//! Pause, unpause, sleep and wake, undoing a suspend, soft reset, and the mark that a domain is complete.

use super::{build, guest, paths};
use crate::backend::{ActionRequest, Change, ExtraChange, Failure, Host};
use crate::host::{Batch, DomId, DomainAct, Found, Guard, Query, Request, ShutdownCode};
use crate::interface::Error;

/// The VM's domain, if it has been built.
pub(super) fn built(host: &Host) -> Result<DomId, Failure> {
    let context = host.context();
    let domid = guest::domid(context)?;
    match &context.extra {
        Some(extra) if extra.build_info.is_some() => Ok(domid),
        _ => Err(Error::DomainNotBuilt.into()),
    }
}

/// Stop the vCPUs.
pub(super) async fn pause(host: &Host) -> Result<(), Failure> {
    host.domain(built(host)?, DomainAct::Pause).await
}

/// Let them run.
pub(super) async fn unpause(host: &Host) -> Result<(), Failure> {
    host.domain(built(host)?, DomainAct::Unpause).await
}

/// Write or remove `action-request`. A domain is complete from when it is removed.
pub(super) async fn set_action_request(host: &Host, request: ActionRequest) -> Result<(), Failure> {
    let context = host.context();
    let domid = guest::domid(context)?;
    let path = paths::action_request(domid);
    let mut batch = Batch::new();
    batch.guard(Guard::Equals(paths::owner(domid), paths::vm(&context.text)));
    match request {
        ActionRequest::None => batch.remove(path),
        ActionRequest::Poweroff => batch.write(path, "poweroff"),
        ActionRequest::Reboot => batch.write(path, "reboot"),
    };
    match host.store(batch).await? {
        true => Ok(()),
        false => Err(Error::does_not_exist("domain", &*context.text).into()),
    }
}

/// A resumed guest is complete: its image must not be resumed again.
pub(super) async fn forget_image(host: &Host) -> Result<(), Failure> {
    match &host.context().extra {
        Some(extra) if extra.suspend_memory_bytes != 0 && !mutant!(ImageNotForgotten) => {
            host.change(Change::Extra(ExtraChange::SuspendMemory(0))).await
        }
        _ => Ok(()),
    }
}

/// Undo a suspend in place, whether the guest has taken the request or not. Its image, if it has one, is of the
/// past from then on.
pub(super) async fn fast_resume(host: &Host) -> Result<(), Failure> {
    let context = host.context();
    let domid = guest::domid(context)?;
    forget_image(host).await?;
    withdraw_suspend(host, domid).await?;
    let infos = host.find_domains(context.id).await?;
    if !infos.iter().any(|info| info.domid == domid && info.shutdown == Some(ShutdownCode::Suspend)) {
        return Ok(());
    }
    let (ring, port) = store_ring(host, domid).await?;
    host.domain(domid, DomainAct::Resume).await?;
    host.act(Request::Introduce(domid, ring, port)).await?;
    if guest::is_hvm(context) {
        host.act(Request::Qmp(domid, "cont".to_owned(), "{}".to_owned())).await?;
    }
    let mut batch = Batch::new();
    batch.remove(paths::suspending(domid));
    host.store(batch).await.map(|_| ())
}

/// Take back a request to suspend that the guest has not taken yet. It may have taken one before, and suspend for that.
pub(super) async fn withdraw_suspend(host: &Host, domid: DomId) -> Result<(), Failure> {
    let path = paths::shutdown_request(domid);
    let mut batch = Batch::new();
    batch.guard(Guard::Equals(path.clone(), "suspend".to_owned()));
    batch.remove(path);
    host.store(batch).await.map(|_| ())
}

/// Frame and event channel of the store ring, as xenstore has them.
async fn store_ring(host: &Host, domid: DomId) -> Result<(u64, u64), Failure> {
    let domain = paths::domain(domid);
    let queries = ["ring-ref", "port"].map(|key| Query::Value(format!("{domain}/store/{key}")));
    let found = host.read(queries.to_vec()).await?;
    let numbers: Vec<u64> = found
        .iter()
        .filter_map(|found| match found {
            Found::Value(Some(text)) => text.parse().ok(),
            _ => None,
        })
        .collect();
    match numbers.as_slice() {
        [ring, port] => Ok((*ring, *port)),
        _ => Err(Error::DomainNotBuilt.into()),
    }
}

/// Wake from ACPI sleep.
pub(super) async fn s3_resume(host: &Host) -> Result<(), Failure> {
    host.domain(built(host)?, DomainAct::AcpiWake).await
}

/// Keys by which the old kernel said what it can do; the new one will say so itself.
const OLD_KERNELS: [&str; 6] = [
    "control/feature-suspend",
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-vcpu-hotplug",
    "control/feature-balloon",
    "memory/target",
];

/// Soft reset: the guest starts another kernel in the same memory.
pub(super) async fn soft_reset(host: &Host) -> Result<(), Failure> {
    let context = host.context();
    let domid = built(host)?;
    let (ring, _) = store_ring(host, domid).await?;
    host.domain(domid, DomainAct::Pause).await?;
    host.domain(domid, DomainAct::SoftReset).await?;
    let store = build::channel(host, domid).await?;
    let console = build::channel(host, domid).await?;
    host.act(Request::Introduce(domid, ring, store)).await?;
    if !matches!(guest::flavour(guest::kind(context)), crate::host::Flavour::Pv) {
        host.domain(domid, DomainAct::Channels { store, console }).await?;
    }
    let domain = paths::domain(domid);
    let mut batch = Batch::new();
    batch.write(paths::below(&domain, "store/port"), store.to_string());
    batch.write(paths::below(&domain, "console/port"), console.to_string());
    for key in OLD_KERNELS {
        batch.remove(paths::below(&domain, key));
    }
    batch.write(paths::below(&domain, "data/updated"), "1");
    host.store(batch).await?;
    host.domain(domid, DomainAct::Unpause).await
}

/// Nothing, for a while.
pub(super) async fn delay(host: &Host, nanoseconds: u64) -> Result<(), Failure> {
    host.wait(Vec::new(), nanoseconds).await.map(|_| ())
}
