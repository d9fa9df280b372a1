//! Asking a guest to stop.

use super::{guest, paths, run_state};
use crate::backend::{Failure, Host, Reason};
use crate::host::time::SECOND;
use crate::host::{Batch, Condition, DomId, DomainAct, Guard, Reply, Request, ShutdownCode};
use crate::interface::Error;

/// Ask, and wait until it has stopped.
pub(super) async fn shut_down(host: &Host, reason: Reason, timeout: u64) -> Result<(), Failure> {
    let context = host.context();
    let domid = run_state::built(host)?;
    let patience = timeout.min(context.settings.domain_shutdown_ack_timeout);
    if !request(host, domid, reason, patience).await? {
        return Err(Error::FailedToAcknowledgeShutdownRequest.into());
    }
    let spent = host.now().await?.mono.saturating_sub(host.started().mono);
    match host.wait(vec![Condition::Stopped(domid)], timeout.saturating_sub(spent)).await?.0 {
        Some(_) => Ok(()),
        None => Err(Error::FailedToShutdown(context.text.to_string(), timeout as f64 / SECOND as f64).into()),
    }
}

/// Ask; whether the guest has taken it. An HVM guest without paravirtual drivers does not look there, and is
/// stopped by the hypervisor.
pub(super) async fn request(host: &Host, domid: DomId, reason: Reason, patience: u64) -> Result<bool, Failure> {
    let context = host.context();
    if guest::is_hvm(context) && !listens(host, domid).await? {
        let code = match reason {
            Reason::Poweroff => ShutdownCode::Poweroff,
            Reason::Reboot => ShutdownCode::Reboot,
            Reason::Suspend | Reason::S3 => ShutdownCode::Suspend,
        };
        if code == ShutdownCode::Suspend {
            let mut batch = Batch::new();
            batch.write(paths::suspending(domid), "1");
            host.store(batch).await?;
        }
        host.domain(domid, DomainAct::Shutdown(code)).await?;
        return Ok(true);
    }
    ask(host, domid, reason).await?;
    let path = paths::shutdown_request(domid);
    let any = vec![
        Condition::Equals(path.clone(), String::new()),
        // The guest has gone, which is an answer too.
        Condition::Absent(path),
        Condition::Stopped(domid),
    ];
    Ok(host.wait(any, patience).await?.0.is_some())
}

async fn listens(host: &Host, domid: DomId) -> Result<bool, Failure> {
    let reply = host.request(Request::Domain(domid, DomainAct::HasPvCallback)).await?;
    Ok(reply == Reply::Flag(true))
}

/// Write the word.
async fn ask(host: &Host, domid: DomId, reason: Reason) -> Result<(), Failure> {
    let context = host.context();
    let path = paths::shutdown_request(domid);
    let mut batch = Batch::new();
    batch.guard(Guard::Equals(paths::owner(domid), paths::vm(&context.text)));
    batch.remove(&path).write(path, reason.word());
    if reason == Reason::Suspend {
        batch.write(paths::suspending(domid), "1");
    }
    match host.store(batch).await? {
        true => Ok(()),
        false => Err(Error::does_not_exist("domain", &*context.text).into()),
    }
}

/// Ask for ACPI sleep, without waiting. Only fully virtualised guests have it.
pub(super) async fn s3_suspend(host: &Host) -> Result<(), Failure> {
    if !guest::is_hvm(host.context()) {
        return Err(Error::Unimplemented("S3 for PV domains".to_owned()).into());
    }
    ask(host, run_state::built(host)?, Reason::S3).await
}
