//! Every operation cut between any two effects, by a crash, by a failure, by a reboot of the host; and every first
//! repair cut again. Each must come to what the crash table asks for.

use super::world::{Fuel, World, image};
use crate::interface::vm::{BuilderInfo, HvmInfo};
use crate::operation::Operation;
use crate::recovery::{Repair, Sensible, Verdict};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The daemon dies and starts again.
    Crash,
    /// The operation fails, or is cancelled.
    Failure,
    /// The host reboots.
    HostCrash,
}

const ENDS: [End; 3] = [End::Crash, End::Failure, End::HostCrash];

impl World {
    fn end(&mut self, end: End) {
        match end {
            End::Crash => self.made = None,
            End::HostCrash => self.boot(),
            End::Failure => {
                if let Some(intent) = &mut self.intent {
                    intent.abandoned = true;
                }
            }
        }
    }

    /// What is true of any VM at rest.
    fn check_rest(&self, state: Sensible) {
        let extra = self.extra.as_ref();
        let memory = extra.map_or(0, |extra| extra.suspend_memory_bytes);
        assert!(self.seen.leftovers.is_empty() && self.intent.is_none());
        match state {
            Sensible::Halted => {
                assert!(self.seen == Default::default() && extra.is_none() && self.epochs.is_empty());
            }
            Sensible::Suspended => {
                assert!(self.seen.domains.is_empty() && self.seen.datapaths.is_empty());
                assert!(memory != 0 && self.image.is_some());
            }
            Sensible::Running | Sensible::Paused => {
                assert_eq!(self.seen.domains.len(), 1);
                let domain = &self.seen.domains[0];
                assert!(domain.complete() && domain.action_request.is_none() && domain.info.shutdown.is_none());
                assert_eq!(domain.pending_shutdown, None, "nobody waits for it");
                assert_eq!(domain.info.paused, state == Sensible::Paused);
                assert!(memory == 0 && extra.is_some_and(|extra| extra.build_info.is_some()));
                for device in &domain.devices {
                    assert!(device.online, "{device:?}");
                }
                let datapaths: BTreeSet<_> = self.seen.datapaths.iter().cloned().collect();
                let disks = domain.devices.iter().filter(|device| device.kind != "vif");
                let name = |name: &Option<String>| format!("vbd/{}/{}", domain.info.domid, name.as_deref().unwrap());
                assert_eq!(datapaths, disks.map(|device| name(&device.name)).collect());
                assert_eq!(self.seen.active_vbds.len(), self.seen.datapaths.len(), "flags agree with devices");
            }
            Sensible::PreservedCrash => unreachable!("no guest crashes here"),
        }
    }
}

/// Cut `op` everywhere, and everywhere the first repair of what that leaves. `outcome` says from the world at the
/// cut, and how it was cut, where it must come to rest.
fn cut_everywhere(op: Operation, before: World, outcome: impl Fn(&World, End) -> Sensible) {
    let mut windows = 0;
    for backwards in [false, true] {
        let mut start = before.clone();
        start.backwards = backwards;
        for cut in 0.. {
            let mut world = start.clone();
            if world.attempt(&op, &mut Fuel(cut)).is_ok() {
                break;
            }
            windows += 1;
            for end in ENDS {
                let mut world = world.clone();
                world.end(end);
                let expected = outcome(&world, end);
                let why = format!("{op:?} cut at {cut} by {end:?}");
                arrive(world.clone(), expected, &why);
                cut_again(world, expected, &outcome, &why);
            }
        }
    }
    assert!(windows > 4, "the operation does something");
}

fn arrive(mut world: World, expected: Sensible, why: &str) {
    let left = world.clone();
    let (repairs, verdict) = world.converge();
    assert_eq!(verdict, Verdict::Sensible(expected), "{why}: {repairs:?} from {left:#?}");
    assert!(repairs.len() <= 2, "{why}: {repairs:?}");
    world.check_rest(expected);
}

fn cut_again(world: World, expected: Sensible, outcome: &impl Fn(&World, End) -> Sensible, why: &str) {
    let Some(repair) = world.repair() else { return };
    let op = Operation::Repair(repair.clone());
    for cut in 0.. {
        let mut cut_short = world.clone();
        if cut_short.attempt(&op, &mut Fuel(cut)).is_ok() {
            return;
        }
        for end in ENDS {
            let mut world = cut_short.clone();
            world.end(end);
            // A repair that is cut short is taken up again; only what starts anew may be given up for good, and what
            // the host has lost is lost.
            let expected = match (&repair, end) {
                (_, End::HostCrash) | (Repair::Restart { .. }, End::Failure) => outcome(&world, end),
                _ => expected,
            };
            arrive(world, expected, &format!("{why}, then {repair:?} at {cut} by {end:?}"));
        }
    }
}

fn complete(world: &World) -> bool {
    world.seen.living().any(|domain| domain.complete())
}

fn after_host_crash(world: &World) -> Sensible {
    if has_image(world) { Sensible::Suspended } else { Sensible::Halted }
}

fn has_image(world: &World) -> bool {
    world.extra.as_ref().is_some_and(|extra| extra.suspend_memory_bytes != 0)
}

fn committed(world: &World) -> bool {
    world.intent.as_ref().is_some_and(|intent| intent.committed)
}

#[test]
fn start_ends_halted_or_complete() {
    let outcome = |world: &World, _: End| if complete(world) { Sensible::Paused } else { Sensible::Halted };
    cut_everywhere(Operation::Start { force: false }, World::halted(), outcome);
}

#[test]
fn poweroff_ends_halted_once_it_has_begun_or_the_guest_has_stopped() {
    for timeout in [None, Some(1)] {
        let outcome = |world: &World, end: End| {
            let stopped = world.seen.living().any(|domain| domain.info.shutdown.is_some());
            match end != End::HostCrash && !committed(world) && !stopped {
                true => Sensible::Running,
                false => Sensible::Halted,
            }
        };
        cut_everywhere(Operation::Poweroff { timeout }, World::running(), outcome);
    }
}

#[test]
fn a_reboot_that_crashed_starts_again_and_one_that_failed_does_not() {
    for timeout in [None, Some(1)] {
        let mut before = World::running();
        before.configure(|vm| vm.on_reboot = vec![crate::interface::vm::Action::Shutdown]);
        let old = before.domain().info.domid;
        let outcome = move |world: &World, end: End| {
            let domain = world.seen.living().next();
            let new = domain.is_some_and(|domain| domain.info.domid != old && domain.complete());
            let stopped = domain.is_some_and(|domain| domain.info.shutdown.is_some());
            match end {
                End::HostCrash => Sensible::Halted,
                End::Failure if (committed(world) || stopped) && !new => Sensible::Halted,
                _ => Sensible::Running,
            }
        };
        cut_everywhere(Operation::Reboot { timeout }, before, outcome);
    }
}

#[test]
fn suspend_ends_running_until_the_image_is_complete_and_suspended_from_then_on() {
    let outcome = |world: &World, end: End| match (end, has_image(world)) {
        (_, true) => Sensible::Suspended,
        (End::HostCrash, false) => Sensible::Halted,
        (_, false) => Sensible::Running,
    };
    cut_everywhere(Operation::Suspend { disk: image() }, World::running(), outcome);
}

#[test]
fn resume_ends_suspended_until_the_guest_is_complete_and_then_its_image_is_forgotten() {
    let outcome = |world: &World, end: End| match end {
        End::HostCrash => after_host_crash(world),
        _ if complete(world) => Sensible::Paused,
        _ => Sensible::Suspended,
    };
    cut_everywhere(Operation::Resume { disk: image() }, World::suspended(), outcome);
}

#[test]
fn hotplug_and_hotunplug_end_plugged_or_not_at_all() {
    let outcome = |_: &World, end: End| if end == End::HostCrash { Sensible::Halted } else { Sensible::Running };
    let whole = World::running();
    cut_everywhere(Operation::VbdHotunplug("xvda".into(), true), whole.clone(), outcome);
    cut_everywhere(Operation::VifHotunplug("0".into(), true), whole.clone(), outcome);
    let mut without = whole;
    without.carry_out(&Operation::VbdHotunplug("xvda".into(), true));
    without.carry_out(&Operation::VifHotunplug("0".into(), true));
    cut_everywhere(Operation::VbdHotplug("xvda".into()), without.clone(), outcome);
    cut_everywhere(Operation::VifHotplug("0".into()), without, outcome);
}

#[test]
fn an_hvm_guest_suspends_and_starts_like_any_other() {
    let hvm = |mut world: World| {
        world.configure(|vm| vm.ty = BuilderInfo::Hvm(HvmInfo::default()));
        world
    };
    let mut running = hvm(World::halted());
    running.carry_out(&Operation::Start { force: false });
    running.carry_out(&Operation::Atomic(Box::new(crate::backend::MicroOp::VmUnpause)));
    let outcome = |world: &World, end: End| match (end, has_image(world)) {
        (_, true) => Sensible::Suspended,
        (End::HostCrash, false) => Sensible::Halted,
        (_, false) => Sensible::Running,
    };
    cut_everywhere(Operation::Suspend { disk: image() }, running, outcome);
}
