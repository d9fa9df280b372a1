//! What a long run must have seen happen: else the simulator has gone blind.

use std::collections::BTreeMap;

macro_rules! properties {
    ($($property:ident $name:literal),+ $(,)?) => {
        /// Something that happens sometimes.
        #[allow(missing_docs, reason = "named after what they are")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Property { $($property),+ }

        impl Property {
            /// All of them.
            pub const ALL: &[Property] = &[$(Property::$property),+];

            /// What reports call it.
            pub fn name(self) -> &'static str {
                match self { $(Property::$property => $name),+ }
            }
        }
    };
}

properties! {
    CancelLost "a cancel lost the race",
    CancelledQueued "an operation was cancelled while it waited",
    CancelledRunning "a running operation was cancelled",
    CrashInOperation "the daemon crashed within an operation",
    CrashInRecovery "the daemon crashed again before it had recovered",
    CrashAfterCommit "the daemon crashed after a point of no return",
    CrashAmidEffects "the daemon crashed between two effects of one input",
    RebootInOperation "the host was reset within an operation",
    GuestWhileDown "a guest stopped while the daemon was down",
    GuestBeforeReboot "a guest stopped while a reboot was queued",
    SuspendUndone "a suspend failed after its guest had suspended, and the guest ran on",
    SuspendedByCrash "a suspend was finished after a crash",
    PoweroffBroke "a hard power-off ended another operation",
    PoweroffFinished "a power-off was finished after a crash",
    RestartAfterCrash "a reboot was finished after a crash",
    RebootedItself "a guest rebooted itself and was started again",
    RebootHeldBack "an early reboot was held back",
    CrashSuppressed "a guest that crashed early was not started again",
    CrashPreserved "a crashed guest was kept",
    Straggler "a request ended after its deadline",
    StragglerRefused "an operation was refused because an earlier request had not ended",
    TornTail "a crash kept a beginning of the journal's tail",
    AppendLost "a crash lost an append",
    NoSpace "an operation failed for lack of space before its first effect",
    UnplugRefused "a guest refused to give up a device",
    PlugBusy "a plug was refused because another had the disk",
    FaultInRepair "a repair was hit by a fault",
    GaveUp "a VM was left alone for a while after too many repairs",
    RenamedByCrash "a rename was finished after a crash",
    RemovedByCrash "a removal was finished after a crash",
    NoMemory "a start failed for lack of memory",
    Tombstone "a daemon found the remains of a domain",
    EverythingLooked "lost notices made the daemon look at everything",
    PoolOfNone "an operation waited for a pool of none",
    BarrierReleased "a client got its barrier",
    OldNumber "a client asked for events with another daemon's number",
    Expired "a task ran out of time",
    TwoFaults "two faults struck one operation",
    DevicesTaken "somebody else took a domain's devices away, and then the domain",
    FrontEndReloaded "a guest's front ends began anew",
    FrontEndRemoved "a guest removed its end of a device",
    CrashSeenAsReboot "a guest crashed and Xen saw a reboot",
    ModelEndedEarly "a device model ended before it said that it ran",
    FullAmidSave "a save found the disk full when it wrote the guest's memory",
    LoopOfAnother "a loop device that a back end named was another's by then",
    Shuffled "what comes next was shuffled",
    Priorities "what comes next went by priorities",
    Walked "what comes next was a uniform walk",
    Starved "one of what may come next was starved",
    RestBesideBroken "vms came to rest beside one of which a part stayed broken",
    ExcusedByBroken "a vm did not come to rest while a part of it was broken",
}

impl Property {
    /// What the host counts under this name, if that is one.
    pub fn of_host(kind: &str) -> Option<Property> {
        Some(match kind {
            "front end reload" => Property::FrontEndReloaded,
            "front end removed" => Property::FrontEndRemoved,
            "crash seen as reboot" => Property::CrashSeenAsReboot,
            "early end" => Property::ModelEndedEarly,
            "full amid save" => Property::FullAmidSave,
            "loop of another" => Property::LoopOfAnother,
            _ => return None,
        })
    }
}

/// How often each happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sometimes(BTreeMap<Property, u64>);

impl Sometimes {
    /// Once more.
    pub fn hit(&mut self, property: Property) {
        *self.0.entry(property).or_default() += 1;
    }

    /// How often.
    pub fn of(&self, property: Property) -> u64 {
        self.0.get(&property).copied().unwrap_or(0)
    }

    /// Add another run's.
    pub fn merge(&mut self, other: &Sometimes) {
        for (property, count) in &other.0 {
            *self.0.entry(*property).or_default() += count;
        }
    }

    /// Those that never happened.
    pub fn missed(&self) -> Vec<Property> {
        Property::ALL.iter().copied().filter(|property| self.of(*property) == 0).collect()
    }
}
