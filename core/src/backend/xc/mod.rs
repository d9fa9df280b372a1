//! The back end that goes step by step: libxenctrl, xenstore, scripts, QEMU.
//!
//! The host of `xen-backend.md` section 22, a plain distribution, is what it is written for. No procedure cleans up
//! what the next look would find: only what the daemon itself holds, processes, streams and disks in dom0.

mod build;
mod clean;
pub(crate) mod create;
mod destroy;
mod device;
mod device_model;
mod guest;
mod guest_script;
mod helper;
mod hook;
mod image;
mod kernel;
mod look;
mod medium;
pub(crate) mod overhead;
mod paths;
mod platform;
mod process;
mod qemu_args;
mod rename;
mod restore;
mod run_state;
mod save;
mod script;
mod shutdown;
mod tuning;
mod vbd;
mod vif;
mod vif_keys;
mod vif_tune;
pub(crate) mod watch;

#[cfg(test)]
mod tests;

use super::{Failure, Host, MicroOp, Product};
use std::future::Future;
use std::pin::Pin;

/// A micro-op in progress.
pub type Body = Pin<Box<dyn Future<Output = Result<Product, Failure>> + Send>>;

/// A micro-op that has only effects.
macro_rules! effects {
    ($host:ident, $body:expr) => {
        Box::pin(async move { $body(&$host).await.map(|()| Product::Nothing) })
    };
    ($host:ident, $body:expr, $($arg:expr),+) => {
        Box::pin(async move { $body(&$host, $($arg),+).await.map(|()| Product::Nothing) })
    };
}

/// A micro-op that has more to give.
macro_rules! product {
    ($host:ident, $body:expr $(, $arg:expr)*) => {
        Box::pin(async move { $body(&$host $(, $arg)*).await })
    };
}

/// Begin a micro-op. Nothing is asked before it is first polled.
pub fn run(op: MicroOp, host: Host) -> Body {
    match op {
        MicroOp::Look => Box::pin(async move { Ok(Product::Seen(Box::new(look::look(&host).await?))) }),
        MicroOp::VmHookScript(hook, reason) => product!(host, hook::run, hook, reason, ""),
        MicroOp::VmHookScriptAfter(hook, reason, after) => product!(host, hook::run, hook, reason, &after),
        MicroOp::VmCreate => product!(host, create::create),
        MicroOp::VmBuild { force } => effects!(host, build::build, force),
        MicroOp::VmCreateDeviceModel { restore } => effects!(host, device_model::create, restore),
        MicroOp::VmDestroyDeviceModel => effects!(host, device_model::destroy),
        MicroOp::VmDestroy => product!(host, destroy::destroy),
        MicroOp::VmDestroyDomains(domids) => product!(host, destroy::destroy_some, &domids),
        MicroOp::VmClean { suspended } => product!(host, clean::clean, suspended),
        MicroOp::VmEndEpochsAfter(device) => product!(host, clean::end_epochs_after, &device),
        MicroOp::VmForgetImage => effects!(host, run_state::forget_image),
        MicroOp::VmPause => effects!(host, run_state::pause),
        MicroOp::VmUnpause => effects!(host, run_state::unpause),
        MicroOp::VmShutdownDomain { reason, timeout } => effects!(host, shutdown::shut_down, reason, timeout),
        MicroOp::VmSave(disk) => product!(host, save::save, &disk),
        MicroOp::VmSaveDialogue(turn) => product!(host, save::dialogue, turn),
        MicroOp::VmRestore(disk) => effects!(host, restore::restore, &disk),
        MicroOp::VmFastResume => effects!(host, run_state::fast_resume),
        MicroOp::VmS3Suspend => effects!(host, shutdown::s3_suspend),
        MicroOp::VmS3Resume => effects!(host, run_state::s3_resume),
        MicroOp::VmSoftReset => effects!(host, run_state::soft_reset),
        MicroOp::VmDelay(nanoseconds) => effects!(host, run_state::delay, nanoseconds),
        MicroOp::VmSetActionRequest(request) => effects!(host, run_state::set_action_request, request),
        MicroOp::VmSetXsdata(xsdata) => effects!(host, tuning::set_xsdata, &xsdata),
        MicroOp::VmSetVcpus(vcpus) => product!(host, tuning::set_vcpus, vcpus),
        MicroOp::VmSetShadowMultiplier(multiplier) => effects!(host, tuning::set_shadow_multiplier, multiplier),
        MicroOp::VmSetMemoryDynamicRange(least, most) => {
            effects!(host, tuning::set_memory_dynamic_range, least, most)
        }
        MicroOp::VmRequestRdp(enabled) => effects!(host, tuning::request_rdp, enabled),
        MicroOp::VmRunScript(script) => product!(host, guest_script::run, &script),
        MicroOp::VmRemove => effects!(host, clean::remove),
        MicroOp::VmRename(to) => effects!(host, rename::rename, to),
        device => run_device(device, host),
    }
}

fn run_device(op: MicroOp, host: Host) -> Body {
    match op {
        MicroOp::VbdPlug(device) => effects!(host, vbd::plug, &device),
        MicroOp::VbdUnplug { device, force } => effects!(host, vbd::unplug, &device, force),
        MicroOp::VbdSetActive(device, active) => effects!(host, vbd::set_active, "vbd", &device, active),
        MicroOp::VbdEpochBegin(device) => effects!(host, vbd::epoch_begin, &device),
        MicroOp::VbdEpochEnd(device) => Box::pin(async move {
            let vbd = guest::vbd(host.context(), &device)?;
            vbd::epoch_end(&host, vbd).await.map(|()| Product::Nothing)
        }),
        MicroOp::VbdInsert(device, disk) => effects!(host, medium::insert, &device, &disk),
        MicroOp::VbdEject(device) => effects!(host, medium::eject, &device),
        MicroOp::VbdSetQos(device) => effects!(host, vbd::set_qos, &device),
        MicroOp::VifPlug(device) => effects!(host, vif::plug, &device),
        MicroOp::VifUnplug { device, force } => effects!(host, vif::unplug, &device, force),
        MicroOp::VifSetActive(device, active) => effects!(host, vbd::set_active, "vif", &device, active),
        MicroOp::VifMove(device, network) => effects!(host, vif_tune::move_to, &device, &network),
        MicroOp::VifSetCarrier(device, carrier) => effects!(host, vif_tune::set_carrier, &device, carrier),
        MicroOp::VifSetLockingMode(device, mode) => effects!(host, vif_tune::set_locking_mode, &device, &mode),
        MicroOp::VifSetTrunks(device, trunks) => effects!(host, vif_tune::set_trunks, &device, &trunks),
        MicroOp::VifSetIpv4(device, configuration) => effects!(host, vif_tune::set_ipv4, &device, &configuration),
        MicroOp::VifSetIpv6(device, configuration) => effects!(host, vif_tune::set_ipv6, &device, &configuration),
        vm => unreachable!("{vm:?} is not about a device"),
    }
}
