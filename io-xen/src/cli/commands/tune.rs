//! Changes of a VM's size and data while it is there.

use super::super::args;
use super::super::failure::Failure;
use super::super::output::Shown;
use super::Context;
use clap::Subcommand;
use xenops_core::interface::{Call, Pairs};

/// Commands that change a VM.
#[derive(Debug, Subcommand)]
#[allow(clippy::enum_variant_names, reason = "named as on the command line")]
pub enum Command {
    /// Set how many vCPUs a VM has online.
    SetVcpus {
        /// The VM.
        #[command(flatten)]
        vm: args::Vm,
        /// How many.
        vcpus: i64,
    },
    /// Set the range of memory that a VM may balloon in.
    SetMemory {
        /// The VM.
        #[command(flatten)]
        vm: args::Vm,
        /// At least, in MiB.
        minimum: i64,
        /// At most, in MiB; the same if absent.
        maximum: Option<i64>,
    },
    /// Set the factor on an HVM guest's shadow memory.
    SetShadowMultiplier {
        /// The VM.
        #[command(flatten)]
        vm: args::Vm,
        /// The factor.
        multiplier: f64,
    },
    /// Set all data keys that the guest finds in xenstore.
    SetXsdata {
        /// The VM.
        #[command(flatten)]
        vm: args::Vm,
        /// Such as vm-data/role=web.
        #[arg(value_name = "KEY=VALUE", value_parser = entry)]
        entries: Vec<(String, String)>,
    },
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    match command {
        Command::SetVcpus { vm, vcpus } => context
            .with_vm(&vm, |vm| context.perform(vm, "set vCPUs of", Call::VmSetVcpus { id: vm.id.clone(), vcpus })),
        Command::SetMemory { vm, minimum, maximum } => context.with_vm(&vm, |vm| {
            let (minimum, maximum) = (bytes(minimum)?, bytes(maximum.unwrap_or(minimum))?);
            if minimum > maximum {
                return Err(Failure::Usage("the minimum exceeds the maximum".into()));
            }
            let id = vm.id.clone();
            context.perform(vm, "set memory of", Call::VmSetMemoryDynamicRange { id, minimum, maximum })
        }),
        Command::SetShadowMultiplier { vm, multiplier } => context.with_vm(&vm, |vm| {
            let id = vm.id.clone();
            context.perform(vm, "set shadow memory of", Call::VmSetShadowMultiplier { id, multiplier })
        }),
        Command::SetXsdata { vm, entries } => context.with_vm(&vm, |vm| {
            let xsdata = Pairs(entries);
            context.perform(vm, "set data of", Call::VmSetXsdata { id: vm.id.clone(), xsdata })
        }),
    }
}

fn bytes(mib: i64) -> Result<i64, Failure> {
    match mib.checked_mul(1 << 20) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(Failure::Usage(format!("{mib} MiB is no size"))),
    }
}

fn entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not of the form KEY=VALUE".to_owned()),
    }
}
