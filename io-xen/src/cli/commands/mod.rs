//! What can be asked for, by families: each file has the grammar of its commands and does them.

pub mod config;
pub mod console;
#[cfg(feature = "simulated")]
pub mod demo;
pub mod disk;
pub mod host;
pub mod life;
pub mod nic;
pub mod show;
pub mod task;
pub mod tune;

use super::args::{self, Cli};
use super::client::Client;
use super::failure::Failure;
use super::find;
use super::output::{Output, Shown};
use super::wait::{Manner, perform};
use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;
use serde_json::json;
use xenops_core::interface::{Call, Vm};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Looking.
    #[command(flatten)]
    Show(show::Command),
    /// Making known and unknown.
    #[command(flatten)]
    Config(config::Command),
    /// A VM's life.
    #[command(flatten)]
    Life(life::Command),
    /// Attach to a VM's console; Ctrl-] ends.
    Console(args::Vm),
    /// Changes.
    #[command(flatten)]
    Tune(tune::Command),
    /// Disks.
    #[command(flatten)]
    Disk(disk::Command),
    /// Network interfaces.
    #[command(flatten)]
    Nic(nic::Command),
    /// Tasks.
    #[command(flatten)]
    Task(task::Command),
    /// The host.
    #[command(flatten)]
    Host(host::Command),
    /// Watch a VM live on a simulated host: start, reboot, survive a killed daemon, suspend, resume, shut down.
    #[cfg(feature = "simulated")]
    Demo,
    /// Print a shell's completion script.
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// What every command is done with.
#[derive(Debug)]
pub struct Context {
    /// The daemon.
    pub client: Client,
    /// Where to say something.
    pub output: Output,
    /// Say more.
    pub verbose: bool,
}

impl Context {
    /// The context that a command line gives.
    pub fn of(cli: &Cli) -> Context {
        Context {
            client: Client::new(cli.socket.clone(), cli.debug),
            output: Output { json: cli.json },
            verbose: cli.verbose,
        }
    }

    /// Starts a task on a VM, and waits for its end.
    fn perform(&self, vm: &Vm, what: &str, call: Call) -> Result<(), Failure> {
        let done = perform(&self.client, call, &format!("{what} {}", vm.name), self.manner());
        done.map(drop).map_err(|failure| failure.about(&vm.name, None))
    }

    /// Starts a task on the device that the user calls that, and waits for its end.
    fn perform_on(&self, device: &str, what: &str, call: Call) -> Result<(), Failure> {
        let done = perform(&self.client, call, &format!("{what} {device}"), self.manner());
        let vm = device.rsplit_once('.').map_or(device, |(vm, _)| vm);
        done.map(drop).map_err(|failure| failure.about(vm, Some(device)))
    }

    fn manner(&self) -> Manner {
        Manner { bar: !self.output.json }
    }

    /// The VM that a user means, once something was done to it.
    fn with_vm(&self, name: &args::Vm, act: impl FnOnce(&Vm) -> Result<(), Failure>) -> Result<Shown, Failure> {
        let (vm, _) = find::vm(&self.client, &name.vm)?;
        act(&vm)?;
        Ok(Shown { text: String::new(), json: json!({ "id": vm.id }) })
    }
}

/// Does it; what it has to show in the end.
pub fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    match command {
        Command::Show(command) => show::run(context, command),
        Command::Config(command) => config::run(context, command),
        Command::Life(command) => life::run(context, command),
        Command::Console(vm) => console::attach(context, &vm.vm),
        Command::Tune(command) => tune::run(context, command),
        Command::Disk(command) => disk::run(context, command),
        Command::Nic(command) => nic::run(context, command),
        Command::Task(command) => task::run(context, command),
        Command::Host(command) => host::run(context, command),
        #[cfg(feature = "simulated")]
        Command::Demo => demo::run(context.output.json),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "xenops", &mut script);
            let script = String::from_utf8_lossy(&script).into_owned();
            Ok(Shown::of(script.clone(), &json!({ "script": script })))
        }
    }
}
