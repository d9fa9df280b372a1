//! Why a call failed.

use super::malformed::Malformed;
use super::vm::PowerState;
use std::fmt;

variant! {
    /// Why a call failed. What this daemon does not know is `UnknownError`.
    pub enum Error default UnknownError {
        /// An object of that kind and id is there.
        AlreadyExists "Already_exists" (kind: String, id: String),
        /// No object of that kind and id is there.
        DoesNotExist "Does_not_exist" (kind: String, id: String),
        /// This daemon cannot do that.
        Unimplemented(what: String),
        /// The domain has no guest in it yet.
        DomainNotBuilt "Domain_not_built",
        /// More vCPUs than this were asked for.
        InvalidVcpus "Invalid_vcpus" (most: i64),
        /// The VM is in the first state and would have to be in the second.
        BadPowerState "Bad_power_state" (found: PowerState, expected: PowerState),
        /// The guest did not react to a request to shut down.
        FailedToAcknowledgeShutdownRequest "Failed_to_acknowledge_shutdown_request",
        /// The guest did not react to a request to suspend.
        FailedToAcknowledgeSuspendRequest "Failed_to_acknowledge_suspend_request",
        /// That VM did not shut down within so many seconds.
        FailedToShutdown "Failed_to_shutdown" (vm: String, seconds: f64),
        /// That VM did not suspend within so many seconds.
        FailedToSuspend "Failed_to_suspend" (vm: String, seconds: f64),
        /// A plugged device cannot be removed.
        DeviceIsConnected "Device_is_connected",
        /// An unplugged device cannot do that.
        DeviceNotConnected "Device_not_connected",
        /// The guest refused to give up a device: its class, its id, what the guest said.
        DeviceDetachRejected "Device_detach_rejected" (class: String, id: String, message: String),
        /// The device is no drive.
        MediaNotEjectable "Media_not_ejectable",
        /// The drive has a medium.
        MediaPresent "Media_present",
        /// The drive has no medium.
        MediaNotPresent "Media_not_present",
        /// A boot loader is to find a kernel and has no disk to look on.
        NoBootableDevice "No_bootable_device",
        /// The boot loader failed for that VM, saying that.
        BootloaderError "Bootloader_error" (vm: String, message: String),
        /// Bytes needed, bytes free.
        CannotFreeThisMuchMemory "Cannot_free_this_much_memory" (needed: i64, free: i64),
        /// Those VMs do not give up memory.
        VmsFailedToCooperate "Vms_failed_to_cooperate" (vms: Vec<String>),
        /// A suspend image could not be read or written.
        IoError "IO_error",
        /// That service cannot be reached.
        FailedToContactRemoteService "Failed_to_contact_remote_service" (service: String),
        /// A hook failed: its path, the reason it ran for, what it printed, its exit code.
        HookFailed "Hook_failed" (script: String, reason: String, stdout: String, code: String),
        /// A domain of so many bytes does not fit.
        NotEnoughMemory "Not_enough_memory" (bytes: i64),
        /// That task was cancelled.
        Cancelled(task: String),
        /// The storage service failed with that code and these parameters.
        StorageBackendError "Storage_backend_error" (code: String, params: Vec<String>),
        /// dom0 cannot pass devices through.
        PcibackNotLoaded "PCIBack_not_loaded",
        /// The guest agent could not run a script, for that reason.
        FailedToRunScript "Failed_to_run_script" (reason: String),
        /// A helper did not start: its VM, its name, what it said.
        FailedToStartEmulator "Failed_to_start_emulator" (vm: String, name: String, message: String),
        /// The guest did not give up memory in time.
        BallooningTimeoutBeforeMigration "Ballooning_timeout_before_migration",
        /// Anything else.
        InternalError "Internal_error" (text: String),
        /// What the other side knows and this side does not.
        UnknownError "Unknown_error",
    }
}

impl Error {
    /// No object of that kind and id is there.
    pub fn does_not_exist(kind: &str, id: impl Into<String>) -> Error {
        Error::DoesNotExist(kind.into(), id.into())
    }
}

impl From<Malformed> for Error {
    fn from(why: Malformed) -> Error {
        Error::InternalError(why.as_exception())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::AlreadyExists(kind, id) => write!(f, "{kind} {id} already exists"),
            Error::DoesNotExist(kind, id) => {
                write!(f, "{kind} {} does not exist", id.strip_suffix("/config").unwrap_or(id))
            }
            Error::Unimplemented(what) => write!(f, "{what} is not implemented"),
            Error::DomainNotBuilt => f.write_str("the domain is not built"),
            Error::InvalidVcpus(most) => write!(f, "the VM has at most {most} vCPUs"),
            Error::BadPowerState(found, expected) => write!(f, "the VM is {found} and would have to be {expected}"),
            Error::FailedToAcknowledgeShutdownRequest => f.write_str("the guest did not react to the shutdown request"),
            Error::FailedToAcknowledgeSuspendRequest => f.write_str("the guest did not react to the suspend request"),
            Error::FailedToShutdown(vm, seconds) => write!(f, "VM {vm} did not shut down within {seconds} s"),
            Error::FailedToSuspend(vm, seconds) => write!(f, "VM {vm} did not suspend within {seconds} s"),
            Error::DeviceIsConnected => f.write_str("the device is still plugged in"),
            Error::DeviceNotConnected => f.write_str("the device is not plugged in"),
            Error::DeviceDetachRejected(class, id, message) => {
                write!(f, "the guest does not give up {class} {id}: {message}")
            }
            Error::MediaNotEjectable => f.write_str("the device is no drive with a medium to eject"),
            Error::MediaPresent => f.write_str("the drive already holds a medium"),
            Error::MediaNotPresent => f.write_str("the drive is empty"),
            Error::NoBootableDevice => f.write_str("the VM has no disk to boot from"),
            Error::BootloaderError(vm, message) => write!(f, "the boot loader of VM {vm} failed: {message}"),
            Error::CannotFreeThisMuchMemory(needed, free) => {
                write!(f, "{needed} bytes of memory are needed and {free} can be freed")
            }
            Error::VmsFailedToCooperate(vms) => write!(f, "VMs {} do not give up memory", vms.join(", ")),
            Error::IoError => f.write_str("the suspend image could not be read or written"),
            Error::FailedToContactRemoteService(service) => write!(f, "service {service} cannot be reached"),
            Error::HookFailed(script, reason, stdout, code) => {
                write!(f, "hook {script} failed with status {code} (reason {reason}): {stdout}")
            }
            Error::NotEnoughMemory(bytes) => write!(f, "the host has no {bytes} bytes of memory free"),
            Error::Cancelled(task) => write!(f, "task {task} was cancelled"),
            Error::StorageBackendError(code, params) => write!(f, "storage failed with {code}: {}", params.join(", ")),
            Error::PcibackNotLoaded => f.write_str("dom0 has no driver for passing devices through"),
            Error::FailedToRunScript(reason) => write!(f, "the guest agent could not run the script: {reason}"),
            Error::FailedToStartEmulator(vm, name, message) => {
                write!(f, "{name} did not start for VM {vm}: {message}")
            }
            Error::BallooningTimeoutBeforeMigration => f.write_str("the guest did not give up memory in time"),
            Error::InternalError(text) => write!(f, "internal error: {text}"),
            Error::UnknownError => f.write_str("an error that this program does not know"),
        }
    }
}

impl std::error::Error for Error {}
