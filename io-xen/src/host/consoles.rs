//! Consoles of simulated guests: one socket for each domain, lines both ways.

use crate::failure::plain;
use crate::log;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use xenops_core::host::DomId;
use xenops_io_sim::world::World;

/// Bytes of a line that is typed; what is more is dropped.
const LONGEST: usize = 256;

/// Every domain's console, and who is attached to it.
#[derive(Debug)]
pub struct Consoles {
    prefix: PathBuf,
    // Readable when any of the sockets is.
    ready: OwnedFd,
    listeners: BTreeMap<DomId, UnixListener>,
    attached: Vec<Attached>,
}

#[derive(Debug)]
struct Attached {
    domid: DomId,
    stream: UnixStream,
    next: u64,
    typed: String,
    // What the guest will say of the line that was typed here, and has been shown.
    echo: Option<String>,
}

impl Consoles {
    /// Consoles at paths that begin so; those that an earlier life left are removed.
    pub fn new(directory: &Path) -> io::Result<Consoles> {
        let prefix = directory.join("console-");
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.to_str().zip(prefix.to_str()).is_some_and(|(path, prefix)| path.starts_with(prefix)) {
                fs::remove_file(path)?;
            }
        }
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Consoles { prefix, ready, listeners: BTreeMap::new(), attached: Vec::new() })
    }

    /// The paths but for the domain's number.
    pub fn prefix(&self) -> String {
        self.prefix.display().to_string()
    }

    /// Readable when somebody attaches or types.
    pub fn ready(&self) -> &OwnedFd {
        &self.ready
    }

    /// Whether anybody is attached, and would see what guests say.
    pub fn is_attached(&self) -> bool {
        !self.attached.is_empty()
    }

    /// Domains may have come or gone.
    pub fn follow(&mut self, world: &World) {
        let live = |domid: DomId| world.hypervisor().get(domid).is_some();
        let gone: Vec<DomId> = self.listeners.keys().copied().filter(|domid| !live(*domid)).collect();
        for domid in gone {
            self.listeners.remove(&domid);
            // It may have been taken away with its directory.
            let _ = fs::remove_file(self.path(domid));
        }
        for (domid, _) in world.hypervisor().iter() {
            if self.listeners.contains_key(&domid) {
                continue;
            }
            match self.listen(domid) {
                Ok(listener) => drop(self.listeners.insert(domid, listener)),
                Err(error) => log::warning("console", format_args!("domain {domid} has none: {}", plain(&error))),
            }
        }
        self.attached.retain(|attached| live(attached.domid));
    }

    /// Takes what was typed, shows what guests say.
    pub fn exchange(&mut self, world: &mut World) {
        self.accept();
        self.attached.retain_mut(|attached| attached.listen(world).and_then(|()| attached.speak(world)).is_ok());
    }

    fn path(&self, domid: DomId) -> String {
        format!("{}{domid}", self.prefix.display())
    }

    fn listen(&self, domid: DomId) -> io::Result<UnixListener> {
        let listener = UnixListener::bind(self.path(domid))?;
        listener.set_nonblocking(true)?;
        epoll::add(&self.ready, &listener, EventData::new_u64(domid.into()), EventFlags::IN)?;
        Ok(listener)
    }

    fn accept(&mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(32);
        if epoll::wait(&self.ready, spare_capacity(&mut events), Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
            return;
        }
        // Those of attached streams have no listener's number; all streams are read anyhow.
        for event in events {
            let data = event.data;
            let Ok(domid) = DomId::try_from(data.u64()) else { continue };
            let Some(listener) = self.listeners.get(&domid) else { continue };
            let Ok((stream, _)) = listener.accept() else { continue };
            let watched = stream
                .set_nonblocking(true)
                .and_then(|()| Ok(epoll::add(&self.ready, &stream, EventData::new_u64(u64::MAX), EventFlags::IN)?));
            if watched.is_ok() {
                self.attached.push(Attached { domid, stream, next: 0, typed: String::new(), echo: None });
            }
        }
    }
}

impl Attached {
    fn listen(&mut self, world: &mut World) -> io::Result<()> {
        let mut bytes = [0; 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.type_in(&bytes[..read], world)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn type_in(&mut self, bytes: &[u8], world: &mut World) -> io::Result<()> {
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    self.stream.write_all(b"\r\n")?;
                    let line = std::mem::take(&mut self.typed);
                    // What the guest said before it heard this line comes before its echo.
                    self.speak(world)?;
                    if world.console_input(self.domid, &line) {
                        self.echo = Some(format!("# {line}"));
                        self.speak(world)?;
                    }
                }
                0x08 | 0x7f if self.typed.pop().is_some() => self.stream.write_all(b"\x08 \x08")?,
                b' '..=b'~' if self.typed.len() < LONGEST => {
                    self.typed.push(char::from(*byte));
                    self.stream.write_all(&[*byte])?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn speak(&mut self, world: &World) -> io::Result<()> {
        let Some(console) = world.console(self.domid) else { return Err(ErrorKind::UnexpectedEof.into()) };
        let (lines, next) = console.since(self.next);
        let mut text = String::new();
        for line in lines {
            if self.echo.take_if(|echo| echo == line).is_none() {
                text.push_str(line);
                text.push_str("\r\n");
            }
        }
        self.next = next;
        // One who does not read what a guest says is let go when the socket is full.
        self.stream.write_all(text.as_bytes())
    }
}

impl Drop for Consoles {
    fn drop(&mut self) {
        for domid in self.listeners.keys() {
            let _ = fs::remove_file(self.path(*domid));
        }
    }
}
