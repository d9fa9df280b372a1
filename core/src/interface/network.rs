//! What a network interface is plugged into.

use super::pci;
use std::fmt;

variant! {
    /// What a network interface is plugged into.
    #[derive(Eq, PartialOrd, Ord, Hash)]
    pub enum Network {
        /// A bridge of this host.
        Local(bridge: String),
        /// A bridge of a driver domain: that VM's id, and the bridge.
        Remote(vm: String, bridge: String),
        /// A virtual function of a network card.
        Sriov(function: pci::Address),
    }
}

impl Default for Network {
    fn default() -> Network {
        Network::Local("xenbr0".into())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Local(bridge) => f.write_str(bridge),
            Network::Remote(vm, bridge) => write!(f, "{bridge} of VM {vm}"),
            Network::Sriov(function) => function.fmt(f),
        }
    }
}
