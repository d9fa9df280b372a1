//! QEMU, as a process: hardware of an HVM guest, and the back end of disks that blkback does not serve.

use super::device::{DeviceKey, Kind};
use super::guest::{Life, Step};
use super::hypervisor::PAGE;
use super::lineage::Breach;
use super::network;
use super::pace::Takes;
use super::path;
use super::world::World;
use xenops_core::host::{DomId, Exit, Fault, Role};

impl World {
    /// Its first and only step: it serves from now on.
    pub(super) fn qemu_starts(&mut self, pid: u32) {
        let Some(process) = self.processes.all.get(&pid) else { return };
        let Some(domid) = process.spawn.domid else { return self.exits(pid, Exit::Code(1)) };
        let args = process.spawn.args.clone();
        let resumes = args.iter().any(|arg| arg == "-incoming" || arg == "-loadvm");
        let saved = self.disk.left.contains(&format!("/var/run/xen/qemu-resume.{domid}"));
        if self.hypervisor.get(domid).is_none() || (resumes && !saved) {
            return self.exits(pid, Exit::Code(1));
        }
        let mishap = self.mishap(&["fails", "dies", "hangs", "fails late"]);
        // What a restored guest had of its video card's memory has come with it.
        if !resumes && !self.has_video_memory(domid, &args) {
            return self.exits(pid, Exit::Code(1));
        }
        match mishap {
            Some("fails") => return self.exits(pid, Exit::Code(1)),
            Some("dies") => return self.exits(pid, Exit::Signal(11)),
            Some("hangs") => return,
            _ => {}
        }
        if let Some(process) = self.processes.all.get_mut(&pid) {
            process.ready = true;
        }
        let names = args.iter().flat_map(|arg| arg.split(',')).filter_map(|part| part.strip_prefix("ifname="));
        for (owner, devid, _) in names.filter_map(network::parse) {
            self.nics.add_tap(owner, devid);
        }
        self.all_turns(domid);
        if mishap.is_some() {
            // It has taken up its devices, and ends before it says that it runs.
            self.tally.count("early end");
            let served = self.devices.of(domid).map(|(key, _)| *key).filter(|key| key.kind == Kind::Qdisk);
            served.collect::<Vec<_>>().into_iter().for_each(|key| self.backend_steps(key));
            return self.exits(pid, Exit::Code(1));
        }
        if !args.iter().any(|arg| arg == "-S") {
            self.qemu_runs(domid);
        }
    }

    /// Give a guest the memory of its video card, if it has one.
    fn has_video_memory(&mut self, domid: DomId, args: &[String]) -> bool {
        let mib = args.iter().find_map(|arg| arg.split_once("vgamem_mb=")?.1.parse::<u64>().ok()).unwrap_or(0);
        let pages = self.hypervisor.get(domid).map_or(0, |domain| domain.info.total_pages);
        let card = mib * 1024 / PAGE;
        match self.hypervisor.get_mut(domid) {
            Some(domain) if domain.guest.below >= card as i64 => domain.guest.below -= card as i64,
            // A device model that was there before has given it.
            _ => return true,
        }
        self.hypervisor.populate(domid, pages + card).is_ok()
    }

    fn qemu_runs(&mut self, domid: DomId) {
        self.put(&path::device_model(domid), "running");
        if self.hypervisor.get(domid).is_some_and(|domain| domain.guest.life == Life::Booting) {
            self.guest_will(domid, Takes::Driver, Step::Start);
        }
    }

    /// What it served is served no more; nobody says so in xenstore.
    pub(super) fn qemu_has_gone(&mut self, domid: DomId) {
        self.nics.remove_taps(domid);
        let served: Vec<DeviceKey> =
            self.devices.of(domid).map(|(key, _)| *key).filter(|key| key.kind == Kind::Qdisk).collect();
        for key in served {
            if let Some(device) = self.devices.all.get_mut(&key) {
                device.live = false;
                device.connected = false;
            }
        }
    }

    /// A drive's medium is taken out. A back end that QEMU serves for the same drive has opened what it was told to have by
    /// itself, though its front end never came, and keeps it: whoever takes the medium away finds it in use.
    fn medium_leaves(&mut self, domid: DomId, arguments: &str) {
        let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap_or_default();
        let drive = arguments["id"].as_str().and_then(|id| id.strip_prefix("ide-")?.parse().ok());
        let Some(devid) = drive else { return };
        let held = self.backend_value(DeviceKey { domid, kind: Kind::Qdisk, devid }, "params");
        if let Some(file) = held.and_then(|params| params.strip_prefix("aio:")).filter(|file| !file.is_empty()) {
            let file = file.to_owned();
            self.lineages.breach(Breach::MediumHeld(domid, file));
        }
    }

    /// A QMP command.
    pub(super) fn qmp(&mut self, domid: DomId, command: &str, arguments: &str) -> Result<String, Fault> {
        if !self.processes.of(domid, Role::DeviceModel).any(|process| process.ready) {
            return Err(Fault::NotFound(format!("device model of domain {domid}")));
        }
        let chardevs = || {
            let monitor = |label: &str, socket: &str| {
                let file = format!("unix:/var/run/xen/{socket}-{domid},server=on");
                format!(r#"{{"filename":"{file}","frontend-open":true,"label":"{label}"}}"#)
            };
            let (ours, events) = (monitor("libxl-cmd", "qmp-libxl"), monitor("event-cmd", "qmp-event"));
            let tty = format!("pty:{}{domid}", self.config.terminals);
            format!(r#"[{ours},{events},{{"filename":"{tty}","frontend-open":true,"label":"serial0"}}]"#)
        };
        let answer = match command {
            "query-chardev" => return Ok(chardevs()),
            "cont" => {
                self.qemu_runs(domid);
                "{}"
            }
            "query-vnc" => {
                r#"{"auth":"none","clients":[],"enabled":true,"family":"ipv4","host":"127.0.0.1","service":"5900"}"#
            }
            "query-hotpluggable-cpus" => "[]",
            "xen-save-devices-state" => {
                if self.disk.full {
                    return Err(Fault::NoSpace("the device model's state".to_owned()));
                }
                self.disk.left.insert(format!("/var/run/xen/qemu-save.{domid}"));
                "{}"
            }
            "eject" => {
                self.medium_leaves(domid, arguments);
                "{}"
            }
            "stop"
            | "blockdev-change-medium"
            | "blockdev-remove-medium"
            | "blockdev-open-tray"
            | "blockdev-close-tray"
            | "device_add"
            | "device_del"
            | "set_link"
            | "xen-set-global-dirty-log"
            | "blockdev-insert-medium"
            | "blockdev-add"
            | "blockdev-del"
            | "query-status" => "{}",
            other => return Err(Fault::Other(format!("CommandNotFound: the command {other} has not been found"))),
        };
        Ok(answer.to_owned())
    }
}
