//! A guest's front ends: blkfront and netfront, as xenbus has them shake hands.

use super::device::{DeviceKey, Kind};
use super::guest::Life;
use super::path;
use super::world::World;

/// What blkfront says of itself when it takes a device up, as Linux 6.1 does.
const BLOCK: [(&str, &str); 5] = [
    ("ring-ref", "8"),
    ("event-channel", "9"),
    ("protocol", "x86_64-abi"),
    ("feature-persistent", "1"),
    ("state", "3"),
];

/// What netfront says of itself.
const NETWORK: [(&str, &str); 13] = [
    ("multi-queue-num-queues", "1"),
    ("tx-ring-ref", "522"),
    ("rx-ring-ref", "523"),
    ("event-channel-tx", "10"),
    ("event-channel-rx", "11"),
    ("request-rx-copy", "1"),
    ("feature-rx-notify", "1"),
    ("feature-sg", "1"),
    ("feature-gso-tcpv4", "1"),
    ("feature-gso-tcpv6", "1"),
    ("feature-ipv6-csum-offload", "1"),
    ("xdp-headroom", "0"),
    ("state", "4"),
];

impl World {
    /// The front end's driver looks at both states and takes at most one turn.
    pub(super) fn frontend_steps(&mut self, key: DeviceKey) {
        let Some(device) = self.devices.all.get_mut(&key) else { return };
        device.frontend_due = false;
        let runs = self.hypervisor.get(key.domid).is_some_and(|domain| {
            domain.info.runnable()
                && domain.guest.drivers
                && !domain.guest.asleep
                && matches!(domain.guest.life, Life::Booting | Life::Up)
        });
        // A guest that cannot run looks again when it can.
        if !runs {
            return;
        }
        let linked = self.frontend_value(key, "backend") == Some(&*path::backend(key, ""));
        let state = |value: Option<&str>| value.and_then(|value| value.parse::<u32>().ok()).unwrap_or(0);
        let (back, front) = (state(self.backend_value(key, "state")), state(self.frontend_value(key, "state")));
        let reloads = self.devices.all.get(&key).is_some_and(|device| device.reloads);
        match (back, front) {
            _ if !linked => {}
            (5, 5) if reloads => self.frontend_says(key, &[("state", "6")]),
            (6, 6) if reloads => {
                if let Some(device) = self.devices.all.get_mut(&key) {
                    device.reloads = false;
                }
                self.frontend_says(key, &[("state", "1")]);
            }
            (2, 1) if key.kind == Kind::Vif => {
                self.frontend_says(key, &NETWORK);
            }
            (2, 1) => self.frontend_says(key, &BLOCK),
            (4, 3) => self.frontend_says(key, &[("state", "4")]),
            (5, 1..=4) => self.guest_gives_up(key),
            (6, 1..=5) => self.frontend_says(key, &[("state", "6")]),
            _ => {}
        }
    }

    fn frontend_says(&mut self, key: DeviceKey, pairs: &[(&str, &str)]) {
        for (leaf, value) in pairs {
            let path = path::frontend(key, leaf);
            // A front end that may not write its own state is a fault of whoever made its directory.
            if self.store.write_as(key.domid, &path, value).is_ok() {
                self.written(&path);
            }
        }
    }

    /// The guest's driver begins anew: it closes and opens again, or, after a kernel that was not asked, begins at once,
    /// which only netback goes along with.
    pub(super) fn frontend_reloads(&mut self, key: DeviceKey, at_once: bool) {
        if at_once && key.kind == Kind::Vif {
            return self.frontend_says(key, &[("state", "1")]);
        }
        if let Some(device) = self.devices.all.get_mut(&key) {
            device.reloads = true;
        }
        self.frontend_says(key, &[("state", "5")]);
    }

    /// The guest lets the device go.
    pub(super) fn frontend_closes(&mut self, key: DeviceKey) {
        if self.frontend_value(key, "state").is_some_and(|state| state != "6") {
            self.frontend_says(key, &[("state", "6")]);
        }
    }

    /// The guest removes its end, and with it the device.
    pub(super) fn frontend_removed(&mut self, key: DeviceKey) {
        let directory = path::frontend(key, "");
        if self.store.remove_as(key.domid, &directory).is_ok() {
            self.tally.count("front end removed");
            let place = path::place(&directory).expect("a front end's directory is a place");
            self.react(place);
        }
    }

    /// The guest says that it needs the device, and keeps it for now.
    pub(super) fn frontend_refuses(&mut self, key: DeviceKey) {
        let leaf = format!("error/device/{}/{}/error", key.kind.class(), key.devid);
        self.guest_writes(key.domid, &leaf, "16 Device in use; refusing to close");
        self.frontend_says(key, &[("state", "5")]);
    }
}
