//! The daemon's side of a simulated host in a process of its own.

use super::Host;
use super::frames::{Asked, Frames, Told};
use super::process;
use crate::bell::Bell;
use crate::failure::{Failure, plain};
use crate::inbox::{Arrival, Inbox, Promise};
use crate::log;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smol::Async;
use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xenops_core::host::{HostFacts, Request};
use xenops_core::machine::EffectId;

/// How long a host may take to start, or to part from the daemon before this one.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connected host.
pub struct Remote {
    facts: Arc<HostFacts>,
    // Asynchronous only to be waited for: it is read and written without blocking.
    socket: Async<UnixStream>,
    frames: RefCell<Frames<UnixStream>>,
    promises: RefCell<HashMap<EffectId, Promise>>,
    inbox: Rc<Inbox>,
    // Rung when something is left to be sent.
    left: Bell,
}

impl Remote {
    /// Joins the host in this directory; starts it where there is none.
    pub fn join(directory: &Path, pace: &str, inbox: Rc<Inbox>) -> Result<Remote, Failure> {
        fs::create_dir_all(directory)
            .map_err(|error| Failure::path("make the host's directory", directory, "host", &error))?;
        let directory = &fs::canonicalize(directory)
            .map_err(|error| Failure::path("find the host's directory", directory, "host", &error))?;
        let began = Instant::now();
        let mut host = None;
        let stream = loop {
            match UnixStream::connect(process::socket(directory)) {
                Ok(stream) => break stream,
                Err(error) if began.elapsed() > PATIENCE => {
                    return Err(Failure::path("reach the simulated host in", directory, "host", &error));
                }
                Err(_) if host.is_none() => host = Some(start(directory, pace)?),
                Err(_) => {}
            }
            if let Some(host) = &mut host
                && let Ok(Some(status)) = host.try_wait()
            {
                let log = directory.join("host.log");
                return Err(Failure::new(format!("the simulated host ended with {status}; see {}", log.display())));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Remote::greet(stream, inbox).map_err(|error| {
            let place = directory.display();
            let text = match error.kind() {
                io::ErrorKind::TimedOut => {
                    "another daemon drives it; stop that one, or choose another directory".into()
                }
                _ => plain(&error),
            };
            Failure::new(format!("the simulated host in {place} does not answer: {text}"))
        })
    }

    fn greet(stream: UnixStream, inbox: Rc<Inbox>) -> io::Result<Remote> {
        stream.set_nonblocking(true)?;
        let socket = Async::new(stream.try_clone()?)?;
        let mut frames = Frames::new(stream);
        let facts = loop {
            let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
            let mut sockets = [PollFd::new(frames.stream(), PollFlags::IN)];
            if poll(&mut sockets, Some(&patience))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            frames.receive()?;
            match frames.hear()? {
                Some(Told::Facts(facts)) => break facts,
                Some(other) => return Err(io::Error::other(format!("it said {other:?} first"))),
                None => {}
            }
        };
        Ok(Remote {
            facts: Arc::new(facts),
            socket,
            frames: RefCell::new(frames),
            promises: RefCell::default(),
            inbox,
            left: Bell::default(),
        })
    }

    fn say(&self, asked: &Asked) {
        let mut frames = self.frames.borrow_mut();
        frames.say(asked);
        // When it fails the host has gone, and who reads from it sees that.
        if frames.send().unwrap_or_default() {
            self.left.ring();
        }
    }

    fn hear(&self) -> io::Result<()> {
        let mut frames = self.frames.borrow_mut();
        frames.receive()?;
        while let Some(told) = frames.hear()? {
            match told {
                Told::Done(effect, outcome) => {
                    if let Some(promise) = self.promises.borrow_mut().remove(&effect) {
                        promise.answer(outcome);
                    }
                }
                Told::Noticed(token) => self.inbox.push(Arrival::Noticed(token)),
                Told::Facts(_) => return Err(io::Error::other("it introduced itself twice")),
            }
        }
        Ok(())
    }

    async fn serve(&self) -> io::Result<Infallible> {
        let read = async {
            loop {
                self.socket.readable().await?;
                self.hear()?;
            }
        };
        let write = async {
            loop {
                self.left.heard().await;
                while self.frames.borrow_mut().send()? {
                    self.socket.writable().await?;
                }
            }
        };
        smol::future::or(read, write).await
    }
}

impl Host for Remote {
    fn facts(&self) -> Arc<HostFacts> {
        self.facts.clone()
    }

    fn start(&self, request: Request, promise: Promise) {
        let effect = promise.effect();
        self.promises.borrow_mut().insert(effect, promise);
        self.say(&Asked::Start(effect, request));
    }

    fn abort(&self, effect: EffectId) {
        self.say(&Asked::Abort(effect));
    }

    fn tend(&self) -> Pin<Box<dyn Future<Output = String> + '_>> {
        Box::pin(async {
            let why = self.serve().await.map_or_else(|error| plain(&error), |never: Infallible| match never {});
            format!("the simulated host has gone: {why}")
        })
    }
}

fn start(directory: &Path, pace: &str) -> Result<Child, Failure> {
    let log = directory.join("host.log");
    let failure = |error: io::Error| Failure::path("start a simulated host in", directory, "host", &error);
    let output = OpenOptions::new().create(true).append(true).open(&log).map_err(failure)?;
    let program = std::env::current_exe().map_err(failure)?;
    let mut command = Command::new(program);
    // `xenops demo` runs a daemon from its own program, which goes by the name it is given.
    command.arg0("xenopsd");
    command.arg(format!("--simulated-pace={pace}")).arg("--host-process").arg(directory).current_dir("/");
    let host = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).spawn().map_err(failure)?;
    log::info("host", format_args!("started a simulated host, process {}; it outlives this daemon", host.id()));
    Ok(host)
}
