//! What a run is like: drawn from its seed. Whole kinds of trouble are switched off, not merely made rare.

use crate::fault::{self, Plan};
use crate::fleet::{Shape, pick};
use crate::schedule::Kind;
use crate::workload::Workload;
use crate::world::{Choices, Concern, Config, Pace};
use clap::ValueEnum;
use std::sync::Arc;
use xenops_core::backend::Settings;
use xenops_core::host::DomId;
use xenops_core::host::time::SECOND;
use xenops_core::machine::Bounds;

/// How much of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Minutes for ten thousand seeds.
    #[default]
    Ci,
    /// Longer runs.
    Nightly,
    /// Nothing goes wrong, and nobody is in anybody's way: one client asks for one thing after the other of one VM.
    Calm,
    /// Nothing goes wrong, but things meet: clients do not wait for each other, cancel and hang up, guests stop.
    Races,
    /// One thing goes wrong.
    Single,
    /// Anything goes wrong, more of it than in other runs, and more is asked of the machine: rules about how long things take,
    /// what is shown meanwhile and what waits for what, which know nothing yet of schedulers and of what stays broken.
    Strict,
}

impl Profile {
    /// What command lines call it.
    pub fn name(self) -> String {
        self.to_possible_value().expect("none is skipped").get_name().to_owned()
    }
}

/// One run's configuration.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Its VMs.
    pub shapes: Vec<Shape>,
    /// How many clients there are beside the one that watches.
    pub clients: u32,
    /// How many operations they ask for in all.
    pub operations: u32,
    /// What they ask for.
    pub workload: Workload,
    /// How they behave.
    pub habits: Habits,
    /// The worker pool.
    pub workers: u32,
    /// What the simulator makes go wrong.
    pub plan: Plan,
    /// What the host is like, and what goes wrong on it.
    pub host: Config,
    /// The daemon's time-outs.
    pub settings: Arc<Settings>,
    /// The daemon's bounds.
    pub bounds: Bounds,
    /// The journal's sync, in nanoseconds.
    pub sync: u64,
    /// A domain that is not the daemon's stands on the host.
    pub foreign: bool,
    /// Parts that stay broken at its end.
    pub broken: u32,
    /// All rules hold, those too that know nothing of schedulers and of what stays broken: there is none of that.
    pub strict: bool,
    /// What comes first of what may.
    pub schedule: Kind,
    /// What is asked for, and can be done, goes well.
    pub calm: bool,
    /// There is a VM of which nothing is ever asked.
    pub bystander: bool,
    /// How often somebody asks, all the time, how VMs stand.
    pub gazes: u32,
}

/// How clients behave. Odds say "once in so many times"; 0 is never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Does not wait for what it asked for.
    pub hasty: u32,
    /// Cancels what it asked for.
    pub cancels: u32,
    /// Sets a cancel trigger before it asks.
    pub triggers: u32,
    /// Hangs up.
    pub hangs_up: u32,
    /// Leaves tasks that have ended.
    pub litters: u32,
    /// Pauses long between two operations.
    pub sleeps: u32,
    /// The watching client keeps a view of all VMs by what it is told of.
    pub mirrors: bool,
}

impl Swarm {
    /// Draw one.
    pub fn draw(choices: &mut Choices, profile: Profile) -> Swarm {
        let config = Concern::Config;
        let vms = 1 + pick(choices, config, &[0, 0, 1, 1, 2, 3]);
        let shapes: Vec<Shape> = (0..vms).map(|n| Shape::draw(n, choices)).collect();
        let length = pick(choices, config, &[50, 30, 80, 120]);
        let operations = if profile == Profile::Nightly { length * 8 } else { length };
        let mut workload = Workload {
            silly: pick(choices, config, &[0, 40, 10, 4]),
            curious: pick(choices, config, &[0, 20, 6]),
            ..Workload::default()
        };
        if choices.odds(config, 2) {
            workload.mute(choices);
        }
        let habits = Habits {
            hasty: pick(choices, config, &[0, 10, 3]),
            cancels: pick(choices, config, &[0, 12, 5]),
            triggers: pick(choices, config, &[0, 12, 6]),
            hangs_up: pick(choices, config, &[0, 40, 15]),
            litters: pick(choices, config, &[0, 3]),
            sleeps: pick(choices, config, &[8, 0, 3]),
            mirrors: choices.odds(config, 4),
        };
        let schedule = Kind::draw(choices);
        let mut swarm = Swarm {
            schedule,
            host: Config { stepped: schedule != Kind::Random, ..host(choices, &shapes) },
            clients: 1 + pick(choices, config, &[0, 1, 2]),
            operations,
            workload,
            habits,
            workers: pick(choices, config, &[4, 1, 2, 16]),
            plan: Plan::draw(choices, operations * 45),
            settings: settings(choices),
            bounds: bounds(choices),
            sync: pick(choices, config, &[0, 100_000, 5_000_000]),
            foreign: choices.odds(config, 2),
            broken: pick(choices, config, &[0, 0, 1, 1, 2]),
            strict: !matches!(profile, Profile::Ci | Profile::Nightly),
            calm: profile == Profile::Calm,
            bystander: false,
            gazes: 0,
            shapes,
        };
        if swarm.strict {
            (swarm.schedule, swarm.host.stepped, swarm.broken) = (Kind::Random, false, 0);
            swarm.plan.draw_later(choices, operations * 45);
            swarm.bystander = choices.choose(config, 4) == 1;
            if choices.choose(config, 4) == 1 {
                swarm.host.domain_numbers = swarm.shapes.len() as DomId + 4;
            }
            swarm.gazes = pick(choices, config, &[0, 2000, 0, 0]);
        }
        match profile {
            Profile::Calm => swarm.calms(),
            Profile::Races => swarm.races(),
            Profile::Single => {
                swarm.host = well(swarm.host);
                swarm.plan.0.truncate(1);
            }
            Profile::Ci | Profile::Nightly | Profile::Strict => {}
        }
        swarm
    }

    /// Its host does not always do what is asked of it.
    pub fn is_odd(&self) -> bool {
        (self.host.odd_requests, self.host.odd_processes, self.host.untold_ends) != (0, 0, 0)
    }

    fn calms(&mut self) {
        let Habits { litters, sleeps, mirrors, .. } = self.habits;
        self.habits = Habits { litters, sleeps, mirrors, ..Habits::default() };
        self.shapes.truncate(1);
        (self.clients, self.workload.silly, self.broken) = (1, 0, 0);
        self.schedule = Kind::Random;
        self.plan.0.clear();
        self.host = Config { odd_guests: 0, stepped: false, ..well(self.host.clone()) };
        if self.host.pace == Pace::Drawn {
            self.host.pace = Pace::Natural;
        }
        self.settings = Arc::new(Settings::default());
        self.bounds = Bounds::default();
    }

    fn races(&mut self) {
        (self.clients, self.broken) = (self.clients.max(2), 0);
        self.plan.0.retain(|planned| planned.kind == fault::Kind::GuestStops);
        self.host = well(self.host.clone());
        self.settings = Arc::new(Settings::default());
    }
}

/// A host that has what is asked of it, and does it.
fn well(host: Config) -> Config {
    Config { memory: AMPLE, odd_requests: 0, odd_processes: 0, untold_ends: 0, loop_takers: 0, ..host }
}

/// KiB of a host that never runs short of memory.
const AMPLE: u64 = 64 * 1024 * 1024;

fn host(choices: &mut Choices, shapes: &[Shape]) -> Config {
    let config = Concern::Config;
    let wanted: u64 = shapes.iter().map(|shape| shape.memory.0 as u64 * 1024).sum();
    Config {
        memory: pick(choices, config, &[AMPLE, AMPLE, AMPLE, wanted * 5 / 4, wanted * 3 / 4]),
        pace: pick(choices, config, &[Pace::Instant, Pace::Drawn, Pace::Natural, Pace::Drawn]),
        odd_requests: pick(choices, config, &[0, 0, 0, 1500, 300]),
        odd_processes: pick(choices, config, &[0, 0, 200, 40]),
        odd_guests: pick(choices, config, &[0, 0, 30, 8]),
        hooks: hooks(choices),
        untold_ends: pick(choices, config, &[0, 0, 0, 6]),
        loop_takers: pick(choices, config, &[0, 0, 2]),
        ..Config::default()
    }
}

const HOOKS: [&str; 7] = [
    "vm-pre-shutdown",
    "vm-post-destroy",
    "vm-pre-suspend",
    "vm-pre-start",
    "vm-pre-reboot",
    "vm-pre-resume",
    "vm-post-resume",
];

fn hooks(choices: &mut Choices) -> Vec<(String, Vec<String>)> {
    if !choices.odds(Concern::Config, 3) {
        return Vec::new();
    }
    let chosen = HOOKS.iter().filter(|_| choices.odds(Concern::Config, 3));
    chosen.map(|hook| ((*hook).to_owned(), vec!["10-first".to_owned(), "20-second".to_owned()])).collect()
}

fn settings(choices: &mut Choices) -> Arc<Settings> {
    let mut settings = Settings::default();
    if choices.odds(Concern::Config, 3) {
        settings.hotplug_timeout = 10 * SECOND;
        settings.qemu_dm_ready_timeout = 10 * SECOND;
        settings.vm_suspend_timeout = 60 * SECOND;
        settings.hook_timeout = 20 * SECOND;
        settings.additional_ballooning_timeout = 10 * SECOND;
    }
    if choices.odds(Concern::Config, 3) {
        settings.minimum_reboot_delay = 2 * SECOND;
    }
    Arc::new(settings)
}

fn bounds(choices: &mut Choices) -> Bounds {
    let mut bounds = Bounds { finished_tasks: 64, ..Bounds::default() };
    if choices.odds(Concern::Config, 6) {
        bounds.queued = 3;
        bounds.finished_tasks = 8;
        bounds.barriers = 2;
        bounds.open_calls = 12;
    }
    bounds
}
