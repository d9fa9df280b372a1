//! Changes of a plugged network interface.
//!
//! On a plain host nothing enforces locking modes and trunks, and only a guest's own agent reads its addresses: they
//! are recorded, in the row and where a script or service would look, and nothing more. A locking mode of "disabled"
//! is carried out, as a link that is down.

use super::device::{self, Device};
use super::{guest, paths, script, vif, vif_keys};
use crate::backend::{Change, Failure, Host};
use crate::host::{Batch, Request};
use crate::interface::vif::{Ipv4Configuration, Ipv6Configuration, LockingMode};
use crate::interface::{Error, Network, Vif};
use std::sync::Arc;

/// The row as it will be.
fn changed(host: &Host, device: &str, change: impl FnOnce(&mut Vif)) -> Result<Vif, Failure> {
    let mut row = guest::vif(host.context(), device)?.as_ref().clone();
    change(&mut row);
    Ok(row)
}

async fn keep(host: &Host, row: Vif) -> Result<(), Failure> {
    host.change(Change::Vif(Arc::new(row))).await
}

/// The interface, if it is plugged.
async fn plugged(host: &Host, device: &str) -> Result<Option<Device>, Failure> {
    match host.context().domid {
        Some(domid) => device::find(host, domid, "vif", device).await,
        None => Ok(None),
    }
}

fn private(host: &Host, device: &Device, key: &str) -> String {
    format!("{}/{key}", paths::private(&host.context().text, "vif", device.devid))
}

fn disconnect(batch: &mut Batch, device: &Device, up: bool) {
    let path = paths::below(&paths::frontend(device.domid, "vif", device.devid), "disconnect");
    batch.write(path, if up { "0" } else { "1" });
}

/// To another bridge. The row is first: scripts may read it.
pub(super) async fn move_to(host: &Host, device: &str, network: &Network) -> Result<(), Failure> {
    let row = changed(host, device, |row| row.backend = network.clone())?;
    keep(host, row).await?;
    guest::extra(host.context())?;
    let Some(found) = plugged(host, device).await? else { return Ok(()) };
    let bridge = vif::bridge(network)?;
    let mut batch = Batch::new();
    batch.write(paths::below(&found.backend_path(), "bridge"), bridge);
    batch.write(private(host, &found, "bridge"), bridge);
    host.store(batch).await?;
    let own = script::interface(found.domid, found.devid);
    let twin = vif::has_twin(&found).then(|| script::tap(found.domid, found.devid));
    for interface in [Some(own), twin].into_iter().flatten() {
        host.act(Request::Link { interface, bridge: Some(bridge.to_owned()), up: None }).await?;
    }
    Ok(())
}

/// Link up or down.
pub(super) async fn set_carrier(host: &Host, device: &str, carrier: bool) -> Result<(), Failure> {
    let row = changed(host, device, |row| row.carrier = carrier)?;
    if let Some(found) = plugged(host, device).await? {
        let mut batch = Batch::new();
        disconnect(&mut batch, &found, vif::is_up(&row));
        host.store(batch).await?;
        vif::link(host, found.domid, found.devid, vif::has_twin(&found), vif::is_up(&row)).await?;
    }
    keep(host, row).await
}

/// Which addresses the guest may use.
pub(super) async fn set_locking_mode(host: &Host, device: &str, mode: &LockingMode) -> Result<(), Failure> {
    let row = changed(host, device, |row| row.locking_mode = mode.clone())?;
    keep(host, row.clone()).await?;
    let found = plugged(host, device).await?.ok_or(Error::DeviceNotConnected)?;
    let mut batch = Batch::new();
    for key in vif_keys::LOCKING {
        batch.remove(private(host, &found, key));
    }
    for (key, value) in vif_keys::locking(mode) {
        batch.write(private(host, &found, &key), value);
    }
    disconnect(&mut batch, &found, vif::is_up(&row));
    host.store(batch).await?;
    vif::link(host, found.domid, found.devid, vif::has_twin(&found), vif::is_up(&row)).await
}

/// VLANs that pass through.
pub(super) async fn set_trunks(host: &Host, device: &str, trunks: &[i64]) -> Result<(), Failure> {
    let row = changed(host, device, |row| row.trunks = trunks.to_vec())?;
    let found = plugged(host, device).await?.ok_or(Error::DeviceNotConnected)?;
    let mut batch = Batch::new();
    batch.write(private(host, &found, "trunks"), vif_keys::trunks(trunks));
    host.store(batch).await?;
    keep(host, row).await
}

/// Addresses for the guest's agent.
pub(super) async fn set_ipv4(host: &Host, device: &str, configuration: &Ipv4Configuration) -> Result<(), Failure> {
    let row = changed(host, device, |row| row.ipv4_configuration = configuration.clone())?;
    keep(host, row).await?;
    configure(host, device, vif_keys::IPV4, vif_keys::ipv4(configuration)).await
}

/// Addresses for the guest's agent.
pub(super) async fn set_ipv6(host: &Host, device: &str, configuration: &Ipv6Configuration) -> Result<(), Failure> {
    let row = changed(host, device, |row| row.ipv6_configuration = configuration.clone())?;
    keep(host, row).await?;
    configure(host, device, vif_keys::IPV6, vif_keys::ipv6(configuration)).await
}

async fn configure(
    host: &Host,
    device: &str,
    known: [&str; 3],
    keys: Vec<(&'static str, String)>,
) -> Result<(), Failure> {
    let found = plugged(host, device).await?.ok_or(Error::DeviceNotConnected)?;
    let extras = paths::extras(found.domid, "vif", found.devid);
    let mut batch = Batch::new();
    for key in known {
        batch.remove(format!("{extras}/static-ip-setting/{key}"));
    }
    for (key, value) in keys {
        batch.write(format!("{extras}/static-ip-setting/{key}"), value);
    }
    host.store(batch).await.map(|_| ())
}
