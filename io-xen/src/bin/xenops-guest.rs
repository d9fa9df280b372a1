//! The guest helper: builds, saves or restores one guest, in the daemon's words on standard input and output.

use std::io::{stdin, stdout};
use std::process::{ExitCode, exit};
use xenops_io_xen::guest::arguments::{self, Orders};
use xenops_io_xen::guest::dialogue::run;
use xenops_io_xen::guest::voice::{Stop, Voice, listen};
use xenops_io_xen::guest::worker::Worker;
use xenops_io_xen::guest::{StepError, confine};
use xenops_io_xen::xen::{errno, foreign};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["--help"] {
        println!("the guest helper of xenopsd, which starts it; its command line is described in the daemon's source");
        return ExitCode::SUCCESS;
    }
    let voice = Voice::new(stdout());
    let orders = match arguments::parse(args) {
        Ok(orders) => orders,
        Err(text) => return end(&voice, &format!("error:arguments {} {text}", errno::EINVAL), false),
    };
    let step = orders.work.step();
    let worker = match open(&orders, &voice) {
        Ok(worker) => worker,
        Err(error) => return end(&voice, &format!("error:{error}"), false),
    };
    let mut worker = worker;
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

fn end(voice: &Voice, line: &str, well: bool) -> ExitCode {
    voice.end(line);
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
