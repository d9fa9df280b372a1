//! How far failures shrink: each mutant's first failing seed, in processes of their own, made short.

mod recordings;

use crate::mutants::named;
use crate::shrink::FEW;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xenops_core::mutant::ALL;

/// `xenops-sim shrinks`
#[derive(clap::Args)]
pub struct Options {
    /// Only these mutants.
    names: Vec<String>,
    /// Processor seconds for each.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Seeds in which a failure is looked for.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// Shrink failures of recordings instead: of these, of some that are made, and of one that each mutant makes.
    #[arg(long, num_args = 0.., value_name = "FILE")]
    recordings: Option<Vec<PathBuf>>,
}

/// Seconds for finding a failure.
const PATIENCE: u64 = 200;

/// What is told of one.
struct Shrunk {
    first: u64,
    choices: u64,
    seconds: f64,
    text: String,
}

/// Shrink a failure of each mutant. `false` if fewer than 9 of 10 come down to few choices.
pub fn measure(options: &Options) -> Result<bool, String> {
    let mut wanted = named(&options.names)?;
    if wanted.is_empty() {
        wanted = ALL.to_vec();
    }
    if let Some(files) = &options.recordings {
        return recordings::measure(options, &wanted, files);
    }
    println!("{:28} {:>6} {:>6} {:>6} {:>7}  rule", "mutant", "seed", "from", "to", "seconds");
    let (mut all, mut few) = (0, 0);
    for mutant in wanted {
        let name = mutant.name();
        let Some(seed) = failing(name, options.seeds)? else {
            println!("{name:28} {:>6}", "none");
            continue;
        };
        let Some(shrunk) = shrink(name, seed, options.seconds)? else {
            println!("{name:28} {seed:>6} breaks a rule in no run of its own, or never ends");
            continue;
        };
        all += 1;
        few += u64::from(shrunk.choices <= FEW as u64 && shrunk.seconds <= options.seconds as f64 + 1.0);
        let Shrunk { first, choices, seconds, text } = shrunk;
        let text: String = text.chars().take(70).collect();
        println!("{name:28} {seed:>6} {first:>6} {choices:>6} {seconds:>7.1}  {text}");
    }
    println!("{few} of {all} failures shrink to {FEW} choices or fewer in {} processor seconds", options.seconds);
    Ok(few * 10 >= all * 9)
}

/// The first seed that fails.
fn failing(mutant: &str, seeds: u64) -> Result<Option<u64>, String> {
    let args = ["run", "--seeds", &format!("0..{seeds}"), "--threads", "1", "--json"].map(str::to_owned);
    let lines = lines(&args, mutant, PATIENCE)?;
    Ok(lines.iter().find_map(|line| line.get("failed").and_then(Value::as_u64)))
}

fn shrink(mutant: &str, seed: u64, seconds: u64) -> Result<Option<Shrunk>, String> {
    let to = std::env::temp_dir().join(format!("xenops-shrinks-{}", std::process::id()));
    let (seed, time, to) = (seed.to_string(), seconds.to_string(), to.display().to_string());
    let args = ["shrink", "--json", "--seed", &seed, "--seconds", &time, "--to", &to].map(str::to_owned);
    let lines = lines(&args, mutant, 20 * seconds + PATIENCE)?;
    let _ = std::fs::remove_file(&to);
    let told = lines.last().and_then(|line| {
        Some(Shrunk {
            first: line.get("first")?.as_u64()?,
            choices: line.get("choices")?.as_u64()?,
            seconds: line.get("seconds")?.as_f64()?,
            text: line.get("text")?.as_str()?.to_owned(),
        })
    });
    Ok(told)
}

/// What this program says as that mutant, within so many seconds: some never come back from an input.
fn lines(args: &[String], mutant: &str, seconds: u64) -> Result<Vec<Value>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(args).args(["--mutant", mutant]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let until = Instant::now() + Duration::from_secs(seconds);
    // What is said is a few lines, which a pipe holds.
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() > until {
            child.kill().map_err(|error| error.to_string())?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
