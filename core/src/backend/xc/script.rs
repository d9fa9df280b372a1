//! Hotplug scripts: what they are told, and what they made of it.

use super::paths;
use super::process::{self, Program};
use crate::backend::{Failure, Host};
use crate::host::{DomId, Exit, Found, Query, Role};
use crate::interface::Error;

/// A call of a hotplug script.
pub(super) struct Call<'a> {
    /// Path.
    pub(super) script: &'a str,
    /// Arguments: an action, and for network scripts the type of interface.
    pub(super) args: &'a [&'a str],
    /// The device's domain.
    pub(super) domid: DomId,
    /// Back end's kind.
    pub(super) kind: &'a str,
    /// Number.
    pub(super) devid: u32,
}

/// Run a script; whether it said that all is well. It is not stopped half way, where it may hold a lock or a loop
/// device that nothing names yet.
pub(super) async fn run(host: &Host, call: &Call<'_>) -> Result<Option<Exit>, Failure> {
    let Call { script, args, domid, kind, devid } = *call;
    let mut env = vec![
        ("script".to_owned(), script.to_owned()),
        ("XENBUS_TYPE".to_owned(), kind.to_owned()),
        ("XENBUS_PATH".to_owned(), format!("backend/{kind}/{domid}/{devid}")),
        ("XENBUS_BASE_PATH".to_owned(), "backend".to_owned()),
    ];
    if kind == "vif" {
        env.push(("vif".to_owned(), interface(domid, devid)));
        env.push(("INTERFACE".to_owned(), tap(domid, devid)));
        env.push(("netdev".to_owned(), String::new()));
    }
    let program = Program {
        role: Role::Hotplug,
        domid: Some(domid),
        program: script.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env,
        scratch: None,
    };
    let timeout = host.context().settings.hotplug_timeout;
    Ok(process::run(&host.shielded(), program, timeout).await?.1)
}

/// Whether a script that connects a device has connected it. `what` names the device in errors.
pub(super) async fn connect(host: &Host, call: &Call<'_>, what: &str) -> Result<(), Failure> {
    let exit = run(host, call).await?;
    let backend = paths::backend(call.kind, call.domid, call.devid);
    let queries = ["hotplug-status", "hotplug-error"].map(|key| Query::Value(paths::below(&backend, key)));
    let mut found = host.read(queries.to_vec()).await?.into_iter();
    let mut value = || match found.next() {
        Some(Found::Value(value)) => value,
        _ => None,
    };
    let (status, error) = (value(), value());
    if exit == Some(Exit::Code(0)) && status.as_deref() == Some("connected") {
        return Ok(());
    }
    if status.as_deref() == Some("busy") {
        let params = vec![what.to_owned(), error.unwrap_or_default()];
        return Err(Error::StorageBackendError("VDI_IN_USE".to_owned(), params).into());
    }
    let why = error.unwrap_or_else(|| process::ending(exit));
    Err(process::internal(format!("hotplug script for {what}: {why}")))
}

/// dom0's interface of a NIC.
pub(super) fn interface(domid: DomId, devid: u32) -> String {
    format!("vif{domid}.{devid}")
}

/// dom0's interface of a NIC's emulated twin.
pub(super) fn tap(domid: DomId, devid: u32) -> String {
    format!("vif{domid}.{devid}-emu")
}
