//! Split devices: what kernel and QEMU know of each back end, whether its front end is there or not.

use super::event::Event;
use super::pace::Takes;
use super::path::{self, Place};
use super::world::World;
use std::collections::BTreeMap;
use xenops_core::host::DomId;

/// What serves a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A disk by blkback.
    Vbd,
    /// A disk by QEMU.
    Qdisk,
    /// A network interface by netback.
    Vif,
}

impl Kind {
    /// The back end's directory.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Vbd => "vbd",
            Kind::Qdisk => "qdisk",
            Kind::Vif => "vif",
        }
    }

    /// The front end's directory.
    pub fn class(self) -> &'static str {
        if self == Kind::Vif { "vif" } else { "vbd" }
    }

    /// By the back end's directory.
    pub(super) fn named(name: &[u8]) -> Option<Kind> {
        [Kind::Vbd, Kind::Qdisk, Kind::Vif].into_iter().find(|kind| kind.name().as_bytes() == name)
    }
}

/// One device of one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey {
    /// The domain that uses it.
    pub domid: DomId,
    /// What serves it.
    pub kind: Kind,
    /// Its number.
    pub devid: u32,
}

/// What dom0's drivers hold of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Device {
    /// A driver has it: `/sys/bus/xen-backend/devices/...` exists, or QEMU serves it.
    pub live: bool,
    /// Its ring is mapped and requests flow.
    pub connected: bool,
    /// The front end closes to open again.
    pub(super) reloads: bool,
    /// A turn of the back end's driver is on its way.
    pub(super) backend_due: bool,
    /// A turn of the front end's driver is on its way.
    pub(super) frontend_due: bool,
}

impl Device {
    /// Both drivers will look; which of them does not mean to already.
    fn begin_turns(&mut self) -> (bool, bool) {
        (!std::mem::replace(&mut self.backend_due, true), !std::mem::replace(&mut self.frontend_due, true))
    }
}

/// All devices.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    pub(super) all: BTreeMap<DeviceKey, Device>,
}

impl Devices {
    /// Every device that a driver has or whose directory was seen.
    pub fn iter(&self) -> impl Iterator<Item = (&DeviceKey, &Device)> {
        self.all.iter()
    }

    /// One of them.
    pub fn get(&self, key: DeviceKey) -> Option<&Device> {
        self.all.get(&key)
    }

    /// A domain's devices.
    pub fn of(&self, domid: DomId) -> impl Iterator<Item = (&DeviceKey, &Device)> {
        let first = DeviceKey { domid, kind: Kind::Vbd, devid: 0 };
        let last = DeviceKey { domid, kind: Kind::Vif, devid: u32::MAX };
        self.all.range(first..=last)
    }
}

impl World {
    /// Whoever watches this path, other than the toolstack, has something to do.
    pub(super) fn react(&mut self, place: Place) {
        match place {
            Place::Backend(key) => {
                let device = self.devices.all.entry(key).or_default();
                let turns = device.begin_turns();
                self.turns(key, turns);
            }
            Place::Frontend(domid, disk, devid) => {
                let kinds: &[Kind] = if disk { &[Kind::Vbd, Kind::Qdisk] } else { &[Kind::Vif] };
                kinds.iter().for_each(|kind| self.device_turns(DeviceKey { domid, kind: *kind, devid }));
            }
            Place::Backends(domid) | Place::Domain(domid) => self.all_turns(domid),
            Place::Shutdown(domid) => self.guest_is_asked(domid),
            Place::Script(domid) => self.guest_has_script(domid),
            Place::Target(domid) => self.guest_has_target(domid),
            Place::Vcpus(domid) => self.guest_has_vcpus(domid),
            Place::Console(domid) => self.console_daemon_looks(domid),
        }
    }

    /// All drivers of a domain's devices look again.
    pub(super) fn all_turns(&mut self, domid: DomId) {
        let keys: Vec<DeviceKey> = self.devices.of(domid).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.device_turns(key));
    }

    fn device_turns(&mut self, key: DeviceKey) {
        if let Some(device) = self.devices.all.get_mut(&key) {
            let turns = device.begin_turns();
            self.turns(key, turns);
        }
    }

    fn turns(&mut self, key: DeviceKey, (backend, frontend): (bool, bool)) {
        if backend {
            self.later(Takes::Driver, Event::Backend(key));
        }
        if frontend {
            self.later(Takes::Driver, Event::Frontend(key));
        }
    }

    /// Somebody else's toolstack takes all devices of a domain away: it asks back ends to close, and removes front ends.
    pub fn close_back_ends(&mut self, domid: DomId) {
        for key in self.listed(domid) {
            self.put(&path::backend(key, "online"), "0");
            if self.backend_value(key, "state") != Some("6") {
                self.put(&path::backend(key, "state"), "5");
            }
            self.store.remove(&path::frontend(key, ""));
            self.device_turns(key);
        }
        self.settle();
    }

    /// Then it runs the disks' scripts for their end, which free what `node` names, and removes the back ends.
    pub fn lose_back_ends(&mut self, domid: DomId) {
        for key in self.listed(domid) {
            if key.kind == Kind::Vbd {
                self.block_remove(key, false);
            }
            self.store.remove(&path::backend(key, ""));
            self.device_turns(key);
        }
        self.settle();
    }

    /// Devices whose back ends have a directory.
    fn listed(&self, domid: DomId) -> Vec<DeviceKey> {
        let keys = self.devices.of(domid).map(|(key, _)| *key);
        keys.filter(|key| self.store.exists(&path::backend(*key, ""))).collect()
    }

    /// A value in a device's back end directory.
    pub(super) fn backend_value(&self, key: DeviceKey, leaf: &str) -> Option<&str> {
        self.store.value(&path::backend(key, leaf))
    }

    /// A value in a device's front end directory.
    pub(super) fn frontend_value(&self, key: DeviceKey, leaf: &str) -> Option<&str> {
        self.store.value(&path::frontend(key, leaf))
    }
}
