//! One process: what it has said, and how it ends.

use super::stir::Stir;
use crate::bell::Bell;
use crate::log;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use smol::Async;
use smol::io::AsyncWriteExt;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ExitStatus};
use std::rc::Rc;
use std::time::Duration;
use xenops_core::host::{DomId, Exit, Process, Role};

/// Bytes of one line that are kept.
const LONGEST_LINE: usize = 16 << 10;

/// Lines that are kept: no program of ours says nearly as many.
const MOST_LINES: usize = 20_000;

/// How long the output of a process that has ended is waited for: a child of its own may still have it open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Bytes of a file that are a process's last words.
const LAST_BYTES: u64 = 4096;

/// A process, running or ended.
#[derive(Debug)]
pub struct Running {
    /// Its number.
    pub pid: Pid,
    /// What it is for.
    pub role: Role,
    /// The domain that it serves.
    pub domid: Option<DomId>,
    /// Started by this daemon.
    pub own: bool,
    pidfd: Async<OwnedFd>,
    stdin: RefCell<Option<Rc<Async<ChildStdin>>>>,
    shown: RefCell<Process>,
    ended: Cell<bool>,
    changed: Stir,
}

impl Running {
    /// A process that this daemon has started.
    pub fn started(child: &mut Child, role: Role, domid: Option<DomId>) -> io::Result<Running> {
        let pid = Pid::from_child(child);
        let stdin = child.stdin.take().map(Async::new).transpose()?.map(Rc::new);
        Ok(Running { stdin: RefCell::new(stdin), ..Running::new(pid, role, domid, true)? })
    }

    /// A process that an earlier daemon has started; none if it has ended meanwhile.
    pub fn found(pid: Pid, role: Role, domid: Option<DomId>) -> io::Result<Running> {
        Running::new(pid, role, domid, false)
    }

    fn new(pid: Pid, role: Role, domid: Option<DomId>, own: bool) -> io::Result<Running> {
        let pidfd = Async::new_nonblocking(pidfd_open(pid, PidfdFlags::empty())?)?;
        let (stdin, shown) = (RefCell::default(), RefCell::default());
        Ok(Running { pid, role, domid, own, pidfd, stdin, shown, ended: Cell::new(false), changed: Stir::default() })
    }

    /// What it has said, and whether it has ended.
    pub fn shown(&self) -> Process {
        self.shown.borrow().clone()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Rings at each line, and when it ends.
    pub fn listen(&self, bell: &Rc<Bell>) {
        self.changed.listen(bell);
    }

    /// One line to its standard input.
    pub async fn tell(&self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.borrow().clone().filter(|_| !self.ended.get());
        let stdin = stdin.ok_or(io::ErrorKind::BrokenPipe)?;
        (&*stdin).write_all(format!("{line}\n").as_bytes()).await
    }

    /// Follows it to its end: its output line by line, then how it ended.
    pub async fn follow(&self, mut child: Child, output: Output) {
        let ended = async {
            // When it cannot be waited for it is taken for ended below.
            let _ = self.pidfd.readable().await;
        };
        if let Output::Lines(output) = &output {
            let late = async {
                ended.await;
                smol::Timer::after(LAST_WORDS).await;
            };
            smol::future::or(self.read(output), late).await;
            let _ = self.pidfd.readable().await;
        } else {
            ended.await;
        }
        if let Output::File(file) = &output {
            self.shown.borrow_mut().lines = last_lines(file);
        }
        match child.wait() {
            Ok(status) => self.shown.borrow_mut().exit = Some(exit(status)),
            Err(error) => log::error("process", format_args!("{} cannot be waited for: {error}", self.pid)),
        }
        self.end();
    }

    /// Follows a process that is not this daemon's child.
    pub async fn follow_found(&self) {
        let _ = self.pidfd.readable().await;
        self.end();
    }

    fn end(&self) {
        self.ended.set(true);
        self.stdin.take();
        self.changed.stir();
    }

    async fn read(&self, output: &Async<OwnedFd>) {
        let said = |line: String| {
            if self.shown.borrow().lines.len() < MOST_LINES {
                self.shown.borrow_mut().lines.push(line);
                self.changed.stir();
            }
        };
        read_lines(output, said).await;
    }

    /// Ends it: asks, and after this time insists. Over when it has ended.
    pub async fn stop(&self, grace: Duration) {
        self.signal(Signal::TERM);
        let patience = async {
            smol::Timer::after(grace).await;
        };
        smol::future::or(self.ended(), patience).await;
        if !self.ended.get() {
            log::warning("process", format_args!("{} {} does not end, killing it", self.role_word(), self.pid));
            self.signal(Signal::KILL);
            self.ended().await;
        }
    }

    fn role_word(&self) -> &'static str {
        super::mark::word(self.role)
    }

    /// Waits until it has ended.
    pub fn ended(&self) -> impl Future<Output = ()> {
        let bell = Rc::new(Bell::default());
        self.listen(&bell);
        async move {
            while !self.ended.get() {
                bell.heard().await;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if self.ended.get() {
            return;
        }
        // A child that has not been waited for keeps its number; of another's we are only sure by its descriptor.
        let sent =
            if self.own { kill_process_group(self.pid, signal) } else { pidfd_send_signal(self.pidfd.as_fd(), signal) };
        match sent {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => log::error("process", format_args!("{} cannot be signalled: {error}", self.pid)),
        }
    }
}

/// Where a process's output goes.
#[derive(Debug, Default)]
pub enum Output {
    /// Nobody reads it.
    #[default]
    Nowhere,
    /// It is read line by line.
    Lines(Async<OwnedFd>),
    /// Into a file, so that it can go on when the daemon is gone; its end is read when the process has ended.
    File(File),
}

// Where writing ends is the writers' to say: the place of reading is ours alone.
fn last_lines(file: &File) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let from = file.metadata()?.len().saturating_sub(LAST_BYTES);
        let mut text = vec![0; LAST_BYTES as usize];
        let length = file.read_at(&mut text, from)?;
        text.truncate(length);
        Ok(text)
    };
    let text = read().unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

fn exit(status: ExitStatus) -> Exit {
    match status.code() {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.signal().unwrap_or_default()),
    }
}

/// Reads lines until there are no more. Bytes that are no text are replaced, lines that are too long are cut.
pub async fn read_lines(output: &Async<OwnedFd>, mut said: impl FnMut(String)) {
    let (mut line, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match output.read_with(|output| Ok(rustix::io::read(output, &mut buffer)?)).await {
            Ok(0) | Err(_) => break,
            Ok(n) => {
                for byte in &buffer[..n] {
                    match byte {
                        b'\n' => said(String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned()),
                        byte if line.len() < LONGEST_LINE => line.push(*byte),
                        _ => {}
                    }
                }
            }
        }
    }
    if !line.is_empty() {
        said(String::from_utf8_lossy(&line).into_owned());
    }
}
