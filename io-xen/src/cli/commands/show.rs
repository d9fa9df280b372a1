//! What there is and how it does.

use super::super::args;
use super::super::client::ask;
use super::super::failure::Failure;
use super::super::find;
use super::super::output::Shown;
use super::super::view;
use super::Context;
use clap::Subcommand;
use serde_json::{Value, json};
use xenops_core::interface::{Answer, Call, Error};

/// Commands that only look.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List VMs.
    List,
    /// Show a VM's state, and what runs now beside what its next start will use.
    VmStat(args::Vm),
    /// Say why a VM is as it is, and what would make it sensible.
    Why(args::Vm),
    /// Show the daemon's insides.
    Diagnostics,
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    match command {
        Command::List => list(context),
        Command::VmStat(vm) => vm_stat(context, &vm.vm),
        Command::Why(vm) => why(context, &vm.vm),
        Command::Diagnostics => {
            let all = diagnostics(context)?;
            Ok(Shown::of(format!("{all:#}"), &all))
        }
    }
}

fn list(context: &Context) -> Result<Shown, Failure> {
    let vms = find::vms(&context.client)?;
    let text = if context.verbose { view::list::verbose(&vms) } else { view::list::table(&vms) };
    let json: Vec<_> = vms.iter().map(|(vm, state)| json!({ "vm": vm, "state": state })).collect();
    Ok(Shown::of(text, &json))
}

fn vm_stat(context: &Context, name: &str) -> Result<Shown, Failure> {
    let client = &context.client;
    let (vm, state) = find::vm(client, name)?;
    let (vbds, vifs) = (find::vbds(client, &vm.id)?, find::vifs(client, &vm.id)?);
    let rows = view::stat::compare(&vm, &state, &vbds, &vifs);
    let text = format!("{}\n{}", view::stat::fields(&state), view::stat::table(&rows));
    Ok(Shown::of(text, &json!({ "vm": vm, "state": state, "compared": rows })))
}

fn why(context: &Context, name: &str) -> Result<Shown, Failure> {
    let (vm, _) = find::vm(&context.client, name)?;
    match diagnostics(context)?["verdicts"][&vm.id].as_str() {
        Some(verdict) => Ok(Shown::of(verdict, &json!({ "id": vm.id, "why": verdict }))),
        None => Err(Failure::Impossible(
            format!("this daemon does not say why {} is as it is", vm.name),
            "it may be another version, or upstream's; 'xenops diagnostics' shows what it does say".into(),
        )),
    }
}

fn diagnostics(context: &Context) -> Result<Value, Failure> {
    let text = ask!(context.client, Call::GetDiagnostics, Answer::Text(text) => text);
    serde_json::from_str(&text).map_err(|why| Failure::refused(Error::InternalError(format!("diagnostics: {why}"))))
}
