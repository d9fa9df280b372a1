//! Seeds that once broke a rule beyond those that are run before anything lands, kept with what they were about.
//!
//! A seed shows its fault only while the choices before it stay the same: what it taught has its own test where it can.

use xenops_io_sim::run::run;
use xenops_io_sim::schedule::Kind;
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::trace::Trace;
use xenops_io_sim::world::Choices;

/// Each with the fault. They are of a time when there was one scheduler, and keep it.
const OLD: [(u64, &str); 15] = [
    (540, "who asked beside a rename was told that the vm was halted"),
    (266, "a reboot that was over was done once more when somebody took its domain and the daemon was killed then"),
    (2912, "a guest in a shim grew by the shim's memory with each resume"),
    (8173, "an insert over a file in the drive, cut short, looked like one that was over: its datapath stayed"),
    (2_000_736, "the datapath of a medium whose record found no space was known to nobody"),
    (3_021_391, "a verdict outlived what it was of: somebody had looked meanwhile, and seen the domain die"),
    (4_003_534, "of the simulator: a reboot that failed for want of space, which its record could not say either"),
    (4_019_266, "the same"),
    (3_000_016, "of the simulator: a claim about a moment that had passed when its watcher was let in"),
    (5_012_513, "of the simulator: a watcher that was shut out knew at rest what it had known before"),
    (3_012_726, "of the simulator: a pause that came late, after its task had failed"),
    (4328, "of the simulator: somebody else paused a domain that he was about to end, in his own time"),
    (7_103_886, "of the simulator: a reboot whose task was not known yet took the domain that a removal left alone"),
    (7_101_810, "of the simulator: a domain that a client had asked for since its guest crashed was made late"),
    (3_022_188, "of the simulator: a task that was destroyed before its watcher was let in"),
];

/// Those since then.
const KEPT: [(u64, &str); 9] = [
    (50_037_075, "a power-off that had begun was asked for once more and cancelled: its half was taken for undone"),
    (50_002_260, "the same"),
    (40_002_066, "a client had a second device model started beside the first, whose disks it took"),
    (51_025_319, "a device that was removed from a suspended vm was still flagged as one that its resume plugs"),
    (40_002_877, "of the simulator: a suspend that failed while what might yet complete its image had not ended"),
    (40_004_113, "the same"),
    (50_019_274, "the same"),
    (50_002_571, "of the simulator: a client let an HVM domain run without a device model, and suspended it"),
    (250_932_934, "of the simulator: a guest that sleeps runs no script"),
];

/// Those of runs where numbers of domains come again soon.
const STRICT: [(u64, &str); 2] = [
    (2422, "a domain that somebody took was cleaned up, slowly, and the next one with its number was destroyed for it"),
    (7506, "the same, and what xenstore said of the next one was removed"),
];

#[test]
fn kept_seeds_break_no_rule() {
    let old = OLD.map(|(seed, fault)| (seed, Kind::Random.seeded(seed), Profile::Ci, fault));
    let kept = KEPT.map(|(seed, fault)| (seed, Choices::seeded(seed), Profile::Ci, fault));
    let strict = STRICT.map(|(seed, fault)| (seed, Choices::seeded(seed), Profile::Strict, fault));
    for (seed, choices, profile, fault) in old.into_iter().chain(kept).chain(strict) {
        let outcome = run(seed, choices, profile, Trace::default());
        assert!(outcome.violation.is_none(), "seed {seed}, {fault}: {:?}", outcome.violation);
    }
}
