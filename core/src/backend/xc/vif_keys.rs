//! Keys of a network interface that scripts, agents and other services read; on a plain host most are a record only.

use crate::interface::Vif;
use crate::interface::vif::{Ipv4Configuration, Ipv6Configuration, LockingMode};

/// Settings of the guest's that its scripts look at.
const OTHER_CONFIG: [&str; 7] =
    ["promiscuous", "ethtool-rx", "ethtool-tx", "ethtool-sg", "ethtool-tso", "ethtool-ufo", "ethtool-gso"];

/// Microseconds between refills of the credit, where the client names none.
const TIMESLICE: i64 = 50_000;

/// `<bytes>,<microseconds>`, which the kernel's back end honours; none where there is no limit.
pub(super) fn rate(vif: &Vif) -> Option<String> {
    let rate = vif.rate?;
    let timeslice = if rate.timeslice_us > 0 { rate.timeslice_us } else { TIMESLICE };
    let bytes = i128::from(rate.kbps) * 1024 * i128::from(timeslice) / 1_000_000;
    (bytes > 0 && bytes < (1 << 32) - 1).then(|| format!("{bytes},{timeslice}"))
}

/// What only dom0 sees.
pub(super) fn private(vif: &Vif, bridge: &str) -> Vec<(String, String)> {
    let mut keys = vec![
        ("vif-id", vif.id.device.clone()),
        ("xenopsd-backend", "classic".to_owned()),
        ("mac", vif.mac.clone()),
        ("MTU", vif.mtu.to_string()),
        ("bridge", bridge.to_owned()),
        ("bridge-MAC", "fe:ff:ff:ff:ff:ff".to_owned()),
        ("trunks", trunks(&vif.trunks)),
    ];
    if let Some(rate) = vif.rate {
        keys.push(("rate", rate.kbps.to_string()));
        keys.push(("timeslice", rate.timeslice_us.to_string()));
    }
    let mut keys: Vec<_> = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    keys.extend(locking(&vif.locking_mode));
    let known = vif.other_config.iter().filter(|(key, _)| OTHER_CONFIG.contains(&key.as_str()));
    keys.extend(known.map(|(key, value)| (format!("other-config/{key}"), value.clone())));
    keys.extend(vif.extra_private_keys.iter().cloned());
    keys
}

/// VLAN numbers as one text.
pub(super) fn trunks(trunks: &[i64]) -> String {
    trunks.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

/// Keys of which a locking mode has some.
pub(super) const LOCKING: [&str; 3] = ["locking-mode", "ipv4-allowed", "ipv6-allowed"];

/// Which addresses the guest may use.
pub(super) fn locking(mode: &LockingMode) -> Vec<(String, String)> {
    let keys = match mode {
        LockingMode::Unlocked => vec![("locking-mode", "unlocked".to_owned())],
        LockingMode::Disabled => vec![("locking-mode", "disabled".to_owned())],
        LockingMode::Locked { ipv4, ipv6 } => vec![
            ("locking-mode", "locked".to_owned()),
            ("ipv4-allowed", ipv4.join(",")),
            ("ipv6-allowed", ipv6.join(",")),
        ],
    };
    keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// `static-ip-setting/…`, which the guest's agent reads.
pub(super) fn static_settings(vif: &Vif) -> Vec<(String, String)> {
    let mut keys = vec![("mac", vif.mac.clone()), ("error-code", "0".to_owned()), ("error-msg", String::new())];
    keys.extend(ipv4(&vif.ipv4_configuration));
    keys.extend(ipv6(&vif.ipv6_configuration));
    keys.into_iter().map(|(key, value)| (format!("static-ip-setting/{key}"), value)).collect()
}

/// Keys of which an IPv4 configuration has some.
pub(super) const IPV4: [&str; 3] = ["enabled", "address", "gateway"];

/// The agent's keys for IPv4.
pub(super) fn ipv4(configuration: &Ipv4Configuration) -> Vec<(&'static str, String)> {
    match configuration {
        Ipv4Configuration::Unspecified => settings(IPV4, "0", &[], None),
        Ipv4Configuration::Static(addresses, gateway) => settings(IPV4, "1", addresses, gateway.0.as_deref()),
        Ipv4Configuration::Dhcp => settings(IPV4, "2", &[], None),
    }
}

/// Keys of which an IPv6 configuration has some.
pub(super) const IPV6: [&str; 3] = ["enabled6", "address6", "gateway6"];

/// The agent's keys for IPv6.
pub(super) fn ipv6(configuration: &Ipv6Configuration) -> Vec<(&'static str, String)> {
    match configuration {
        Ipv6Configuration::Unspecified => settings(IPV6, "0", &[], None),
        Ipv6Configuration::Static(addresses, gateway) => settings(IPV6, "1", addresses, gateway.0.as_deref()),
        Ipv6Configuration::Autoconf => settings(IPV6, "2", &[], None),
    }
}

fn settings(
    [enabled, address, gateway]: [&'static str; 3],
    mode: &str,
    addresses: &[String],
    via: Option<&str>,
) -> Vec<(&'static str, String)> {
    let first = addresses.first().map(|first| (address, first.clone()));
    let via = via.map(|via| (gateway, via.to_owned()));
    [(enabled, mode.to_owned())].into_iter().chain(first).chain(via).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::vif::Rate;

    #[test]
    fn rates_are_bytes_per_slice() {
        let table = [
            (1000, 0, Some("51200,50000")),
            (1000, 100_000, Some("102400,100000")),
            (0, 0, None),
            (-5, 0, None),
            (i64::MAX, 1_000_000, None),
        ];
        for (kbps, timeslice_us, expected) in table {
            let vif = Vif { rate: Some(Rate { kbps, timeslice_us }), ..Vif::default() };
            assert_eq!(rate(&vif).as_deref(), expected, "{kbps} {timeslice_us}");
        }
    }
}
