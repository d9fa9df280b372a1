//! What an exploration is bounded to: VMs, what is asked of them, and what may go wrong.

use crate::action::Action;
use crate::canon::FIRST_DOMAIN;
use crate::fleet::{DiskShape, Guest, Shape, identities};
use crate::swarm::Swarm;
use crate::workload::Standing;
use crate::world::{Config, Pace};
use std::sync::Arc;
use xenops_core::backend::Settings;
use xenops_core::interface::Disk;
use xenops_core::interface::vm::Action as Wish;
use xenops_core::machine::Bounds;

/// Requests in flight at once that are no waits: more than any scope's VMs ever have, so that none waits for another's.
pub const WORKERS: u32 = 64;

/// An operation that can be explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// What it is called.
    pub name: &'static str,
    /// What is asked.
    pub action: Action,
    /// How the VM stands when it is asked.
    pub from: Standing,
    /// What else is asked before.
    pub before: &'static [Action],
    /// Only of a VM with a drive.
    pub drive: bool,
}

const fn op(name: &'static str, action: Action, from: Standing) -> Op {
    Op { name, action, from, before: &[], drive: false }
}

/// All of them.
pub const OPS: &[Op] = &[
    op("start", Action::VmStart, Standing::Halted),
    op("shutdown", Action::VmShutdownClean, Standing::Running),
    op("reboot", Action::VmRebootClean, Standing::Running),
    op("suspend", Action::VmSuspend, Standing::Running),
    op("resume", Action::VmResume, Standing::Suspended),
    op("shutdown-hard", Action::VmShutdownHard, Standing::Running),
    op("reboot-hard", Action::VmRebootHard, Standing::Running),
    op("pause", Action::VmPause, Standing::Running),
    op("unpause", Action::VmUnpause, Standing::Paused),
    Op { before: &[Action::VbdUnplug], ..op("vbd-plug", Action::VbdPlug, Standing::Running) },
    op("vbd-unplug", Action::VbdUnplug, Standing::Running),
    op("vbd-unplug-force", Action::VbdUnplugForce, Standing::Running),
    Op { before: &[Action::VifUnplug], ..op("vif-plug", Action::VifPlug, Standing::Running) },
    op("vif-unplug", Action::VifUnplug, Standing::Running),
    op("vif-unplug-force", Action::VifUnplugForce, Standing::Running),
    op("vif-move", Action::VifMove, Standing::Running),
    op("vif-carrier", Action::VifCarrier, Standing::Running),
    Op { drive: true, before: &[Action::VbdEject], ..op("insert", Action::VbdInsert, Standing::Running) },
    Op { drive: true, ..op("eject", Action::VbdEject, Standing::Running) },
    op("set-memory", Action::VmSetMemory, Standing::Running),
    op("set-vcpus", Action::VmSetVcpus, Standing::Running),
    op("rename", Action::VmRename, Standing::Halted),
    op("rename-running", Action::VmRename, Standing::Running),
    op("remove", Action::VmRemove, Standing::Halted),
    op("vbd-remove", Action::VbdRemove, Standing::Halted),
    op("vif-remove", Action::VifRemove, Standing::Halted),
];

impl Op {
    /// By name.
    pub fn named(name: &str) -> Option<Op> {
        OPS.iter().copied().find(|op| op.name == name)
    }

    /// What is asked to bring a VM that has no row to where it starts from.
    pub fn preparation(&self) -> Vec<Action> {
        use Action::*;
        let mut asked = vec![VmImport];
        match self.from {
            Standing::Absent => asked.clear(),
            Standing::Halted => {}
            Standing::Paused => asked.push(VmStart),
            Standing::Running => asked.extend([VmStart, VmUnpause]),
            Standing::Suspended => asked.extend([VmStart, VmUnpause, VmSuspend]),
        }
        asked.extend(self.before);
        asked
    }
}

/// What may go wrong, and how often at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// The daemon is killed, or the host reset.
    pub crashes: u8,
    /// A request does not come to what was hoped for.
    pub faults: u8,
    /// The client cancels.
    pub cancels: u8,
    /// A guest stops by itself.
    pub guests: u8,
    /// All of these together.
    pub all: u8,
}

impl Budget {
    /// Whether nothing may go wrong any more.
    pub fn is_spent(&self) -> bool {
        self.all == 0 || (self.crashes, self.faults, self.cancels, self.guests) == (0, 0, 0, 0)
    }

    /// Spent in whatever order, what is left is the same: kinds that the sum forbids count as gone.
    pub fn settled(self) -> Budget {
        if self.is_spent() { Budget::default() } else { self }
    }
}

/// A scope.
#[derive(Clone, Debug)]
pub struct Scope {
    /// VMs.
    pub vms: usize,
    /// What they are like.
    pub guest: Guest,
    /// What may be asked of each.
    pub ops: Vec<Op>,
    /// What may go wrong.
    pub budget: Budget,
    /// A daemon's crash may also be the host's.
    pub reboots: bool,
    /// Every order, also of what commutes.
    pub unreduced: bool,
}

impl Scope {
    /// As a run has it.
    pub fn swarm(&self) -> Swarm {
        let settings = Settings::default();
        Swarm {
            shapes: (0..self.vms).map(|n| shape(n as u32, self.guest)).collect(),
            clients: 1,
            operations: 0,
            workload: Default::default(),
            habits: Default::default(),
            workers: WORKERS,
            plan: Default::default(),
            settings: Arc::new(settings),
            bounds: Bounds::default(),
            host: Config { pace: Pace::Natural, stepped: true, first_domain: FIRST_DOMAIN, ..Config::default() },
            sync: 0,
            foreign: false,
            broken: 0,
            schedule: Default::default(),
            strict: false,
            calm: false,
            bystander: false,
            gazes: 0,
        }
    }
}

/// A VM with a disk and a network interface; an HVM one also has a drive.
fn shape(n: u32, guest: Guest) -> Shape {
    let hvm = guest == Guest::Hvm;
    let vm = n + 1;
    let disk = |device, backend, drive: bool| DiskShape {
        device,
        backend: Some(backend),
        writable: !drive,
        drive,
        persistent: true,
        prioritised: false,
        first: true,
    };
    let own = match guest {
        Guest::Pvh => Disk::Local(format!("/srv/vm{vm}/xvda.img")),
        _ => Disk::Vdi(format!("sr/vm{vm}")),
    };
    let mut disks = vec![disk("xvda", own, false)];
    if hvm {
        disks.push(disk("xvdd", Disk::Local("/srv/iso/a.iso".to_owned()), true));
    }
    Shape {
        ids: identities(n),
        guest,
        disks,
        nics: (1, 1),
        memory: (128, 128),
        vcpus: (1, 1),
        actions: [vec![Wish::Shutdown], vec![Wish::Shutdown], vec![Wish::Start]],
    }
}
