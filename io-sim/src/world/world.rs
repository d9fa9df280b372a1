//! The simulated host as a whole: what it is now, and how time passes on it.

use super::broken::Broken;
use super::choice::{Choices, Concern};
use super::config::Config;
use super::console::Console;
use super::device::Devices;
use super::disk::Files;
use super::effect::Flight;
use super::event::{Event, Moment, Queue};
use super::facts;
use super::hypervisor::Hypervisor;
use super::image::{Image, Images};
use super::lineage::{Breach, Lineages};
use super::network::Nics;
use super::pace::Takes;
use super::path;
use super::process::Processes;
use super::script::Attachments;
use super::storage::Storage;
use super::tally::Tally;
use super::tree::Interest;
use super::xenstore::Store;
use crate::shared::Shared;
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;
use std::sync::Arc;
use xenops_core::host::hash::Fingerprint;
use xenops_core::host::time::SECOND;
use xenops_core::host::{DomId, Exit, HostFacts, Now, Outcome, Token};
use xenops_core::interface::{Disk, Host};
use xenops_core::machine::EffectId;

/// How long a script that a killed daemon has left may still take, when the next daemon starts.
const SCRIPT_GRACE: u64 = 10 * SECOND;

/// How often a daemon counts domains and, where it waits for one, looks at it.
const CENSUS: u64 = 5 * SECOND;

/// A host. It moves only when it is told to: by a request, or by being run until a moment.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) config: Shared<Config>,
    pub(super) choices: Choices,
    pub(super) now: Now,
    pub(super) store: Shared<Store>,
    pub(super) hypervisor: Shared<Hypervisor>,
    pub(super) devices: Shared<Devices>,
    pub(super) nics: Shared<Nics>,
    pub(super) processes: Shared<Processes>,
    pub(super) attachments: Shared<Attachments>,
    pub(super) storage: Shared<Storage>,
    pub(super) images: Shared<Images>,
    pub(super) disk: Shared<Files>,
    pub(super) lineages: Shared<Lineages>,
    pub(super) flights: BTreeMap<u64, Flight>,
    pub(super) queue: Queue,
    pub(super) outcomes: VecDeque<(EffectId, Outcome)>,
    pub(super) notices: Vec<Token>,
    coming: Vec<Token>,
    /// Waits that ask about a domain of whose end nobody has told.
    untold: Vec<u64>,
    pub(super) strays: Vec<DomId>,
    pub(super) woken: Vec<u64>,
    pub(super) broken: Vec<Broken>,
    pub(super) tally: Shared<Tally>,
    pub(super) host: Arc<Host>,
    facts: Arc<HostFacts>,
    trace: Fingerprint,
}

impl World {
    /// A host that has just been started for the first time, with nothing on it.
    pub fn new(config: Config, choices: Choices) -> World {
        let mut world = World {
            choices,
            now: Now { boot: 1, mono: 0, wall: config.wall },
            store: Shared::new(Store::new()),
            hypervisor: Shared::new(Hypervisor::new(
                config.memory,
                config.cpus,
                config.first_domain,
                config.domain_numbers,
            )),
            devices: Shared::default(),
            nics: Shared::default(),
            processes: Shared::default(),
            attachments: Shared::default(),
            storage: Shared::default(),
            images: Shared::default(),
            disk: Shared::default(),
            lineages: Shared::default(),
            flights: BTreeMap::new(),
            queue: Queue::default(),
            outcomes: VecDeque::new(),
            notices: Vec::new(),
            coming: Vec::new(),
            untold: Vec::new(),
            strays: Vec::new(),
            woken: Vec::new(),
            broken: Vec::new(),
            tally: Shared::default(),
            host: Arc::new(facts::host(&config)),
            facts: Arc::new(facts::facts(&config)),
            trace: Fingerprint::new(),
            config: Shared::new(config),
        };
        world.boots();
        world
    }

    /// What dom0 has in xenstore before any toolstack runs.
    fn boots(&mut self) {
        for (path, value) in [
            ("/tool/xenstored", ""),
            ("/local/domain/0/domid", "0"),
            ("/local/domain/0/name", "Domain-0"),
            ("/local/domain/0/control/feature-poweroff", "1"),
        ] {
            self.store.write(path, value.to_owned());
        }
        self.store.raised.clear();
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.now
    }

    /// What it is like.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// For changing what goes wrong from now on.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Where its choices come from.
    pub fn choices(&mut self) -> &mut Choices {
        &mut self.choices
    }

    /// For the daemon, at its start.
    pub fn facts(&self) -> Arc<HostFacts> {
        self.facts.clone()
    }

    /// xenstore.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The hypervisor.
    pub fn hypervisor(&self) -> &Hypervisor {
        &self.hypervisor
    }

    /// Split devices.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Network interfaces.
    pub fn nics(&self) -> &Nics {
        &self.nics
    }

    /// For taking bridges away.
    pub fn nics_mut(&mut self) -> &mut Nics {
        &mut self.nics
    }

    /// Processes.
    pub fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Loop devices.
    pub fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    /// Datapaths.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// For taking disks away.
    pub fn storage_mut(&mut self) -> &mut Storage {
        &mut self.storage
    }

    /// Suspend images.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// Dom0's files.
    pub fn disk(&self) -> &Files {
        &self.disk
    }

    /// For filling the disk, and for taking files away.
    pub fn disk_mut(&mut self) -> &mut Files {
        &mut self.disk
    }

    /// Who ran when.
    pub fn lineages(&self) -> &Lineages {
        &self.lineages
    }

    /// Whether the image at a place is the last state of its guest, which runs nowhere.
    pub fn is_latest(&self, disk: &Disk) -> bool {
        let Some(saved) = self.images.get(disk).and_then(Image::memory) else { return false };
        let last = self.lineages.runs(saved.lineage).last();
        last.is_some_and(|run| run.generation == saved.generation && run.until.is_some())
    }

    /// What must never happen, and has.
    pub fn breaches(&self) -> &[Breach] {
        self.lineages.breaches()
    }

    /// What went wrong, and how often.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A guest's console.
    pub fn console(&self, domid: DomId) -> Option<&Console> {
        Some(&self.hypervisor.get(domid)?.guest.console)
    }

    /// A hash of everything that has happened.
    pub fn trace(&self) -> u64 {
        let mut trace = self.trace;
        trace.write_u64(self.store.trace());
        trace.finish()
    }

    /// When something will happen by itself next, in monotonic nanoseconds.
    pub fn next_event(&self) -> Option<u64> {
        self.queue.first()
    }

    /// Let time pass, and let happen what happens.
    pub fn run_until(&mut self, mono: u64) {
        while let Some(at) = self.queue.first().filter(|at| *at <= mono) {
            self.pass(at);
            self.settle();
        }
        self.pass(mono);
    }

    fn pass(&mut self, mono: u64) {
        let passed = mono.saturating_sub(self.now.mono);
        self.now.mono += passed;
        self.now.wall += passed;
    }

    /// Somebody sets the host's clock, by so many nanoseconds.
    pub fn set_clock(&mut self, by: i64) {
        self.now.wall = self.now.wall.saturating_add_signed(by);
    }

    /// The next notice, if there is one.
    pub fn take_notice(&mut self) -> Option<Token> {
        if self.notices.is_empty() { None } else { Some(self.notices.remove(0)) }
    }

    /// All notices, in their order.
    pub fn notices(&self) -> &[Token] {
        &self.notices
    }

    /// This notice is taken before others.
    pub fn take_notice_of(&mut self, token: Token) {
        self.notices.retain(|other| *other != token);
    }

    /// What is due happens; who waited for it is told.
    pub(super) fn settle(&mut self) {
        loop {
            if !self.store.raised.is_empty() {
                for interest in std::mem::take(&mut self.store.raised) {
                    match interest {
                        Interest::Token(token) => self.notice(token),
                        Interest::Wait(effect) => self.woken.push(effect),
                    }
                }
            }
            for effect in std::mem::take(&mut self.woken) {
                self.wait_looks(effect);
            }
            match self.queue.pop(self.now.mono) {
                Some((_, event)) => self.happens(event),
                None if self.store.raised.is_empty() && self.woken.is_empty() => return,
                None => {}
            }
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Effect(effect) => self.effect_is_due(effect),
            Event::Backend(key) => self.backend_steps(key),
            Event::Frontend(key) => self.frontend_steps(key),
            Event::Process(pid) => self.process_steps(pid),
            Event::End(pid) => self.exits(pid, Exit::Signal(15)),
            Event::Guest(domid, step) => self.guest_steps(domid, step),
            Event::Leave(domid) => self.domain_leaves(domid),
            Event::Scrubbed(kib) => {
                self.hypervisor.scrubbed(kib);
                self.memory_changed();
            }
            Event::Console(domid) => self.console_daemon_attaches(domid),
            Event::Notice(token) => self.notice_arrives(token),
            Event::Census => {
                self.woken.append(&mut self.untold);
                self.notice_domains();
            }
        }
    }

    /// Something will happen after a while.
    pub(super) fn later(&mut self, takes: Takes, event: Event) -> Moment {
        let after = self.draw(takes);
        self.queue.push(self.now.mono + after, event)
    }

    pub(super) fn draw(&mut self, takes: Takes) -> u64 {
        if takes == Takes::Request && self.config.stepped {
            return 0;
        }
        self.config.pace.draw(takes, &mut self.choices)
    }

    /// Which of these things goes wrong now, if any.
    pub(super) fn mishap(&mut self, kinds: &[&'static str]) -> Option<&'static str> {
        if !self.choices.odds(Concern::Fault, self.config.odd_processes) {
            return None;
        }
        let kind = kinds[self.choices.choose(Concern::Fault, kinds.len() as u32) as usize];
        // How a process fails depends on what it is.
        self.tally.count(if matches!(kind, "dies" | "hangs") { kind } else { "fails" });
        Some(kind)
    }

    /// Dom0 writes, and whoever watches reacts.
    pub(super) fn put(&mut self, path: &str, value: &str) {
        self.store.write(path, value.to_owned());
        self.written(path);
    }

    pub(super) fn written(&mut self, path: &str) {
        if let Some(place) = path::written(path) {
            self.react(place);
        }
    }

    /// The daemon is told soon; what changes until then needs no telling again.
    fn notice(&mut self, token: Token) {
        if self.notices.contains(&token) || self.coming.contains(&token) {
            return;
        }
        match self.draw(Takes::Request) {
            0 => self.notices.push(token),
            after => {
                self.coming.push(token);
                self.queue.push(self.now.mono + after, Event::Notice(token));
            }
        }
    }

    fn notice_arrives(&mut self, token: Token) {
        self.coming.retain(|other| *other != token);
        if !self.notices.contains(&token) {
            self.notices.push(token);
        }
    }

    fn forget_notices(&mut self) {
        self.notices.clear();
        for token in std::mem::take(&mut self.coming) {
            self.queue.cancel_notice(token);
        }
    }

    /// Domains have appeared, stopped or gone.
    pub(super) fn notice_domains(&mut self) {
        self.notice(Token::DOMAINS);
    }

    /// A domain has stopped or left. Xen tells xenstored and xenstored everybody, but oxenstored of Xen 4.17 may miss one:
    /// then who waits for it, and who should be told, learns of it when domains are counted.
    pub(super) fn domain_ended(&mut self, waits: &[u64]) {
        if self.choices.odds(Concern::Fault, self.config.untold_ends) {
            self.tally.count("untold end");
            self.untold.extend_from_slice(waits);
            self.queue.push(self.now.mono + CENSUS, Event::Census);
        } else {
            self.woken.extend_from_slice(waits);
            self.notice_domains();
        }
    }

    /// Waits that ask about a domain look again.
    pub(super) fn domain_changed(&mut self, domid: DomId) {
        if let Some(domain) = self.hypervisor.get(domid) {
            self.woken.extend_from_slice(&domain.waits);
        }
    }

    /// Waits for free memory look again.
    pub(super) fn memory_changed(&mut self) {
        self.woken.extend_from_slice(&self.hypervisor.waits);
    }

    /// Something happened that the trace must tell apart.
    pub(super) fn note(&mut self, what: u8, a: u64, b: u64) {
        self.trace.write_u64(self.now.mono ^ u64::from(what) << 56);
        self.trace.write_u64(a);
        self.trace.write_u64(b);
    }

    /// The daemon is killed. What kernel, guests and its device models do goes on, and so may its scripts.
    pub fn daemon_crash(&mut self) {
        self.cut_off_effects();
        self.hypervisor.forget_leaving();
        self.processes.orphan();
        let orphans: Vec<(u32, bool)> = self
            .processes
            .iter()
            .filter(|process| !process.spawn.role.outlives_daemon())
            .map(|process| (process.pid, process.next.is_some()))
            .collect();
        for (pid, busy) in orphans {
            // Who does not read or hang notices only after his next step, if ever, that nobody listens any more.
            if !busy || self.choices.choose(Concern::Fault, 2) == 1 {
                self.exits(pid, Exit::Signal(13));
            }
        }
        self.untold.clear();
        self.store.unwatch_all();
        self.images.close_all();
        self.settle();
        self.outcomes.clear();
        self.forget_notices();
        self.note(12, 0, 0);
    }

    /// A daemon starts. Of the processes of the one before that do not outlive it, scripts have their time to come to
    /// their end, and what is there then is killed: nobody changes anything behind the new daemon's back.
    pub fn daemon_starts(&mut self) {
        let until = self.now().mono.saturating_add(SCRIPT_GRACE);
        while let Some(next) = self.next_event().filter(|next| *next <= until)
            && self.processes.iter().any(|process| process.is_orphan() && process.spawn.role.is_script())
        {
            self.run_until(next);
        }
        let orphans = self.processes.iter().filter(|process| process.is_orphan()).map(|process| process.pid);
        for pid in orphans.collect::<Vec<_>>() {
            self.exits(pid, Exit::Signal(9));
        }
        self.settle();
    }

    /// The host is reset: what is not on disk is gone, and some of what was not synced.
    pub fn host_reboot(&mut self) {
        self.lineages.end_all(self.now.mono);
        for (_, domain) in self.hypervisor.iter() {
            if let Some(lineage) = domain.guest.lineage {
                self.lineages.dropped(lineage);
            }
        }
        self.flights.clear();
        self.queue.clear();
        self.outcomes.clear();
        self.forget_notices();
        self.woken.clear();
        self.untold.clear();
        self.strays.clear();
        self.trace.write_u64(self.store.trace());
        self.store = Shared::new(Store::new());
        self.hypervisor = Shared::new(Hypervisor::new(
            self.config.memory,
            self.config.cpus,
            self.config.first_domain,
            self.config.domain_numbers,
        ));
        self.devices = Shared::default();
        self.nics.clear();
        self.processes = Shared::default();
        self.attachments = Shared::default();
        self.storage.reboot();
        self.images.close_all();
        let choices = &mut self.choices;
        self.images.lose_unsynced(&mut self.lineages, |n| choices.choose(Concern::Fault, n));
        self.disk.reboot(self.config.records_outlive_boot);
        self.now = Now { boot: self.now.boot + 1, mono: 0, wall: self.now.wall };
        self.note(13, self.now.boot, 0);
        self.boots();
    }
}
