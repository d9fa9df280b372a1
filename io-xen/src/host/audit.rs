//! The oracle at a simulated host: it judges what happens there, and tells an auditor who asks on a socket of its own.

use super::frames::Frames;
use crate::failure::plain;
use crate::log;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use xenops_core::host::Uuid;
use xenops_io_sim::fleet::Shape;
use xenops_io_sim::oracle::domains::{Domains, Event};
use xenops_io_sim::oracle::records::Shelf;
use xenops_io_sim::oracle::rest::Picture;
use xenops_io_sim::oracle::{Checked, Violation, rest, storage};
use xenops_io_sim::world::{Choices, World};

/// From an auditor; each is answered by a [`Finding`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// Judge from now on what happens to these VMs. The seed decides what becomes of requests that a daemon's end cuts
    /// off.
    Watch(Vec<Uuid>, u64),
    /// What was found since then.
    Look,
    /// Whether every VM is in a sensible state, with these records, and nothing is left of what has gone.
    Judge(BTreeMap<String, String>),
    /// Whether all is as it was when the watch began.
    Compare,
}

/// To an auditor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Nothing is under way on the host.
    pub at_rest: bool,
    /// The rule that was broken first, and how.
    pub broken: Option<String>,
}

/// Where an auditor is listened to.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("audit")
}

/// The listener, the auditor, and what he watches.
#[derive(Debug)]
pub struct Audit {
    listener: UnixListener,
    auditor: Option<Frames<UnixStream>>,
    watch: Option<Watch>,
}

#[derive(Debug)]
struct Watch {
    shapes: Vec<Shape>,
    domains: Domains,
    events: Vec<Event>,
    first: Picture,
    broken: Option<Violation>,
}

impl Audit {
    /// Listens in this directory.
    pub fn listen(directory: &Path) -> io::Result<Audit> {
        let path = socket(directory);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Audit { listener, auditor: None, watch: None })
    }

    /// What is readable when there is something to attend to.
    pub fn ready(&self) -> BorrowedFd<'_> {
        self.auditor.as_ref().map_or(self.listener.as_fd(), |auditor| auditor.stream().as_fd())
    }

    /// Looks at what has happened.
    pub fn look(&mut self, world: &World) {
        if let Some(watch) = &mut self.watch {
            watch.look(world);
        }
    }

    /// Takes an auditor, or answers the one there is.
    pub fn attend(&mut self, world: &mut World) {
        let Some(mut auditor) = self.auditor.take() else {
            let accepted = self.listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                Ok(Frames::new(stream))
            });
            match accepted {
                Ok(frames) => self.auditor = Some(frames),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => log::warning("audit", format_args!("nobody is listened to: {}", plain(&error))),
            }
            return;
        };
        match self.answer(&mut auditor, world) {
            Ok(()) => self.auditor = Some(auditor),
            Err(error) => log::info("audit", format_args!("the auditor has gone: {}", plain(&error))),
        }
    }

    fn answer(&mut self, auditor: &mut Frames<UnixStream>, world: &mut World) -> io::Result<()> {
        auditor.receive()?;
        while let Some(question) = auditor.hear()? {
            let result = self.ask(question, world);
            let broken = result.err().map(|violation| violation.to_string());
            auditor.say(&Finding { at_rest: world.at_rest(), broken });
        }
        // A finding is shorter than what a socket holds.
        if auditor.send()? { Err(io::Error::other("it does not read")) } else { Ok(()) }
    }

    fn ask(&mut self, question: Question, world: &mut World) -> Checked {
        if let Question::Watch(vms, seed) = question {
            *world.choices() = Choices::seeded(seed);
            self.watch = Some(Watch::new(&vms, world));
            return Ok(());
        }
        let Some(watch) = &mut self.watch else {
            return Err(Violation::new("audit", "nothing is watched; ask for a watch first"));
        };
        watch.look(world);
        if let Some(broken) = &watch.broken {
            return Err(broken.clone());
        }
        match question {
            Question::Judge(records) => watch.judge(world, &records),
            Question::Compare => match rest::difference(&watch.first, &rest::picture(world)) {
                Some(what) => Err(Violation::new("L9", format!("{what} is left when all vms have gone"))),
                None => Ok(()),
            },
            Question::Watch(..) | Question::Look => Ok(()),
        }
    }
}

impl Watch {
    fn new(vms: &[Uuid], world: &World) -> Watch {
        let names = vms.iter().enumerate().map(|(place, vm)| (*vm, place)).collect();
        // Of a shape the rules look at its names only; a second one is nobody's here.
        let shape = |(n, vm): (usize, &Uuid)| Shape {
            ids: [*vm, Uuid(vm.0.map(|byte| !byte))],
            ..Shape::draw(n as u32, &mut Choices::nothing())
        };
        Watch {
            shapes: vms.iter().enumerate().map(shape).collect(),
            domains: Domains::new(names, None),
            events: Vec::new(),
            first: rest::picture(world),
            broken: None,
        }
    }

    fn look(&mut self, world: &World) {
        if self.broken.is_none() {
            self.broken = self.safe(world).err();
            for event in self.events.drain(..) {
                log::debug("audit", format_args!("domain {} of vm {}: {:?}", event.domid, event.place, event.what));
            }
            if let Some(broken) = &self.broken {
                log::error("audit", broken);
            }
        }
    }

    fn safe(&mut self, world: &World) -> Checked {
        if let Some(breach) = world.breaches().first() {
            return Err(Violation::new("S3", format!("{breach:?}")));
        }
        self.domains.look(world, &mut self.events)?;
        storage::check(world)?;
        storage::check_memory(world)
    }

    fn judge(&self, world: &World, records: &BTreeMap<String, String>) -> Checked {
        let mut shelf = Shelf::default();
        records.keys().try_for_each(|key| shelf.changed(key, records))?;
        rest::check(world, &shelf, &self.shapes).map(|_| ())
    }
}
