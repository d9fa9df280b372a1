//! The daemon's life: options, locks, database, host, socket; then it serves until it is told to stop.

use crate::clock::{self, Clock};
use crate::config::Config;
use crate::database::{self, Database};
use crate::driver::{Driver, Start};
use crate::failure::{Failure, plain};
use crate::host;
use crate::inbox::Inbox;
use crate::instance::Lock;
use crate::last_words;
use crate::listener::{self, Listener};
use crate::log;
use crate::options::{Asked, Options};
use crate::recorder::Recorder;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use smol::{Async, LocalExecutor, Timer};
use std::backtrace::Backtrace;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use xenops_core::host::Entry;
use xenops_core::machine::{self, Bounds};

/// How long a daemon that was told to stop waits for what is in flight. What has not ended then is settled by
/// the next one, as after a crash.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the daemon with these arguments, the program's name not among them.
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        log::critical("daemon", format_args!("{panic}\n{}", Backtrace::force_capture()));
        if !last_words::is_heard() {
            std::process::abort();
        }
    }));
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Whoever read standard error may be gone.
            let _ = writeln!(io::stderr(), "xenopsd: {failure}");
            ExitCode::from(failure.status)
        }
    }
}

fn start(args: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    match Options::read(args)? {
        Asked::Print(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            Ok(())
        }
        #[cfg(feature = "simulated")]
        Asked::HostProcess(directory, pace) => host::process::run(&directory, host::simulated::pace(&pace)?),
        Asked::Run(options) => run(Config::new(*options)?),
    }
}

fn run(config: Config) -> Result<(), Failure> {
    let inbox = Rc::new(Inbox::default());
    // Before anything is made on this machine's disk.
    let open_host = host::find(&config)?;
    config.start_log();
    listener::make_directory(&config.sockets)?;
    let _sockets = Lock::take(&config.sockets, "xenopsd.lock", "sockets-path", &config.name)?;
    let _database = lock_database(&config)?;
    let (database, records) = open_database(&config)?;
    let host = open_host(inbox.clone())?;
    let listener = Listener::bind(&config.sockets)?;
    let clock = Clock::new().map_err(|error| system("read which boot of the host this is", &error))?;
    let machine = machine::Config {
        entropy: clock::entropy().map_err(|error| system("get random numbers", &error))?,
        facts: host.facts(),
        settings: config.settings.clone(),
        workers: config.workers,
        bounds: Bounds::default(),
    };
    let signals = signals().map_err(|error| system("listen for signals", &error))?;
    let recorder = config.record.as_ref().map(|(path, limit)| Recorder::begin(path, *limit)).transpose()?;
    let start = Start { config: machine, records, stop_at: config.stop_at, recorder };
    let driver = Rc::new(Driver::open(start, clock, host, inbox, database));
    log::info("daemon", format_args!("{} listens in {}", config.name, config.sockets.display()));
    smol::block_on(serve(driver, listener, signals)).map_err(Failure::new)?;
    log::info("daemon", "stopped");
    Ok(())
}

fn lock_database(config: &Config) -> Result<Option<Lock>, Failure> {
    let Some(root) = &config.database else { return Ok(None) };
    database::opening::make_root(root)?;
    Lock::take(root, "lock", "database-path", &config.name).map(Some)
}

fn open_database(config: &Config) -> Result<(Database, Vec<Entry>), Failure> {
    config.database.as_ref().map_or_else(|| Ok((Database::in_memory(), Vec::new())), |root| Database::open(root))
}

fn system(doing: &str, error: &io::Error) -> Failure {
    Failure::new(format!("cannot {doing}: {}", plain(error)))
}

// A stream that has something to read when a signal to stop has come.
fn signals() -> io::Result<Async<UnixStream>> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        pipe::register(signal, write.try_clone()?)?;
    }
    Async::new(read)
}

// Serves until it is told to stop; an error where its host has gone.
async fn serve(driver: Rc<Driver>, listener: Listener, signals: Async<UnixStream>) -> Result<(), String> {
    let executor = Rc::new(LocalExecutor::new());
    // A task like the others: what `run` is given is polled whenever anything happens.
    let life = executor.spawn(live(executor.clone(), driver, listener, signals));
    executor.run(life).await
}

async fn live(
    executor: Rc<LocalExecutor<'static>>,
    driver: Rc<Driver>,
    listener: Listener,
    signals: Async<UnixStream>,
) -> Result<(), String> {
    let signalled = || async {
        // A broken pair would be found broken again at once: better to stop than to be deaf.
        let _ = signals.read_with(|mut socket| io::Read::read(&mut socket, &mut [0])).await;
        Ok(())
    };
    let tend = executor.spawn(with(driver.clone(), async |driver| driver.database().tend().await));
    let drive = executor.spawn(with(driver.clone(), async |driver| driver.run().await));
    let host = async { Err(driver.host().tend().await) };
    let serve = async {
        listener.serve(&executor, &driver).await;
        Ok(())
    };
    let asked = async {
        driver.stop_asked().await;
        Ok(())
    };
    let ended = smol::future::or(smol::future::or(serve, host), smol::future::or(signalled(), asked)).await;
    drop(listener);
    log::info("daemon", "stopping");
    if ended.is_ok() {
        let host = async { drop(driver.host().tend().await) };
        smol::future::or(drain(&driver, signalled()), host).await;
    }
    drive.cancel().await;
    driver.database().close();
    tend.await;
    ended
}

// A task has the driver as long as it lasts.
async fn with<T>(driver: Rc<Driver>, task: impl AsyncFnOnce(&Driver) -> T) -> T {
    task(&driver).await
}

// Waits for what is in flight, but not for ever, and not when told again to stop.
async fn drain(driver: &Driver, signalled: impl Future<Output = Result<(), String>>) {
    let impatience = async {
        let patience = async {
            Timer::after(PATIENCE).await;
            Ok(())
        };
        let _ = smol::future::or(patience, signalled).await;
        log::warning("daemon", "requests are still in flight; the next start settles them");
    };
    smol::future::or(driver.drain(), impatience).await;
}
