//! Media of drives: insert and eject.
//!
//! Epochs are of the disks that rows name, from their VM's start to its end: one of a medium that is ejected stays as
//! long as its row names it, and a medium that is inserted has none, for what is in a drive is not written.
//!
//! The private `dp-id` comes before the datapath and goes after it; the back end's `vdi` comes last and goes first.
//! Where the first stands without the second an insert or eject stopped half way, and recovery ejects.

use super::device::{self, Device};
use super::{device_model, guest, paths, vbd};
use crate::backend::{Change, ExtraChange, Failure, Host};
use crate::host::{Batch, DomId, Guard, StorageCall};
use crate::interface::vbd::Kind;
use crate::interface::{Disk, Error, Vbd};
use serde_json::json;

/// Put a medium in. A drive that has one changes it. Guests without emulation have no drives: the disk is plugged.
pub(super) async fn insert(host: &Host, device: &str, disk: &Disk) -> Result<(), Failure> {
    let context = host.context();
    let vbd = guest::vbd(context, device)?;
    let domid = guest::domid(context)?;
    if !guest::is_hvm(context) {
        vbd::unplug(host, device, true).await?;
        return vbd::plug_with(host, vbd, Some(disk)).await;
    }
    let drive = drive(host, vbd, domid).await?;
    if drive.private.get("vdi-id").is_some_and(|held| *disk != Disk::Vdi(held.to_owned())) {
        // A datapath holds one disk: the one that is in the drive has to leave it first.
        eject(host, device).await?;
    }
    let path = match disk {
        Disk::Local(path) => path.clone(),
        Disk::Vdi(vdi) => {
            let private = paths::private(&context.text, drive.kind, drive.devid);
            let mut batch = Batch::new();
            batch.write(paths::below(&private, "dp-id"), vbd::datapath(domid, device));
            batch.write(paths::below(&private, "vdi-id"), vdi);
            // A file that is in the drive still would have this look like an insert that is over.
            batch.remove(paths::below(&drive.backend_path(), "vdi"));
            store(host, &drive, batch).await?;
            let attached = vbd::attach(host, vbd, vdi, domid).await?;
            vbd::activate(host, vbd, vdi, domid).await?;
            attached.params
        }
    };
    if device_model::has(context, device) {
        let medium = json!({"id": device_model::drive(drive.devid), "filename": path, "format": "raw"});
        device_model::ask(host, domid, "blockdev-change-medium", medium).await?;
        record(host, device, drive.devid, Some(path)).await?;
    } else {
        write(host, &drive, "params", format!("aio:{path}")).await?;
    }
    write(host, &drive, "vdi", vbd::json(disk)).await
}

/// Write a key of the back end of a drive that is still plugged.
async fn write(host: &Host, drive: &Device, key: &str, value: String) -> Result<(), Failure> {
    let mut batch = Batch::new();
    batch.write(paths::below(&drive.backend_path(), key), value);
    store(host, drive, batch).await
}

/// Change keys of a drive that is still plugged.
async fn store(host: &Host, drive: &Device, mut batch: Batch) -> Result<(), Failure> {
    batch.guard(Guard::Exists(paths::trusted(drive.domid, "vbd", drive.devid)));
    if host.store(batch).await? { Ok(()) } else { Err(Error::DeviceNotConnected.into()) }
}

/// Take the medium out. An empty drive stays as it is.
pub(super) async fn eject(host: &Host, device: &str) -> Result<(), Failure> {
    let context = host.context();
    let vbd = guest::vbd(context, device)?;
    if vbd.ty == Kind::Disk {
        return Err(Error::MediaNotEjectable.into());
    }
    let domid = guest::domid(context)?;
    if !guest::is_hvm(context) {
        return vbd::unplug(host, device, false).await;
    }
    let drive = drive(host, vbd, domid).await?;
    if device_model::has(context, device) {
        let door = json!({"id": device_model::drive(drive.devid), "force": true});
        device_model::ask(host, domid, "eject", door).await?;
        record(host, device, drive.devid, None).await?;
    }
    let private = paths::private(&context.text, drive.kind, drive.devid);
    let held = drive.private.iter().any(|(key, _)| key == "dp-id");
    let mut batch = Batch::new();
    batch.guard(Guard::Exists(paths::trusted(domid, "vbd", drive.devid)));
    batch.write(paths::below(&drive.backend_path(), "params"), "aio:");
    batch.remove(paths::below(&drive.backend_path(), "vdi"));
    host.store(batch).await?;
    if held {
        // The datapath's name goes last, so that whoever comes after a crash knows of it.
        host.storage(StorageCall::Destroy { dp: vbd::datapath(domid, device) }).await?;
        vbd::forsaken(host, &drive).await?;
        let mut batch = Batch::new();
        batch.remove(paths::below(&private, "dp-id")).remove(paths::below(&private, "vdi-id"));
        host.store(batch).await?;
    }
    Ok(())
}

/// The drive as it is plugged: one that QEMU serves, since no other can change its medium.
async fn drive(host: &Host, vbd: &Vbd, domid: DomId) -> Result<Device, Failure> {
    let found = device::find(host, domid, "vbd", &vbd.id.device).await?;
    found.filter(|device| device.kind == "qdisk").ok_or_else(|| Error::DeviceNotConnected.into())
}

/// QEMU's next start is to find what it has now.
async fn record(host: &Host, device: &str, key: u32, path: Option<String>) -> Result<(), Failure> {
    let number = crate::interface::DeviceNumber::of_xenstore_key(key);
    let index = number.map_or(0, |number| i64::from(number.disk));
    host.change(Change::Extra(ExtraChange::QemuDisk(device.to_owned(), index, path))).await
}
