//! What runs in a simulated domain.

use super::broken::Part;
use super::choice::Concern;
use super::console::{Console, Typed, typed};
use super::device::{DeviceKey, Kind};
use super::event::Event;
use super::hypervisor::PAGE;
use super::lineage::{Breach, Lineage};
use super::pace::Takes;
use super::path;
use super::traits::{Agent, Balloons, Boots, Drivers, Obeys, Suspends, Traits, Unplugs, Whim};
use super::world::World;
use xenops_core::host::{DomId, Flavour, Role, ShutdownCode};

/// How far a guest has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Life {
    /// There is no guest in the domain, or only a part of one.
    #[default]
    Empty,
    /// Built; it has not run.
    Fresh,
    /// It starts.
    Booting,
    /// It hears what it is asked.
    Up,
    /// It stands still in the middle of a suspend, in the domain that it suspended in or in one that it was restored to.
    Frozen,
    /// It has ended.
    Over,
}

/// Something that a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Its first step.
    Start,
    /// It has started.
    Booted,
    /// It looks what it was asked.
    Heed,
    /// It ends, or suspends.
    Stop(ShutdownCode),
    /// It sleeps, as ACPI has it.
    Sleep,
    /// It brings its memory to its target.
    Balloon,
    /// It runs the script that it was given.
    Script,
    /// It brings its vCPUs up or down.
    Vcpus,
    /// It lets a device go.
    Release(DeviceKey),
    /// Its whim.
    Whim,
}

/// A guest, or none yet.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    /// Who it is.
    pub lineage: Option<Lineage>,
    /// Which stretch of its execution this state comes after, or is.
    pub generation: u32,
    /// How far it has come.
    pub life: Life,
    /// What it is like.
    pub traits: Traits,
    /// Its drivers are at work.
    pub drivers: bool,
    /// It sleeps, as ACPI has it.
    pub asleep: bool,
    /// It has taken a request to suspend, and will.
    pub heeds: bool,
    /// Its console.
    pub console: Console,
    /// What it would do if it ran.
    pub(super) parked: Vec<Step>,
    /// When it began to run.
    pub(super) began: u64,
    /// How many pages below every target it stays.
    pub(super) below: i64,
    /// Pages that it was suspended with.
    pub(super) suspended_with: Option<u64>,
    /// Targets that it was given in this domain.
    pub(super) targets: u32,
}

impl Guest {
    /// There is something that could run.
    pub fn exists(&self) -> bool {
        !matches!(self.life, Life::Empty | Life::Over)
    }
}

impl World {
    /// The guest would do this after a while; while it cannot run it will as soon as it can.
    pub(super) fn guest_will(&mut self, domid: DomId, takes: Takes, step: Step) {
        self.later(takes, Event::Guest(domid, step));
    }

    /// The domain's state has changed so that its guest may run now.
    pub(super) fn guest_may_run(&mut self, domid: DomId) {
        let now = self.now.mono;
        let Some(domain) = self.hypervisor.get_mut(domid) else { return };
        let guest = &mut domain.guest;
        if !domain.info.runnable() || !guest.exists() {
            return;
        }
        if let (Life::Fresh | Life::Frozen, Some(lineage)) = (guest.life, guest.lineage) {
            guest.generation = self.lineages.begins(lineage, guest.generation, domid, now);
            let (life, step, takes) = match guest.life {
                Life::Fresh => (Life::Booting, Step::Start, Takes::Driver),
                _ => (Life::Up, Step::Booted, Takes::Answer),
            };
            guest.life = life;
            guest.began = now;
            domain.count_time(now);
            self.note(4, u64::from(domid), lineage.0);
            self.guest_will(domid, takes, step);
        } else {
            domain.count_time(now);
        }
        self.guest_catches_up(domid);
    }

    /// What it would have done while it could not run, it does now.
    pub(super) fn guest_catches_up(&mut self, domid: DomId) {
        let Some(domain) = self.hypervisor.get_mut(domid).filter(|domain| !domain.guest.asleep) else { return };
        for step in std::mem::take(&mut domain.guest.parked) {
            self.queue.push(self.now.mono, Event::Guest(domid, step));
        }
        if domain.guest.drivers {
            self.all_turns(domid);
        }
    }

    /// A step's time has come.
    pub(super) fn guest_steps(&mut self, domid: DomId, step: Step) {
        let Some(domain) = self.hypervisor.get_mut(domid) else { return };
        if domain.info.dying || domain.info.shutdown.is_some() || !domain.guest.exists() {
            return;
        }
        if domain.info.paused || domain.guest.asleep {
            if !domain.guest.parked.contains(&step) {
                domain.guest.parked.push(step);
            }
            return;
        }
        let traits = domain.guest.traits;
        match step {
            Step::Start => self.guest_starts(domid, traits),
            Step::Booted => self.guest_is_up(domid, traits),
            Step::Heed => self.guest_heeds(domid, traits),
            Step::Stop(code) => self.guest_stops(domid, code),
            Step::Sleep => domain.guest.asleep = true,
            Step::Balloon => self.guest_balloons(domid),
            Step::Script => self.guest_runs_script(domid),
            Step::Vcpus => self.guest_counts_vcpus(domid),
            Step::Release(key) => self.frontend_closes(key),
            Step::Whim => self.guest_has_whim(domid, traits.whim),
        }
    }

    /// How it shows that a guest's kernel has panicked: Xen is told, or an HVM guest's machine is reset, which is what
    /// its kernel was set to do at a panic, and Xen sees a reboot.
    fn panic_code(&mut self, domid: DomId) -> ShutdownCode {
        let hvm = self.hypervisor.get(domid).is_some_and(|domain| domain.flavour == Flavour::Hvm);
        match hvm && self.choices.choose(Concern::Guest, 2) == 1 {
            true => {
                self.tally.count("crash seen as reboot");
                ShutdownCode::Reboot
            }
            false => ShutdownCode::Crash,
        }
    }

    fn guest_starts(&mut self, domid: DomId, traits: Traits) {
        let ready = self.processes.of(domid, Role::DeviceModel).any(|process| process.ready);
        let Some(domain) = self.hypervisor.get_mut(domid) else { return };
        if domain.guest.life != Life::Booting || domain.guest.drivers {
            return;
        }
        if domain.flavour == Flavour::Hvm && !ready {
            // Its firmware waits for hardware; QEMU's start brings it here again.
            return;
        }
        if self.config.consoles {
            domain.guest.console.say("Booting a simulated guest");
        }
        match traits.boots {
            Boots::Well => {}
            Boots::Crashes => {
                let code = self.panic_code(domid);
                return self.guest_will(domid, Takes::Boot, Step::Stop(code));
            }
            Boots::Hangs => return,
        }
        domain.guest.drivers = domain.flavour != Flavour::Hvm || traits.drivers == Drivers::Paravirtual;
        self.guest_counts_vcpus(domid);
        self.all_turns(domid);
        self.guest_will(domid, Takes::Boot, Step::Booted);
    }

    fn guest_is_up(&mut self, domid: DomId, traits: Traits) {
        let consoles = self.config.consoles;
        let Some(domain) = self.hypervisor.get_mut(domid) else { return };
        let first = domain.guest.life == Life::Booting;
        domain.guest.life = Life::Up;
        let drivers = domain.guest.drivers;
        if consoles {
            let line = if first { "Welcome. Type help." } else { "Resumed." };
            domain.guest.console.say(line);
        }
        if drivers && traits.agent != Agent::Silent {
            for leaf in ["control/feature-poweroff", "control/feature-reboot", "control/feature-suspend"] {
                self.guest_writes(domid, leaf, "1");
            }
            if traits.agent == Agent::Full {
                // A kernel follows its target and does not say so; an agent does.
                if traits.balloons != Balloons::Never {
                    self.guest_writes(domid, "control/feature-balloon", "1");
                }
                self.guest_tells_all(domid);
                self.guest_has_script(domid);
            }
        }
        self.all_turns(domid);
        self.guest_is_asked(domid);
        if !first {
            // Its watches are set anew, and each is raised then.
            self.guest_follows(domid);
        }
        if first && traits.whim != Whim::None {
            self.guest_will(domid, Takes::Whim, Step::Whim);
        }
    }

    fn guest_tells_all(&mut self, domid: DomId) {
        for (leaf, value) in [
            ("control/feature-xs-batcmd", "1"),
            ("control/feature-vcpu-hotplug", "1"),
            ("attr/PVAddons/MajorVersion", "9"),
            ("attr/PVAddons/MinorVersion", "3"),
            ("attr/vif/0/ipv4/0", "192.0.2.7"),
            ("data/os_name", "Simulated Linux"),
            ("data/os_distro", "simulated"),
            ("data/meminfo_free", "65536"),
            ("data/updated", "1"),
        ] {
            self.guest_writes(domid, leaf, value);
        }
    }

    /// `control/shutdown` was written, by whomever.
    pub(super) fn guest_is_asked(&mut self, domid: DomId) {
        let up = self.hypervisor.get(domid).is_some_and(|d| d.guest.life == Life::Up && d.guest.drivers);
        if up && self.store.value(&path::domain(domid, "control/shutdown")).is_some_and(|word| !word.is_empty()) {
            self.guest_will(domid, Takes::Answer, Step::Heed);
        }
    }

    fn guest_heeds(&mut self, domid: DomId, traits: Traits) {
        let shutdown = path::domain(domid, "control/shutdown");
        let word = self.store.read_as(domid, &shutdown).unwrap_or_default().to_owned();
        let deaf = if word == "suspend" { traits.suspends == Suspends::Deaf } else { traits.obeys == Obeys::Deaf };
        if word.is_empty() || deaf || !self.guest_writes(domid, "control/shutdown", "") {
            return;
        }
        let asked = match &*word {
            "poweroff" | "halt" => ShutdownCode::Poweroff,
            "reboot" => ShutdownCode::Reboot,
            "crash" => self.panic_code(domid),
            "suspend" => {
                let code = match traits.suspends {
                    Suspends::Well => ShutdownCode::Suspend,
                    Suspends::Halts => ShutdownCode::Poweroff,
                    Suspends::Crashes => self.panic_code(domid),
                    Suspends::Never | Suspends::Deaf => return,
                };
                if let Some(domain) = self.hypervisor.get_mut(domid) {
                    domain.guest.heeds = code == ShutdownCode::Suspend;
                }
                // It has its devices rest first.
                return self.guest_will(domid, Takes::Shutdown, Step::Stop(code));
            }
            "s3" => return self.guest_will(domid, Takes::Shutdown, Step::Sleep),
            _ => return,
        };
        let code = match traits.obeys {
            Obeys::Well => asked,
            Obeys::Reboots => ShutdownCode::Reboot,
            Obeys::Crashes => self.panic_code(domid),
            Obeys::Never | Obeys::Deaf => return,
        };
        self.guest_will(domid, Takes::Shutdown, Step::Stop(code));
    }

    /// The guest's last step, or its last before it is resumed.
    pub(super) fn guest_stops(&mut self, domid: DomId, code: ShutdownCode) {
        let now = self.now.mono;
        let Some(domain) = self.hypervisor.get_mut(domid) else { return };
        if domain.info.shutdown.is_some() || domain.info.dying {
            return;
        }
        domain.info.shutdown = Some(code);
        let suspended = code == ShutdownCode::Suspend && matches!(domain.guest.life, Life::Up | Life::Booting);
        if let (Some(lineage), true) = (domain.guest.lineage, domain.guest.exists()) {
            domain.guest.life = if suspended { Life::Frozen } else { Life::Over };
            self.lineages.ends(lineage, domid, now);
        }
        domain.count_time(now);
        let waits = domain.waits.clone();
        self.note(5, u64::from(domid), 0);
        self.domain_ended(&waits);
    }

    /// `memory/target` was written.
    pub(super) fn guest_has_target(&mut self, domid: DomId) {
        let Some(target) = self.target(domid) else { return };
        let Some(domain) = self.hypervisor.get_mut(domid) else { return };
        if domain.guest.life == Life::Fresh && domain.guest.targets == 0 {
            // What was built with less, as what has a memory map is, stays so much below all that come.
            domain.guest.below = target as i64 - domain.info.total_pages as i64;
        }
        domain.guest.targets += 1;
        self.guest_follows(domid);
    }

    /// The pages of its target.
    fn target(&self, domid: DomId) -> Option<u64> {
        Some(self.store.value(&path::domain(domid, "memory/target"))?.parse::<u64>().ok()? / PAGE)
    }

    fn guest_follows(&mut self, domid: DomId) {
        let Some(domain) = self.hypervisor.get(domid) else { return };
        if domain.guest.life == Life::Up && domain.guest.drivers {
            match domain.guest.traits.balloons {
                Balloons::Well => {}
                Balloons::Slowly => {
                    self.guest_writes(domid, "control/balloon-active", "1");
                }
                Balloons::Never => return,
            }
            self.guest_will(domid, Takes::Answer, Step::Balloon);
        }
    }

    fn guest_balloons(&mut self, domid: DomId) {
        if let (Some(target), Some(domain)) = (self.target(domid), self.hypervisor.get(domid)) {
            let guest = &domain.guest;
            let pages = target.saturating_add_signed(-guest.below).clamp(1, domain.info.max_pages.max(1));
            // With the target that its resume gave it, it is to stay as it was.
            let suspended_with = guest.suspended_with.filter(|_| guest.targets == 1);
            // Where the host has no memory the guest stays below its target.
            if self.hypervisor.populate(domid, pages).is_ok() {
                if let Some(before) = suspended_with.filter(|before| *before != pages) {
                    self.lineages.breach(Breach::Resized(domid, before, pages));
                }
                self.memory_changed();
            }
        }
        if self.store.value(&path::domain(domid, "control/balloon-active")) == Some("1") {
            self.guest_writes(domid, "control/balloon-active", "0");
        }
    }

    /// `cpu/<n>/availability` was written.
    pub(super) fn guest_has_vcpus(&mut self, domid: DomId) {
        if self.hypervisor.get(domid).is_some_and(|domain| domain.guest.drivers) {
            self.guest_will(domid, Takes::Answer, Step::Vcpus);
        }
    }

    fn guest_counts_vcpus(&mut self, domid: DomId) {
        let cpus = self.store.children(&path::domain(domid, "cpu")).unwrap_or_default();
        let online = cpus
            .iter()
            .filter(|cpu| self.store.value(&path::domain(domid, &format!("cpu/{cpu}/availability"))) == Some("online"))
            .count() as u32;
        if let Some(domain) = self.hypervisor.get_mut(domid) {
            domain.info.vcpus = online.clamp(1, domain.max_vcpus.max(1));
        }
    }

    /// `control/batcmd/state` was written.
    pub(super) fn guest_has_script(&mut self, domid: DomId) {
        let up = self
            .hypervisor
            .get(domid)
            .is_some_and(|domain| domain.guest.life == Life::Up && domain.guest.traits.agent == Agent::Full);
        if up && self.store.value(&path::domain(domid, "control/batcmd/state")) == Some("READY") {
            self.guest_writes(domid, "control/batcmd/state", "IN PROGRESS");
            self.guest_will(domid, Takes::Shutdown, Step::Script);
        }
    }

    fn guest_runs_script(&mut self, domid: DomId) {
        let script = self.store.read_as(domid, &path::domain(domid, "control/batcmd/script")).unwrap_or_default();
        let said = format!("ran {} bytes", script.len());
        for (leaf, value) in [("stdout", &*said), ("stderr", ""), ("return", "0"), ("state", "SUCCESS")] {
            self.guest_writes(domid, &format!("control/batcmd/{leaf}"), value);
        }
    }

    fn guest_has_whim(&mut self, domid: DomId, whim: Whim) {
        self.tally.count("whim");
        let code = match whim {
            Whim::None => return,
            Whim::Reload => return self.guest_reloads(domid),
            Whim::Poweroff => ShutdownCode::Poweroff,
            Whim::Reboot => ShutdownCode::Reboot,
            Whim::Crash => self.panic_code(domid),
            Whim::Watchdog => ShutdownCode::Watchdog,
            Whim::Suspend => ShutdownCode::Suspend,
            Whim::SoftReset => ShutdownCode::SoftReset,
            Whim::Clock => return self.clock_is_set(domid),
            Whim::Flood => {
                for i in 0..40 {
                    self.guest_writes(domid, &format!("data/flood/{i}"), "flood");
                }
                return;
            }
            Whim::Close | Whim::GiveUp => {
                let key = self.devices.of(domid).find(|(_, device)| device.connected).map(|(key, _)| *key);
                let Some(key) = key else { return };
                return if whim == Whim::Close { self.frontend_closes(key) } else { self.frontend_removed(key) };
            }
        };
        self.guest_stops(domid, code);
    }

    fn guest_reloads(&mut self, domid: DomId) {
        let at_once = self.choices.choose(Concern::Guest, 2) == 1;
        let kernels = |key: &DeviceKey| key.kind != Kind::Qdisk;
        let connected = self.devices.of(domid).filter(|(_, device)| device.connected).map(|(key, _)| *key);
        for key in connected.filter(kernels).collect::<Vec<_>>() {
            self.tally.count("front end reload");
            self.frontend_reloads(key, at_once);
        }
    }

    /// QEMU notes the guest's clock for the VM's next start.
    fn clock_is_set(&mut self, domid: DomId) {
        let vm = self.store.value(&path::domain(domid, "vm")).map(str::to_owned);
        if let Some(vm) = vm {
            self.put(&format!("{vm}/rtc/timeoffset"), "3600");
        }
    }

    /// A guest's write, where it is allowed; whether it was.
    pub(super) fn guest_writes(&mut self, domid: DomId, leaf: &str, value: &str) -> bool {
        let path = path::domain(domid, leaf);
        if self.is_broken(Part::Quota, domid) && !self.store.exists(&path) {
            return false;
        }
        let written = self.store.write_as(domid, &path, value).is_ok();
        if written {
            self.written(&path);
        }
        written
    }

    /// A line typed at a guest's console. Whether anybody reads it.
    pub fn console_input(&mut self, domid: DomId, line: &str) -> bool {
        let now = self.now.mono;
        let Some(domain) = self.hypervisor.get_mut(domid) else { return false };
        if domain.guest.life != Life::Up || !domain.info.runnable() {
            return false;
        }
        domain.guest.console.say(format!("# {line}"));
        let code = match typed(line, now.saturating_sub(domain.guest.began)) {
            Typed::Says(lines) => {
                lines.into_iter().for_each(|line| domain.guest.console.say(line));
                return true;
            }
            Typed::Poweroff => ShutdownCode::Poweroff,
            Typed::Reboot => ShutdownCode::Reboot,
            Typed::Crash => ShutdownCode::Crash,
        };
        domain.guest.console.say("Going down.");
        self.guest_will(domid, Takes::Shutdown, Step::Stop(code));
        self.settle();
        true
    }

    /// A front end was told that its back end closes.
    pub(super) fn guest_gives_up(&mut self, key: DeviceKey) {
        let Some(domain) = self.hypervisor.get(key.domid) else { return };
        match domain.guest.traits.unplugs {
            _ if self.is_broken(Part::Frontends, key.domid) => self.frontend_refuses(key),
            Unplugs::Well => self.frontend_closes(key),
            Unplugs::Late => self.guest_will(key.domid, Takes::Whim, Step::Release(key)),
            Unplugs::Refuses => self.frontend_refuses(key),
            Unplugs::Relents => {
                self.frontend_refuses(key);
                self.guest_will(key.domid, Takes::Whim, Step::Release(key));
            }
        }
    }
}
