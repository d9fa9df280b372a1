//! The decision: look, compare, repair.

use super::{Intent, Verdict};
use crate::backend::{Observation, Settings};
use crate::host::Now;
use crate::interface::{Vbd, Vif, Vm, VmExtra};
use std::sync::Arc;

/// What this daemon has written about a VM.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its row.
    pub vm: &'a Vm,
    /// Its disks.
    pub vbds: &'a [Arc<Vbd>],
    /// Its network interfaces.
    pub vifs: &'a [Arc<Vif>],
    /// Its run-time record.
    pub extra: Option<&'a VmExtra>,
    /// What was wanted, if an operation has not ended.
    pub intent: Option<&'a Intent>,
}
