//! Seeds that once broke a rule beyond those that are run before anything lands, kept with what they were about.
//!
//! They are of a time when there was one scheduler, and keep it.
//!
//! A seed shows its fault only while the choices before it stay the same: what it taught has its own test where it can.

use xenops_io_sim::run::run;
use xenops_io_sim::schedule::Kind;
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::trace::Trace;

/// Each with the fault.
const KEPT: [(u64, &str); 15] = [
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

#[test]
fn kept_seeds_break_no_rule() {
    for (seed, fault) in KEPT {
        let outcome = run(seed, Kind::Random.seeded(seed), Profile::Ci, Trace::default());
        assert!(outcome.violation.is_none(), "seed {seed}, {fault}: {:?}", outcome.violation);
    }
}
