//! What is done to a domain, in terms of the hypervisor's calls.

use super::errno::{CallError, EINVAL};
use super::layout::info;
use super::params;
use std::thread::sleep;
use std::time::{Duration, Instant};
use xenops_core::host::{DomId, DomainAct, DomainInfo, DomainSpec, Fault, Outcome, Reply};

/// How long a destroyed domain may stay in the list: as long as somebody maps its memory.
const PATIENCE: Duration = Duration::from_secs(300);

/// Xen counts pauses; more than this nobody made.
const MOST_PAUSES: u32 = 256;

/// KiB that Xen takes for one vCPU.
const VCPU: u64 = 152;

/// KiB that Xen takes at least when it says that it has none.
const LEAST: u64 = 4;

/// The hypervisor's calls that acts are made of. Each is one call, done or not done as a whole.
pub trait Calls {
    /// An empty, paused domain.
    fn create(&self, spec: &DomainSpec) -> Result<DomId, CallError>;
    /// Domains from this number on, at most so many.
    fn list(&self, first: DomId, most: usize) -> Result<Vec<DomainInfo>, CallError>;
    /// One more pause.
    fn pause(&self, domid: DomId) -> Result<(), CallError>;
    /// One pause less.
    fn unpause(&self, domid: DomId) -> Result<(), CallError>;
    /// Takes all that it has from it; it leaves the list when nobody refers to it.
    fn destroy(&self, domid: DomId) -> Result<(), CallError>;
    /// Shut down, with this code.
    fn shutdown(&self, domid: DomId, code: u8) -> Result<(), CallError>;
    /// Undo a suspend.
    fn resume(&self, domid: DomId) -> Result<(), CallError>;
    /// Forget the guest's state, keep its memory.
    fn soft_reset(&self, domid: DomId) -> Result<(), CallError>;
    /// Name its owner.
    fn set_handle(&self, domid: DomId, handle: [u8; 16]) -> Result<(), CallError>;
    /// Limit its memory, KiB.
    fn set_max_mem(&self, domid: DomId, kib: u64) -> Result<(), CallError>;
    /// Make room for vCPUs.
    fn max_vcpus(&self, domid: DomId, most: u32) -> Result<(), CallError>;
    /// Limit its memory map, KiB.
    fn memmap_limit(&self, domid: DomId, kib: u64) -> Result<(), CallError>;
    /// Set the paging pool, or ask for it; MiB that it has.
    fn shadow(&self, domid: DomId, wanted: Option<u32>) -> Result<u32, CallError>;
    /// Numbers that the host's logical processors may have.
    fn most_cpus(&self) -> Result<u32, CallError>;
    /// Bind a vCPU; a bit for each logical processor.
    fn hard_affinity(&self, domid: DomId, vcpu: u32, mask: Vec<u8>) -> Result<(), CallError>;
    /// Weight and cap; nothing where the scheduler has none.
    fn schedule(&self, domid: DomId, weight: u16, cap: u16) -> Result<(), CallError>;
    /// Set a parameter of a hardware guest.
    fn set_param(&self, domid: DomId, param: u32, value: u64) -> Result<(), CallError>;
    /// A parameter of a hardware guest.
    fn param(&self, domid: DomId, param: u32) -> Result<u64, CallError>;
    /// A fresh event channel for dom0.
    fn alloc_unbound(&self, domid: DomId) -> Result<u64, CallError>;
}

/// Makes a domain.
pub(super) fn create(calls: &dyn Calls, spec: &DomainSpec) -> Outcome {
    match calls.create(spec) {
        Ok(domid) => Outcome::Ok(Reply::Domain(domid)),
        Err(error) if error.in_doubt() => Outcome::Unknown(error.fault(0, LEAST)),
        Err(error) => Outcome::Refused(error.fault(0, LEAST)),
    }
}

/// Does one thing to a domain.
pub(super) fn act(calls: &dyn Calls, domid: DomId, act: &DomainAct) -> Outcome {
    let mut steps = Steps { domid, wanted: LEAST, done: false };
    match steps.act(calls, act) {
        Ok(reply) => Outcome::Ok(reply),
        Err(fault) if steps.done => Outcome::Unknown(fault),
        Err(fault) => Outcome::Refused(fault),
    }
}

/// The domain of that number, if there is one.
pub(super) fn look(calls: &dyn Calls, domid: DomId) -> Result<Option<DomainInfo>, CallError> {
    Ok(calls.list(domid, 1)?.into_iter().find(|info| info.domid == domid))
}

/// An act under way.
struct Steps {
    domid: DomId,
    /// KiB that it takes, for the case that there are none.
    wanted: u64,
    /// Whether something has been done, or may have been.
    done: bool,
}

impl Steps {
    /// What a call gave; notes whether it, or part of the act, was done.
    fn took<T>(&mut self, result: Result<T, CallError>) -> Result<T, Fault> {
        self.done |= result.as_ref().map_or_else(CallError::in_doubt, |_| true);
        result.map_err(|error| error.fault(self.domid, self.wanted))
    }

    /// What a call gave that changes nothing.
    fn saw<T>(&self, result: Result<T, CallError>) -> Result<T, Fault> {
        result.map_err(|error| error.fault(self.domid, self.wanted))
    }

    /// What a call gave that Xen may do in parts.
    fn tried<T>(&mut self, result: Result<T, CallError>) -> Result<T, Fault> {
        self.done |= result.as_ref().map_or_else(|error| error.errno != super::errno::ESRCH, |_| true);
        result.map_err(|error| error.fault(self.domid, self.wanted))
    }

    fn act(&mut self, calls: &dyn Calls, act: &DomainAct) -> Result<Reply, Fault> {
        let domid = self.domid;
        match act {
            DomainAct::Pause => return self.pause(calls),
            DomainAct::Unpause => return self.unpause(calls),
            DomainAct::Destroy => return self.destroy(calls),
            DomainAct::HardAffinity(masks) => return self.affinity(calls, masks),
            DomainAct::Shutdown(code) => self.took(calls.shutdown(domid, info::number(*code)))?,
            DomainAct::Resume => self.tried(calls.resume(domid))?,
            DomainAct::SoftReset => self.tried(calls.soft_reset(domid))?,
            DomainAct::SetHandle(handle) => self.took(calls.set_handle(domid, handle.0))?,
            DomainAct::SetMaxMem(kib) => self.took(calls.set_max_mem(domid, *kib))?,
            DomainAct::MaxVcpus(most) => {
                self.wanted = VCPU * u64::from(*most);
                self.tried(calls.max_vcpus(domid, *most))?;
            }
            DomainAct::MemmapLimit(kib) => self.took(calls.memmap_limit(domid, *kib))?,
            DomainAct::ShadowAllocation(mib) => {
                self.wanted = 1024 * u64::from(*mib);
                let result = calls.shadow(domid, Some(*mib));
                // Xen takes page after page; what it does not take at all it refuses with another error.
                if matches!(&result, Err(error) if error.errno == super::errno::ENOMEM) {
                    self.done = true;
                }
                self.took(result)?;
            }
            DomainAct::GetShadowAllocation => {
                return self.saw(calls.shadow(domid, None)).map(|mib| Reply::Number(u64::from(mib)));
            }
            DomainAct::Schedule { weight, cap } => {
                let clamp = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
                self.took(calls.schedule(domid, clamp(*weight), clamp(*cap)))?;
            }
            DomainAct::TimerMode(mode) => self.took(calls.set_param(domid, params::TIMER_MODE, u64::from(*mode)))?,
            DomainAct::AcpiWake => self.took(calls.set_param(domid, params::ACPI_S_STATE, 0))?,
            DomainAct::AllocUnbound => return self.took(calls.alloc_unbound(domid)).map(Reply::Number),
            DomainAct::HasPvCallback => {
                return self.saw(calls.param(domid, params::CALLBACK_IRQ)).map(|irq| Reply::Flag(irq != 0));
            }
            DomainAct::Channels { store, console } => {
                self.took(calls.set_param(domid, params::STORE_EVTCHN, *store))?;
                self.took(calls.set_param(domid, params::CONSOLE_EVTCHN, *console))?;
            }
        }
        Ok(Reply::Unit)
    }

    fn here(&self, calls: &dyn Calls) -> Result<DomainInfo, Fault> {
        self.saw(look(calls, self.domid))?.ok_or(Fault::NoDomain(self.domid))
    }

    /// Xen counts pauses, hosts do not.
    fn pause(&mut self, calls: &dyn Calls) -> Result<Reply, Fault> {
        if !self.here(calls)?.paused {
            self.took(calls.pause(self.domid))?;
        }
        Ok(Reply::Unit)
    }

    fn unpause(&mut self, calls: &dyn Calls) -> Result<Reply, Fault> {
        for _ in 0..MOST_PAUSES {
            if !self.here(calls)?.paused {
                return Ok(Reply::Unit);
            }
            match calls.unpause(self.domid) {
                // Somebody else was quicker: the next look tells.
                Err(error) if error.errno == EINVAL => {}
                result => self.took(result)?,
            }
        }
        Err(Fault::Busy(format!("domain {}, which somebody keeps pausing,", self.domid)))
    }

    /// Answered when it has left the list.
    fn destroy(&mut self, calls: &dyn Calls) -> Result<Reply, Fault> {
        // Taken apart piece by piece.
        self.tried(calls.destroy(self.domid))?;
        let begun = Instant::now();
        let mut pace = Duration::from_millis(1);
        while self.saw(look(calls, self.domid))?.is_some_and(|info| info.dying) {
            if begun.elapsed() > PATIENCE {
                return Err(Fault::Busy(format!("memory of the destroyed domain {}", self.domid)));
            }
            sleep(pace);
            pace = (2 * pace).min(Duration::from_millis(200));
        }
        Ok(Reply::Unit)
    }

    fn affinity(&mut self, calls: &dyn Calls, masks: &[Vec<u32>]) -> Result<Reply, Fault> {
        let most = self.saw(calls.most_cpus())?;
        for (vcpu, cpus) in (0u32..).zip(masks) {
            self.took(calls.hard_affinity(self.domid, vcpu, mask(cpus, most)))?;
        }
        Ok(Reply::Unit)
    }
}

/// A bit for each processor of the list that the host has; all of them if none is left.
fn mask(cpus: &[u32], most: u32) -> Vec<u8> {
    let mut mask = vec![0u8; most.div_ceil(8) as usize];
    for cpu in cpus.iter().filter(|cpu| **cpu < most) {
        mask[(cpu / 8) as usize] |= 1 << (cpu % 8);
    }
    if mask.iter().all(|byte| *byte == 0) { vec![0xff; mask.len()] } else { mask }
}

#[cfg(test)]
mod tests;
