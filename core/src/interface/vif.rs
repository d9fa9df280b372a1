//! Virtual network interfaces.

use super::network::Network;
use super::pairs::{Maybe, Pairs};

/// The VM and the interface's number, such as `0`.
pub type Id = super::device_id::DeviceId;

record! {
    /// The configuration of a virtual network interface.
    pub struct Vif "t" {
        /// Its VM and name.
        pub id: Id = Id::default(),
        /// Its number, the device id in xenstore.
        pub position: i64 = 0,
        /// Hardware address; `random`, or empty for one derived from VM and position.
        pub mac: String = "fe:ff:ff:ff:ff:ff".into(),
        /// Whether its link is up.
        pub carrier: bool = true,
        /// Bytes.
        pub mtu: i64 = 1500,
        /// Limit of what the guest sends.
        pub rate: Option<Rate> = None,
        /// What it is plugged into.
        pub backend: Network = Network::default(),
        /// What network scripts read.
        pub other_config: Pairs = Pairs::default(),
        /// Which addresses the guest may use.
        pub locking_mode: LockingMode = LockingMode::Unlocked,
        /// Keys to write where only dom0 reads.
        pub extra_private_keys: Pairs = Pairs::default(),
        /// IPv4 settings for the guest agent.
        pub ipv4_configuration: Ipv4Configuration = Ipv4Configuration::Unspecified,
        /// IPv6 settings for the guest agent.
        pub ipv6_configuration: Ipv6Configuration = Ipv6Configuration::Unspecified,
        /// Boot from Citrix Provisioning through a proxy.
        pub pvs_proxy: Option<PvsProxy> = None,
        /// VLAN tag.
        pub vlan: Option<i64> = None,
        /// VLAN tags that pass through.
        pub trunks: Vec<i64> = Vec::new(),
    }
}

every_field_has_a_default!(Vif);

record! {
    /// What a network interface is doing.
    #[derive(Eq)]
    pub struct State "state" {
        /// Its VM wants it plugged.
        pub active: bool,
        /// It is in the domain.
        pub plugged: bool,
        /// The back end's kernel thread; 0 where unknown.
        pub kthread_pid: i64,
        /// Its link is up.
        pub media_present: bool,
        /// The host's interface, such as `vif7.0`.
        pub device: Option<String>,
        /// The PVS proxy's rules are in place.
        pub pvs_rules_active: bool,
    }
}

tuple! {
    /// Limit of what a guest sends.
    #[derive(Copy, Eq)]
    pub struct Rate(
        /// Kilobytes per second.
        pub kbps: i64,
        /// Microseconds between refills of the credit; 0 for the back end's own.
        pub timeslice_us: i64,
    )
}

variant! {
    /// Which addresses a guest may use.
    #[derive(Eq)]
    pub enum LockingMode {
        /// Any.
        Unlocked,
        /// None.
        Disabled,
        /// Its own MAC and these.
        Locked {
            /// IPv4 addresses.
            ipv4: Vec<String>,
            /// IPv6 addresses.
            ipv6: Vec<String>,
        },
    }
}

variant! {
    /// IPv4 settings for a guest's agent.
    #[derive(Eq)]
    pub enum Ipv4Configuration {
        /// The guest decides.
        Unspecified "Unspecified4",
        /// Addresses with prefix length, and the gateway.
        Static "Static4" (addresses: Vec<String>, gateway: Maybe<String>),
        /// By DHCP.
        Dhcp "DHCP4",
    }
}

variant! {
    /// IPv6 settings for a guest's agent.
    #[derive(Eq)]
    pub enum Ipv6Configuration {
        /// The guest decides.
        Unspecified "Unspecified6",
        /// Addresses with prefix length, and the gateway.
        Static "Static6" (addresses: Vec<String>, gateway: Maybe<String>),
        /// By router advertisement.
        Autoconf "Autoconf6",
    }
}

tuple! {
    /// A proxy of Citrix Provisioning.
    #[derive(Eq)]
    pub struct PvsProxy(
        /// The site's UUID.
        pub site: String,
        /// Its servers.
        pub servers: Vec<PvsServer>,
        /// The host's interface towards them.
        pub interface: String,
    )
}

record! {
    /// Servers of Citrix Provisioning.
    #[derive(Eq)]
    pub struct PvsServer "server" {
        /// IP addresses.
        pub addresses: Vec<String>,
        /// First UDP port.
        pub first_port: i64,
        /// Last UDP port.
        pub last_port: i64,
    }
}
