//! VM.restore: a guest's state from an image into the domain that VM.create made.

use super::process::{ending, internal};
use super::{build, guest, helper, image, overhead};
use crate::backend::{Failure, Host};
use crate::host::{Condition, Flavour, Handle, ImageRecord, Process, Request, Role};
use crate::interface::{Disk, Error};

/// Records of an image at most.
const MOST_RECORDS: usize = 8;

/// Read the image, and let the helper restore the guest's memory from it.
pub(super) async fn restore(host: &Host, disk: &Disk) -> Result<(), Failure> {
    let context = host.context();
    let domid = guest::domid(context)?;
    let built = context.extra.as_ref().and_then(|extra| Some((extra.build_info.as_ref()?, extra.suspend_memory_bytes)));
    let (info, bytes) = built.ok_or_else(|| Error::does_not_exist("build_info", &*context.text))?;
    let mut info = info.clone();
    let kind = guest::kind(context);
    info.memory_target =
        overhead::resumed(kind, bytes, info.memory_target).min(overhead::kib(context.vm.memory_dynamic_max)) as i64;
    let required = build::prepare_memory(host, kind, overhead::kib(bytes)).await?;
    let ports = build::prepare(host, domid, kind).await?;
    let (stream, process) = (host.handle().await?, host.handle().await?);
    let body = async {
        image::open(host, stream, disk).await?;
        let mut args = helper::args(if guest::flavour(kind) == Flavour::Pv { "restore" } else { "hvm_restore" }, domid);
        helper::push(&mut args, "-fd", "{stream}");
        helper::push(&mut args, "-store_port", ports.store.to_string());
        helper::push(&mut args, "-console_port", ports.console.to_string());
        if guest::is_hvm(context) {
            helper::push(&mut args, "-dm", "qemu");
        }
        helper::spawn(host, Role::Restorer, domid, process, stream, args).await?;
        let rings = records(host, process, stream, required).await?;
        build::introduce(host, domid, kind, &info, ports, rings).await
    };
    host.then_always(body, async |host: Host| {
        let forgotten = host.act(Request::Forget(process)).await;
        host.act(Request::CloseStream(stream)).await.and(forgotten)
    })
    .await
}

/// Read records to the end of the image, in whatever order they come; the rings that the helper found.
/// `required` is KiB that the guest needs.
async fn records(host: &Host, process: Handle, stream: Handle, required: u64) -> Result<(u64, u64), Failure> {
    let mut rings = None;
    for _ in 0..MOST_RECORDS {
        match image::read(host, stream).await? {
            ImageRecord::Signature => return Err(Error::IoError.into()),
            // Who wrote it does not matter; QEMU's state is where QEMU will look.
            ImageRecord::Xenops(_) | ImageRecord::QemuTrad => {}
            ImageRecord::Libxc if rings.is_none() => rings = Some(memory(host, process, required).await?),
            ImageRecord::Libxc => return Err(Error::IoError.into()),
            ImageRecord::EndOfImage => return rings.ok_or(Error::IoError.into()),
        }
    }
    Err(Error::IoError.into())
}

/// The stream stands where the guest's memory begins: the helper reads that, and ends.
async fn memory(host: &Host, process: Handle, required: u64) -> Result<(u64, u64), Failure> {
    host.act(Request::Tell(process, "restore:xenguest".to_owned())).await?;
    let (held, Process { lines, exit }) = host.wait(vec![Condition::Exited(process)], build::HELPER_PATIENCE).await?;
    if held.is_none() {
        return Err(internal(format!("restore helper {}", ending(exit))));
    }
    match helper::last_word(&lines) {
        Ok(body) => helper::rings(body).ok_or_else(|| internal(format!("restore helper said result {body}"))),
        Err(text) => Err(match helper::errno(text) {
            Some(helper::ENOMEM) => Error::NotEnoughMemory((required * 1024) as i64).into(),
            Some(errno) if helper::DISK_ERRORS.contains(&errno) => Error::IoError.into(),
            _ => internal(format!("restore helper: {text}")),
        }),
    }
}
