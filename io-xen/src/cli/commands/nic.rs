//! A VM's network interfaces.

use super::super::args::{self, Device, Unplug};
use super::super::client::ask;
use super::super::failure::Failure;
use super::super::find;
use super::super::output::{Shown, warn};
use super::super::view;
use super::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::sync::Arc;
use xenops_core::interface::vif::{Ipv4Configuration, Ipv6Configuration, LockingMode};
use xenops_core::interface::{Answer, Call, DeviceId, Maybe, Network};
use xenops_core::xl;

/// Commands on network interfaces.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List a VM's network interfaces.
    VifList(args::Vm),
    /// Add a network interface to a VM.
    VifAdd {
        /// The VM.
        #[command(flatten)]
        vm: args::Vm,
        /// As in an xl-style file, such as bridge=xenbr0,mac=random.
        #[arg(default_value = "", hide_default_value = true)]
        vif: String,
    },
    /// Forget a network interface that is not plugged.
    VifRemove(Device),
    /// Plug a network interface into a running VM.
    VifPlug(Device),
    /// Take a network interface out of a running VM.
    VifUnplug(Unplug),
    /// Connect a network interface to another bridge.
    VifMove {
        /// The interface.
        #[command(flatten)]
        device: Device,
        /// The bridge.
        bridge: String,
    },
    /// Set whether a network interface's link is up.
    VifCarrier {
        /// The interface.
        #[command(flatten)]
        device: Device,
        /// Whether it is.
        carrier: Link,
    },
    /// Set which addresses a guest may use.
    VifLock {
        /// The interface.
        #[command(flatten)]
        device: Device,
        /// All, none, or its MAC and those given.
        mode: Lock,
        /// An address that it may use, if locked.
        #[arg(long, value_name = "ADDRESS")]
        ipv4: Vec<String>,
        /// An address that it may use, if locked.
        #[arg(long, value_name = "ADDRESS")]
        ipv6: Vec<String>,
    },
    /// Set the IPv4 settings that the guest's agent applies.
    VifIpv4(Addresses),
    /// Set the IPv6 settings that the guest's agent applies.
    VifIpv6(Addresses),
    /// Set which VLANs pass through.
    VifTrunks {
        /// The interface.
        #[command(flatten)]
        device: Device,
        /// VLAN tags; none ends trunking.
        tags: Vec<i64>,
    },
}

/// IP settings for a guest's agent.
#[derive(Debug, Args)]
pub struct Addresses {
    /// The interface.
    #[command(flatten)]
    device: Device,
    /// Who decides.
    mode: Addressing,
    /// Addresses with prefix length, such as 10.0.0.2/24, if static.
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// The gateway, if static.
    #[arg(long)]
    gateway: Option<String>,
}

/// Whether a link is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Link {
    /// It is.
    Up,
    /// It is not.
    Down,
}

/// Which addresses a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lock {
    /// Any.
    Unlocked,
    /// None.
    Disabled,
    /// Its own MAC and those given.
    Locked,
}

/// Who decides on a guest's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Addressing {
    /// The guest.
    Guest,
    /// The network: DHCP, or router advertisement for IPv6.
    Auto,
    /// The caller.
    Static,
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    match command {
        Command::VifList(vm) => list(context, &vm.vm),
        Command::VifAdd { vm, vif } => add(context, &vm.vm, &vif),
        Command::VifRemove(device) => {
            let id = find::vif(&context.client, &device.device)?.0.id.clone();
            context.client.call(Call::VifRemove { id: id.clone() })?;
            Ok(Shown { text: String::new(), json: json!({ "id": id }) })
        }
        Command::VifPlug(device) => with(context, &device, "plug", |id| Call::VifPlug { id }),
        Command::VifUnplug(Unplug { device, force }) => {
            with(context, &device, "unplug", |id| Call::VifUnplug { id, force })
        }
        Command::VifMove { device, bridge } => {
            with(context, &device, "move", |id| Call::VifMove { id, network: Network::Local(bridge) })
        }
        Command::VifCarrier { device, carrier } => {
            let carrier = carrier == Link::Up;
            with(context, &device, "set carrier of", |id| Call::VifSetCarrier { id, carrier })
        }
        Command::VifLock { device, mode, ipv4, ipv6 } => {
            let locking_mode = locking_mode(mode, ipv4, ipv6)?;
            with(context, &device, "lock", |id| Call::VifSetLockingMode { id, locking_mode })
        }
        Command::VifIpv4(addresses) => {
            let ipv4_configuration = match addresses.given()? {
                None if addresses.mode == Addressing::Auto => Ipv4Configuration::Dhcp,
                None => Ipv4Configuration::Unspecified,
                Some((addresses, gateway)) => Ipv4Configuration::Static(addresses, gateway),
            };
            with(context, &addresses.device, "set IPv4 of", |id| Call::VifSetIpv4Configuration {
                id,
                ipv4_configuration,
            })
        }
        Command::VifIpv6(addresses) => {
            let ipv6_configuration = match addresses.given()? {
                None if addresses.mode == Addressing::Auto => Ipv6Configuration::Autoconf,
                None => Ipv6Configuration::Unspecified,
                Some((addresses, gateway)) => Ipv6Configuration::Static(addresses, gateway),
            };
            with(context, &addresses.device, "set IPv6 of", |id| Call::VifSetIpv6Configuration {
                id,
                ipv6_configuration,
            })
        }
        Command::VifTrunks { device, tags: trunks } => {
            with(context, &device, "set VLANs of", |id| Call::VifSetTrunks { id, trunks })
        }
    }
}

fn list(context: &Context, name: &str) -> Result<Shown, Failure> {
    let vifs = find::vifs(&context.client, &find::vm(&context.client, name)?.0.id)?;
    let json: Vec<_> = vifs.iter().map(|(vif, state)| json!({ "vif": vif, "state": state })).collect();
    Ok(Shown::of(view::nic::table(&vifs), &json))
}

fn add(context: &Context, name: &str, text: &str) -> Result<Shown, Failure> {
    let client = &context.client;
    let (vm, _) = find::vm(client, name)?;
    let there = find::vifs(client, &vm.id)?;
    let is_free = |place: &usize| there.iter().all(|(vif, _)| vif.position != *place as i64);
    let position = (0..).find(is_free).expect("a list has an end");
    let (vif, warnings) =
        xl::nic(text, &vm.id, position).map_err(|error| Failure::Usage(format!("in '{text}': {}", error.text)))?;
    warnings.iter().for_each(|warning| warn(&format!("warning: {}", warning.text)));
    let id = ask!(client, Call::VifAdd { vif: Arc::new(vif) }, Answer::DeviceId(id) => id);
    Ok(Shown::of(id.device.clone(), &json!({ "id": id })))
}

fn with(context: &Context, device: &Device, what: &str, call: impl FnOnce(DeviceId) -> Call) -> Result<Shown, Failure> {
    let (vif, _) = find::vif(&context.client, &device.device)?;
    context.perform_on(&device.device, what, call(vif.id.clone()))?;
    Ok(Shown { text: String::new(), json: json!({ "id": vif.id }) })
}

fn locking_mode(mode: Lock, ipv4: Vec<String>, ipv6: Vec<String>) -> Result<LockingMode, Failure> {
    if mode != Lock::Locked && !(ipv4.is_empty() && ipv6.is_empty()) {
        return Err(Failure::Usage("addresses are for a locked interface".into()));
    }
    Ok(match mode {
        Lock::Unlocked => LockingMode::Unlocked,
        Lock::Disabled => LockingMode::Disabled,
        Lock::Locked => LockingMode::Locked { ipv4, ipv6 },
    })
}

/// Addresses and the gateway.
type Static = (Vec<String>, Maybe<String>);

impl Addresses {
    /// What is static, if that is what was asked for.
    fn given(&self) -> Result<Option<Static>, Failure> {
        match (self.mode, self.addresses.is_empty(), &self.gateway) {
            (Addressing::Static, false, gateway) => Ok(Some((self.addresses.clone(), Maybe(gateway.clone())))),
            (Addressing::Static, true, _) => {
                Err(Failure::Usage("static settings need an address, such as 10.0.0.2/24".into()))
            }
            (_, true, None) => Ok(None),
            _ => Err(Failure::Usage("addresses and gateway are for static settings".into())),
        }
    }
}
