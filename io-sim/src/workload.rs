//! What clients tend to ask for next, given what they know of a VM.

use crate::action::Action::{self, *};
use crate::world::{Choices, Concern};
use std::collections::BTreeSet;

/// What is known of a VM, as far as it makes an action sensible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The daemon has no row of it.
    Absent,
    /// No domain, no image.
    Halted,
    /// A domain that the toolstack has paused.
    Paused,
    /// A domain that may run.
    Running,
    /// No domain, an image.
    Suspended,
}

type Weighted = &'static [(u32, Action)];

const ABSENT: Weighted = &[(30, VmAdd), (4, VmImport), (4, VmImportAsync), (1, VmState)];

const HALTED: Weighted = &[
    (60, VmStart),
    (3, VbdAdd),
    (3, VbdRemove),
    (2, VifAdd),
    (2, VifRemove),
    (2, VmRemove),
    (1, VmExport),
    (1, VmImport),
    (1, VmImportAsync),
    (2, VmRename),
    (4, VmCreate),
    (1, VmAdd),
    (1, VmDelay),
    (1, VmResume),
];

const PAUSED: Weighted = &[
    (60, VmUnpause),
    (6, VmShutdownHard),
    (2, VmRebootHard),
    (2, VmBuild),
    (1, VmCreateDeviceModel),
    (2, VmDestroy),
    (2, VbdPlug),
    (2, VifPlug),
    (1, VmSetXsdata),
    (1, VmRename),
    (1, VmSuspend),
    (1, VbdUnplugForce),
    (1, VifUnplugForce),
];

const RUNNING: Weighted = &[
    (22, VmShutdownClean),
    (16, VmShutdownHard),
    (9, VmRebootClean),
    (7, VmRebootHard),
    (14, VmSuspend),
    (5, VmPause),
    (1, VmFastResume),
    (2, VmS3Suspend),
    (2, VmS3Resume),
    (2, VmDelay),
    (2, VmSetVcpus),
    (2, VmSetMemory),
    (2, VmSetShadow),
    (2, VmSetXsdata),
    (2, VmRequestRdp),
    (11, VmRunScript),
    (3, VbdPlug),
    (3, VbdUnplug),
    (2, VbdUnplugForce),
    (5, VbdInsert),
    (5, VbdEject),
    (3, VifPlug),
    (3, VifUnplug),
    (1, VifUnplugForce),
    (2, VifMove),
    (2, VifCarrier),
    (2, VifLocking),
    (2, VifTrunks),
    (2, VifIpv4),
    (2, VifIpv6),
    (1, VbdAdd),
    (1, VifAdd),
    (3, DebugReboot),
    (2, DebugHalt),
    (1, VmDestroy),
    (1, VmRename),
    (1, VmExport),
    (1, UpdatesRefresh),
];

const SUSPENDED: Weighted =
    &[(60, VmResume), (5, VmShutdownHard), (2, VmExport), (2, VmImport), (2, VmRename), (1, VmStart), (1, VmRemove)];

/// Questions, which may be asked at any time.
const QUESTIONS: &[Action] = &[
    VmStat,
    VmList,
    VbdStat,
    VbdList,
    VifStat,
    VifList,
    VmExists,
    HostStat,
    HostConsole,
    HostMemory,
    HostKeys,
    HostFeatures,
    HostCombine,
    HostCompatible,
    TaskList,
    TaskStat,
    TaskDestroy,
    TaskDestroyOnFinish,
    UpdatesGet,
    UpdatesLastId,
    UpdatesBarrier,
    UpdatesUnbarrier,
    UpdatesRefresh,
    VmExport,
    VmState,
    Query,
    Diagnostics,
];

/// How clients of a run choose. Odds say "once in so many times"; 0 is never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Anything at all, sensible or not.
    pub silly: u32,
    /// A question.
    pub curious: u32,
    /// What is never asked for in this run.
    pub muted: BTreeSet<Action>,
}

impl Workload {
    /// What is asked for next.
    pub fn next(&self, standing: Standing, choices: &mut Choices) -> Action {
        let workload = Concern::Workload;
        if choices.odds(workload, self.silly) {
            return Action::ALL[choices.choose(workload, Action::ALL.len() as u32) as usize];
        }
        if choices.odds(workload, self.curious) {
            return QUESTIONS[choices.choose(workload, QUESTIONS.len() as u32) as usize];
        }
        let table = match standing {
            Standing::Absent => ABSENT,
            Standing::Halted => HALTED,
            Standing::Paused => PAUSED,
            Standing::Running => RUNNING,
            Standing::Suspended => SUSPENDED,
        };
        let open = || table.iter().filter(|(_, action)| !self.muted.contains(action));
        let mut left = choices.choose(workload, open().map(|(weight, _)| weight).sum());
        for (weight, action) in open() {
            if left < *weight {
                return *action;
            }
            left -= weight;
        }
        table[0].1
    }

    /// Some actions are never asked for: whole kinds of use are absent from a run.
    pub fn mute(&mut self, choices: &mut Choices) {
        let ordinary = [VmAdd, VmStart, VmUnpause, VmShutdownHard, VmShutdownClean, VmResume];
        for action in Action::ALL.iter().filter(|action| !ordinary.contains(action)) {
            if choices.odds(Concern::Config, 3) {
                self.muted.insert(*action);
            }
        }
    }
}
