//! What to do about an error.

use super::args::SOCKET;
use std::io::{self, ErrorKind};
use std::path::Path;
use xenops_core::interface::{Error, PowerState};

/// About a daemon that does not answer.
pub(super) fn unreachable(socket: &Path, error: &io::Error) -> String {
    let directory = socket.parent().unwrap_or(Path::new("/"));
    let start = match socket == Path::new(SOCKET) {
        true => "xenopsd --host simulated".to_owned(),
        false => format!("xenopsd --host simulated --sockets-path {}", directory.display()),
    };
    match error.kind() {
        ErrorKind::PermissionDenied => {
            let me = rustix::process::geteuid().as_raw();
            format!("you are user {me}, and the socket is another's: run this as root, or as who runs xenopsd")
        }
        ErrorKind::ConnectionRefused => format!("the daemon that made this socket has ended; start it again: {start}"),
        ErrorKind::NotFound => format!("start the daemon, such as: {start}; or name its socket by --socket"),
        _ => "is this the socket of xenopsd? --socket names another".to_owned(),
    }
}

/// About an error of the daemon, where the user called VM and device so.
pub(super) fn refused(error: &Error, vm: &str, device: &str) -> Option<String> {
    Some(match error {
        Error::BadPowerState(found, expected) => power_state(*found, *expected, vm),
        Error::DoesNotExist(kind, _) if kind == "task" => "'xenops tasks' shows the tasks there are".to_owned(),
        Error::DoesNotExist(..) => "'xenops list' shows the VMs there are".to_owned(),
        Error::AlreadyExists(..) => "remove the other one first, or give this one another uuid".to_owned(),
        Error::Unimplemented(_) => "this version of xenopsd does not do that; the README has a table".to_owned(),
        Error::DomainNotBuilt => format!("start it: xenops start {vm}"),
        Error::InvalidVcpus(most) => {
            format!("choose 1 to {most}; more need a larger maxvcpus in its configuration, which its next start uses")
        }
        Error::FailedToAcknowledgeShutdownRequest | Error::FailedToShutdown(..) => format!(
            "its guest does not shut down by itself; without asking it: xenops shutdown {vm} (data in its memory is lost)"
        ),
        Error::FailedToAcknowledgeSuspendRequest | Error::FailedToSuspend(..) => {
            format!("its guest cannot suspend, or is not yet up; it goes on running: xenops console {vm}")
        }
        Error::DeviceIsConnected => format!("unplug it first: xenops vbd-unplug {device}, or vif-unplug"),
        Error::DeviceNotConnected => format!("plug it first: xenops vbd-plug {device}, or vif-plug"),
        Error::DeviceDetachRejected(..) => {
            "stop using it in the guest, then try again; --force takes it away all the same".to_owned()
        }
        Error::MediaNotEjectable => "only a drive (cdrom or floppy) has a medium".to_owned(),
        Error::MediaPresent => format!("eject what is in it first: xenops cd-eject {device}"),
        Error::MediaNotPresent => format!("put something in first: xenops vbd-insert {device} phy:PATH"),
        Error::NoBootableDevice => format!("add a disk: xenops vbd-add {vm} phy:PATH,xvda,w"),
        Error::BootloaderError(..) => "does its first disk hold a kernel that the boot loader can find?".to_owned(),
        Error::CannotFreeThisMuchMemory(..) | Error::NotEnoughMemory(_) => {
            "shut down or shrink another VM: xenops list, xenops set-memory".to_owned()
        }
        Error::VmsFailedToCooperate(_) => "is a balloon driver running in those guests?".to_owned(),
        Error::Cancelled(_) => format!("what makes it sensible again is under way: xenops why {vm}"),
        Error::FailedToContactRemoteService(service) => format!("is {service} running?"),
        Error::PcibackNotLoaded => "load it: modprobe xen-pciback".to_owned(),
        Error::InternalError(_) => "the daemon's log says more; 'xenops diagnostics' shows what it is doing".to_owned(),
        Error::HookFailed(..)
        | Error::StorageBackendError(..)
        | Error::IoError
        | Error::FailedToRunScript(_)
        | Error::FailedToStartEmulator(..) => "the daemon's log says more".to_owned(),
        Error::BallooningTimeoutBeforeMigration | Error::UnknownError => return None,
    })
}

/// The command that brings a VM from where it is to where it would have to be.
fn power_state(found: PowerState, expected: PowerState, vm: &str) -> String {
    use PowerState::{Halted, Paused, Running, Suspended};
    match (found, expected) {
        (Halted, Running | Paused) => format!("start it: xenops start {vm}"),
        (Halted, Suspended) => format!("it has no image to resume; start it: xenops start {vm}"),
        (Running | Paused, Halted) => {
            format!("shut it down first: xenops shutdown {vm}, or with --timeout 60 to ask its guest")
        }
        (Running | Paused, Suspended) => format!("suspend it first: xenops suspend {vm} --block-device FILE"),
        (Running, Paused) => format!("pause it first: xenops pause {vm}"),
        (Paused, Running) => format!("let it run: xenops unpause {vm}"),
        (Suspended, Running | Paused) => format!("resume it: xenops resume {vm} --block-device FILE"),
        (Suspended, Halted) => {
            format!("resume it: xenops resume {vm} --block-device FILE; or give up its memory: xenops shutdown {vm}")
        }
        _ => format!("see why it is so: xenops why {vm}"),
    }
}
