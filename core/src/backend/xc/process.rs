//! A process with a beginning and an end: start it, wait for its end, forget it.
//!
//! What each role's program is given, and what it is expected to do. The guest helper is described in `helper`.
//! A program runs with the minimal environment of the host plus the variables named here, in `/`, with standard
//! output read line by line. For `Role::Bootloader` and `Role::Hook` standard error is read as output too.
//!
//! # `Role::Hotplug`, the host's own scripts
//!
//! Always: `script=<program>`, `XENBUS_TYPE=<kind>`, `XENBUS_PATH=backend/<kind>/<domid>/<devid>`,
//! `XENBUS_BASE_PATH=backend`. Backend means `/local/domain/0/backend/<kind>/<domid>/<devid>`.
//!
//! | program, arguments | when | does |
//! |---|---|---|
//! | `block_script add` | backend `state` is 2 | reads `params`, `mode`, `type`; a file gets a loop device, in `node`; writes `physical-device` (`maj:min`, hexadecimal), `physical-device-path`, then `hotplug-status`=`connected`; status 0. A second `add` changes nothing. Refused sharing: `hotplug-error`, `hotplug-status`=`busy`, status 1. Otherwise failed: `error` and status 1 |
//! | `block_script remove` | the backend's directory still exists | frees the loop device in `node`, whoever has it now; status 0. One that is free already: `error` and status 1. Without the directory it exits 1, and the loop device stays |
//! | `vif_script online type_if=vif` | backend `state` is 2, so `vif<d>.<n>` exists | reads `bridge`; sets MAC and MTU, adds it to the bridge, link up, `hotplug-status`=`connected`; status 0 |
//! | `vif_script offline type_if=vif` | on unplug | takes it off; status 0 though it is gone |
//! | `vif_script add type_if=tap` | QEMU runs, so `vif<d>.<n>-emu` exists | adds the tap to the bridge; only its status tells |
//! | `vif_script remove type_if=tap` | on unplug of a NIC that QEMU has | takes it off |
//!
//! Network scripts also get `vif=vif<d>.<n>`, `INTERFACE=vif<d>.<n>-emu`, `netdev=`. A status other than 0, or a
//! signal, is a failure at once: nothing else will come.
//!
//! # `Role::DeviceModel`, QEMU
//!
//! Arguments in `qemu_args`; environment `XEN_DOMAIN_ID=<d>`, `XEN_QEMU_CONSOLE_LIMIT=1048576`.
//! `/local/domain/0/device-model/<d>` exists before it starts. It serves the domain's `qdisk` back ends (state 1 to
//! 4, `hotplug-status`=`connected`), opens QMP at `/var/run/xen/qmp-libxl-<d>` (that is where `Request::Qmp` goes),
//! makes a tap `vif<d>.<n>-emu` for each emulated NIC, and then writes `running` to
//! `/local/domain/0/device-model/<d>/state`. It is not started stopped. Restored, it reads
//! `/var/run/xen/qemu-resume.<d>`, which the host wrote when the image's QEMU record was read; on suspend it writes
//! `/var/run/xen/qemu-save.<d>` when told `xen-save-devices-state`, which is what the record is appended from.
//!
//! # `Role::Hook`
//!
//! `<hooks>/<directory>/<file> -vmuuid <uuid> -reason <reason> [-vmdomid <domid>]`. Status 0 is well, 1 is ignored,
//! anything else fails the operation.
//!
//! # `Role::Bootloader`
//!
//! `pygrub --output-format=simple --output-directory=/var/run/xen/pygrub/<uuid> -q <bootloader_args> <disk>`, where that
//! directory is made for it, or `eliloader -q --vm <uuid> <bootloader_args> <disk>`. Says `kernel <path>`, and may say
//! `ramdisk <path>` and `args <text>`, each once. Paths lie directly in that directory or in `/var/run/xend/boot`; we
//! remove them. On failure its status is not 0 and a line with `RuntimeError: ` says why.

use crate::backend::{Failure, Host};
use crate::host::{Condition, DomId, Exit, Process, Request, Role, Spawn};
use crate::interface::Error;

/// A program to run to its end.
pub(super) struct Program {
    /// What it is for.
    pub(super) role: Role,
    /// The domain that it serves.
    pub(super) domid: Option<DomId>,
    /// Absolute path.
    pub(super) program: String,
    /// Arguments.
    pub(super) args: Vec<String>,
    /// Environment.
    pub(super) env: Vec<(String, String)>,
    /// A directory for what it leaves.
    pub(super) scratch: Option<String>,
}

/// Run a program to its end, at most `nanoseconds`. What it said, and how it ended; none if time ran out.
pub(super) async fn run(
    host: &Host,
    program: Program,
    nanoseconds: u64,
) -> Result<(Vec<String>, Option<Exit>), Failure> {
    let process = host.handle().await?;
    let Program { role, domid, program, args, env, scratch } = program;
    let spawn = Spawn { process, role, domid, program, args, env, scratch, stream: None };
    let body = async {
        host.act(Request::Spawn(Box::new(spawn))).await?;
        host.wait(vec![Condition::Exited(process)], nanoseconds).await
    };
    let (_, Process { lines, exit }) =
        host.then_always(body, async |host: Host| host.act(Request::Forget(process)).await).await?;
    Ok((lines, exit))
}

/// How a process ended, in words.
pub(super) fn ending(exit: Option<Exit>) -> String {
    match exit {
        None => "did not end in time".to_owned(),
        Some(Exit::Code(code)) => format!("ended with status {code}"),
        Some(Exit::Signal(signal)) => format!("was killed by signal {signal}"),
    }
}

/// An error of a kind that the interface has no name for.
pub(super) fn internal(text: impl Into<String>) -> Failure {
    Failure::Error(Error::InternalError(text.into()))
}
