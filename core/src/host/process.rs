//! Processes: device models, the guest builder, save and restore helpers, hotplug scripts, hooks.

use super::DomId;
use serde::{Deserialize, Serialize};

/// The machine's number for a process or stream of this daemon's life; the driver maps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Handle(pub u64);

/// Bits of a number that tell which it is of its VM's.
const NTH: u32 = 40;

impl Handle {
    /// The nth that the VM in this place of the machine was given. VMs number theirs apart, so that what one is doing
    /// leaves alone the numbers of the others.
    pub fn of(place: usize, nth: u64) -> Handle {
        Handle((place as u64 + 1) << NTH | nth)
    }

    /// The place and the number of one that was made so.
    pub fn parts(self) -> Option<(usize, u64)> {
        let place = (self.0 >> NTH).checked_sub(1)?;
        Some((usize::try_from(place).ok()?, self.0 & ((1 << NTH) - 1)))
    }
}

/// What a process is for. Device models outlive the daemon. The others end with it: before a host that is opened is
/// asked for anything, what is left of them has ended, scripts by coming to their end unless they take too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Builds a guest's memory and first state.
    Builder,
    /// Writes a guest's state to a stream.
    Saver,
    /// Reads a guest's state from a stream.
    Restorer,
    /// QEMU for one domain: HVM hardware or qdisk back ends.
    DeviceModel,
    /// A block or network script.
    Hotplug,
    /// A file of a hook directory.
    Hook,
    /// Extracts kernel and ramdisk from a guest's disk.
    Bootloader,
}

impl Role {
    /// Whether it goes on when the daemon ends.
    pub fn outlives_daemon(self) -> bool {
        self == Role::DeviceModel
    }

    /// Whether it makes a small change to the host and ends, so that it is better waited for than killed.
    pub fn is_script(self) -> bool {
        matches!(self, Role::Hotplug | Role::Hook)
    }
}

/// A process to start. Its standard output is read line by line; standard input takes `Request::Tell`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spawn {
    /// Its number from now on.
    pub process: Handle,
    /// What it is for.
    pub role: Role,
    /// The domain it serves; it is found again by role and domain.
    pub domid: Option<DomId>,
    /// Absolute path of the program.
    pub program: String,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// Variables added to a minimal environment.
    pub env: Vec<(String, String)>,
    /// A directory (absolute path) that is made empty before it starts, for what it leaves behind.
    pub scratch: Option<String>,
    /// A stream handed over as a descriptor, which the program finds at the argument `{stream}`.
    pub stream: Option<Handle>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Lines so far, from the one asked for on.
    pub lines: Vec<String>,
    /// Whether it has ended, and how.
    pub exit: Option<Exit>,
}
