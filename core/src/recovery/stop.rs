//! A domain that has stopped by itself, and what its VM's `on_*` lists make of it.

use super::decide::repair;
use super::{Record, Repair, Sensible, Verdict};
use crate::backend::{DomainSeen, Settings};
use crate::host::{Now, ShutdownCode, time};
use crate::interface::vm::Action;

/// How a domain stopped, or what was asked of it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Poweroff,
    Reboot,
    Suspend,
    Crash,
    SoftReset,
}

impl Stop {
    /// From the hypervisor's flag; failing that from `action-request`, where any text but one means a power-off.
    pub(super) fn of(domain: &DomainSeen) -> Option<Stop> {
        match (domain.info.shutdown, domain.action_request.as_deref()) {
            (Some(ShutdownCode::Reboot | ShutdownCode::Watchdog), _) => Some(Stop::Reboot),
            (Some(ShutdownCode::Suspend), _) => Some(Stop::Suspend),
            (Some(ShutdownCode::Crash), _) => Some(Stop::Crash),
            (Some(ShutdownCode::SoftReset), _) => Some(Stop::SoftReset),
            (Some(ShutdownCode::Poweroff | ShutdownCode::Other(_)), _) => Some(Stop::Poweroff),
            (None, Some("reboot")) => Some(Stop::Reboot),
            (None, Some(_)) if mutant!(UnknownWordIgnored) => None,
            (None, Some(_)) => Some(Stop::Poweroff),
            (None, None) => None,
        }
    }

    /// What was seen.
    fn tell(self) -> &'static str {
        match self {
            Stop::Poweroff => "its guest has powered off",
            Stop::Reboot => "its guest has rebooted",
            Stop::Suspend => "its guest has suspended though nobody asked it to",
            Stop::Crash => "its guest has crashed",
            Stop::SoftReset => "its guest has asked for a soft reset",
        }
    }

    fn actions<'a>(self, record: &Record<'a>) -> &'a [Action] {
        match self {
            Stop::Poweroff => &record.vm.on_shutdown,
            Stop::Reboot => &record.vm.on_reboot,
            Stop::Crash => &record.vm.on_crash,
            Stop::SoftReset => &record.vm.on_softreboot,
            Stop::Suspend => &[Action::Shutdown],
        }
    }
}

/// What is to be done with a complete domain that has stopped.
pub(super) fn act(stop: Stop, domain: &DomainSeen, record: &Record, settings: &Settings, now: Now) -> Verdict {
    // Each action of a list undoes what those before it did, and nothing here takes a core dump: the last one
    // decides. A list that says nothing leaves a dead domain, which is no state to rest in.
    let actions = stop.actions(record);
    let last = actions.iter().rev().find(|action| **action != Action::Coredump).unwrap_or(&Action::Shutdown);
    let early = is_early(domain, record, settings, now);
    match last {
        Action::Start if stop == Stop::Crash && early => {
            repair(Repair::Shutdown, "its guest has crashed too soon after its start to be started again")
        }
        // A soft reset needs a domain that has really stopped.
        Action::Softreboot if domain.info.shutdown.is_some() => repair(Repair::SoftReset, stop.tell()),
        Action::Start | Action::Softreboot => repair(Repair::Restart { delay: delay(early, settings) }, stop.tell()),
        Action::Pause if domain.info.paused && !mutant!(CrashPausedAgain) => {
            Verdict::Sensible(Sensible::PreservedCrash)
        }
        Action::Pause => repair(Repair::Pause, stop.tell()),
        Action::Shutdown | Action::Coredump => repair(Repair::Shutdown, stop.tell()),
    }
}

/// How long the next start of this domain's VM is held back: a guest that reboots at once would take the host along.
pub(super) fn delay(early: bool, settings: &Settings) -> u64 {
    if early { settings.reboot_delay } else { 0 }
}

pub(super) fn is_early(domain: &DomainSeen, record: &Record, settings: &Settings, now: Now) -> bool {
    !mutant!(RebootLoop) && run_time(domain, record, now) < settings.minimum_reboot_delay
}

/// Nanoseconds that a domain has been there. The wall clock is asked only when this daemon did not see it made, and
/// is not believed where it says less than the domain has computed or more than the host is up.
fn run_time(domain: &DomainSeen, record: &Record, now: Now) -> u64 {
    if let Some(made) = record.made.filter(|made| made.boot == now.boot && !mutant!(WallClockBelieved)) {
        return now.mono.saturating_sub(made.mono);
    }
    let started = time::nanoseconds(record.extra.map_or(0.0, |extra| extra.last_start_time));
    let computed = domain.info.cpu_time / u64::from(domain.info.vcpus.max(1));
    now.wall.saturating_sub(started).max(computed).min(now.mono)
}
