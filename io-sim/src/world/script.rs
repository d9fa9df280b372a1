//! The host's hotplug scripts, as a plain distribution ships them: `block` and `vif-bridge`; and hooks.

use super::broken::Part;
use super::choice::Concern;
use super::device::{DeviceKey, Kind};
use super::lineage::Breach;
use super::network;
use super::pace::Takes;
use super::path::{self, Place};
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use xenops_core::host::{Canonical, Exit};

/// Behind a loop device that some other program of dom0 has.
const STRANGERS: &str = "/srv/strangers.img";

/// What scripts have made: loop devices, and which back ends use which disk.
#[derive(Clone, Debug, Default)]
pub struct Attachments {
    loops: BTreeMap<u32, String>,
    free_loops: BTreeSet<u32>,
    users: BTreeMap<String, BTreeSet<DeviceKey>>,
}

impl Attachments {
    /// Loop devices and their files, but for those of other programs.
    pub fn loops(&self) -> impl Iterator<Item = (u32, &str)> {
        self.loops.iter().filter(|(_, file)| *file != STRANGERS).map(|(number, file)| (*number, &**file))
    }

    /// A loop device has this file behind it.
    pub(super) fn bring(&mut self, device: &str, file: String) {
        let Some(number) = number(device) else { return };
        self.loops.retain(|_, behind| *behind != file);
        self.loops.insert(number, file);
        let last = self.loops.last_key_value().map_or(0, |(number, _)| *number);
        self.free_loops = (0..last).filter(|number| !self.loops.contains_key(number)).collect();
    }

    fn free(&mut self, number: u32) -> Option<String> {
        let file = self.loops.remove(&number)?;
        self.free_loops.insert(number);
        Some(file)
    }

    /// Loop devices, and which back ends use which disk.
    pub(super) fn fingerprint<H: Canonical>(&self, hash: &mut H) {
        let Attachments { loops, free_loops, users } = self;
        hash.unordered(loops, |hash, made| made.hash(hash));
        free_loops.hash(hash);
        hash.unordered(users, |hash, (disk, users)| {
            disk.hash(hash);
            hash.unordered(users, |hash, user| user.hash(hash));
        });
    }

    fn loop_for(&mut self, file: &str) -> u32 {
        // Numbers are those of `loops` and `free_loops`, without gaps.
        let number = self.free_loops.pop_first().unwrap_or(self.loops.len() as u32);
        self.loops.insert(number, file.to_owned());
        number
    }
}

fn number(device: &str) -> Option<u32> {
    device.strip_prefix("/dev/loop")?.parse().ok()
}

pub(super) enum Ended {
    Well,
    Failed(&'static str, String),
    Code(i32),
}

impl World {
    /// Whether a loop device has this file behind it.
    pub(super) fn is_behind(&mut self, file: &str, device: &str) -> bool {
        let behind = number(device).and_then(|number| self.attachments.loops.get(&number));
        if behind.is_some_and(|behind| behind != file) {
            self.tally.count("loop of another");
        }
        behind.is_some_and(|behind| behind == file)
    }

    /// A script takes two steps: to its middle, and to its end.
    pub(super) fn script_steps(&mut self, pid: u32, step: u32) {
        match self.mishap(&["fails", "dies", "hangs"]) {
            Some("fails") => return self.exits(pid, Exit::Code(1)),
            Some("dies") => return self.exits(pid, Exit::Signal(9)),
            Some(_) => return,
            None if step == 1 && self.config.pace != super::pace::Pace::Instant => {
                return self.step_later(pid, Takes::Script);
            }
            None => {}
        }
        let Some(process) = self.processes.all.get(&pid) else { return };
        let (args, env) = (&process.spawn.args, &process.spawn.env);
        let variable = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let place = variable("XENBUS_PATH").and_then(|relative| path::place(&format!("/local/domain/0/{relative}")));
        let Some(Place::Backend(key)) = place else { return self.exits(pid, Exit::Code(1)) };
        if self.is_broken(Part::Scripts, key.domid) {
            return self.exits(pid, Exit::Code(1));
        }
        let action = args.first().cloned().unwrap_or_default();
        let tap = args.iter().any(|arg| arg == "type_if=tap");
        let interface = if tap { variable("INTERFACE") } else { variable("vif") };
        let ended = match (key.kind, &*action) {
            (Kind::Vif, action) => self.vif_bridge(key, action, tap, interface),
            (_, "add") => self.block_add(key),
            (_, "remove") => self.block_remove(key, true),
            _ => Ended::Well,
        };
        let code = match ended {
            Ended::Well => 0,
            Ended::Code(code) => code,
            Ended::Failed(status, error) => {
                self.put(&path::backend(key, "hotplug-error"), &error);
                self.put(&path::backend(key, "hotplug-status"), status);
                1
            }
        };
        self.exits(pid, Exit::Code(code));
    }

    fn block_add(&mut self, key: DeviceKey) -> Ended {
        if self.store.exists(&path::backend(key, "physical-device")) {
            return Ended::Well;
        }
        let value = |leaf| self.backend_value(key, leaf).unwrap_or_default().to_owned();
        let (params, mode, state) = (value("params"), value("mode"), value("state"));
        if params.is_empty() || self.disk.missing.contains(&params) {
            return Ended::Failed("error", format!("{params} does not exist."));
        }
        let file = !params.starts_with("/dev/");
        if file && state != "2" {
            let error = format!("Path closed or removed during hotplug add: {} state: {state}", key.devid);
            return Ended::Failed("error", error);
        }
        if let Some(other) = self.sharer(key, &params, &mode) {
            let error = format!("File {params} is already in use by domain {}, and so cannot be mounted", other.domid);
            return Ended::Failed("busy", error);
        }
        let (device, node) = if file {
            let number = self.attachments.loop_for(&params);
            let node = format!("/dev/loop{number}");
            self.put(&path::backend(key, "node"), &node);
            (format!("7:{number:x}"), node)
        } else {
            (format!("fd:{:x}", self.attachments.users.len() & 0xff), params.clone())
        };
        self.attachments.users.entry(params).or_default().insert(key);
        self.put(&path::backend(key, "physical-device"), &device);
        self.put(&path::backend(key, "physical-device-path"), &node);
        self.put(&path::backend(key, "hotplug-status"), "connected");
        Ended::Well
    }

    /// Another back end that has the disk in a way that this one cannot share.
    fn sharer(&mut self, key: DeviceKey, params: &str, mode: &str) -> Option<DeviceKey> {
        if mode == "w!" {
            return None;
        }
        let users = self.attachments.users.get(params)?;
        let vm = |domid| self.store.value(&path::domain(domid, "vm"));
        let uses = |other: &&DeviceKey| {
            self.backend_value(**other, "params") == Some(params)
                && self.store.exists(&path::backend(**other, "physical-device"))
        };
        let clashes = |other: &&DeviceKey| {
            let writes = mode == "w" || self.backend_value(**other, "mode").is_some_and(|mode| mode.starts_with('w'));
            **other != key && writes && vm(key.domid) != vm(other.domid)
        };
        let alive: BTreeSet<DeviceKey> = users.iter().filter(uses).copied().collect();
        let clash = alive.iter().find(clashes).copied();
        self.attachments.users.insert(params.to_owned(), alive);
        clash
    }

    /// `ours`: we are to blame for what it does.
    pub(super) fn block_remove(&mut self, key: DeviceKey, ours: bool) -> Ended {
        if !self.store.exists(&path::backend(key, "")) {
            return Ended::Failed("error", "xenstore-read backend/vbd/params failed.".to_owned());
        }
        // It frees what is named there, whoever has that by now; what is free already it cannot free.
        if let Some(number) = self.backend_value(key, "node").and_then(number) {
            let Some(file) = self.attachments.free(number) else {
                return Ended::Failed("error", "/etc/xen/scripts/block failed; error detected.".to_owned());
            };
            if ours && self.backend_value(key, "params") != Some(&*file) {
                self.lineages.breach(Breach::LoopFreed(number, file));
            }
            if self.choices.odds(Concern::Fault, self.config.loop_takers) {
                self.attachments.loop_for(STRANGERS);
            }
        }
        let params = self.backend_value(key, "params").unwrap_or_default().to_owned();
        if let Some(users) = self.attachments.users.get_mut(&params) {
            users.remove(&key);
            if users.is_empty() {
                self.attachments.users.remove(&params);
            }
        }
        Ended::Well
    }

    fn vif_bridge(&mut self, key: DeviceKey, action: &str, tap: bool, interface: Option<String>) -> Ended {
        let named = interface.filter(|name| network::parse(name) == Some((key.domid, key.devid, tap)));
        let Some(interface) = named else { return Ended::Code(1) };
        match (action, tap) {
            ("online", false) | ("add", true) => {
                let bridge = self.backend_value(key, "bridge").unwrap_or("xenbr0").to_owned();
                if self.nics.missing.contains(&bridge) {
                    return Ended::Failed("error", format!("Could not find bridge device {bridge}"));
                }
                if self.nics.link(&interface, Some(bridge), Some(true)).is_err() {
                    return Ended::Code(1);
                }
                if !tap {
                    self.put(&path::backend(key, "hotplug-status"), "connected");
                }
                Ended::Well
            }
            ("offline", false) | ("remove", true) => {
                if let Some(port) = self.nics.port_mut(&interface) {
                    port.bridge = None;
                    port.up = false;
                }
                Ended::Well
            }
            _ => Ended::Well,
        }
    }

    /// A hook: well, ignored, refused, killed, or never done.
    pub(super) fn hook_runs(&mut self, pid: u32) {
        let exit = match self.mishap(&["says 1", "says 2", "dies", "hangs"]) {
            None => Exit::Code(0),
            Some("says 1") => Exit::Code(1),
            Some("says 2") => Exit::Code(2),
            Some("dies") => Exit::Signal(15),
            Some(_) => return,
        };
        self.exits(pid, exit);
    }

    /// A boot loader: finds a kernel on the guest's disk and leaves it in a file.
    pub(super) fn bootloader_runs(&mut self, pid: u32) {
        // On standard error, as all that it says about itself.
        self.says(pid, "Using <class 'grub.GrubConf.Grub2ConfigFile'> to parse /boot/grub/grub.cfg");
        match self.mishap(&["fails", "dies", "hangs"]) {
            Some("fails") => {
                self.says(pid, "RuntimeError: Unable to find partition containing kernel");
                return self.exits(pid, Exit::Code(1));
            }
            Some("dies") => return self.exits(pid, Exit::Signal(9)),
            Some(_) => return,
            None => {}
        }
        let scratch = self.processes.all.get(&pid).and_then(|process| process.spawn.scratch.clone());
        let directory = scratch.unwrap_or_else(|| "/var/run/xend/boot".to_owned());
        for (word, file) in [("kernel", "boot_kernel"), ("ramdisk", "boot_ramdisk")] {
            let path = format!("{directory}/{file}.{pid}");
            self.says(pid, format!("{word} {path}"));
            self.disk.left.insert(path);
        }
        self.says(pid, "args root=/dev/xvda1 ro");
        self.exits(pid, Exit::Code(0));
    }
}
