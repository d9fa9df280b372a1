//! The simulator's short profile: so many seeds as pay where each change of one line is tested (`cargo mutants`).

use super::run;
use crate::swarm::Profile;
use crate::trace::Trace;
use crate::world::Choices;

/// Half of the mutants that seeds kill have died by then (`xenops-sim mutants`).
const SEEDS: u64 = 100;

#[test]
fn the_first_seeds_break_no_rule() {
    for seed in 0..SEEDS {
        let outcome = run(seed, Choices::seeded(seed), Profile::Ci, Trace::default());
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
    }
}
