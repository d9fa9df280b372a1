//! VM.save: the guest's state into an image, in a dialogue with the helper.
//!
//! In this order: the guest's memory, QEMU's state, the record that ends the image, `fsync`, and only then the
//! number in VmExtra that makes the VM a suspended one. Until then whatever stops this leaves a guest that runs, or
//! one whose suspend can be undone: its disks and QEMU stay as they are. Upstream flushes and stops them here;
//! VM.destroy does, when there is nothing to go back to any more.

use super::process::internal;
use super::{device_model, guest, helper, image, paths, qemu_args, run_state, shutdown};
use crate::backend::micro_op::SaveTurn;
use crate::backend::{Change, ExtraChange, Failure, Host, MicroOp, Product, Reason};
use crate::host::time::SECOND;
use crate::host::{Condition, DomId, DomainInfo, Flavour, Process, Request, Role, ShutdownCode};
use crate::interface::{Disk, Error};
use serde_json::json;

/// How long the helper may say nothing.
const PATIENCE: u64 = super::build::HELPER_PATIENCE;

/// Begin an image, and let the helper fill it.
pub(super) async fn save(host: &Host, disk: &Disk) -> Result<Product, Failure> {
    let context = host.context();
    let domid = run_state::built(host)?;
    let (stream, process) = (host.handle().await?, host.handle().await?);
    let turn = SaveTurn { process, stream, lines: 0, suspended: false };
    let container = guest::flavour(guest::kind(context)) != Flavour::Pv;
    let body = async {
        image::begin(host, stream, disk).await?;
        let mut args = helper::args(if container { "hvm_save" } else { "save" }, domid);
        helper::push(&mut args, "-fd", "{stream}");
        if guest::is_hvm(context) {
            helper::push(&mut args, "-dm", "qemu");
        }
        helper::spawn(host, Role::Saver, domid, process, stream, args).await?;
        host.become_op(MicroOp::VmSaveDialogue(turn.clone())).await
    };
    host.then_always(body, async |host: Host| let_go(&host, &turn).await).await
}

/// One turn: wait for the helper, do what it asks.
pub(super) async fn dialogue(host: &Host, turn: SaveTurn) -> Result<Product, Failure> {
    let body = async {
        let domid = run_state::built(host)?;
        let (held, Process { lines, .. }) =
            host.wait(vec![Condition::Said(turn.process, turn.lines)], PATIENCE).await?;
        if held.is_none() {
            return Err(internal("save helper says nothing"));
        }
        let mut next = turn.clone();
        let mut percent = None;
        for line in &lines {
            next.lines += 1;
            match helper::line(line) {
                helper::Line::Info => {}
                helper::Line::Progress(now) => percent = Some(now),
                helper::Line::Prepare => {
                    image::append(host, turn.stream, crate::host::ImageRecord::Libxc).await?;
                    tell(host, &turn, "done").await?;
                    break;
                }
                helper::Line::Suspend => {
                    suspend(host, domid).await?;
                    next.suspended = true;
                    tell(host, &turn, "done").await?;
                    break;
                }
                helper::Line::Result(_) if next.suspended => {
                    return finish(host, domid, &turn).await.map(|()| Product::Nothing);
                }
                helper::Line::Result(_) => return Err(internal("save helper ended before the guest suspended")),
                helper::Line::Error(text) => return Err(failed(text)),
            }
        }
        if lines.is_empty() {
            return Err(internal("save helper ended without a word"));
        }
        if let Some(percent) = percent {
            host.progress(percent * 10).await?;
        }
        host.become_op(MicroOp::VmSaveDialogue(next)).await
    };
    host.then_always(body, async |host: Host| let_go(&host, &turn).await).await
}

async fn tell(host: &Host, turn: &SaveTurn, word: &str) -> Result<(), Failure> {
    host.act(Request::Tell(turn.process, word.to_owned())).await
}

fn failed(text: &str) -> Failure {
    match helper::errno(text) {
        Some(errno) if helper::DISK_ERRORS.contains(&errno) => Error::IoError.into(),
        _ => internal(format!("save helper: {text}")),
    }
}

/// What the daemon holds for this.
async fn let_go(host: &Host, turn: &SaveTurn) -> Result<(), Failure> {
    let forgotten = host.act(Request::Forget(turn.process)).await;
    host.act(Request::CloseStream(turn.stream)).await.and(forgotten)
}

/// Have the guest suspend; then QEMU, whose state must be of the same moment.
async fn suspend(host: &Host, domid: DomId) -> Result<(), Failure> {
    let context = host.context();
    let settings = &context.settings;
    let ballooning = paths::balloon_active(domid);
    let at_rest = vec![Condition::Absent(ballooning.clone()), Condition::Equals(ballooning, "0".to_owned())];
    if host.wait(at_rest, settings.additional_ballooning_timeout).await?.0.is_none() {
        return Err(Error::BallooningTimeoutBeforeMigration.into());
    }
    let taken = shutdown::request(host, domid, Reason::Suspend, settings.vm_suspend_ack_timeout).await;
    if taken != Ok(true) {
        // It must not suspend later, when nobody waits for it.
        run_state::withdraw_suspend(&host.shielded(), domid).await?;
        return taken.and(Err(Error::FailedToAcknowledgeSuspendRequest.into()));
    }
    host.wait(vec![Condition::Stopped(domid)], settings.vm_suspend_timeout).await?;
    suspended(host, domid).await?;
    if guest::is_hvm(context) {
        device_model::ask(host, domid, "stop", json!({})).await?;
        let state = json!({"filename": qemu_args::state_to_save(domid), "live": false});
        device_model::ask(host, domid, "xen-save-devices-state", state).await?;
    }
    Ok(())
}

/// The domain, if its guest has suspended: one that has stopped for another reason has nothing worth saving.
async fn suspended(host: &Host, domid: DomId) -> Result<DomainInfo, Failure> {
    let context = host.context();
    let infos = host.find_domains(context.id).await?;
    let found = infos.into_iter().find(|info| info.domid == domid && info.shutdown == Some(ShutdownCode::Suspend));
    found.ok_or_else(|| {
        let seconds = context.settings.vm_suspend_timeout as f64 / SECOND as f64;
        Error::FailedToSuspend(context.text.to_string(), seconds).into()
    })
}

/// The guest's memory is in the image.
async fn finish(host: &Host, domid: DomId, turn: &SaveTurn) -> Result<(), Failure> {
    if mutant!(ImageRecordedFirst) {
        host.change(Change::Extra(ExtraChange::SuspendMemory(4096))).await?;
    }
    if guest::is_hvm(host.context()) {
        image::append(host, turn.stream, crate::host::ImageRecord::QemuTrad).await?;
    }
    image::end(host, turn.stream).await?;
    let pages = suspended(host, domid).await?.total_pages;
    host.change(Change::Extra(ExtraChange::SuspendMemory((pages * 4096) as i64))).await
}
