//! `xenops-sim`: run, replay and shrink simulations.

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use xenops_io_sim::admit::{self, Table, Transcript};
use xenops_io_sim::explore::{cli, windows};
#[cfg(feature = "mutants")]
use xenops_io_sim::mutants;
use xenops_io_sim::run::Outcome;
use xenops_io_sim::schedule::Kind;
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::trace::Trace;
use xenops_io_sim::world::{Choices, Tape};
use xenops_io_sim::{farm, panic, relive, run, shrink};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the machine on a simulated Xen host, where a seed decides what goes wrong.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
    /// Run as this mutant.
    #[cfg(feature = "mutants")]
    #[arg(long, global = true, value_name = "NAME")]
    mutant: Option<String>,
    /// All runs have this scheduler; by default each draws one.
    #[arg(long, global = true, value_name = "KIND", value_parser = schedule)]
    schedule: Option<Kind>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds.
    Run {
        /// Seeds, from the first to before the last.
        #[arg(long, value_name = "A..B", value_parser = seeds)]
        seeds: Range<u64>,
        /// How long each run is.
        #[arg(long, value_enum, default_value_t)]
        profile: Length,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        /// Threads; by default one for each core.
        #[arg(long)]
        threads: Option<usize>,
        /// Go on after a violation.
        #[arg(long)]
        keep_going: bool,
    },
    /// Runs one seed, or the choices in a file, again; or lives through what a daemon has recorded.
    Replay {
        /// A daemon's recording (`xenopsd --record FILE`): the same effects must come of its inputs.
        #[arg(conflicts_with_all = ["profile", "choices"])]
        recording: Option<PathBuf>,
        /// The seed; with choices it only seeds what the daemon draws.
        #[arg(long, required_unless_present = "recording", conflicts_with = "recording")]
        seed: Option<u64>,
        /// How long each run is.
        #[arg(long, value_enum, default_value_t)]
        profile: Length,
        /// Print what happens.
        #[arg(long)]
        trace: bool,
        /// Choices, as `shrink` writes them.
        #[arg(long, value_name = "FILE")]
        choices: Option<PathBuf>,
    },
    /// Offers the replies in recordings of real hosts, or in transcripts, to the simulated host, which has to admit them.
    Admit {
        /// Recordings (`xenopsd --record FILE`) or transcripts.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Per cent of all replies that need not be admitted.
        #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
        at_most: f64,
        /// Write what was asked and said to a file, one event a line, instead.
        #[arg(long, value_name = "FILE")]
        transcript: Option<PathBuf>,
    },
    /// Finds fewer and smaller choices that break the same rule.
    Shrink {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// How long each run is.
        #[arg(long, value_enum, default_value_t)]
        profile: Length,
        /// Where to write the choices.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Seconds to try.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Every interleaving of a bounded scope.
    Explore(cli::Options),
    /// A crash in every window of every operation: a table.
    Windows(windows::Options),
    /// Runs each mutant, a machine with one breakage of one line, until it breaks a rule: all must.
    #[cfg(feature = "mutants")]
    Mutants(mutants::Options),
    /// Makes one check, a seed or a crash window after the other, until a rule is broken: a part of `mutants`.
    #[cfg(feature = "mutants")]
    #[command(hide = true)]
    Hunt(mutants::check::Options),
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Length {
    /// Short runs.
    #[default]
    Ci,
    /// Longer ones.
    Nightly,
    /// In which nothing goes wrong and nothing meets.
    Calm,
    /// In which nothing goes wrong.
    Races,
    /// In which one thing goes wrong.
    Single,
}

impl From<Length> for Profile {
    fn from(length: Length) -> Profile {
        match length {
            Length::Ci => Profile::Ci,
            Length::Nightly => Profile::Nightly,
            Length::Calm => Profile::Calm,
            Length::Races => Profile::Races,
            Length::Single => Profile::Single,
        }
    }
}

/// Fewer seeds than this need not have seen everything.
const LARGE: u64 = 1000;

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (first, last) = text.split_once("..").ok_or("not of the form A..B")?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|error| error.to_string());
    let range = number(first)?..number(last)?;
    if range.is_empty() { Err("there is no seed in it".to_owned()) } else { Ok(range) }
}

fn schedule(text: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    Kind::named(text).ok_or_else(|| format!("one of {}", names()))
}

fn main() -> ExitCode {
    panic::keep_quiet();
    let options = Options::parse();
    #[cfg(feature = "mutants")]
    if let Some(Err(error)) = options.mutant.as_deref().map(xenops_core::mutant::choose) {
        eprintln!("xenops-sim: {error}");
        return ExitCode::from(2);
    }
    if let Some(kind) = options.schedule {
        kind.always();
    }
    let well = match options.command {
        Command::Run { seeds, profile, json, threads, keep_going } => many(seeds, profile, json, threads, keep_going),
        Command::Replay { recording: Some(path), trace, .. } => lived_again(&path, trace),
        Command::Replay { seed, profile, trace, choices, .. } => {
            replay(seed.expect("asked for where there is no recording"), profile, trace, choices.as_deref())
        }
        Command::Admit { files, transcript: Some(path), .. } => keep_transcript(&files, &path),
        Command::Admit { files, at_most, .. } => admitted(&files, at_most),
        Command::Explore(options) => cli::explore(&options),
        Command::Windows(options) => windows::windows(&options),
        Command::Shrink { seed, profile, to, seconds } => smaller(seed, profile, to.as_deref(), seconds),
        #[cfg(feature = "mutants")]
        Command::Mutants(options) => mutants::kill(&options),
        #[cfg(feature = "mutants")]
        Command::Hunt(options) => mutants::check::make(&options),
    };
    match well {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xenops-sim: {error}");
            ExitCode::from(2)
        }
    }
}

fn repro(seed: u64, profile: Length) -> String {
    let profile = match profile {
        Length::Ci => "",
        Length::Nightly => " --profile nightly",
        Length::Calm => " --profile calm",
        Length::Races => " --profile races",
        Length::Single => " --profile single",
    };
    format!("xenops-sim replay --seed {seed}{profile} --trace")
}

fn many(
    seeds: Range<u64>,
    profile: Length,
    json: bool,
    threads: Option<usize>,
    keep_going: bool,
) -> Result<bool, String> {
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()));
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(seeds.end - seeds.start) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {elapsed} of {duration} {msg}");
    bar.set_style(style.map_err(|error| error.to_string())?);
    let began = Instant::now();
    let report = farm::run(seeds, profile.into(), threads, &|report| {
        bar.set_position(report.seeds);
        report.failures.is_empty() || keep_going
    });
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    if json {
        println!("{}", report.json(seconds));
    } else {
        println!("{}", report.line(seconds));
    }
    for failure in &report.failures {
        eprintln!("seed {}: {} (after {} inputs)", failure.seed, failure.text, failure.steps);
        eprintln!("  again: {}", repro(failure.seed, profile));
    }
    let blind = if report.seeds >= LARGE { report.blind() } else { Vec::new() };
    blind.iter().for_each(|what| eprintln!("blind: {what}"));
    Ok(report.failures.is_empty() && blind.is_empty())
}

fn lived_again(path: &Path, trace: bool) -> Result<bool, String> {
    let mut trace = if trace { Trace::kept() } else { Trace::default() };
    let relived = relive::relive(path, &mut trace);
    trace.lines().iter().for_each(|line| println!("{line}"));
    let relived = relived?;
    if let Some(why) = &relived.ends {
        eprintln!("the recording ends before its daemon did: {why}");
    }
    let (inputs, there, here) = (relived.inputs, relived.build, relive::build());
    match relived.differs {
        None => println!("{inputs} inputs had the same effects"),
        Some(what) => {
            println!("{inputs} inputs had the same effects; {what}");
            if there != here {
                println!("it was recorded by {there}, and this is {here}: another build may decide otherwise");
            }
            return Ok(false);
        }
    }
    Ok(true)
}

fn admitted(files: &[PathBuf], at_most: f64) -> Result<bool, String> {
    let (mut table, mut well) = (Table::default(), true);
    for path in files {
        let admitted = match admit::admit(path) {
            Ok(admitted) => admitted,
            Err(error) => {
                println!("{error}");
                well = false;
                continue;
            }
        };
        for refused in &admitted.refused {
            println!("{}: {refused}", path.display());
        }
        if let Some(why) = admitted.ends {
            println!("{}: not to its end: {why}", path.display());
        }
        table.add(&admitted.table);
    }
    print!("{table}");
    Ok(well && table.share() <= at_most)
}

fn keep_transcript(files: &[PathBuf], to: &Path) -> Result<bool, String> {
    let mut text = String::new();
    for path in files {
        let transcript = Transcript::read(path)?;
        if let Some(why) = transcript.ends {
            eprintln!("{}: not to its end: {why}", path.display());
        }
        for line in transcript.lines {
            text.push_str(&serde_json::to_string(&line).map_err(|error| error.to_string())?);
            text.push('\n');
        }
    }
    std::fs::write(to, text).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(true)
}

fn replay(seed: u64, profile: Length, trace: bool, choices: Option<&Path>) -> Result<bool, String> {
    let choices = || match choices {
        None => Ok(Choices::seeded(seed)),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let tape = serde_json::from_str::<Tape>(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok::<Choices, String>(Choices::taped(tape))
        }
    };
    let kept = if trace { Trace::kept() } else { Trace::default() };
    let outcome = run::run(seed, choices()?, profile.into(), kept);
    let again = run::run(seed, choices()?, profile.into(), Trace::default());
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("{}", summary(seed, &outcome));
    if outcome.hash != again.hash {
        eprintln!("the same choices gave the hashes {:016x} and {:016x}", outcome.hash, again.hash);
        return Ok(false);
    }
    Ok(outcome.violation.is_none())
}

fn summary(seed: u64, outcome: &Outcome) -> String {
    let ended = outcome.violation.as_ref().map_or("well".to_owned(), ToString::to_string);
    format!(
        "seed {seed}: {ended} | hash {:016x} | {} inputs, {} requests, {} lifetimes, {} faults",
        outcome.hash,
        outcome.steps,
        outcome.requests,
        outcome.lifetimes,
        outcome.struck.total()
    )
}

fn smaller(seed: u64, profile: Length, to: Option<&Path>, seconds: u64) -> Result<bool, String> {
    let Some(found) = shrink::shrink(seed, profile.into(), std::time::Duration::from_secs(seconds)) else {
        println!("seed {seed} breaks no rule");
        return Ok(true);
    };
    let outcome = run::run(seed, Choices::taped(found.tape.clone()), profile.into(), Trace::kept());
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("{}", summary(seed, &outcome));
    println!("{} choices other than nothing special, of {} at first", found.choices, found.first);
    let path = to.map_or_else(|| PathBuf::from(format!("seed-{seed}.choices")), Path::to_path_buf);
    let text = serde_json::to_string(&found.tape).map_err(|error| error.to_string())?;
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("again: xenops-sim replay --seed {seed} --choices {} --trace", path.display());
    Ok(false)
}
