//! The simulator's short profile: so many seeds as pay where each change of one line is tested (`cargo mutants`).

use xenops_io_sim::run::run;
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::trace::Trace;
use xenops_io_sim::world::Choices;

/// Half of the mutants that seeds kill at all have died by then (`xenops-sim mutants`).
const SEEDS: u64 = 200;

#[test]
fn the_first_seeds_break_no_rule() {
    for seed in 0..SEEDS {
        let outcome = run(seed, Choices::seeded(seed), Profile::Ci, Trace::default());
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
    }
}
