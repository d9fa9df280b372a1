//! Dom0's network interfaces for guests, and the bridges they are ports of.

use std::collections::{BTreeMap, BTreeSet};
use xenops_core::host::{DomId, Fault};

/// One interface, or its emulated twin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Port {
    /// The bridge it is on.
    pub bridge: Option<String>,
    /// Its link.
    pub up: bool,
}

/// All of them: `vif<domid>.<devid>` and `vif<domid>.<devid>-emu`.
#[derive(Clone, Debug, Default)]
pub struct Nics {
    vifs: BTreeMap<(DomId, u32), Port>,
    taps: BTreeMap<(DomId, u32), Port>,
    /// Bridges that this host lacks; it has all others.
    pub missing: BTreeSet<String>,
}

impl Nics {
    /// Interfaces of netback.
    pub fn vifs(&self) -> impl Iterator<Item = ((DomId, u32), &Port)> {
        self.vifs.iter().map(|(key, port)| (*key, port))
    }

    /// Interfaces of QEMU.
    pub fn taps(&self) -> impl Iterator<Item = ((DomId, u32), &Port)> {
        self.taps.iter().map(|(key, port)| (*key, port))
    }

    pub(super) fn appear(&mut self, domid: DomId, devid: u32) {
        self.vifs.entry((domid, devid)).or_default();
    }

    pub(super) fn vanish(&mut self, domid: DomId, devid: u32) {
        self.vifs.remove(&(domid, devid));
    }

    pub(super) fn add_tap(&mut self, domid: DomId, devid: u32) {
        self.taps.entry((domid, devid)).or_default();
    }

    pub(super) fn remove_taps(&mut self, domid: DomId) {
        self.taps.retain(|(owner, _), _| *owner != domid);
    }

    pub(super) fn clear(&mut self) {
        self.vifs.clear();
        self.taps.clear();
    }

    /// An interface by name.
    pub fn port(&self, interface: &str) -> Option<&Port> {
        let (domid, devid, tap) = parse(interface)?;
        if tap { self.taps.get(&(domid, devid)) } else { self.vifs.get(&(domid, devid)) }
    }

    pub(super) fn port_mut(&mut self, interface: &str) -> Option<&mut Port> {
        let (domid, devid, tap) = parse(interface)?;
        if tap { self.taps.get_mut(&(domid, devid)) } else { self.vifs.get_mut(&(domid, devid)) }
    }

    /// `ip link set`: to another bridge, then up or down.
    pub(super) fn link(&mut self, interface: &str, bridge: Option<String>, up: Option<bool>) -> Result<(), Fault> {
        if let Some(bridge) = bridge.as_ref().filter(|bridge| self.missing.contains(*bridge)) {
            return Err(Fault::NotFound(format!("bridge {bridge}")));
        }
        let port = self.port_mut(interface).ok_or_else(|| Fault::NotFound(format!("interface {interface}")))?;
        port.bridge = bridge.or(port.bridge.take());
        port.up = up.unwrap_or(port.up);
        Ok(())
    }
}

/// `vif7.0`, `vif7.0-emu`: domain, number, whether it is QEMU's.
pub(super) fn parse(interface: &str) -> Option<(DomId, u32, bool)> {
    let name = interface.strip_prefix("vif")?;
    let (name, tap) = name.strip_suffix("-emu").map_or((name, false), |name| (name, true));
    let (domid, devid) = name.split_once('.')?;
    Some((domid.parse().ok()?, devid.parse().ok()?, tap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("vif7.0", Some((7, 0, false))),
            ("vif12.3-emu", Some((12, 3, true))),
            ("tap7.0", None),
            ("vif7", None),
            ("vif.0", None),
        ] {
            assert_eq!(parse(name), expected, "{name}");
        }
    }

    #[test]
    fn a_link_is_moved_where_there_is_a_bridge() {
        let mut nics = Nics::default();
        nics.appear(7, 0);
        nics.missing.insert("xenbr9".to_owned());
        assert_eq!(nics.link("vif7.0", Some("xenbr1".to_owned()), Some(true)), Ok(()));
        assert_eq!(nics.link("vif7.0", None, Some(false)), Ok(()));
        assert_eq!(nics.port("vif7.0"), Some(&Port { bridge: Some("xenbr1".to_owned()), up: false }));
        assert!(nics.link("vif7.0", Some("xenbr9".to_owned()), None).is_err());
        assert!(nics.link("vif7.0-emu", None, Some(true)).is_err());
    }
}
