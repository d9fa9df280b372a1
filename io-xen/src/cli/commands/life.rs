//! A VM's life: start, shutdown, reboot, suspend, resume, pause.

use super::super::args;
use super::super::failure::Failure;
use super::super::find;
use super::super::output::Shown;
use super::{Context, console};
use clap::{Args, Subcommand};
use xenops_core::interface::{Call, Disk, Vm};

/// Commands of a VM's life.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a halted VM.
    Start {
        /// The VM.
        #[command(flatten)]
        vm: args::Vm,
        /// Leave it paused.
        #[arg(long)]
        paused: bool,
        /// Then attach to its console.
        #[arg(long)]
        console: bool,
    },
    /// Power a VM off, or ask its guest to shut down.
    Shutdown(Ending),
    /// Restart a VM, or ask its guest to reboot.
    Reboot(Ending),
    /// Save a running VM's memory to a block device or file.
    Suspend(Image),
    /// Restore a suspended VM; it stays paused.
    Resume {
        /// The VM and its memory.
        #[command(flatten)]
        image: Image,
        /// Let it run.
        #[arg(long)]
        unpause: bool,
    },
    /// Let a VM go on in the domain that it was suspended in.
    FastResume(args::Vm),
    /// Stop a VM's vCPUs.
    Pause(args::Vm),
    /// Let a paused VM run.
    Unpause(args::Vm),
    /// Put an HVM guest to sleep by ACPI S3.
    S3suspend(args::Vm),
    /// Wake an HVM guest from ACPI S3.
    S3resume(args::Vm),
}

/// How a VM is to end.
#[derive(Debug, Args)]
pub struct Ending {
    /// The VM.
    #[command(flatten)]
    vm: args::Vm,
    /// Ask the guest, and give it so many seconds; without this it is not asked.
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<f64>,
}

/// Where a VM's memory is kept.
#[derive(Debug, Args)]
pub struct Image {
    /// The VM.
    #[command(flatten)]
    vm: args::Vm,
    /// The block device or file that holds its memory.
    #[arg(long, value_name = "F")]
    block_device: Option<String>,
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    match command {
        Command::Start { vm, paused, console } => {
            let shown = context.with_vm(&vm, |vm| start(context, vm, paused))?;
            if console { console::attach(context, &vm.vm) } else { Ok(shown) }
        }
        Command::Shutdown(Ending { vm, timeout: delay }) => {
            context.with_vm(&vm, |vm| context.perform(vm, "shut down", Call::VmShutdown { id: vm.id.clone(), delay }))
        }
        Command::Reboot(Ending { vm, timeout: delay }) => {
            context.with_vm(&vm, |vm| context.perform(vm, "reboot", Call::VmReboot { id: vm.id.clone(), delay }))
        }
        Command::Suspend(image) => context.with_vm(&image.vm, |vm| {
            let suspend_vdi = disk(image.block_device.as_deref(), "suspend", vm)?;
            context.perform(vm, "suspend", Call::VmSuspend { id: vm.id.clone(), suspend_vdi })
        }),
        Command::Resume { image, unpause } => context.with_vm(&image.vm, |vm| {
            let suspend_vdi = disk(image.block_device.as_deref(), "resume", vm)?;
            context.perform(vm, "resume", Call::VmResume { id: vm.id.clone(), suspend_vdi })?;
            if unpause { let_run(context, vm) } else { Ok(()) }
        }),
        Command::FastResume(vm) => {
            context.with_vm(&vm, |vm| context.perform(vm, "resume", Call::VmFastResume { id: vm.id.clone() }))
        }
        Command::Pause(vm) => {
            context.with_vm(&vm, |vm| context.perform(vm, "pause", Call::VmPause { id: vm.id.clone() }))
        }
        Command::Unpause(vm) => context.with_vm(&vm, |vm| let_run(context, vm)),
        Command::S3suspend(vm) => {
            context.with_vm(&vm, |vm| context.perform(vm, "put to sleep", Call::VmS3Suspend { id: vm.id.clone() }))
        }
        Command::S3resume(vm) => {
            context.with_vm(&vm, |vm| context.perform(vm, "wake", Call::VmS3Resume { id: vm.id.clone() }))
        }
    }
}

/// Starts a VM, which leaves it paused, and lets it run.
pub(super) fn start(context: &Context, vm: &Vm, paused: bool) -> Result<(), Failure> {
    // The interface calls the flag `paused`; what it does is to start in spite of obstacles.
    context.perform(vm, "start", Call::VmStart { id: vm.id.clone(), paused: false })?;
    if paused { Ok(()) } else { let_run(context, vm) }
}

fn let_run(context: &Context, vm: &Vm) -> Result<(), Failure> {
    context.perform(vm, "unpause", Call::VmUnpause { id: vm.id.clone() })
}

fn disk(path: Option<&str>, what: &str, vm: &Vm) -> Result<Disk, Failure> {
    let Some(path) = path else {
        let hint = format!("xenops {what} {} --block-device FILE", vm.name);
        return Err(Failure::Impossible(format!("{what} needs to know where the VM's memory is kept"), hint));
    };
    find::absolute(path).map(Disk::Local)
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    seconds.ok_or_else(|| "not a number of seconds".to_owned())
}
