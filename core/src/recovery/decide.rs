//! The decision: look, compare, repair.
//!
//! The host is right about what is: domains, flags, datapaths. The intent is right about what was wanted. Nothing
//! here remembers what was decided before: a repair that failed, or that a crash cut short, is decided on again from
//! what is there then, and one that has worked leaves nothing to decide.
//!
//! A VM starts, or runs on, for three reasons only: a reboot that is committed and has not failed, a domain that has
//! stopped by itself and whose `on_*` list says so, a suspend that did not come to its end.

use super::stop::{self, Stop};
use super::{Goal, Record, Repair, Sensible, Verdict, devices};
use crate::backend::{DomainSeen, Observation, Settings};
use crate::host::{DomId, Now, ShutdownCode};
use crate::interface::vm::Action;
use std::cmp::Reverse;

/// What makes this VM sensible, if it is not. Used when the daemon starts, when an operation has ended in any way,
/// and when a guest may have done something.
pub fn decide(record: &Record, seen: &Observation, settings: &Settings, now: Now) -> Verdict {
    if let Some(name) = seen.foreigner(&settings.instance) {
        return Verdict::Foreign(name.to_owned());
    }
    let case = Case { record, seen, settings, now };
    if let Some(Goal::Rename(to)) = record.goal().filter(|_| !case.is_renamed()) {
        return repair(Repair::Rename(*to), "it is being renamed");
    }
    let mut living: Vec<_> = seen.living().collect();
    living.sort_by_key(|domain| Reverse(case.rank(domain)));
    match living.as_slice() {
        [] => case.without_domain(),
        [domain] => case.with_remains(domain, &[]),
        [domain, others @ ..] => case.with_duplicates(domain, others),
    }
}

struct Case<'a> {
    record: &'a Record<'a>,
    seen: &'a Observation,
    settings: &'a Settings,
    now: Now,
}

pub(super) fn repair(repair: Repair, tell: &'static str) -> Verdict {
    Verdict::Repair(repair, tell.into())
}

fn stuck(tell: &'static str) -> Verdict {
    Verdict::Stuck(tell.into())
}

impl Case<'_> {
    fn is_renamed(&self) -> bool {
        matches!(self.record.goal(), Some(Goal::Rename(to)) if to.text() == self.record.vm.id)
    }

    /// What is left of domains that are destroyed already, or being so.
    fn remains(&self) -> impl Iterator<Item = DomId> {
        let domains = self.seen.domains.iter().filter(|_| !mutant!(HalfDestroyedForgotten));
        let dead = domains.filter(|domain| domain.info.handle.is_tombstone() || domain.info.dying);
        dead.map(|domain| domain.info.domid).chain(self.seen.leftovers.iter().copied())
    }

    /// Which of several domains is the one to keep: the one that has run, that is complete, that has run longest.
    fn rank(&self, domain: &DomainSeen) -> (bool, bool, u64, Reverse<DomId>) {
        let info = &domain.info;
        (domain.has_run(), !self.is_fragment(domain), info.cpu_time, Reverse(info.domid))
    }

    /// Its start or resume did not come to its end: it never ran, and it never will.
    fn is_fragment(&self, domain: &DomainSeen) -> bool {
        let unrecorded = || self.record.extra.is_some_and(|extra| extra.build_info.is_none());
        !mutant!(FragmentKept) && (!domain.complete() || (!domain.has_run() && unrecorded()))
    }

    fn without_domain(&self) -> Verdict {
        let (record, seen) = (self.record, self.seen);
        let remains = self.remains().next().is_some();
        let flags = !seen.active_vbds.is_empty() || !seen.active_vifs.is_empty();
        let left =
            remains || flags || !seen.datapaths.is_empty() || (record.extra.is_some() && !mutant!(StaleRecordKept));
        match record.goal() {
            Some(Goal::Remove) if !remains => return repair(Repair::Remove, "it is being removed"),
            Some(Goal::Reboot) if record.committed() && record.may_start(self.now) => {
                return repair(Repair::Restart { delay: 0 }, "its reboot has destroyed the old domain");
            }
            Some(Goal::Poweroff) if record.committed() && left => {
                return repair(Repair::FinishPoweroff, "its power-off has begun and something is left of it");
            }
            _ => {}
        }
        match (record.has_image(), remains, left) {
            (true, true, _) => repair(Repair::FinishSuspend, "a destroyed domain is not gone yet"),
            (true, ..) if !seen.datapaths.is_empty() => {
                repair(Repair::Clean { suspended: true }, "it has no domain and storage still holds its disks")
            }
            (true, ..) => {
                let nothing_is_plugged = |_: bool, _: &str| false;
                let flagged = devices::unflag(record, seen, nothing_is_plugged);
                flagged.unwrap_or(Verdict::Sensible(Sensible::Suspended))
            }
            (false, true, _) => repair(Repair::Shutdown, "a destroyed domain is not gone yet"),
            (false, false, true) => {
                repair(Repair::Clean { suspended: false }, "it has no domain and something is left of one")
            }
            (false, false, false) if mutant!(HaltedObeysList) && record.vm.on_shutdown.contains(&Action::Start) => {
                repair(Repair::Restart { delay: 0 }, "a mutant")
            }
            (false, false, false) => Verdict::Sensible(Sensible::Halted),
        }
    }

    /// One domain stays. What stands beside it goes first, unless all goes anyway.
    fn with_remains(&self, domain: &DomainSeen, others: &[&DomainSeen]) -> Verdict {
        let verdict = self.with_domain(domain);
        let clears = match &verdict {
            Verdict::Repair(repair, _) => repair.clears(),
            Verdict::Stuck(_) | Verdict::Foreign(_) => true,
            Verdict::Sensible(_) => false,
        };
        let beside: Vec<_> = others.iter().map(|other| other.info.domid).chain(self.remains()).collect();
        if clears || beside.is_empty() || mutant!(DuplicateStays) {
            return verdict;
        }
        repair(Repair::DestroyDomains(beside), "beside its domain stands what is left of another")
    }

    fn with_duplicates(&self, domain: &DomainSeen, others: &[&DomainSeen]) -> Verdict {
        let powers_off = self.record.goal() == Some(&Goal::Poweroff) && self.record.committed();
        if !powers_off && others.iter().any(|other| other.has_run()) {
            return stuck("two domains of it have run");
        }
        self.with_remains(domain, others)
    }

    fn with_domain(&self, domain: &DomainSeen) -> Verdict {
        let record = self.record;
        if domain.info.domid == 0 {
            return Verdict::Sensible(Sensible::Running);
        }
        if let Some(verdict) = self.as_wanted(domain) {
            return verdict;
        }
        if self.is_fragment(domain) {
            return self.with_fragment(domain);
        }
        if record.extra.is_none() {
            return without_extra(domain);
        }
        if let Some(stop) = Stop::of(domain) {
            if stop == Stop::Suspend && record.has_image() {
                return repair(Repair::FinishSuspend, "its image is complete and its domain is still there");
            }
            let owed = stop == Stop::Suspend && domain.suspending && !mutant!(LateSuspendForgotten);
            if owed && devices::whole(domain, record, self.seen) {
                return repair(
                    Repair::FastResume,
                    "its guest has suspended as it was asked to, and nobody waits for it",
                );
            }
            return stop::act(stop, domain, record, self.settings, self.now);
        }
        if record.has_image() {
            // It can run, or runs already: resumed once more, its image would run beside it on the same disks.
            return repair(Repair::ForgetImage, "it is resumed and its image is not forgotten");
        }
        if matches!(record.goal(), Some(Goal::Suspend(_))) && domain.pending_shutdown.as_deref() == Some("suspend") {
            return repair(Repair::FastResume, "its guest is asked to suspend and nobody waits for it");
        }
        let resting = if domain.info.paused { Sensible::Paused } else { Sensible::Running };
        devices::tend(domain, record, self.seen).unwrap_or(Verdict::Sensible(resting))
    }

    /// What an unfinished operation makes of its domain; `None` where the domain decides by itself.
    fn as_wanted(&self, domain: &DomainSeen) -> Option<Verdict> {
        let (committed, stopped) = (self.record.committed(), domain.info.shutdown);
        match self.record.goal()? {
            Goal::Poweroff if committed => Some(repair(Repair::FinishPoweroff, "its power-off has begun")),
            Goal::Poweroff if stopped.is_some() => {
                Some(repair(Repair::FinishPoweroff, "its guest has stopped as it was asked to"))
            }
            Goal::Reboot if committed => self.rebooting(domain),
            Goal::Reboot if stopped.is_some() && self.record.may_start(self.now) => {
                Some(repair(Repair::Restart { delay: 0 }, "its guest has stopped for a reboot"))
            }
            Goal::Suspend(_) if stopped == Some(ShutdownCode::Suspend) => Some(self.suspended(domain)),
            Goal::Suspend(_) if mutant!(AnyStopIsSuspend) && stopped.is_some() => Some(self.suspended(domain)),
            _ => None,
        }
    }

    fn rebooting(&self, domain: &DomainSeen) -> Option<Verdict> {
        let (fragment, stopped) = (self.is_fragment(domain), Stop::of(domain).is_some());
        let old = self.record.intent.is_some_and(|intent| intent.domid == Some(domain.info.domid));
        if !old && !fragment {
            let tell = "its reboot has made a complete domain that does not run yet";
            return (!domain.has_run() && !stopped).then_some(repair(Repair::Unpause, tell));
        }
        if !self.record.may_start(self.now) {
            return Some(repair(Repair::Shutdown, "its reboot has failed after it had begun"));
        }
        let early = stopped && !fragment && stop::is_early(domain, self.record, self.settings, self.now);
        Some(repair(Repair::Restart { delay: stop::delay(early, self.settings) }, "its reboot has begun"))
    }

    /// The guest has suspended because it was asked to.
    fn suspended(&self, domain: &DomainSeen) -> Verdict {
        if self.record.committed() || self.record.has_image() || mutant!(HalfImageKept) {
            repair(Repair::FinishSuspend, "its image is complete and its domain is still there")
        } else if devices::whole(domain, self.record, self.seen) && !mutant!(FailedSuspendKills) {
            repair(Repair::FastResume, "its guest has suspended and its image is not complete")
        } else {
            repair(Repair::Shutdown, "its guest has suspended, its image is not complete and its devices are gone")
        }
    }

    fn with_fragment(&self, domain: &DomainSeen) -> Verdict {
        if domain.has_run() && domain.info.shutdown.is_none() && domain.info.total_pages > 0 {
            return stuck("its domain has run and xenstore does not know it");
        }
        if self.record.has_image() {
            return repair(Repair::FinishSuspend, "its resume did not come to its end and its image is good");
        }
        if mutant!(FragmentObeysList) && self.record.vm.on_shutdown.contains(&Action::Start) {
            return repair(Repair::Restart { delay: 0 }, "a mutant");
        }
        let tell = match (domain.action_request.is_some(), self.record.goal()) {
            (true, Some(Goal::Start)) => "action-request is set and its start did not come to its end",
            (true, _) => "action-request is set and no start is in progress",
            (false, _) => "its domain is not built and no start is in progress",
        };
        repair(Repair::Shutdown, tell)
    }
}

/// A complete domain that is not on record. We write VmExtra before a domain is made and drop it when the domain is
/// gone; the daemon before us dropped it first, so that one half torn down may be left. Any other is not ours.
fn without_extra(domain: &DomainSeen) -> Verdict {
    if Stop::of(domain).is_some() || (domain.info.paused && domain.devices.is_empty()) {
        repair(Repair::Shutdown, "its domain was being destroyed")
    } else {
        if mutant!(UnrecordedDestroyed) {
            return repair(Repair::Shutdown, "a mutant");
        }
        stuck("its domain has no record: this daemon did not make it")
    }
}
