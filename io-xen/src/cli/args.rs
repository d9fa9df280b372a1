//! The command line's grammar: what all commands share. Each family of commands has its own in `commands`.

use super::commands::Command;
use clap::{Args, Parser};
use std::path::PathBuf;

/// Where the daemon listens by default.
pub const SOCKET: &str = "/var/lib/xcp/xenopsd";

/// Manage the virtual machines of a Xen host.
#[derive(Debug, Parser)]
#[command(name = "xenops", version, max_term_width = 100, after_help = AFTER, arg_required_else_help = true)]
pub struct Cli {
    /// The daemon's socket.
    #[arg(long, global = true, value_name = "PATH", env = "XENOPS_SOCKET", default_value = SOCKET)]
    pub socket: PathBuf,
    /// Answer in JSON, errors too.
    #[arg(long, global = true)]
    pub json: bool,
    /// Show each call and answer on standard error.
    #[arg(long, global = true)]
    pub debug: bool,
    /// Say more.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
A VM is named by its name or UUID, a device by VM.DEVICE, such as web.xvda or web.0.

Exit status: 0 done; 1 it failed; 2 wrong command line or configuration file; 130 interrupted; 141 nobody reads \
the output. With --json an error is {\"error\": [NAME, ...], \"message\": TEXT, \"hint\": TEXT} on standard output.";

/// A VM.
#[derive(Debug, Args)]
pub struct Vm {
    /// Its name or UUID.
    pub vm: String,
}

/// A device of a VM.
#[derive(Debug, Args)]
pub struct Device {
    /// Such as web.xvda or web.0.
    #[arg(value_name = "VM.DEVICE")]
    pub device: String,
}

/// A device to take away.
#[derive(Debug, Args)]
pub struct Unplug {
    /// The device.
    #[command(flatten)]
    pub device: Device,
    /// Without asking the guest.
    #[arg(long)]
    pub force: bool,
}
