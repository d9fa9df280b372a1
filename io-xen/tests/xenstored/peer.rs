//! A blocking client of xenstored, over its socket as dom0 or over a ring as a guest.

use crate::daemon::PATIENCE;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use xenops_io_xen::xenstore::connection::{Connection, Event, Request, Ticket};
use xenops_io_xen::xenstore::error::Error;
use xenops_io_xen::xenstore::wire::{Op, texts};

/// What changed, and under which token.
pub type Change = (String, String);

/// One connection.
pub struct Peer {
    way: Way,
    connection: Connection,
    tickets: Ticket,
    /// Watch events that have come.
    pub changes: VecDeque<Change>,
}

enum Way {
    Socket(UnixStream),
    Ring(Ring),
}

impl Peer {
    pub fn on_socket(path: &Path) -> Peer {
        let socket = UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer::new(Way::Socket(socket))
    }

    pub fn on_ring(path: &Path, events: File, port: i32) -> Peer {
        let page = OpenOptions::new().read(true).write(true).open(path).unwrap();
        Peer::new(Way::Ring(Ring { page, events, port }))
    }

    fn new(way: Way) -> Peer {
        Peer { way, connection: Connection::new(64), tickets: 0, changes: VecDeque::new() }
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, request: Request) -> Result<Vec<u8>, Error> {
        self.ask_all(vec![request]).pop().unwrap()
    }

    /// Asks all at once.
    pub fn ask_all(&mut self, requests: Vec<Request>) -> Vec<Result<Vec<u8>, Error>> {
        let first = self.tickets;
        let mut answers: Vec<Option<_>> = requests.iter().map(|_| None).collect();
        for request in requests {
            self.connection.submit(self.tickets, request).unwrap();
            self.tickets += 1;
        }
        let mut buffer = [0; 65536];
        while self.connection.pending() > 0 {
            while !self.connection.outgoing().is_empty() {
                let sent = self.way.write(self.connection.outgoing());
                self.connection.sent(sent);
            }
            let length = self.way.read(&mut buffer);
            assert!(length > 0, "the daemon closed the connection");
            self.connection.receive(&buffer[..length]).unwrap();
        }
        while let Some(event) = self.connection.event() {
            match event {
                Event::Answered(ticket, answer) => answers[(ticket - first) as usize] = Some(answer),
                Event::Changed { path, token } => {
                    self.changes.push_back((String::from_utf8(path).unwrap(), String::from_utf8(token).unwrap()));
                }
            }
        }
        answers.into_iter().map(Option::unwrap).collect()
    }

    /// Everything that it was told of until now.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.ask(Request::new(Op::GetDomainPath, &["0"])).unwrap();
        self.changes.drain(..).collect()
    }

    /// Waits until it is told of this.
    pub fn await_change(&mut self, path: &str) {
        let began = Instant::now();
        while !self.take_changes().iter().any(|(changed, _)| changed == path) {
            assert!(began.elapsed() < PATIENCE, "{path} did not change");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn read(&mut self, path: &str) -> Result<String, Error> {
        self.ask(Request::at(Op::Read, path)?).map(|value| String::from_utf8(value).unwrap())
    }

    pub fn write(&mut self, path: &str, value: &str) -> Result<(), Error> {
        self.ask(Request::with(Op::Write, path, value.as_bytes())?).map(drop)
    }

    pub fn remove(&mut self, path: &str) -> Result<(), Error> {
        self.ask(Request::at(Op::Rm, path)?).map(drop)
    }

    pub fn names(&mut self, path: &str) -> Result<Vec<String>, Error> {
        let listing = self.ask(Request::at(Op::Directory, path)?)?;
        let mut names: Vec<String> = texts(&listing).map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
        names.sort();
        Ok(names)
    }

    /// Permissions as the daemon writes them.
    pub fn permissions(&mut self, path: &str) -> Result<String, Error> {
        let answer = self.ask(Request::at(Op::GetPerms, path)?)?;
        let texts: Vec<&str> = texts(&answer).map(|text| std::str::from_utf8(text).unwrap()).collect();
        Ok(texts.join(" "))
    }

    pub fn begin(&mut self) -> u32 {
        let answer = self.ask(Request::new(Op::TransactionStart, &[""])).unwrap();
        std::str::from_utf8(&answer).unwrap().trim_end_matches('\0').parse().unwrap()
    }

    pub fn end(&mut self, transaction: u32, commit: bool) -> Result<(), Error> {
        let how = if commit { "T" } else { "F" };
        self.ask(Request::new(Op::TransactionEnd, &[how]).within(transaction)).map(drop)
    }
}

impl Way {
    fn write(&mut self, bytes: &[u8]) -> usize {
        match self {
            Way::Socket(socket) => socket.write(bytes).unwrap(),
            Way::Ring(ring) => ring.write(bytes),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        match self {
            Way::Socket(socket) => socket.read(buffer).unwrap(),
            Way::Ring(ring) => ring.read(buffer),
        }
    }
}

/// A guest's shared page, reached through the file that the daemon has mapped.
struct Ring {
    page: File,
    events: File,
    port: i32,
}

/// Bytes of each direction, and where the page has what.
const RING: u32 = 1024;
const REQUESTS: u64 = 0;
const ANSWERS: u64 = 1024;
const REQUESTS_TAKEN: u64 = 2048;
const REQUESTS_MADE: u64 = 2052;
const ANSWERS_TAKEN: u64 = 2056;
const ANSWERS_MADE: u64 = 2060;

impl Ring {
    fn word(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.page.read_exact_at(&mut bytes, at).unwrap();
        u32::from_ne_bytes(bytes)
    }

    fn set(&mut self, at: u64, word: u32) {
        self.page.write_all_at(&word.to_ne_bytes(), at).unwrap();
        self.events.write_all(&self.port.to_ne_bytes()).unwrap();
    }

    /// Waits until the daemon has moved `at` away from `from`.
    fn awaited(&self, at: u64, is_due: impl Fn(u32) -> bool) -> u32 {
        let began = Instant::now();
        loop {
            let word = self.word(at);
            if is_due(word) {
                return word;
            }
            assert!(began.elapsed() < PATIENCE, "the daemon does not serve the ring");
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let made = self.word(REQUESTS_MADE);
        let taken = self.awaited(REQUESTS_TAKEN, |taken| made.wrapping_sub(taken) < RING);
        let room = (RING - made.wrapping_sub(taken)).min(RING - made % RING) as usize;
        let length = bytes.len().min(room);
        self.page.write_all_at(&bytes[..length], REQUESTS + u64::from(made % RING)).unwrap();
        self.set(REQUESTS_MADE, made.wrapping_add(length as u32));
        length
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let taken = self.word(ANSWERS_TAKEN);
        let made = self.awaited(ANSWERS_MADE, |made| made != taken);
        let length = made.wrapping_sub(taken).min(RING - taken % RING) as usize;
        self.page.read_exact_at(&mut buffer[..length], ANSWERS + u64::from(taken % RING)).unwrap();
        self.set(ANSWERS_TAKEN, taken.wrapping_add(length as u32));
        length
    }
}
