//! Bringing a simulated host to what was seen of a real one, so that it stays in step with it.
//!
//! Nobody reacts to what is brought: on the real host they have.

use super::guest::Life;
use super::image::Saved;
use super::traits::Traits;
use super::world::World;
use xenops_core::host::{DomId, DomainInfo, Exit, Handle, ImageRecord, Memory, ShutdownCode};
use xenops_core::interface::Disk;

impl World {
    /// A node of xenstore has this value, or is not there.
    pub fn bring_node(&mut self, path: &str, value: Option<&str>) {
        match value {
            Some(value) => self.store.write(path, value.to_owned()),
            None => self.store.remove(path),
        }
        self.store.take_raised();
        // Whichever of the two is heard of last says what is behind the loop device.
        if let Some(back_end) = path.strip_suffix("/node").or_else(|| path.strip_suffix("/params"))
            && let [Some(device), Some(file)] =
                ["node", "params"].map(|leaf| self.store.value(&format!("{back_end}/{leaf}")).map(str::to_owned))
        {
            self.attachments.bring(&device, file);
        }
    }

    /// A domain's guest has run: what is its to write or to remove it may have.
    pub fn has_run(&self, domid: DomId) -> bool {
        self.hypervisor.get(domid).is_some_and(|domain| !matches!(domain.guest.life, Life::Empty | Life::Fresh))
    }

    /// The next domain that is made has this number.
    pub fn bring_next_domain(&mut self, domid: DomId) {
        self.hypervisor.set_next(domid);
    }

    /// A domain is as Xen tells of it.
    pub fn bring_domain(&mut self, info: &DomainInfo) {
        if info.domid == 0 {
            return self.hypervisor.set_info(info);
        }
        if self.hypervisor.get(info.domid).is_none() {
            self.hypervisor.appear(info.domid, info.handle);
            let lineage = self.lineages.born();
            if let Some(domain) = self.hypervisor.get_mut(info.domid).filter(|_| info.total_pages > 0) {
                let guest = &mut domain.guest;
                (guest.lineage, guest.life, guest.drivers) = (Some(lineage), Life::Up, true);
            }
        }
        if let Some(code) = info.shutdown {
            self.bring_stop(info.domid, code);
        }
        self.hypervisor.set_info(info);
    }

    /// A domain of ours has run for so long, has so much memory, and has stopped or not.
    pub fn bring_guest(&mut self, info: &DomainInfo) {
        if let Some(code) = info.shutdown {
            self.bring_stop(info.domid, code);
        }
        let Some(domain) = self.hypervisor.get_mut(info.domid) else { return };
        if info.shutdown.is_none() && domain.info.shutdown.take().is_some() {
            domain.guest.life = Life::Up;
        }
        domain.info.cpu_time = domain.info.cpu_time.max(info.cpu_time);
        domain.info.vcpus = info.vcpus;
        if info.total_pages > 0 {
            domain.info.total_pages = info.total_pages;
        }
    }

    /// A domain's guest has stopped.
    pub fn bring_stop(&mut self, domid: DomId, code: ShutdownCode) {
        self.guest_stops(domid, code);
        if let Some(domain) = self.hypervisor.get_mut(domid)
            && code != ShutdownCode::Suspend
        {
            domain.guest.life = Life::Over;
        }
    }

    /// A domain is not there.
    pub fn bring_end(&mut self, domid: DomId) {
        self.begin_destroy(domid);
        self.run_until(self.now().mono);
    }

    /// Somebody else has paused a domain, lets it run, or is destroying it.
    pub fn bring_hold(&mut self, domid: DomId, paused: bool, dying: bool) {
        if let Some(domain) = self.hypervisor.get_mut(domid) {
            (domain.info.paused, domain.info.dying) = (paused, dying);
        }
    }

    /// A domain has a shadow pool of so many MiB.
    pub fn bring_shadow(&mut self, domid: DomId, mib: u32) {
        if let Some(domain) = self.hypervisor.get_mut(domid) {
            domain.shadow = mib;
        }
    }

    /// An image is there of which only its place is known.
    pub fn bring_image(&mut self, disk: &Disk) {
        let traits = Traits::default();
        let saved = Saved { lineage: self.lineages.born(), generation: 0, pages: 1, below: 0, traits };
        self.images.bring(disk, saved);
    }

    /// The record that comes next in an image is its device model's state.
    pub fn bring_device_state(&mut self, stream: Handle) {
        self.images.bring_before(stream, ImageRecord::QemuTrad);
        self.unpack_device_state(stream);
    }

    /// A device model serves a domain, whoever has started it.
    pub fn bring_model(&mut self, domid: DomId) {
        self.processes.bring_model(domid);
    }

    /// The host has this memory.
    pub fn bring_memory(&mut self, memory: Memory) {
        self.hypervisor.set_memory(memory);
    }

    /// A process has said these lines, and then what it would have said here after those; it has ended if it says so.
    pub fn bring_lines(&mut self, process: Handle, from: usize, real: &[String], rest: &[String], exit: Option<Exit>) {
        let Some(pid) = self.processes.handles.get(&process).copied() else { return };
        if let Some(running) = self.processes.all.get_mut(&pid) {
            running.shown.lines.truncate(from);
            running.shown.lines.extend(real.iter().chain(rest).cloned());
        }
        if let Some(exit) = exit {
            self.exits(pid, exit);
        }
    }
}
