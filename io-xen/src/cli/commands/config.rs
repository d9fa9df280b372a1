//! VMs from files and to files.

use super::super::args;
use super::super::client::{Client, ask};
use super::super::failure::Failure;
use super::super::find;
use super::super::output::{Shown, warn};
use super::{Context, console, life};
use clap::Subcommand;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xenops_core::host::Uuid;
use xenops_core::interface::{Answer, Call, Error, Metadata, PowerState, Vm};
use xenops_core::xl;

/// More than any file that a daemon takes.
const MOST_BYTES: u64 = 16 << 20;

/// Commands that make VMs known, and unknown.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a VM from an xl-style file, and start it.
    Create {
        /// The file.
        file: PathBuf,
        /// Leave it paused.
        #[arg(long)]
        paused: bool,
        /// Then attach to its console.
        #[arg(long)]
        console: bool,
    },
    /// Add a VM from an xl-style file; prints its UUID.
    Add {
        /// The file.
        file: PathBuf,
    },
    /// Forget a halted VM and its devices.
    Remove(args::Vm),
    /// Add a VM from what 'export' wrote; prints its UUID.
    Import {
        /// The file; standard input if absent.
        #[arg(long, value_name = "F")]
        filename: Option<PathBuf>,
        /// Accepted: nothing else can be imported.
        #[arg(long)]
        metadata_only: bool,
    },
    /// Write a VM's metadata.
    Export {
        /// The VM.
        #[command(flatten)]
        vm: args::Vm,
        /// The file; standard output if absent.
        #[arg(long, value_name = "F")]
        filename: Option<PathBuf>,
        /// Accepted: nothing else can be exported.
        #[arg(long)]
        metadata_only: bool,
        /// Write an xl-style file instead.
        #[arg(long)]
        xm: bool,
    },
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    match command {
        Command::Create { file, paused, console } => create(context, &file, paused, console),
        Command::Add { file } => {
            let (vm, warnings) = add(context, &file)?;
            Ok(Shown::of(vm.id.clone(), &json!({ "id": vm.id, "warnings": warnings })))
        }
        Command::Remove(vm) => context.with_vm(&vm, |vm| remove(&context.client, vm)),
        Command::Import { filename, metadata_only: _ } => import(context, filename.as_deref()),
        Command::Export { vm, filename, metadata_only: _, xm } => export(context, &vm.vm, filename.as_deref(), xm),
    }
}

fn create(context: &Context, file: &Path, paused: bool, console: bool) -> Result<Shown, Failure> {
    let (vm, warnings) = add(context, file)?;
    if let Err(failure) = life::start(context, &vm, paused) {
        warn(&format!("{} was added and did not start; 'xenops remove {}' forgets it", vm.name, vm.id));
        return Err(failure);
    }
    if console {
        return console::attach(context, &vm.id);
    }
    Ok(Shown::of(vm.id.clone(), &json!({ "id": vm.id, "warnings": warnings })))
}

/// The VM of a file, once the daemon knows it, and what the file says in vain.
fn add(context: &Context, file: &Path) -> Result<(Vm, Vec<String>), Failure> {
    let client = &context.client;
    let text = read(Some(file))?;
    let (metadata, warnings) =
        xl::parse(&text, random()?).map_err(|error| Failure::Config { file: file.to_owned(), error })?;
    let warnings: Vec<_> = warnings.iter().map(|warning| format!("{}: {warning}", file.display())).collect();
    if !context.output.json {
        warnings.iter().for_each(|warning| warn(&format!("warning: {warning}")));
    }
    let vm = metadata.vm.clone();
    let known = ask!(client, Call::VmExists { id: vm.id.clone() }, Answer::Bool(yes) => yes);
    if let Err(failure) = send(client, metadata) {
        // Half a VM helps nobody; what was there before stays.
        if !known {
            let _ = remove(client, &vm);
        }
        return Err(failure.about(&vm.name, None));
    }
    Ok((vm, warnings))
}

fn send(client: &Client, metadata: Metadata) -> Result<(), Failure> {
    client.call(Call::VmAdd { vm: Arc::new(metadata.vm) })?;
    for vbd in metadata.vbds {
        client.call(Call::VbdAdd { vbd: Arc::new(vbd) })?;
    }
    for vif in metadata.vifs {
        client.call(Call::VifAdd { vif: Arc::new(vif) })?;
    }
    for pci in metadata.pcis {
        client.call(Call::PciAdd { pci: Arc::new(pci) })?;
    }
    Ok(())
}

fn remove(client: &Client, vm: &Vm) -> Result<(), Failure> {
    let about = |failure: Failure| failure.about(&vm.name, None);
    // Devices go one by one, as upstream's daemon does not take them along; a VM that is to be refused keeps its own.
    let state = ask!(client, Call::VmStat { id: vm.id.clone() }, Answer::Vm(_, state) => state);
    if state.power_state == PowerState::Halted {
        for (vbd, _) in find::vbds(client, &vm.id)? {
            client.call(Call::VbdRemove { id: vbd.id.clone() }).map_err(about)?;
        }
        for (vif, _) in find::vifs(client, &vm.id)? {
            client.call(Call::VifRemove { id: vif.id.clone() }).map_err(about)?;
        }
    }
    client.call(Call::VmRemove { id: vm.id.clone() }).map_err(about)?;
    Ok(())
}

fn import(context: &Context, file: Option<&Path>) -> Result<Shown, Failure> {
    let metadata = read(file)?;
    let id = ask!(context.client, Call::VmImportMetadata { metadata }, Answer::Text(id) => id);
    Ok(Shown::of(id.clone(), &json!({ "id": id })))
}

fn export(context: &Context, name: &str, file: Option<&Path>, xm: bool) -> Result<Shown, Failure> {
    let client = &context.client;
    let (vm, _) = find::vm(client, name)?;
    let text = ask!(client, Call::VmExportMetadata { id: vm.id.clone() }, Answer::Text(text) => text);
    let malformed = |why: serde_json::Error| Failure::refused(Error::InternalError(format!("metadata: {why}")));
    let shown = if xm {
        let printed = xl::print(&serde_json::from_str(&text).map_err(malformed)?);
        if !context.output.json {
            printed.lost.iter().for_each(|lost| warn(&format!("warning: the file cannot say {lost}")));
        }
        Shown::of(printed.text.clone(), &json!({ "text": printed.text, "lost": printed.lost }))
    } else {
        let json = serde_json::from_str(&text).map_err(malformed)?;
        Shown { text, json }
    };
    match file {
        None => Ok(shown),
        Some(file) => {
            fs::write(file, &shown.text).map_err(Failure::local(format!("write {}", file.display())))?;
            Ok(Shown { text: String::new(), json: json!({ "id": vm.id, "file": file }) })
        }
    }
}

fn read(file: Option<&Path>) -> Result<String, Failure> {
    let name = file.map_or("standard input".into(), |file| file.display().to_string());
    let mut text = String::new();
    let read = match file {
        Some(file) => File::open(file).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text)),
        None => io::stdin().take(MOST_BYTES).read_to_string(&mut text),
    };
    read.map_err(Failure::local(format!("read {name}")))?;
    Ok(text)
}

/// A random UUID, version 4.
fn random() -> Result<Uuid, Failure> {
    let mut bytes = [0; 16];
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    random.map_err(Failure::local("get random numbers"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(Uuid(bytes))
}
