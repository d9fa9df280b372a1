//! The list of mutants: what each stands for and what it breaks.

macro_rules! mutants {
    ($($mutant:ident $name:literal of $of:literal: $breaks:literal
        $(again: $again:literal)?;)+) => {
        /// A breakage of one line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $breaks] $mutant,)+
        }

        /// All of them, the canary first.
        pub const ALL: &[Mutant] = &[$(Mutant::$mutant),+];

        impl Mutant {
            /// Its name on a command line.
            pub fn name(self) -> &'static str {
                match self { $(Mutant::$mutant => $name,)+ }
            }

            /// The law of the design, the hazard (H) or the property (S, L) that it stands for.
            pub fn of(self) -> &'static str {
                match self { $(Mutant::$mutant => $of,)+ }
            }

            /// What it breaks.
            pub fn breaks(self) -> &'static str {
                match self { $(Mutant::$mutant => $breaks,)+ }
            }

            /// What a second crash, in the recovery from the first, has to do with it, where nothing else can kill it.
            pub fn again(self) -> Option<&'static str> {
                match self { $(Mutant::$mutant => [$($again,)? ""].first().copied().filter(|why| !why.is_empty()),)+ }
            }

            /// The one with that name.
            pub fn named(name: &str) -> Option<Mutant> {
                ALL.iter().copied().find(|mutant| mutant.name() == name)
            }
        }
    };
}

mutants! {
    Canary "canary" of "all": "a domain that is torn down is never destroyed";
    ExtraDroppedFirst "extra-dropped-first" of "H3": "VmExtra goes before the domain that it tells of";
    CleanupUnshielded "cleanup-unshielded" of "law 9": "a cancellation reaches what cleans up after it: it is not sent through the shielded host";
    LoopFreedTwice "loop-freed-twice" of "H4": "a disk's loop device is freed though it is another's by now";
    NoticeClearedAtEnd "notice-cleared-at-end" of "law 5": "the notice bit is cleared when a look ends, not when it starts";
    ChildNotJoined "child-not-joined" of "law 6": "a parallel parent does not join its last child";
    IntentDeletedEarly "intent-deleted-early" of "law 8": "the intent goes before the last effect of its operation";
    UuidFromAddress "uuid-from-address" of "law 1": "an identity depends on where in memory the machine lies";
    StragglerForgotten "straggler-forgotten" of "law 3": "a request that has had its time counts as one that has ended";
    StragglerForEver "straggler-for-ever" of "law 2": "the notice of a straggler's end is not taken";
    UnknownIsRefused "unknown-is-refused" of "law 3": "a procedure takes an unknown outcome for a refusal";
    RepairUnderStraggler "repair-under-straggler" of "law 3": "a repair starts a domain while a straggler may hold its disks";
    StartUnderStraggler "start-under-straggler" of "law 3": "an operation starts a domain while a straggler may hold its disks";
    NoLookAfter "no-look-after" of "law 4": "nobody looks after an operation: what was seen before it is believed";
    FailedRebootStarts "failed-reboot-starts" of "law 4": "a reboot that has failed is tried again for ever";
    RebootAfterBoot "reboot-after-boot" of "law 4": "an intent of before the host's reboot starts its VM";
    IntentStays "intent-stays" of "law 4": "an intent whose deletion was refused is taken for deleted";
    LostNoticesForgotten "lost-notices-forgotten" of "H20": "no look when notices may have been lost";
    GoneNotNoticed "gone-not-noticed" of "law 5": "a domain that has left the list is not looked for";
    LastComesFirst "last-comes-first" of "law 6": "of what waits on a VM the last begins first";
    SeriesGoesOn "series-goes-on" of "S8": "a series goes on when one of its steps has failed";
    GroupFailureLost "group-failure-lost" of "law 6": "a parallel parent forgets the failures of its children";
    WorkerLeaked "worker-leaked" of "law 7": "a request that fails keeps its worker";
    WaitsTakeWorkers "waits-take-workers" of "law 7": "a wait takes a worker";
    NoReserve "no-reserve" of "law 7": "clean-up, looks and hard power-offs draw on the pool";
    EmptyPoolAdmits "empty-pool-admits" of "H66": "a pool of none admits new work";
    PoolUnbounded "pool-unbounded" of "S35": "the pool has no limit";
    RecordAfterDomain "record-after-domain" of "law 8": "VmExtra is written after its domain is made";
    NoSpaceIgnored "no-space-ignored" of "H69": "an operation begins though its intent could not be written";
    UnsureForgotten "unsure-forgotten" of "law 8": "a record of which nobody knows how it stands on disk is not written again";
    RowNotDurable "row-not-durable" of "law 8": "a row that could not be written is acknowledged";
    IntentDeletedAtCommit "intent-deleted-at-commit" of "law 8": "the point of no return deletes the intent instead of marking it";
    CancelReachesCleanup "cancel-reaches-cleanup" of "law 9": "a cancelled operation's shielded requests are refused too";
    NoTombstone "no-tombstone" of "law 10": "a domain keeps its name while it is torn down";
    ReusedNumberTouched "reused-number-touched" of "law 10": "a domain that has an old one's number is torn down for it";
    ImageNotForgotten "image-not-forgotten" of "law 10": "a resumed guest's image may be resumed once more";
    UnrecordedDestroyed "unrecorded-destroyed" of "law 10": "a complete domain without record is destroyed";
    DuplicateStays "duplicate-stays" of "H37": "what stands beside a VM's domain stays";
    PoweroffWaits "poweroff-waits" of "law 11": "a hard power-off waits for what runs";
    TaskExpiresEarly "task-expires-early" of "H65": "a task has no time for its steps";
    CancelWithoutAbort "cancel-without-abort" of "law 11": "a cancellation does not abort what is in flight";
    StatFromOldLook "stat-from-old-look" of "law 12": "VM.stat answers from the last look though a bit is set";
    GlanceJoined "glance-joined" of "law 12": "who asks joins a look that began before";
    AsideUsed "aside-used" of "law 13": "a VM whose records cannot be used is operated on";
    AsideRepaired "aside-repaired" of "law 13": "a VM whose records cannot be used is brought to where they say";
    FragmentKept "fragment-kept" of "H1": "a domain that is not complete counts as one that is";
    NoMark "no-mark" of "H2": "a new domain carries no mark that it is not complete";
    HalfDestroyedForgotten "half-destroyed-forgotten" of "H4": "what is left of a destroyed domain is not looked for";
    StaleRecordKept "stale-record-kept" of "H5": "VmExtra without domain and image stays";
    FlagsKept "flags-kept" of "H6": "a halted VM's active flags stay";
    EpochLeftOpen "epoch-left-open" of "H6": "cleaning ends no epoch";
    DatapathLeft "datapath-left" of "H7": "the storage is not told that a domain is gone";
    EmulatorLeft "emulator-left" of "H9": "QEMU is not stopped with its domain";
    BuildNotRecorded "build-not-recorded" of "H11": "a built domain is not on record as built";
    OldNameStays "old-name-stays" of "H12": "a rename leaves the old name's rows";
    RenameOverAnother "rename-over-another" of "H12": "a rename does not ask whether its target is taken";
    OldNumberDeaf "old-number-deaf" of "H14": "who asks for events after a number of an earlier daemon hears nothing";
    WallClockBelieved "wall-clock-believed" of "H16": "how long a guest ran is asked of the wall clock";
    HaltedObeysList "halted-obeys-list" of "H21": "a halted VM is started because its on_shutdown says so";
    LateUnplugForgotten "late-unplug-forgotten" of "H34": "a device that its guest grants late is not taken away";
    ReadersFirst "readers-first" of "H36": "disks for reading are plugged before those for writing";
    PoweroffNotCommitted "poweroff-not-committed" of "H40": "a power-off has no point of no return";
    RebootNotCommitted "reboot-not-committed" of "H41": "a reboot has no point of no return";
    CommitLosesToCancel "commit-loses-to-cancel" of "H41": "a cancellation that came too late is obeyed";
    CommitCancellable "commit-cancellable" of "S31": "a task stays cancellable past its point of no return";
    CancelledStaysQueued "cancelled-stays-queued" of "H44": "a cancelled operation stays in its queue";
    AnyStopIsSuspend "any-stop-is-suspend" of "H47": "a guest that stopped for another reason counts as suspended";
    ImageRecordedFirst "image-recorded-first" of "S13": "VmExtra tells of an image before it is complete";
    ImageNotSynced "image-not-synced" of "H70": "an image is not made durable";
    HalfImageKept "half-image-kept" of "S20": "a suspend that did not come to its end is finished";
    LateSuspendForgotten "late-suspend-forgotten" of "H42": "a guest that has said that it will suspend, and does when nobody waits any more, is shut down";
    FailedSuspendKills "failed-suspend-kills" of "L4": "a failed suspend ends its guest";
    UnknownWordIgnored "unknown-word-ignored" of "H71": "an action-request that is no word is ignored";
    FragmentObeysList "fragment-obeys-list" of "H72": "a failed start is tried again because on_shutdown says so";
    CrashPausedAgain "crash-paused-again" of "H73": "a crashed domain that is kept is paused again and again";
    RebootLoop "reboot-loop" of "S27": "a guest that stops at once is started again at once";
    StartUnpauses "start-unpauses" of "S25": "a start lets its guest run";
    RunningRemoved "running-removed" of "S19": "the records of a running VM are removed";
    SecondChangeLost "second-change-lost" of "S32": "an object that changes again gets no new number";
    NumberTakenOver "number-taken-over" of "H50": "a domain takes a number whose last domain has back ends still";
    DeviceChangeUntold "device-change-untold" of "S32": "clients are told nothing of what has changed about a device";
    ResumedBySize "resumed-by-size" of "S15": "a resumed guest's target is the size that it had, not the target that it had";
    MediumOpenedTwice "medium-opened-twice" of "S15": "an emulated drive's back end names its medium, which QEMU opens a second time";
    PoweroffForgotten "poweroff-forgotten" of "H40": "the repair of a power-off deletes the intent that asks for it"
        again: "the second daemon finds a domain half torn down and nothing that asks for the rest";
    PoweroffStartsOver "poweroff-starts-over" of "H40": "a power-off that is asked for once more counts as not begun";
    RenameForgotten "rename-forgotten" of "H12": "the repair of a rename deletes the intent that asks for it"
        again: "the second daemon finds a domain under a name that has no row";
    RestartUncommitted "restart-uncommitted" of "law 4": "the intent of a reboot that is finished says that it has not begun"
        again: "the second daemon takes what is half torn down for what runs";
    RestartForgetsDomain "restart-forgets-domain" of "law 4": "the intent of a reboot that is finished does not say which domain is the old one"
        again: "the second daemon takes the old domain for the new one";
    RecordCleanedFirst "record-cleaned-first" of "H6": "VmExtra goes before what a repair cleans"
        again: "the second daemon finds nothing that tells of open epochs";
    BootRenewed "boot-renewed" of "law 4": "a repair writes down that what was wanted before the host's reboot is wanted in this one"
        again: "the second daemon starts a VM that nobody wants in this boot";
    FragmentUnmarked "fragment-unmarked" of "H1": "a repair takes the mark off what it tears down"
        again: "the second daemon finds a domain without mark and without devices";
    AllRefused "all-refused" of "L1": "every operation is refused";
}
