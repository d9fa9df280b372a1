//! The hypervisor, as the daemon's host drives it.

use super::acts;
use super::errno::CallError;
use super::foreign::{Interface, Libraries, Quiet};
use super::library::{Search, Version};
use super::survey::{self, Survey};
use crate::failure::Failure;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use xenops_core::host::{DomId, DomainAct, DomainInfo, DomainSpec, Fault, Memory, Outcome, Reply, Uuid};
use xenops_core::interface::host::Host;

/// Interfaces that are kept while nobody calls.
const KEPT: usize = 4;

/// Domains that one listing tells of at most: Xen has no more numbers.
const MOST: usize = 1 << 15;

/// Xen on this host. Its calls block, some for seconds: they belong on the blocking pool, and may overlap.
pub struct Hypervisor {
    libraries: Libraries,
    // The library keeps the last error in the interface: each call has one of its own while it runs.
    idle: Mutex<Vec<Interface>>,
    host: Arc<Host>,
    survey: Survey,
}

impl Hypervisor {
    /// Finds the libraries of the Xen that runs and opens it.
    pub fn open() -> Result<Hypervisor, Failure> {
        let libraries = Libraries::load(&Search::standard(), Interface::check)?;
        let asked = |error: CallError| Failure::new(format!("cannot ask Xen: {error}"));
        let interface = Interface::open(&libraries, Box::new(Quiet)).map_err(asked)?;
        let survey = Survey::of(&interface).map_err(asked)?;
        let host = survey::host(&interface, &survey, &super::cpuinfo::read()).map_err(asked)?;
        Ok(Hypervisor { libraries, idle: Mutex::new(vec![interface]), host: Arc::new(host), survey })
    }

    /// The release that runs.
    pub fn version(&self) -> Version {
        self.libraries.version()
    }

    /// What the host can do, as it was when this was opened.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Makes an empty, paused domain; answers `Domain`.
    pub fn create(&self, spec: &DomainSpec) -> Outcome {
        self.with(|interface| acts::create(interface, spec)).unwrap_or_else(Outcome::Refused)
    }

    /// Does one thing to a domain; what it answers is said at [`DomainAct`].
    pub fn act(&self, domid: DomId, act: &DomainAct) -> Outcome {
        self.with(|interface| acts::act(interface, domid, act)).unwrap_or_else(Outcome::Refused)
    }

    /// Every domain, by number.
    pub fn list(&self) -> Result<Vec<DomainInfo>, Fault> {
        self.ask(|interface| acts::Calls::list(interface, 0, MOST))
    }

    /// The domain of that number, if there is one.
    pub fn look(&self, domid: DomId) -> Result<Option<DomainInfo>, Fault> {
        self.ask(|interface| acts::look(interface, domid))
    }

    /// Domains whose handle is this.
    pub fn find(&self, handle: Uuid) -> Result<Vec<DomainInfo>, Fault> {
        let mut infos = self.list()?;
        infos.retain(|info| info.handle == handle);
        Ok(infos)
    }

    /// The host's memory, now.
    pub fn memory(&self) -> Result<Memory, Fault> {
        self.ask(|interface| Ok(interface.physical()?.memory))
    }

    /// What HOST.stat answers, as it was when this was opened.
    pub fn host_stat(&self) -> Arc<Host> {
        self.host.clone()
    }

    /// The console ring; what cannot be printed is a space.
    pub fn console_ring(&self) -> Result<String, Fault> {
        let printable = |byte: u8| match byte {
            b'\r' | b'\n' | 0x20..=0x7e => char::from(byte),
            _ => ' ',
        };
        self.ask(|interface| interface.console_ring()).map(|text| text.into_iter().map(printable).collect())
    }

    /// Debug keys: Xen writes what it knows to its console.
    pub fn debug_keys(&self, keys: &str) -> Outcome {
        let Ok(keys) = CString::new(keys) else {
            return Outcome::Refused(Fault::Other("debug keys contain a zero byte".to_owned()));
        };
        match self.ask(|interface| interface.debug_keys(&keys)) {
            Ok(()) => Outcome::Ok(Reply::Unit),
            Err(fault) => Outcome::Unknown(fault),
        }
    }

    fn ask<T>(&self, ask: impl FnOnce(&Interface) -> Result<T, CallError>) -> Result<T, Fault> {
        self.with(ask)?.map_err(|error| error.fault(0, 0))
    }

    fn with<T>(&self, call: impl FnOnce(&Interface) -> T) -> Result<T, Fault> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let interface = match kept {
            Some(interface) => interface,
            None => Interface::open(&self.libraries, Box::new(Quiet)).map_err(|error| error.fault(0, 0))?,
        };
        let result = call(&interface);
        let mut idle = idle();
        if idle.len() < KEPT {
            idle.push(interface);
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared<T: Send + Sync>() {}

    // Whether it is the libraries or the hypervisor that is missing depends on the machine.
    #[test]
    #[cfg_attr(miri, ignore = "loads libraries")]
    fn without_xen_it_says_what_to_do() {
        shared::<Hypervisor>();
        match Hypervisor::open() {
            Ok(xen) => println!("skipped: this machine runs Xen {}", xen.version()),
            Err(Failure { status, text }) => {
                assert_eq!(status, 1);
                assert!(text.starts_with("cannot ") && text.contains("--host simulated"), "{text}");
            }
        }
    }
}
