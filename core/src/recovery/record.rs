//! What this daemon has written about a VM, as recovery reads it.

use super::{Goal, Intent};
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
    /// When its present domain was made, if that was in this daemon's life.
    pub made: Option<Now>,
}

impl<'a> Record<'a> {
    pub(super) fn goal(&self) -> Option<&'a Goal> {
        self.intent.map(|intent| &intent.goal)
    }

    /// Past its point of no return.
    pub(super) fn committed(&self) -> bool {
        self.intent.is_some_and(|intent| intent.committed)
    }

    /// Its operation may still start something: it has neither failed nor been cut short by a reboot of the host.
    pub(super) fn may_start(&self, now: Now) -> bool {
        let failed = |intent: &Intent| intent.abandoned && !mutant!(FailedRebootStarts);
        let of_old = |intent: &Intent| intent.boot != now.boot && !mutant!(RebootAfterBoot);
        self.intent.is_some_and(|intent| !failed(intent) && !of_old(intent))
    }

    /// There is an image that its guest can be resumed from.
    pub(super) fn has_image(&self) -> bool {
        self.extra.is_some_and(|extra| extra.suspend_memory_bytes != 0)
    }
}
