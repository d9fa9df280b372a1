//! How far failures of recordings shrink: each mutant lives through recordings of the machine itself, of real hosts and of
//! simulated ones, and through one of its own.

use super::{Options, PATIENCE, failing, lines};
use crate::shrink::FEW;
use crate::swarm::Profile;
use crate::{run, world::Choices};
use serde_json::Value;
use std::path::{Path, PathBuf};
use xenops_core::mutant::Mutant;

/// Seeds of which recordings are made, beside those that are given.
const SEEDS: u64 = 3;

/// What is told of one.
struct Shrunk {
    first: u64,
    inputs: u64,
    special: u64,
    seconds: f64,
    failure: String,
}

/// Recordings that are made for this, and go with it.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Shrink failures of these mutants in these recordings, and in some that are made. `false` if fewer than 9 of 10 come
/// down to few inputs that are something special: as among the choices of a seed, what goes well is nothing special.
pub(super) fn measure(options: &Options, mutants: &[Mutant], files: &[PathBuf]) -> Result<bool, String> {
    let made = Made(std::env::temp_dir().join(format!("xenops-recordings-{}", std::process::id())));
    std::fs::create_dir_all(&made.0).map_err(|error| error.to_string())?;
    let mut all: Vec<PathBuf> = files.to_vec();
    for seed in 0..SEEDS {
        let path = made.0.join(format!("seed-{seed}"));
        run::run_recorded(seed, Choices::seeded(seed), Profile::Ci).1.keep(&path)?;
        all.push(path);
    }
    let [mut failures, mut few, mut little] = [0_u64; 3];
    println!("{:28} {:32} {:>6} {:>6} {:>7} {:>7}  failure", "mutant", "recording", "from", "to", "special", "seconds");
    for mutant in mutants {
        let own = own(*mutant, options, &made.0)?;
        for (path, by_itself) in all.iter().map(|path| (path, false)).chain(own.iter().map(|path| (path, true))) {
            let Some(shrunk) = shrink(*mutant, path, by_itself, options.seconds, &made.0)? else { continue };
            let Shrunk { first, inputs, special, seconds, failure } = shrunk;
            let in_time = seconds <= options.seconds as f64 + 1.0;
            failures += 1;
            few += u64::from(in_time && inputs <= FEW as u64);
            little += u64::from(in_time && special <= FEW as u64);
            let (name, file) = (mutant.name(), path.file_name().unwrap_or_default().to_string_lossy());
            let failure: String = failure.chars().take(90).collect();
            println!("{name:28} {file:32} {first:>6} {inputs:>6} {special:>7} {seconds:>7.1}  {failure}");
        }
    }
    println!(
        "{little} of {failures} failures of recordings shrink to {FEW} calls, notices and outcomes that are not well, or \
         fewer, in {} processor seconds, {few} to {FEW} inputs of any kind",
        options.seconds
    );
    Ok(little * 10 >= failures * 9)
}

/// What a mutant has recorded itself, in a run that it fails in.
fn own(mutant: Mutant, options: &Options, to: &Path) -> Result<Option<PathBuf>, String> {
    let Some(seed) = failing(mutant.name(), options.seeds)? else { return Ok(None) };
    let path = to.join(format!("own-seed-{seed}"));
    let args = ["replay", "--seed", &seed.to_string(), "--record", &path.display().to_string()].map(str::to_owned);
    lines(&args, mutant.name(), PATIENCE)?;
    Ok(path.exists().then_some(path))
}

fn shrink(mutant: Mutant, path: &Path, by_itself: bool, seconds: u64, place: &Path) -> Result<Option<Shrunk>, String> {
    let itself = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let (path, to, time) =
        (path.display().to_string(), place.join("shrunk").display().to_string(), seconds.to_string());
    let mut args = ["replay", &path, "--json", "--shrink", &to, "--seconds", &time].map(str::to_owned).to_vec();
    if !by_itself {
        // The machine without breakage has recorded it, or one like it.
        args.extend(["--against".to_owned(), itself]);
    }
    let lines = lines(&args, mutant.name(), 20 * seconds + PATIENCE)?;
    let told = |line: &Value| {
        Some(Shrunk {
            first: line.get("first")?.as_u64()?,
            inputs: line.get("inputs")?.as_u64()?,
            special: line.get("special")?.as_u64()?,
            seconds: line.get("seconds")?.as_f64()?,
            failure: line.get("failure")?.as_str()?.to_owned(),
        })
    };
    Ok(lines.last().and_then(told))
}
