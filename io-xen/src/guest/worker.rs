//! The work on a real Xen.

use super::arguments::{Build, Orders, Ports, Work};
use super::build::{self, Parts};
use super::dialogue::Library;
use super::settings::Settings;
use super::store::Store;
use super::voice::Voice;
use super::{Rings, StepError, policy};
use crate::failure::plain;
use crate::xen::acts::Calls;
use crate::xen::errno::{CallError, EINVAL};
use crate::xen::foreign::{Interface, Level, Libraries, Listener};
use crate::xen::library::Search;
use crate::xen::params;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// All that the work needs, open.
pub struct Worker {
    interface: Interface,
    settings: Settings,
    parts: Option<Parts>,
    stream: Option<OwnedFd>,
    complaint: Complaint,
}

/// What the library complained of first: its error numbers say little, and its later lines that it failed.
type Complaint = Arc<Mutex<Option<String>>>;

impl Worker {
    /// Opens and reads everything, as later there are no rights to.
    pub fn open(orders: &Orders, stream: Option<OwnedFd>, voice: &Voice) -> Result<Worker, StepError> {
        let step = orders.work.step();
        let failure = |text: String| StepError { step, errno: EINVAL, text };
        let mut store = Store::open().map_err(|error| failure(format!("cannot reach xenstored: {}", plain(&error))))?;
        let settings = Settings::read(&mut store, orders.domid)
            .map_err(|error| failure(format!("cannot read the domain's settings: {error}")))?;
        let parts = match &orders.work {
            Work::Build(build) => Some(Parts::read(step, build, settings.uefi)?),
            _ => None,
        };
        let libraries = Libraries::load(&Search::standard(), Interface::check).map_err(|error| failure(error.text))?;
        let complaint = Complaint::default();
        let listener = Teller { voice: voice.clone(), complaint: complaint.clone(), percent: None };
        let interface = Interface::open(&libraries, Box::new(listener)).map_err(|error| StepError {
            step,
            errno: error.errno,
            text: error.to_string(),
        })?;
        Ok(Worker { interface, settings, parts, stream, complaint })
    }

    fn explain(&self, mut error: StepError) -> StepError {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(complaint) = complaint {
            error.text = if error.errno == 0 { complaint } else { format!("{} ({complaint})", error.text) };
        }
        error
    }

    /// Gives a restored guest the generation id that it is to have from now on, where it keeps one.
    fn write_generation(&self, domid: u32) -> Result<(), CallError> {
        let Some(id) = self.settings.generation else { return Ok(()) };
        let address = self.interface.param(domid, params::VM_GENERATION_ID_ADDR)?;
        if address == 0 {
            return Ok(());
        }
        let bytes: Vec<u8> = id.into_iter().flat_map(u64::to_le_bytes).collect();
        // Nothing keeps it from lying across two pages.
        for (index, byte) in (0u64..).zip(bytes) {
            let at = address + index;
            self.interface.edit_page(domid, at >> 12, |page| page[(at & 0xfff) as usize] = byte)?;
        }
        Ok(())
    }
}

impl Library for Worker {
    fn build(&mut self, domid: u32, order: &Build) -> Result<Rings, StepError> {
        let parts = self.parts.as_ref().expect("the parts of a build are read when its worker is opened");
        build::build(&self.interface, domid, order, parts, &self.settings).map_err(|error| self.explain(error))
    }

    fn save(&mut self, domid: u32, suspend: &mut dyn FnMut() -> bool) -> Result<(), StepError> {
        let stream = self.stream.as_ref().expect("a save has a stream").as_fd();
        let saved = self.interface.save(domid, stream, suspend);
        saved.map_err(|error| self.explain(failed("xc_domain_save", error)))
    }

    fn restore(&mut self, domid: u32, ports: Ports, hardware: bool) -> Result<Rings, StepError> {
        let stream = self.stream.as_ref().expect("a restore has a stream").as_fd();
        let policy = policy::policy(&self.settings);
        let restored = self.interface.restore(domid, stream, (ports.store, ports.console), &policy);
        let (store, console) = restored.map_err(|error| self.explain(failed("xc_domain_restore", error)))?;
        if hardware {
            self.write_generation(domid).map_err(|error| failed("xc_domain_restore", error))?;
        }
        Ok(Rings { store, console })
    }
}

fn failed(step: &'static str, error: CallError) -> StepError {
    StepError { step, errno: error.errno, text: error.to_string() }
}

/// Tells the daemon what the library says.
struct Teller {
    voice: Voice,
    complaint: Complaint,
    percent: Option<u32>,
}

impl Listener for Teller {
    fn message(&mut self, level: Level, text: &str) {
        if level >= Level::Notice {
            self.voice.info(text);
        }
        if level == Level::Error {
            self.complaint.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| text.to_owned());
        }
    }

    fn progress(&mut self, percent: u32) {
        if self.percent != Some(percent) {
            self.percent = Some(percent);
            self.voice.progress(percent);
        }
    }
}
