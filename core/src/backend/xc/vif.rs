//! Network interfaces: plug and unplug.

use super::device::{self, Addition, Device};
use super::process::internal;
use super::script::{self, Call};
use super::{device_model, guest, vbd, vif_keys};
use crate::backend::{Context, Failure, Host};
use crate::host::{Batch, DomId, Request};
use crate::interface::vif::LockingMode;
use crate::interface::{Error, Network, Vif};

/// The bridge of a network interface; others than this host's own are not for a plain host.
pub(super) fn bridge(network: &Network) -> Result<&str, Error> {
    match network {
        Network::Local(bridge) => Ok(bridge),
        Network::Remote(..) => Err(Error::Unimplemented("network driver domains".to_owned())),
        Network::Sriov(_) => Err(Error::Unimplemented("network SR-IOV".to_owned())),
    }
}

/// Whether traffic may flow.
pub(super) fn is_up(vif: &Vif) -> bool {
    vif.carrier && vif.locking_mode != LockingMode::Disabled
}

/// Plug an interface that is active; one that is not is left alone.
pub(super) async fn plug(host: &Host, device: &str) -> Result<(), Failure> {
    let context = host.context();
    guest::extra(context)?;
    let vif = guest::vif(context, device)?;
    let domid = guest::domid(context)?;
    let bridge = bridge(&vif.backend)?;
    let refuse = |_| internal(format!("network interface {device} has no device number"));
    let devid = u32::try_from(vif.position).map_err(refuse)?;
    // A NIC that QEMU knows from its start has an emulated twin; one that comes later has none.
    let twin = guest::is_hvm(context) && !device_model::is_started(host, domid).await?;
    let mut batch = device::wanted(context, domid, "vif", device, devid);
    device::add(&mut batch, &context.text, keys(context, vif, domid, devid, bridge, twin));
    if !host.store(batch).await? {
        return device::refused(host, domid, "vif", device).await;
    }
    vbd::probed(host, domid, "vif", devid).await?;
    let script = context.facts.vif_script.as_str();
    let call = Call { script, args: &["online", "type_if=vif"], domid, kind: "vif", devid };
    script::connect(host, &call, device).await?;
    if !is_up(vif) {
        link(host, domid, devid, false, false).await?;
    }
    Ok(())
}

fn keys(context: &Context, vif: &Vif, domid: DomId, devid: u32, bridge: &str, twin: bool) -> Addition {
    let text = |value: &str| value.to_owned();
    let mut frontend = vec![
        ("backend-id", text("0")),
        ("state", text("1")),
        ("handle", devid.to_string()),
        ("mac", vif.mac.clone()),
        ("trusted", text("1")),
        ("disconnect", text(if is_up(vif) { "0" } else { "1" })),
    ];
    let mut backend = vec![
        (text("frontend-id"), domid.to_string()),
        (text("online"), text("1")),
        (text("state"), text("1")),
        (text("script"), context.facts.vif_script.clone()),
        (text("mac"), vif.mac.clone()),
        (text("bridge"), text(bridge)),
        (text("handle"), devid.to_string()),
        (text("type"), text(if twin { "vif_ioemu" } else { "vif" })),
    ];
    if vif.mtu > 0 {
        frontend.push(("mtu", vif.mtu.to_string()));
        backend.push((text("mtu"), vif.mtu.to_string()));
    }
    backend.extend(vif_keys::rate(vif).map(|rate| (text("rate"), rate)));
    let private = vif_keys::private(vif, bridge);
    let extras = vif_keys::static_settings(vif);
    Addition { domid, kind: "vif", devid, frontend, backend, private, extras }
}

/// Set dom0's end up or down, and its emulated twin's. Stock guests do not look at `disconnect`.
pub(super) async fn link(host: &Host, domid: DomId, devid: u32, twin: bool, up: bool) -> Result<(), Failure> {
    let interfaces = [Some(script::interface(domid, devid)), twin.then(|| script::tap(domid, devid))];
    for interface in interfaces.into_iter().flatten() {
        host.act(Request::Link { interface, bridge: None, up: Some(up) }).await?;
    }
    Ok(())
}

/// Whether QEMU has an emulated twin of it.
pub(super) fn has_twin(device: &Device) -> bool {
    device.backend_value("type") == Some("vif_ioemu")
}

/// Unplug an interface; one that is not there is fine.
pub(super) async fn unplug(host: &Host, device: &str, force: bool) -> Result<(), Failure> {
    let context = host.context();
    let Some(domid) = context.domid else { return Ok(()) };
    let Some(found) = device::find(host, domid, "vif", device).await? else { return Ok(()) };
    if let Err(message) = device::shut(host, &found, force).await? {
        let id = format!("{}.{device}", context.text);
        return Err(Error::DeviceDetachRejected("VIF".to_owned(), id, message).into());
    }
    release(host, &found).await?;
    let mut batch = Batch::new();
    device::forget(&mut batch, &context.text, &found, false);
    host.store(batch).await.map(|_| ())
}

/// Take it off its bridge. By then the interface may be gone, which the scripts do not mind.
pub(super) async fn release(host: &Host, device: &Device) -> Result<(), Failure> {
    if device.backend_value("hotplug-status").is_none() {
        return Ok(());
    }
    let script = host.context().facts.vif_script.as_str();
    let Device { domid, devid, .. } = *device;
    script::run(host, &Call { script, args: &["offline", "type_if=vif"], domid, kind: "vif", devid }).await?;
    if has_twin(device) {
        script::run(host, &Call { script, args: &["remove", "type_if=tap"], domid, kind: "vif", devid }).await?;
    }
    Ok(())
}
