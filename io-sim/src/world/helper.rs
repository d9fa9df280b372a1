//! The guest helper, as a process: it builds, saves and restores a guest's memory, and says so line by line.

use super::guest::{Guest, Life};
use super::hypervisor::PAGE;
use super::image::Saved;
use super::pace::Takes;
use super::traits::{Drivers, Traits};
use super::world::World;
use xenops_core::host::{DomId, Exit, Fault, Flavour, Handle, ShutdownCode};

/// Frame numbers that a helper gives as the store's and the console's rings.
const RINGS: &str = "778753 778754";

impl World {
    /// Build: half of the memory, then the rest and the guest in it.
    pub(super) fn builder_steps(&mut self, pid: u32, step: u32) {
        let (domid, mib) = (self.helper_domain(pid), self.helper_number(pid, "-mem_start_mib"));
        let (Some(domid), Some(mib)) = (domid, mib) else {
            return self.helper_fails(pid, "hvm_build 22 bad arguments");
        };
        if self.told_to_abort(pid) {
            return self.helper_fails(pid, "xc_dom_linux_build 125 aborted");
        }
        let pages = mib * 1024 / PAGE;
        let share = if step == 1 { pages / 2 } else { pages };
        if let Err(fault) = self.helper_populates(domid, share) {
            return self.helper_fails(pid, &format!("xc_dom_boot_mem_init {fault}"));
        }
        match (step, self.mishap(&["fails", "dies", "hangs"])) {
            (_, Some("fails")) => self.helper_fails(pid, "xc_dom_linux_build 22 Invalid kernel"),
            (_, Some("dies")) => self.exits(pid, Exit::Signal(11)),
            (_, Some(_)) => {}
            (1, None) => self.step_later(pid, Takes::Helper),
            (_, None) => {
                let traits = Traits::draw(&mut self.choices, self.config.odd_guests);
                let lineage = self.lineages.born();
                self.guest_moves_in(domid, Life::Fresh, Saved { lineage, generation: 0, pages, below: 0, traits });
                self.says(pid, format!("result:{RINGS}"));
                self.exits(pid, Exit::Code(0));
            }
        }
    }

    /// Save: `prepare:`, then `suspend:`, then the memory.
    pub(super) fn saver_steps(&mut self, pid: u32, step: u32) {
        let (Some(domid), Some(stream)) = (self.helper_domain(pid), self.helper_stream(pid)) else {
            return self.helper_fails(pid, "xc_domain_save 22 bad arguments");
        };
        if self.told_to_abort(pid) {
            return self.helper_fails(pid, "xc_domain_save 125 aborted");
        }
        if let Some(process) = self.processes.all.get_mut(&pid) {
            process.told.pop_front();
        }
        match (step, self.mishap(&["fails", "dies", "hangs"])) {
            (_, Some("fails")) => self.helper_fails(pid, "xc_domain_save 5 Input/output error"),
            (_, Some("dies")) => self.exits(pid, Exit::Signal(9)),
            (_, Some(_)) => {}
            (1, None) => {
                self.says(pid, "prepare:xenguest");
                self.reads(pid);
            }
            (2, None) => {
                self.says(pid, "info:\\b\\b\\b\\b 42%");
                self.says(pid, "suspend:");
                self.reads(pid);
            }
            (_, None) => match self.save_memory(domid, stream) {
                Ok(()) => {
                    self.says(pid, "result:");
                    self.exits(pid, Exit::Code(0));
                }
                Err(error) => self.helper_fails(pid, &error),
            },
        }
    }

    fn save_memory(&mut self, domid: DomId, stream: Handle) -> Result<(), String> {
        let domain = self.hypervisor.get(domid).filter(|domain| !domain.info.dying);
        let domain = domain.ok_or("xc_domain_save 3 No such domain")?;
        let (true, Some(lineage)) = (domain.info.shutdown == Some(ShutdownCode::Suspend), domain.guest.lineage) else {
            return Err("xc_domain_save 22 Domain has not been suspended".to_owned());
        };
        let (generation, pages) = (domain.guest.generation, domain.info.total_pages);
        let Guest { below, traits, .. } = domain.guest;
        let saved = Saved { lineage, generation, pages, below, traits };
        if self.disk.full {
            self.tally.count("full amid save");
            return Err("xc_domain_save 28 No space left on device".to_owned());
        }
        self.images.append_memory(stream, saved).map_err(|fault| format!("xc_domain_save 32 {fault}"))?;
        self.lineages.held(lineage);
        Ok(())
    }

    /// Restore: silent until it is told to begin.
    pub(super) fn restorer_steps(&mut self, pid: u32, step: u32) {
        let (Some(domid), Some(stream)) = (self.helper_domain(pid), self.helper_stream(pid)) else {
            return self.helper_fails(pid, "xc_domain_restore 22 bad arguments");
        };
        if self.told_to_abort(pid) {
            return self.helper_fails(pid, "xc_domain_restore 125 aborted");
        }
        if step == 1 {
            return self.reads(pid);
        }
        match self.mishap(&["fails", "dies", "hangs", "destroys"]) {
            Some("fails") => self.helper_fails(pid, "xc_domain_restore 5 Input/output error"),
            Some("dies") => self.exits(pid, Exit::Signal(9)),
            // The library destroys the domain when the stream is bad.
            Some("destroys") => {
                self.begin_destroy(domid);
                self.helper_fails(pid, "xc_domain_restore 74 Bad message");
            }
            Some(_) => {}
            None => match self.restore_memory(domid, stream) {
                Ok(()) => {
                    self.says(pid, format!("result:xenguest {RINGS}"));
                    self.exits(pid, Exit::Code(0));
                }
                Err(error) => self.helper_fails(pid, &error),
            },
        }
    }

    fn restore_memory(&mut self, domid: DomId, stream: Handle) -> Result<(), String> {
        let saved = self.images.read_memory(stream).map_err(|fault| format!("xc_domain_restore 74 {fault}"))?;
        self.helper_populates(domid, saved.pages).map_err(|fault| format!("xc_domain_restore 12 {fault}"))?;
        self.lineages.held(saved.lineage);
        self.guest_moves_in(domid, Life::Frozen, saved);
        Ok(())
    }

    fn helper_populates(&mut self, domid: DomId, pages: u64) -> Result<(), Fault> {
        let domain = self.hypervisor.get(domid).filter(|domain| !domain.info.dying);
        let domain = domain.ok_or(Fault::NoDomain(domid))?;
        if domain.guest.life != Life::Empty {
            return Err(Fault::Exists(format!("the guest of domain {domid}")));
        }
        if domain.max_vcpus == 0 {
            return Err(Fault::Other("22 no vcpus".to_owned()));
        }
        self.hypervisor.populate(domid, pages)
    }

    fn guest_moves_in(&mut self, domid: DomId, life: Life, saved: Saved) {
        self.note(9, u64::from(domid), saved.lineage.0);
        if let Some(domain) = self.hypervisor.get_mut(domid) {
            domain.guest.lineage = Some(saved.lineage);
            domain.guest.generation = saved.generation;
            domain.guest.traits = saved.traits;
            domain.guest.life = life;
            domain.guest.below = saved.below;
            domain.guest.suspended_with = (life == Life::Frozen).then_some(saved.pages);
            let drivers = domain.flavour != Flavour::Hvm || saved.traits.drivers == Drivers::Paravirtual;
            domain.guest.drivers = life == Life::Frozen && drivers;
            domain.info.vcpus = domain.max_vcpus;
        }
        // Somebody may have let it run before there was anything to run.
        self.guest_may_run(domid);
    }

    fn helper_fails(&mut self, pid: u32, error: &str) {
        self.says(pid, format!("error:{error}"));
        self.exits(pid, Exit::Code(1));
    }

    fn told_to_abort(&self, pid: u32) -> bool {
        self.processes.all.get(&pid).is_some_and(|process| process.told.iter().any(|word| word == "abort"))
    }

    fn helper_argument(&self, pid: u32, name: &str) -> Option<&str> {
        let args = &self.processes.all.get(&pid)?.spawn.args;
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).map(|arg| arg.as_str())
    }

    fn helper_number(&self, pid: u32, name: &str) -> Option<u64> {
        self.helper_argument(pid, name)?.parse().ok()
    }

    fn helper_domain(&self, pid: u32) -> Option<DomId> {
        self.helper_number(pid, "-domid").map(|domid| domid as DomId)
    }

    fn helper_stream(&self, pid: u32) -> Option<Handle> {
        self.processes.all.get(&pid)?.spawn.stream
    }
}
