//! The guest helper: builds, saves or restores one guest, in the daemon's words on standard input and output.

use std::io::{stdin, stdout};
use std::process::{ExitCode, exit};
use xenops_io_xen::guest::arguments::{self, Orders};
use xenops_io_xen::guest::dialogue::run;
use xenops_io_xen::guest::voice::{Stop, Voice, listen};
use xenops_io_xen::guest::worker::Worker;
use xenops_io_xen::guest::{StepError, confine};
use xenops_io_xen::xen::{Hypervisor, errno, foreign};

const HELP: &str = "xenops-guest: builds, saves or restores one guest; xenopsd starts it
  --probe  say which Xen runs here and what it has
  --help   say this";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--help"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["--probe"] => return probe(),
        _ => {}
    }
    let voice = Voice::new(stdout());
    let orders = match arguments::parse(args) {
        Ok(orders) => orders,
        Err(text) => return end(&voice, &format!("error:arguments {} {text}", errno::EINVAL), false),
    };
    let step = orders.work.step();
    let mut worker = match open(&orders, &voice) {
        Ok(worker) => worker,
        Err(error) => return end(&voice, &format!("error:{error}"), false),
    };
    let stopped = voice.clone();
    let words = listen(stdin(), move |why| {
        let text = match why {
            Stop::Abort => "aborted",
            Stop::Alone => "the daemon has gone",
        };
        // The library cannot be stopped, and need not: whatever it leaves, the daemon tidies up.
        stopped.end(&format!("error:{step} {} {text}", errno::ECANCELED));
        exit(1);
    });
    let (last, well) = run(&orders, &mut worker, &voice, &words);
    end(&voice, &last, well)
}

fn open(orders: &Orders, voice: &Voice) -> Result<Worker, StepError> {
    let step = orders.work.step();
    // First of all: nothing else of this process may be open yet.
    let stream = foreign::inherit(orders.work.stream()).map_err(|error| StepError {
        step,
        errno: error.raw_os_error().unwrap_or(errno::EINVAL),
        text: format!("cannot take the stream: {error}"),
    })?;
    let worker = Worker::open(orders, stream, voice)?;
    confine::confine().map_err(|text| StepError { step, errno: 1, text })?;
    Ok(worker)
}

/// Whether this host's Xen can be driven, without doing anything to it.
fn probe() -> ExitCode {
    let found = Hypervisor::open().map_err(|failure| failure.text).and_then(|xen| {
        let (memory, domains) = (xen.memory(), xen.list());
        let (memory, domains) = memory.and_then(|memory| Ok((memory, domains?))).map_err(|fault| fault.to_string())?;
        let host = xen.host_stat();
        println!("xen {}: {}", host.hypervisor.version, host.hypervisor.capabilities);
        println!(
            "{} processors, {} MiB, {} MiB free",
            host.cpu_info.cpu_count,
            memory.total / 1024,
            memory.free / 1024
        );
        println!("{} domains", domains.len());
        Ok(())
    });
    match found {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("xenops-guest: {text}");
            ExitCode::FAILURE
        }
    }
}

fn end(voice: &Voice, line: &str, well: bool) -> ExitCode {
    voice.end(line);
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
