//! A machine that is taken from a snapshot does what the one that it was taken of would have done.

use xenops_io_sim::run::{run, run_on_copies};
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::trace::Trace;
use xenops_io_sim::world::Choices;

// Give any field of a machine, of its VMs or of a procedure `#[serde(skip)]`.
#[test]
fn a_run_goes_the_same_way_on_copies() {
    for seed in 900..940 {
        let outcome = run(seed, Choices::seeded(seed), Profile::Ci, Trace::default());
        // Every moment of a turn comes up, and procedures that were read back go on more than once.
        let copied = run_on_copies(seed, Profile::Ci, 3 + seed % 5);
        assert_eq!(copied.violation, outcome.violation, "seed {seed}");
        assert_eq!((copied.hash, copied.steps), (outcome.hash, outcome.steps), "seed {seed}");
    }
}
