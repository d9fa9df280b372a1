//! What goes wrong on purpose, when, and how often it did.

use crate::fleet::pick;
use crate::world::{Choices, Concern};
use std::collections::BTreeMap;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal),+ $(,)?) => {
        /// A kind of fault that the simulator itself brings about; hosts have more of their own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $kind),+ }

        impl Kind {
            /// All of them.
            pub const ALL: &[Kind] = &[$(Kind::$kind),+];

            /// What reports call it.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name),+ }
            }
        }
    };
}

kinds! {
    /// The daemon is killed: between any two inputs, and between any two effects of one input.
    DaemonCrash "daemon crash",
    /// The host is reset.
    HostReboot "host reboot",
    /// Some request does not come to what was hoped for.
    OddRequest "odd request",
    /// A step of a script, a helper or QEMU goes wrong.
    OddProcess "odd process",
    /// Watches were lost; the driver says so with `Everything`.
    LostNotices "lost notices",
    /// A notice comes twice.
    RepeatedNotice "repeated notice",
    /// No space on the disk for a while.
    DiskFull "disk full",
    /// The journal's disk takes longer than the machine waits.
    SlowDisk "slow disk",
    /// A guest stops by itself, at any moment.
    GuestStops "guest event",
    /// Somebody else destroys a domain, as `xl destroy` does.
    Destroyed "external destroy",
    /// Somebody sets the host's clock.
    ClockJump "clock jump",
    /// The worker pool is resized, perhaps to nothing, and back.
    Resize "worker resize",
    /// A storage call hangs for longer than anybody would wait.
    StuckStorage "stuck storage",
    /// Somebody writes a word into `action-request` that nobody knows.
    OddWord "odd word",
    /// While no daemon is there somebody makes another domain under a VM's name.
    Twin "twin domain",
    /// While no daemon is there a VM's row is damaged; later it is restored.
    Damage "damaged record",
    /// Watches are lost for long.
    LongDeaf "notices lost for long",
    /// Somebody destroys a domain, and nothing else of it.
    BareDestroy "bare destroy",
}

/// The kinds from this one on came later: runs that have none of them are as they were before.
const LATER: usize = Kind::StuckStorage as usize;

impl Kind {
    /// What happens, for somebody who is told of it.
    pub fn told(self) -> &'static str {
        match self {
            Kind::DaemonCrash => "the daemon is killed",
            Kind::HostReboot => "the host is reset",
            Kind::OddRequest => "a request does not come to what was hoped for",
            Kind::OddProcess => "a process does not do what it should",
            Kind::LostNotices => "notices are lost for a while",
            Kind::RepeatedNotice => "the next notice comes twice",
            Kind::DiskFull => "the daemon's disk is full for a while",
            Kind::SlowDisk => "the daemon's disk takes longer than the machine waits",
            Kind::GuestStops => "a guest stops by itself",
            Kind::Destroyed => "somebody else destroys a domain",
            Kind::ClockJump => "somebody sets the host's clock",
            Kind::Resize => "somebody resizes the worker pool",
            Kind::StuckStorage => "a storage call hangs",
            Kind::OddWord => "somebody writes an action-request that is no word",
            Kind::Twin => "somebody makes another domain under a VM's name",
            Kind::Damage => "a record is damaged while no daemon is there",
            Kind::LongDeaf => "notices are lost for long",
            Kind::BareDestroy => "somebody else destroys a domain and nothing that belongs to it",
        }
    }
}

/// One fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// After so many inputs.
    pub at: u64,
    /// What.
    pub kind: Kind,
}

/// The faults of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(pub Vec<Planned>);

impl Plan {
    /// Draw up to `most` of the kinds that this run has, within so many inputs.
    pub fn draw(choices: &mut Choices, horizon: u32) -> Plan {
        let kinds: Vec<Kind> =
            Kind::ALL[..LATER].iter().copied().filter(|_| choices.choose(Concern::Config, 4) != 1).collect();
        let count = pick(choices, Concern::Fault, &[0, 2, 3, 5, 7, 11, 4, 3]);
        let mut plan = Vec::new();
        if kinds.is_empty() {
            return Plan(plan);
        }
        for _ in 0..count {
            let kind = pick(choices, Concern::Fault, &kinds);
            let at = u64::from(choices.choose(Concern::Fault, horizon));
            plan.push(Planned { at, kind });
            // Trouble seldom comes alone: what recovers is hit again.
            if matches!(kind, Kind::DaemonCrash | Kind::HostReboot) && choices.odds(Concern::Fault, 3) {
                let again = pick(choices, Concern::Fault, &[Kind::DaemonCrash, Kind::OddRequest, Kind::GuestStops]);
                plan.push(Planned { at: at + 1 + u64::from(choices.choose(Concern::Fault, 60)), kind: again });
            }
        }
        plan.sort_by_key(|planned| std::cmp::Reverse(planned.at));
        Plan(plan)
    }

    /// Some runs have faults of the kinds that came later.
    pub fn draw_later(&mut self, choices: &mut Choices, horizon: u32) {
        if choices.choose(Concern::Config, 4) != 1 {
            return;
        }
        for _ in 0..1 + choices.choose(Concern::Config, 5) {
            let kind = pick(choices, Concern::Config, &Kind::ALL[LATER..]);
            self.0.push(Planned { at: u64::from(choices.choose(Concern::Config, horizon)), kind });
        }
        self.0.sort_by_key(|planned| std::cmp::Reverse(planned.at));
    }

    /// One whose moment had come and was none.
    pub fn postpone(&mut self, planned: Planned) {
        self.0.push(planned);
        self.0.sort_by_key(|planned| std::cmp::Reverse(planned.at));
    }

    /// The next fault, if its moment has come.
    pub fn due(&mut self, inputs: u64) -> Option<Kind> {
        if self.0.last()?.at > inputs {
            return None;
        }
        self.0.pop().map(|planned| planned.kind)
    }
}

/// How often each kind of fault happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Struck(BTreeMap<&'static str, u64>);

impl Struck {
    /// One more.
    pub fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// So many more.
    pub fn add(&mut self, kind: &'static str, by: u64) {
        *self.0.entry(kind).or_default() += by;
    }

    /// By kind.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }

    /// How often one kind did.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0.get(kind.name()).copied().unwrap_or(0)
    }

    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}
