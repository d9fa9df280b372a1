//! A run as a stream of choices: drawn from a seed, or given as a tape; 0 is always "nothing special".

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// What a choice is about. Each concern has a stream of its own, so that one more choice of one concern moves no
/// choice of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Concern {
    /// What the run is like.
    Config,
    /// What clients ask.
    Workload,
    /// What goes wrong.
    Fault,
    /// What comes first.
    Schedule,
    /// How long things take.
    Latency,
    /// What guests do.
    Guest,
}

const CONCERNS: usize = 6;

/// The choices of a run, by concern, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tape {
    /// One list per concern, in the order of [`Concern`].
    pub lanes: [Vec<u32>; CONCERNS],
    /// Clients ask for so many operations, whatever the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u32>,
}

/// Where choices come from, and which were made.
#[derive(Clone, Debug)]
pub struct Choices {
    source: Source,
    made: Tape,
    /// The next choice of its concern is not taken from the source.
    given: Option<(Concern, u32)>,
}

#[derive(Clone, Debug)]
enum Source {
    Nothing,
    Seed(Box<[ChaCha8Rng; CONCERNS]>),
    Tape(Box<(Tape, [usize; CONCERNS])>),
    Sparse(Box<Sparse>),
    Script(Box<Script>),
}

/// Nearly always 0: of each concern one choice in so many is special, if any.
#[derive(Clone, Debug)]
struct Sparse {
    generator: ChaCha8Rng,
    one_in: [u32; CONCERNS],
}

impl Sparse {
    fn next(&mut self, lane: usize, n: u32) -> u32 {
        let one_in = self.one_in[lane];
        if one_in == 0 || scale(self.generator.next_u32(), one_in) != 0 {
            return 0;
        }
        // Of many things more often one of the first: moments early in a run.
        let most = (n >> scale(self.generator.next_u32(), 8)).max(2);
        scale(self.generator.next_u32(), most)
    }
}

/// Choices in one line, whatever they are about, and how many things each was among.
#[derive(Clone, Debug, Default)]
struct Script {
    choices: Vec<u32>,
    among: Vec<u32>,
}

impl Script {
    fn next(&mut self, n: u32) -> u32 {
        let choice = self.choices.get(self.among.len()).copied().unwrap_or(0);
        self.among.push(n);
        choice.min(n - 1)
    }
}

impl Choices {
    /// Always 0; nothing is recorded.
    pub fn nothing() -> Choices {
        Choices { source: Source::Nothing, made: Tape::default(), given: None }
    }

    /// Drawn from a seed.
    pub fn seeded(seed: u64) -> Choices {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let streams = std::array::from_fn(|stream| {
            let mut generator = ChaCha8Rng::from_seed(key);
            generator.set_stream(stream as u64);
            generator
        });
        Choices { source: Source::Seed(Box::new(streams)), made: Tape::default(), given: None }
    }

    /// Taken from a tape; what it lacks, or has out of range, is 0.
    pub fn taped(tape: Tape) -> Choices {
        let made = Tape { operations: tape.operations, ..Tape::default() };
        Choices { source: Source::Tape(Box::new((tape, [0; CONCERNS]))), made, given: None }
    }

    /// Drawn, but nearly always 0, and with so many operations: how often something is special is drawn for each concern.
    pub fn sparse(seed: u64, operations: u32) -> Choices {
        let mut key = [0xff; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        let one_in = std::array::from_fn(|_| [0, 2, 5, 12, 30][scale(generator.next_u32(), 5) as usize]);
        let made = Tape { operations: Some(operations), ..Tape::default() };
        Choices { source: Source::Sparse(Box::new(Sparse { generator, one_in })), made, given: None }
    }

    /// How many operations clients ask for, where that is said beside all choices.
    pub fn operations(&self) -> Option<u32> {
        self.made.operations
    }

    /// Taken from a list in the order in which they are asked for; what it lacks is 0. See [`Choices::among`].
    pub fn scripted(choices: Vec<u32>) -> Choices {
        let script = Script { choices, among: Vec::new() };
        Choices { source: Source::Script(Box::new(script)), made: Tape::default(), given: None }
    }

    /// The next choice of a concern is this one.
    pub fn begin(&mut self, concern: Concern, choice: u32) {
        self.given = Some((concern, choice));
    }

    /// Of a scripted one: among how many things each choice was made so far.
    pub fn among(&self) -> &[u32] {
        match &self.source {
            Source::Script(script) => &script.among,
            _ => &[],
        }
    }

    /// What was chosen so far.
    pub fn made(&self) -> &Tape {
        &self.made
    }

    /// One of `n` things; 0 when there is no choice.
    pub fn choose(&mut self, concern: Concern, n: u32) -> u32 {
        if n <= 1 {
            return 0;
        }
        let lane = concern as usize;
        let choice = match &mut self.source {
            Source::Nothing => return 0,
            Source::Script(script) => return script.next(n),
            Source::Seed(streams) => scale(streams[lane].next_u32(), n),
            Source::Sparse(sparse) => sparse.next(lane, n),
            Source::Tape(tape) => next(tape, lane).filter(|choice| *choice < n).unwrap_or(0),
        };
        let given = self.given.take_if(|(of, _)| *of == concern);
        let choice = given.map_or(choice, |(_, given)| given);
        self.made.lanes[lane].push(choice);
        choice
    }

    /// True once in `one_in` times, never for 0.
    pub fn odds(&mut self, concern: Concern, one_in: u32) -> bool {
        if one_in == 0 {
            return false;
        }
        let lane = concern as usize;
        let choice = match &mut self.source {
            Source::Nothing => return false,
            Source::Script(script) => return script.next(2) == 1,
            Source::Seed(streams) => u32::from(scale(streams[lane].next_u32(), one_in) == 0),
            Source::Sparse(sparse) => sparse.next(lane, 2),
            Source::Tape(tape) => next(tape, lane).unwrap_or(0).min(1),
        };
        self.made.lanes[lane].push(choice);
        choice == 1
    }
}

fn scale(word: u32, n: u32) -> u32 {
    ((u64::from(word) * u64::from(n)) >> 32) as u32
}

fn next(tape: &mut (Tape, [usize; CONCERNS]), lane: usize) -> Option<u32> {
    let position = &mut tape.1[lane];
    let choice = tape.0.lanes[lane].get(*position).copied();
    *position += 1;
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Concern; CONCERNS] =
        [Concern::Config, Concern::Workload, Concern::Fault, Concern::Schedule, Concern::Latency, Concern::Guest];

    fn run(choices: &mut Choices) -> Vec<u32> {
        (2..200)
            .flat_map(|i| {
                let concern = ALL[i as usize % CONCERNS];
                [choices.choose(concern, i), u32::from(choices.odds(concern, 3))]
            })
            .collect()
    }

    #[test]
    fn a_tape_repeats_its_seed() {
        let mut seeded = Choices::seeded(7);
        let first = run(&mut seeded);
        assert_eq!(first, run(&mut Choices::seeded(7)));
        assert_ne!(first, run(&mut Choices::seeded(8)));
        let mut taped = Choices::taped(seeded.made().clone());
        assert_eq!(first, run(&mut taped));
        assert_eq!(taped.made(), seeded.made());
        assert_eq!(run(&mut taped), run(&mut Choices::nothing()), "an exhausted tape is nothing special");
    }

    #[test]
    fn concerns_do_not_move_each_other() {
        let (mut a, mut b) = (Choices::seeded(1), Choices::seeded(1));
        b.choose(Concern::Guest, 9);
        let draw = |choices: &mut Choices| (0..50).map(|_| choices.choose(Concern::Fault, 1000)).collect::<Vec<_>>();
        assert_eq!(draw(&mut a), draw(&mut b));
    }

    #[test]
    fn out_of_range_is_nothing_special() {
        let mut tape = Tape::default();
        tape.lanes[Concern::Fault as usize] = vec![9, 2, 7];
        let mut choices = Choices::taped(tape);
        assert_eq!(choices.choose(Concern::Fault, 3), 0);
        assert_eq!(choices.choose(Concern::Fault, 3), 2);
        assert!(choices.odds(Concern::Fault, 1000));
        assert_eq!(choices.choose(Concern::Fault, 1), 0);
    }
}
