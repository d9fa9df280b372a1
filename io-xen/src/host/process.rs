//! A simulated host as a process of its own, behind a socket: it outlives the daemons that it serves.

use super::audit::Audit;
use super::consoles::Consoles;
use super::frames::{Asked, Frames, Told};
use super::simulated;
use crate::clock;
use crate::failure::{Failure, plain};
use crate::instance::Lock;
use crate::log;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use xenops_io_sim::world::{Pace, World};

/// How often a host without a daemon looks whether its directory is still there: it ends when it is not.
const PATROL: Duration = Duration::from_secs(1);

/// Where a host in this directory listens.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("host")
}

/// Where it says its process number.
pub fn pid_file(directory: &Path) -> PathBuf {
    directory.join("host.pid")
}

/// Runs a host in this directory, until the directory or its socket is taken away.
pub fn run(directory: &Path, pace: Pace) -> Result<(), Failure> {
    // In a session of its own: what ends the daemon's terminal does not end the host.
    let _ = rustix::process::setsid();
    let _lock = Lock::take(directory, "host.lock", "host", "host")?;
    let path = socket(directory);
    let failure = |error: io::Error| Failure::path("listen on", &path, "host", &error);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failure(error)),
        _ => {}
    }
    fs::write(pid_file(directory), format!("{}\n", std::process::id())).map_err(failure)?;
    let mut consoles = simulated::consoles(pace, directory)?;
    let mut world = simulated::world(pace, consoles.as_ref());
    let mut audit = Audit::listen(directory).map_err(failure)?;
    let listener = UnixListener::bind(&path).map_err(failure)?;
    log::info("host", format_args!("a simulated host listens on {}", path.display()));
    while path.exists() {
        let ready = wait(&listener, false, consoles.as_ref(), &audit, until_next(&world)).map_err(failure)?;
        pass(&mut world, &mut consoles, &mut audit, &ready);
        if !ready.socket {
            continue;
        }
        let (stream, _) = listener.accept().map_err(failure)?;
        log::info("host", "a daemon has come");
        world.daemon_starts();
        let ended = serve(&mut world, stream, &mut consoles, &mut audit, &path);
        // What happened until now, its daemon may have seen; what was under way is cut off.
        world.run_until(clock::mono());
        world.daemon_crash();
        audit.look(&world);
        let why = ended.map_or_else(|error| plain(&error), |()| "the host ends".to_owned());
        log::info("host", format_args!("the daemon has gone: {why}"));
    }
    log::info("host", "the socket was taken away, the host ends");
    Ok(())
}

// Serves one daemon until it goes.
fn serve(
    world: &mut World,
    stream: UnixStream,
    consoles: &mut Option<Consoles>,
    audit: &mut Audit,
    path: &Path,
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut frames = Frames::new(stream);
    frames.say(&Told::Facts((*world.facts()).clone()));
    loop {
        while let Some((effect, outcome)) = world.take_outcome() {
            frames.say(&Told::Done(effect, outcome));
        }
        while let Some(token) = world.take_notice() {
            frames.say(&Told::Noticed(token));
        }
        let left = frames.send()?;
        let ready = wait(frames.stream(), left, consoles.as_ref(), audit, until_next(world))?;
        pass(world, consoles, audit, &ready);
        if !ready.socket {
            if !path.exists() {
                return Ok(());
            }
            continue;
        }
        frames.receive()?;
        while let Some(asked) = frames.hear()? {
            match asked {
                Asked::Start(effect, request) => world.start(effect, request),
                Asked::Abort(effect) => world.abort(effect),
            }
            audit.look(world);
        }
    }
}

// What happens until now, and what was said meanwhile by others than the daemon.
fn pass(world: &mut World, consoles: &mut Option<Consoles>, audit: &mut Audit, ready: &Ready) {
    world.run_until(clock::mono());
    if let Some(consoles) = consoles {
        consoles.follow(world);
        consoles.exchange(world);
    }
    audit.look(world);
    if ready.audit {
        audit.attend(world);
    }
}

struct Ready {
    socket: bool,
    audit: bool,
}

fn until_next(world: &World) -> Duration {
    world.next_event().map_or(PATROL, |moment| clock::until(moment).min(PATROL))
}

// Until the socket is readable, or writable where that is asked for, or a console or an auditor is, or time is up.
fn wait(
    socket: &impl AsFd,
    writable: bool,
    consoles: Option<&Consoles>,
    audit: &Audit,
    at_most: Duration,
) -> io::Result<Ready> {
    let out = if writable { PollFlags::OUT } else { PollFlags::empty() };
    let auditor = audit.ready();
    let mut waited = vec![PollFd::new(socket, PollFlags::IN | out), PollFd::new(&auditor, PollFlags::IN)];
    waited.extend(consoles.map(|consoles| PollFd::new(consoles.ready(), PollFlags::IN)));
    let at_most = Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: at_most.subsec_nanos().into() };
    match poll(&mut waited, Some(&at_most)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {
            let [socket, audit] = [&waited[0], &waited[1]].map(|waited| waited.revents().intersects(!PollFlags::OUT));
            Ok(Ready { socket, audit })
        }
        Err(error) => Err(error.into()),
    }
}
