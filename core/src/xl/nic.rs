//! An element of `vif`: `mac=..,bridge=..,mtu=..`, each of them optional.

use super::element::{Part, parts};
use super::keys::Text;
use super::problem::{Error, Warning, excerpt};
use crate::interface::{DeviceId, Network, Vif};

const NAMES: &[&str] = &["mac", "bridge", "mtu"];

/// The interface that an element describes, the `position`-th of its VM.
pub(super) fn read(element: Text<'_>, vm: &str, position: usize, warnings: &mut Vec<Warning>) -> Result<Vif, Error> {
    let mut vif = Vif {
        id: DeviceId::new(vm, position.to_string()),
        position: position as i64,
        // The daemon derives one from the position and the VM's id.
        mac: String::new(),
        ..Vif::default()
    };
    for part in parts(element) {
        match part {
            Part::Placed((_, "")) => {}
            Part::Placed((spot, other)) => {
                let text = format!("expected key=value for a network interface, found '{}'", excerpt(other));
                return Err(Error::at(spot, text));
            }
            Part::Named((_, "mac"), (spot, mac)) => match is_mac(mac) {
                true => vif.mac = mac.to_owned(),
                false => return Err(Error::at(spot, format!("'{}' is no MAC address nor 'random'", excerpt(mac)))),
            },
            Part::Named((_, "bridge"), (spot, bridge)) => match bridge.is_empty() {
                false => vif.backend = Network::Local(bridge.to_owned()),
                true => return Err(Error::at(spot, "bridge is empty")),
            },
            Part::Named((_, "mtu"), (spot, mtu)) => match mtu.parse() {
                Ok(bytes @ 68..=65535) => vif.mtu = bytes,
                _ => return Err(Error::at(spot, "mtu must be a number from 68 to 65535")),
            },
            Part::Named((spot, key), _) => warnings.push(Warning::unknown(spot, "key", key, NAMES)),
        }
    }
    Ok(vif)
}

fn is_mac(text: &str) -> bool {
    let is_octet = |octet: &str| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit());
    text == "random" || (text.split(':').count() == 6 && text.split(':').all(is_octet))
}

/// The interface as an element.
pub(super) fn write(vif: &Vif) -> String {
    let mut parts = Vec::new();
    if !vif.mac.is_empty() {
        parts.push(format!("mac={}", vif.mac));
    }
    if let Network::Local(bridge) = &vif.backend {
        parts.push(format!("bridge={bridge}"));
    }
    if vif.mtu != Vif::default().mtu {
        parts.push(format!("mtu={}", vif.mtu));
    }
    parts.join(",")
}
