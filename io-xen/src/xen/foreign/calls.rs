//! What is done to domains.

use super::super::acts::Calls;
use super::super::errno::CallError;
use super::super::layout::{self, INFO_BYTES};
use super::interface::{Interface, call};
use std::ffi::{c_int, c_uint, c_ulong};
use std::ptr::null_mut;
use xenops_core::host::{DomId, DomainInfo, DomainSpec};

/// Domains that one call tells of.
const PART: usize = 256;

const GET_ALLOCATION: c_uint = 30;
const SET_ALLOCATION: c_uint = 31;
const HARD: u32 = 1;
const CREDIT: c_int = 5;
const CREDIT2: c_int = 6;

impl Interface {
    /// How many vCPUs a domain has room for.
    pub fn most_vcpus(&self, domid: DomId) -> Result<u32, CallError> {
        let mut bytes = vec![0; INFO_BYTES];
        let count = call!(self.xc_domain_getinfolist(domid, 1, bytes.as_mut_ptr()))?;
        let found = layout::infos(&bytes, count as usize).next().filter(|info| info.domid == domid);
        found.ok_or(CallError { function: "xc_domain_getinfolist", errno: super::super::errno::ESRCH })?;
        Ok(layout::info::most_vcpus(&bytes))
    }

    /// Names the memory map that a guest asks Xen for; entries of 20 bytes.
    pub fn set_memory_map(&self, domid: DomId, map: &mut [u8]) -> Result<(), CallError> {
        let entries = (map.len() / 20) as u32;
        call!(self.xc_domain_set_memory_map(domid, map.as_mut_ptr(), entries)).map(drop)
    }

    /// The guest's clock, seconds from the host's.
    pub fn set_time_offset(&self, domid: DomId, seconds: i32) -> Result<(), CallError> {
        call!(self.xc_domain_set_time_offset(domid, seconds)).map(drop)
    }

    /// How the time stamp counter is emulated; 0 is by need.
    pub fn set_tsc_mode(&self, domid: DomId, mode: u32) -> Result<(), CallError> {
        call!(self.xc_domain_set_tsc_info(domid, mode, 0, 0, 0)).map(drop)
    }

    /// What processor the guest sees. Without `features` it is the host's default; `restored` fills in what an older
    /// stream does not say.
    pub fn apply_policy(&self, domid: DomId, restored: bool, policy: &Policy) -> Result<(), CallError> {
        let (words, count) = match &policy.features {
            Some(words) => (words.as_ptr(), words.len() as c_uint),
            None => (std::ptr::null(), 0),
        };
        let (none, also) = (std::ptr::null(), std::ptr::null());
        call!(self.xc_cpuid_apply_policy(
            domid,
            restored,
            words,
            count,
            policy.pae,
            policy.itsc,
            policy.nested,
            none,
            also
        ))
        .map(drop)
    }
}

/// What a guest's processor is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Its feature set, in Xen's words.
    pub features: Option<Vec<u32>>,
    /// Physical address extension.
    pub pae: bool,
    /// An invariant time stamp counter.
    pub itsc: bool,
    /// Virtualisation of its own.
    pub nested: bool,
}

impl Calls for Interface {
    fn create(&self, spec: &DomainSpec) -> Result<DomId, CallError> {
        let grants = self.physical()?.grants;
        let mut bytes = layout::create(self.layout, spec, grants);
        let mut domid = 0;
        call!(self.xc_domain_create(&mut domid, bytes.as_mut_ptr()))?;
        Ok(domid)
    }

    fn list(&self, first: DomId, most: usize) -> Result<Vec<DomainInfo>, CallError> {
        let part = most.min(PART);
        let mut found = Vec::new();
        let mut next = first;
        loop {
            let mut bytes = vec![0; part * INFO_BYTES];
            let count = call!(self.xc_domain_getinfolist(next, part as c_uint, bytes.as_mut_ptr()))? as usize;
            found.extend(layout::infos(&bytes, count));
            match found.last() {
                Some(last) if count == part && found.len() < most => next = last.domid + 1,
                _ => return Ok(found),
            }
        }
    }

    fn pause(&self, domid: DomId) -> Result<(), CallError> {
        call!(self.xc_domain_pause(domid)).map(drop)
    }

    fn unpause(&self, domid: DomId) -> Result<(), CallError> {
        call!(self.xc_domain_unpause(domid)).map(drop)
    }

    fn destroy(&self, domid: DomId) -> Result<(), CallError> {
        call!(self.xc_domain_destroy(domid)).map(drop)
    }

    fn shutdown(&self, domid: DomId, code: u8) -> Result<(), CallError> {
        call!(self.xc_domain_shutdown(domid, c_int::from(code))).map(drop)
    }

    fn resume(&self, domid: DomId) -> Result<(), CallError> {
        call!(self.xc_domain_resume(domid, 1)).map(drop)
    }

    fn soft_reset(&self, domid: DomId) -> Result<(), CallError> {
        call!(self.xc_domain_soft_reset(domid)).map(drop)
    }

    fn set_handle(&self, domid: DomId, mut handle: [u8; 16]) -> Result<(), CallError> {
        call!(self.xc_domain_sethandle(domid, handle.as_mut_ptr())).map(drop)
    }

    fn set_max_mem(&self, domid: DomId, kib: u64) -> Result<(), CallError> {
        call!(self.xc_domain_setmaxmem(domid, kib)).map(drop)
    }

    fn max_vcpus(&self, domid: DomId, most: u32) -> Result<(), CallError> {
        call!(self.xc_domain_max_vcpus(domid, most)).map(drop)
    }

    fn memmap_limit(&self, domid: DomId, kib: u64) -> Result<(), CallError> {
        call!(self.xc_domain_set_memmap_limit(domid, kib as c_ulong)).map(drop)
    }

    fn shadow(&self, domid: DomId, wanted: Option<u32>) -> Result<u32, CallError> {
        let operation = if wanted.is_some() { SET_ALLOCATION } else { GET_ALLOCATION };
        let mut mib = wanted.unwrap_or(0);
        call!(self.xc_shadow_control(domid, operation, &mut mib, 0))?;
        Ok(mib)
    }

    fn most_cpus(&self) -> Result<u32, CallError> {
        Ok(self.physical()?.max_cpu + 1)
    }

    fn hard_affinity(&self, domid: DomId, vcpu: u32, mut mask: Vec<u8>) -> Result<(), CallError> {
        // The library reads and writes as many bytes as the host's processors need.
        let least = self.most_cpus()?.div_ceil(8) as usize;
        mask.resize(mask.len().max(least), 0);
        call!(self.xc_vcpu_setaffinity(domid, vcpu as c_int, mask.as_mut_ptr(), null_mut(), HARD)).map(drop)
    }

    fn schedule(&self, domid: DomId, weight: u16, cap: u16) -> Result<(), CallError> {
        let mut scheduler = 0;
        call!(self.xc_sched_id(&mut scheduler))?;
        let mut parameters = [weight, cap];
        match scheduler {
            CREDIT => call!(self.xc_sched_credit_domain_set(domid, &mut parameters)).map(drop),
            CREDIT2 => call!(self.xc_sched_credit2_domain_set(domid, &mut parameters)).map(drop),
            _ => Ok(()),
        }
    }

    fn set_param(&self, domid: DomId, param: u32, value: u64) -> Result<(), CallError> {
        call!(self.xc_hvm_param_set(domid, param, value)).map(drop)
    }

    fn param(&self, domid: DomId, param: u32) -> Result<u64, CallError> {
        let mut value = 0;
        call!(self.xc_hvm_param_get(domid, param, &mut value))?;
        Ok(value)
    }

    fn alloc_unbound(&self, domid: DomId) -> Result<u64, CallError> {
        call!(self.xc_evtchn_alloc_unbound(domid, 0)).map(|port| port as u64)
    }
}
