//! Dom0's back ends: blkback, netback, and QEMU where it serves disks, with their oddities.

use super::device::{DeviceKey, Kind};
use super::path;
use super::world::World;
use xenops_core::host::Role;

/// What blkback says of itself when it takes a device up, as Linux 6.1 does.
pub const BLOCK: [(&str, &str); 3] =
    [("feature-max-indirect-segments", "256"), ("max-ring-page-order", "4"), ("multi-queue-max-queues", "2")];

/// What it says of the disk when it connects.
pub const BLOCK_CONNECTED: [(&str, &str); 11] = [
    ("feature-flush-cache", "1"),
    ("feature-discard", "1"),
    ("discard-granularity", "4096"),
    ("discard-alignment", "0"),
    ("discard-secure", "0"),
    ("feature-barrier", "1"),
    ("feature-persistent", "1"),
    ("sectors", "16384"),
    ("info", "0"),
    ("sector-size", "512"),
    ("physical-sector-size", "512"),
];

/// What netback says of itself.
pub const NETWORK: [(&str, &str); 12] = [
    ("feature-sg", "1"),
    ("feature-gso-tcpv4", "1"),
    ("feature-gso-tcpv6", "1"),
    ("feature-ipv6-csum-offload", "1"),
    ("feature-rx-copy", "1"),
    ("feature-xdp-headroom", "1"),
    ("feature-rx-flip", "0"),
    ("feature-multicast-control", "1"),
    ("feature-dynamic-multicast-control", "1"),
    ("feature-split-event-channels", "1"),
    ("multi-queue-max-queues", "2"),
    ("feature-ctrl-ring", "1"),
];

impl World {
    /// The back end's driver looks at both directories and takes at most one turn.
    pub(super) fn backend_steps(&mut self, key: DeviceKey) {
        let Some(device) = self.devices.all.get_mut(&key) else { return };
        device.backend_due = false;
        let live = device.live;
        if !self.store.exists(&path::backend(key, "")) {
            self.device_goes(key);
            self.devices.all.remove(&key);
        } else if !live {
            self.backend_probes(key);
        } else if self.frontend_value(key, "state").is_none() {
            self.backend_loses_frontend(key);
        } else {
            self.backend_follows(key);
        }
    }

    /// A driver takes a new device: only when both directories are there and nobody has begun.
    fn backend_probes(&mut self, key: DeviceKey) {
        let fresh = self.backend_value(key, "state") == Some("1") && self.frontend_value(key, "state").is_some();
        let served =
            key.kind != Kind::Qdisk || self.processes.of(key.domid, Role::DeviceModel).any(|process| process.ready);
        if !fresh || !served {
            return;
        }
        if let Some(device) = self.devices.all.get_mut(&key) {
            device.live = true;
        }
        match key.kind {
            Kind::Vif => {
                self.backend_tells(key, &NETWORK);
                self.nics.appear(key.domid, key.devid);
            }
            Kind::Qdisk => self.put(&path::backend(key, "hotplug-status"), "connected"),
            Kind::Vbd => self.backend_tells(key, &BLOCK),
        }
        self.backend_says(key, "2");
    }

    /// The front end's directory has vanished. blkback says so only if it was closing, netback and QEMU always.
    fn backend_loses_frontend(&mut self, key: DeviceKey) {
        let closing = self.backend_value(key, "state") == Some("5");
        self.device_goes(key);
        if closing || key.kind != Kind::Vbd {
            self.backend_says(key, "6");
        }
    }

    fn backend_follows(&mut self, key: DeviceKey) {
        let state = self.backend_value(key, "state").unwrap_or_default();
        let front = self.frontend_value(key, "state").unwrap_or_default();
        match (front, state) {
            ("3" | "4", "2") if self.backend_ready(key, front) => {
                if let Some(device) = self.devices.all.get_mut(&key) {
                    device.connected = true;
                }
                if key.kind != Kind::Vif {
                    self.backend_tells(key, &BLOCK_CONNECTED);
                }
                self.backend_says(key, "4");
            }
            ("5", "2" | "3" | "4") => self.backend_says(key, "5"),
            // The front end begins anew. netback closes on the way, and says so.
            ("1", "6") if key.kind != Kind::Qdisk => self.backend_says(key, "2"),
            ("1", "4") if key.kind == Kind::Vif => {
                if let Some(device) = self.devices.all.get_mut(&key) {
                    device.connected = false;
                }
                ["5", "6", "2"].iter().for_each(|state| self.backend_says(key, state));
            }
            ("6", _) => {
                let gone = self.backend_value(key, "online") == Some("0");
                let closed = state == "6";
                if let Some(device) = self.devices.all.get_mut(&key) {
                    device.connected = false;
                }
                if gone {
                    self.device_goes(key);
                }
                if !closed {
                    self.backend_says(key, "6");
                }
            }
            _ => {}
        }
    }

    fn backend_ready(&self, key: DeviceKey, front: &str) -> bool {
        match key.kind {
            Kind::Vbd => self.store.exists(&path::backend(key, "physical-device")),
            Kind::Qdisk => true,
            Kind::Vif => front == "4",
        }
    }

    fn backend_tells(&mut self, key: DeviceKey, pairs: &[(&str, &str)]) {
        for (leaf, value) in pairs {
            self.store.write(&path::backend(key, leaf), (*value).to_owned());
        }
    }

    fn backend_says(&mut self, key: DeviceKey, state: &str) {
        self.note(6, u64::from(key.domid) << 32 | u64::from(key.devid), u64::from(state.as_bytes()[0]));
        self.put(&path::backend(key, "state"), state);
    }

    /// The kernel has the device no more. What a script attached to it stays.
    fn device_goes(&mut self, key: DeviceKey) {
        if let Some(device) = self.devices.all.get_mut(&key) {
            device.live = false;
            device.connected = false;
        }
        if key.kind == Kind::Vif {
            self.nics.vanish(key.domid, key.devid);
        }
    }
}
