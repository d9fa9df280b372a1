//! A VM's disks and drives.

use super::super::args::{self, Device, Unplug};
use super::super::client::ask;
use super::super::failure::Failure;
use super::super::find;
use super::super::output::{Shown, warn};
use super::super::view;
use super::Context;
use clap::Subcommand;
use serde_json::json;
use std::sync::Arc;
use xenops_core::interface::vm::BuilderInfo;
use xenops_core::interface::{Answer, Call, DeviceId, Disk};
use xenops_core::xl;

/// Commands on disks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List a VM's disks.
    VbdList(args::Vm),
    /// Add a disk to a VM.
    VbdAdd {
        /// The VM.
        #[command(flatten)]
        vm: args::Vm,
        /// As in an xl-style file, such as phy:/dev/vg/data,xvdb,w.
        disk: String,
    },
    /// Forget a disk that is not plugged.
    VbdRemove(Device),
    /// Plug a disk into a running VM.
    VbdPlug(Device),
    /// Take a disk out of a running VM.
    VbdUnplug(Unplug),
    /// Put a medium into a drive.
    VbdInsert {
        /// The drive.
        #[command(flatten)]
        device: Device,
        /// Such as phy:/srv/debian.iso.
        disk: String,
    },
    /// Take the medium out of a drive.
    CdEject(Device),
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    let client = &context.client;
    match command {
        Command::VbdList(vm) => {
            let vbds = find::vbds(client, &find::vm(client, &vm.vm)?.0.id)?;
            let json: Vec<_> = vbds.iter().map(|(vbd, state)| json!({ "vbd": vbd, "state": state })).collect();
            Ok(Shown::of(view::disk::table(&vbds), &json))
        }
        Command::VbdAdd { vm, disk } => {
            let (vm, _) = find::vm(client, &vm.vm)?;
            let hvm = matches!(vm.ty, BuilderInfo::Hvm(_));
            let (vbd, warnings) = xl::disk(&disk, &vm.id, hvm).map_err(|error| wrong(&disk, &error))?;
            warnings.iter().for_each(|warning| warn(&format!("warning: {}", warning.text)));
            let id = ask!(client, Call::VbdAdd { vbd: Arc::new(vbd) }, Answer::DeviceId(id) => id);
            Ok(Shown::of(id.device.clone(), &json!({ "id": id })))
        }
        Command::VbdRemove(device) => {
            let id = find::vbd(client, &device.device)?.0.id.clone();
            client.call(Call::VbdRemove { id: id.clone() })?;
            Ok(Shown { text: String::new(), json: json!({ "id": id }) })
        }
        Command::VbdPlug(device) => with(context, &device, "plug", |id| Ok(Call::VbdPlug { id })),
        Command::VbdUnplug(Unplug { device, force }) => {
            with(context, &device, "unplug", |id| Ok(Call::VbdUnplug { id, force }))
        }
        Command::VbdInsert { device, disk } => {
            with(context, &device, "insert into", |id| Ok(Call::VbdInsert { id, disk: medium(&disk)? }))
        }
        Command::CdEject(device) => with(context, &device, "eject", |id| Ok(Call::VbdEject { id })),
    }
}

fn with(
    context: &Context,
    device: &Device,
    what: &str,
    call: impl FnOnce(DeviceId) -> Result<Call, Failure>,
) -> Result<Shown, Failure> {
    let (vbd, _) = find::vbd(&context.client, &device.device)?;
    context.perform_on(&device.device, what, call(vbd.id.clone())?)?;
    Ok(Shown { text: String::new(), json: json!({ "id": vbd.id }) })
}

fn medium(text: &str) -> Result<Disk, Failure> {
    match xl::medium(text).map_err(|error| wrong(text, &error))? {
        Disk::Local(path) => find::absolute(&path).map(Disk::Local),
        vdi => Ok(vdi),
    }
}

fn wrong(text: &str, error: &xl::Error) -> Failure {
    Failure::Usage(format!("in '{text}': {}", error.text))
}
