//! `xenops-sim`: run, replay and shrink simulations.

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use xenops_io_sim::admit::{self, Table, Transcript};
use xenops_io_sim::explore::{cli, windows};
use xenops_io_sim::failures::{Failures, Kept};
use xenops_io_sim::farm::Seeds;
use xenops_io_sim::report::{Failure, Report};
use xenops_io_sim::run::Outcome;
use xenops_io_sim::schedule::Kind;
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::tell::{self, Telling};
use xenops_io_sim::timeline::html::About;
use xenops_io_sim::trace::Trace;
use xenops_io_sim::world::{Choices, Tape};
use xenops_io_sim::{farm, panic, relive, run, shrink};
#[cfg(feature = "mutants")]
use xenops_io_sim::{mutants, shrinks};

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
        #[command(flatten)]
        many: Many,
    },
    /// Runs one seed, or the choices in a file, again; or lives through what a daemon has recorded.
    Replay {
        #[command(flatten)]
        recorded: relive::cli::Options,
        /// The seed; with choices it only seeds what the daemon draws.
        #[arg(long, required_unless_present = "recording", conflicts_with = "recording")]
        seed: Option<u64>,
        /// How long each run is.
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
        /// Print what happens.
        #[arg(long)]
        trace: bool,
        #[command(flatten)]
        telling: Telling,
        /// Choices, as `shrink` writes them.
        #[arg(long, value_name = "FILE")]
        choices: Option<PathBuf>,
        /// Write what the last daemon of the run is told to a file, as `xenopsd --record` does.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
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
    /// Finds fewer and smaller choices that break the same rule, and tells what then happens.
    Shrink {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// How long each run is.
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
        /// Choices to begin with, as `shrink` writes them; without, those of the seed.
        #[arg(long, value_name = "FILE")]
        choices: Option<PathBuf>,
        /// Where to write the choices.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Print a line of JSON, and no timeline.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        telling: Telling,
        /// Processor seconds to try.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Lives through recordings on standard input and says what comes of them: for `replay --against`.
    #[command(hide = true)]
    Witness,
    /// Every interleaving of a bounded scope.
    Explore(cli::Options),
    /// A crash in every window of every operation: a table.
    Windows(windows::Options),
    /// Runs each mutant, a machine with one breakage of one line, until it breaks a rule: all must.
    #[cfg(feature = "mutants")]
    Mutants(mutants::Options),
    /// Shrinks a failure of each mutant: choices before and after, and seconds.
    #[cfg(feature = "mutants")]
    Shrinks(shrinks::Options),
    /// Makes one check, a seed or a crash window after the other, until a rule is broken: a part of `mutants`.
    #[cfg(feature = "mutants")]
    #[command(hide = true)]
    Hunt(mutants::check::Options),
}

/// `xenops-sim run`
#[derive(clap::Args)]
struct Many {
    /// Seeds, from the first to before the last.
    #[arg(long, value_name = "A..B", value_parser = seeds, required_unless_present = "from")]
    seeds: Option<Range<u64>>,
    /// Only a part of them: from the i-th on, each n-th.
    #[arg(long, value_name = "I/N", value_parser = cli::shard, default_value = "0/1")]
    shard: (u64, u64),
    /// How long each run is.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Print lines of JSON: `{"failed":SEED,"profile","rule","text","steps","requests","seconds"}` as soon as a seed
    /// fails, `{"kept":N,"failed":M}` for the seeds of `--from`, and at last the sums: `seeds`, `hash`, `violations`,
    /// `steps`, `requests`, `lifetimes`, `faults`, `operations`, `sometimes`, `blind`, `seconds`.
    #[arg(long)]
    json: bool,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Go on after a violation.
    #[arg(long)]
    keep_going: bool,
    /// Keep seeds that fail in this file, a line of JSON each, those that fail after the fewest requests first.
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,
    /// Try the seeds in such a file first.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
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
        Command::Run { many } => many.run(),
        Command::Replay { recorded, seed, profile, trace, choices, telling, record } => {
            recorded.lived_again(trace, &telling).unwrap_or_else(|| {
                let seed = seed.expect("asked for where there is no recording");
                record.map_or(Ok(()), |path| keep_recording(seed, profile, choices.as_deref(), &path))?;
                replay(seed, profile, trace, choices.as_deref(), &telling)
            })
        }
        Command::Witness => relive::other::witness(),
        Command::Admit { files, transcript: Some(path), .. } => keep_transcript(&files, &path),
        Command::Admit { files, at_most, .. } => admitted(&files, at_most),
        Command::Explore(options) => cli::explore(&options),
        Command::Windows(options) => windows::windows(&options),
        Command::Shrink { seed, profile, choices, to, json, telling, seconds } => {
            let telling = if json { telling } else { telling.with_timeline() };
            smaller(seed, profile, choices.as_deref(), to.as_deref(), json, &telling, seconds)
        }
        #[cfg(feature = "mutants")]
        Command::Mutants(options) => mutants::kill(&options),
        #[cfg(feature = "mutants")]
        Command::Shrinks(options) => shrinks::measure(&options),
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

fn repro(seed: u64, profile: Profile) -> String {
    let profile = if profile == Profile::Ci { String::new() } else { format!(" --profile {}", profile.name()) };
    format!("xenops-sim replay --seed {seed}{profile} --trace")
}

impl Many {
    fn run(&self) -> Result<bool, String> {
        let mut failures = Failures::default();
        if let Some(path) = &self.failures {
            failures = Failures::read(path)?.unwrap_or_default();
        }
        let mut well = true;
        if let Some(path) = &self.from {
            let known = Failures::read(path)?;
            well = self.known(&known.ok_or_else(|| format!("{}: there is no such file", path.display()))?);
        }
        if let Some(seeds) = self.seeds.clone().filter(|_| well || self.keep_going) {
            let began = Instant::now();
            let report = self.seeds(&Seeds { all: seeds, shard: self.shard }, began)?;
            report.failures.iter().for_each(|failure| failures.add(Kept::of(failure, &self.profile.name())));
            let blind = if report.seeds >= LARGE { report.blind() } else { Vec::new() };
            let seconds = began.elapsed().as_secs_f64();
            if self.json {
                let mut line = report.json(seconds);
                line["blind"] = blind.clone().into();
                println!("{line}");
            } else {
                println!("{}", report.line(seconds));
            }
            blind.iter().for_each(|what| eprintln!("blind: {what}"));
            well &= report.failures.is_empty() && blind.is_empty();
        }
        if let Some(path) = &self.failures {
            failures.write(path)?;
        }
        Ok(well)
    }

    /// Seeds that have failed before, the fastest first; whether none does any more.
    fn known(&self, kept: &Failures) -> bool {
        let mut failed = 0;
        for kept in kept.iter() {
            let Ok(profile) = Profile::from_str(&kept.profile, true) else { continue };
            let outcome = run::run(kept.seed, Choices::seeded(kept.seed), profile, Trace::default());
            let Some(violation) = &outcome.violation else { continue };
            failed += 1;
            let mut report = Report::default();
            report.add(kept.seed, &outcome);
            report.failures.iter().for_each(|failure| self.tell(failure, profile, 0.0));
            eprintln!("  as before: {violation}");
            if !self.keep_going {
                break;
            }
        }
        let all = kept.iter().count();
        if self.json {
            println!("{}", serde_json::json!({"kept": all, "failed": failed}));
        } else {
            println!("of {all} seeds that have failed before {failed} fail");
        }
        failed == 0
    }

    fn seeds(&self, seeds: &Seeds, began: Instant) -> Result<Report, String> {
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads = self.threads.unwrap_or_else(cores);
        let shown = std::io::stderr().is_terminal();
        let bar = if shown { ProgressBar::new(seeds.count()) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {elapsed} of {duration} {msg}");
        bar.set_style(style.map_err(|error| error.to_string())?);
        let told = AtomicUsize::new(0);
        let report = farm::run(seeds, self.profile, threads, &|report| {
            bar.set_position(report.seeds);
            let new = told.swap(report.failures.len(), Ordering::Relaxed);
            let seconds = began.elapsed().as_secs_f64();
            bar.suspend(|| {
                report.failures.iter().skip(new).for_each(|failure| self.tell(failure, self.profile, seconds))
            });
            report.failures.is_empty() || self.keep_going
        });
        bar.finish_and_clear();
        Ok(report)
    }

    fn tell(&self, failure: &Failure, profile: Profile, seconds: f64) {
        if self.json {
            let mut line = failure.json(&profile.name());
            line["seconds"] = seconds.into();
            println!("{line}");
        }
        eprintln!("seed {}: {} (after {} inputs)", failure.seed, failure.text, failure.steps);
        eprintln!("  again: {}", repro(failure.seed, profile));
    }
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

fn taped(seed: u64, choices: Option<&Path>) -> Result<Choices, String> {
    let Some(path) = choices else { return Ok(Choices::seeded(seed)) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let tape = serde_json::from_str::<Tape>(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Choices::taped(tape))
}

fn replay(seed: u64, profile: Profile, trace: bool, choices: Option<&Path>, telling: &Telling) -> Result<bool, String> {
    let kept = if trace { Trace::kept() } else { telling.trace() };
    let mut outcome = run::run(seed, taped(seed, choices)?, profile, kept);
    let again = run::run(seed, taped(seed, choices)?, profile, Trace::default());
    outcome.trace.iter().for_each(|line| println!("{line}"));
    if let Some(timeline) = outcome.told.take() {
        let choices = choices.map_or_else(String::new, |path| format!(" --choices {}", path.display()));
        let about = about(seed, &outcome, repro(seed, profile) + &choices, Vec::new());
        telling.tell(&timeline, &about)?;
    }
    println!("{}", summary(seed, &outcome));
    if outcome.hash != again.hash {
        eprintln!("the same choices gave the hashes {:016x} and {:016x}", outcome.hash, again.hash);
        return Ok(false);
    }
    Ok(outcome.violation.is_none())
}

fn keep_recording(seed: u64, profile: Profile, choices: Option<&Path>, to: &Path) -> Result<(), String> {
    run::run_recorded(seed, taped(seed, choices)?, profile).1.keep(to)
}

fn about(seed: u64, outcome: &Outcome, again: String, found: Vec<String>) -> About {
    let run = format!("seed {seed}, {} inputs, {} requests to the host", outcome.steps, outcome.requests);
    About {
        run,
        violation: outcome.violation.clone(),
        mutant: tell::mutant(),
        again: again + &tell::as_mutant(),
        found,
    }
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

fn smaller(
    seed: u64,
    profile: Profile,
    choices: Option<&Path>,
    to: Option<&Path>,
    json: bool,
    telling: &Telling,
    seconds: u64,
) -> Result<bool, String> {
    let (began, time) = (shrink::spent(), std::time::Duration::from_secs(seconds));
    let Some(found) = shrink::shrink(seed, taped(seed, choices)?, profile, time) else {
        println!("seed {seed} breaks no rule");
        return Ok(true);
    };
    let took = (shrink::spent() - began).as_secs_f64();
    let path = to.map_or_else(|| PathBuf::from(format!("seed-{seed}.choices")), Path::to_path_buf);
    let text = serde_json::to_string(&found.tape).map_err(|error| error.to_string())?;
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut outcome = run::run(seed, Choices::taped(found.tape), profile, telling.trace());
    let again = format!("{} --choices {}", repro(seed, profile), path.display());
    let told = outcome.told.take();
    let left = format!(
        "{} choices other than nothing special are left of {} at first, after {took:.1} s.",
        found.choices, found.first
    );
    if let Some(timeline) = told {
        telling.tell(&timeline, &about(seed, &outcome, again.clone(), vec![left.clone()]))?;
    }
    if json {
        let line = serde_json::json!({
            "seed": seed, "rule": found.rule, "choices": found.choices, "first": found.first, "seconds": took,
            "steps": outcome.steps, "text": outcome.violation.map(|violation| violation.to_string()),
        });
        println!("{line}");
        return Ok(false);
    }
    println!("{}", summary(seed, &outcome));
    println!("{left}");
    println!("again: {again}{}", tell::as_mutant());
    Ok(false)
}
