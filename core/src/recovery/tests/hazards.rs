//! The hazards that recovery answers for, by upstream's behaviour that must not come back. The comment at the head of
//! each test is the change of the product that makes it fail.

use super::world::{Fuel, Stopped, World, grown, image, intent, unbuilt};
use crate::backend::MicroOp;
use crate::host::time::SECOND;
use crate::host::{Now, ShutdownCode, Uuid};
use crate::interface::VmExtra;
use crate::interface::vm::Action;
use crate::operation::Operation;
use crate::recovery::{Goal, Intent, Repair, Sensible, Verdict};

fn uuid() -> Uuid {
    World::halted().subject.vm.id.parse().unwrap()
}

/// A start that was cut when its domain was made and built but not complete.
fn half_started() -> World {
    let mut world = World::halted();
    let cut = world.attempt(&Operation::Start { force: false }, &mut Fuel(7));
    assert!(cut == Err(Stopped::Cut) && world.domain().info.total_pages > 0);
    world
}

fn committed(goal: Goal) -> Intent {
    Intent { committed: true, ..intent(goal) }
}

// In `Case::with_domain`, drop `if self.is_fragment(domain) { .. }`: then on_shutdown decides.
#[test]
fn h01_a_half_built_domain_is_destroyed_and_not_started_again() {
    let mut world = half_started();
    world.configure(|vm| vm.on_shutdown = vec![Action::Start]);
    for intent in [None, world.intent.clone()] {
        world.intent = intent;
        assert_eq!(world.repair(), Some(Repair::Shutdown));
    }
    world.intent = Some(committed(Goal::Reboot));
    assert_eq!(world.repair(), Some(Repair::Restart { delay: 0 }), "unless a reboot is what was wanted");
}

// In `DomainSeen::complete`, drop `self.introduced && self.info.total_pages > 0 &&`.
#[test]
fn h02_a_domain_that_was_not_marked_yet_is_destroyed() {
    let mut world = World::halted();
    world.extra = Some(VmExtra::default());
    world.seen.domains = vec![unbuilt(uuid(), 3)];
    assert_eq!(world.repair(), Some(Repair::Shutdown));
    // Of a resume: its record says what it was built from.
    let mut world = World::suspended();
    world.seen.domains = vec![unbuilt(uuid(), 3)];
    assert_eq!(world.repair(), Some(Repair::FinishSuspend));
}

// In `Case::with_domain`, drop `if record.extra.is_none() { .. }`.
#[test]
fn h03_a_domain_without_vmextra_is_looked_at() {
    let mut world = World::running();
    world.extra = None;
    assert!(matches!(world.decide(), Verdict::Stuck(_)), "nobody knows whose it is");
    // As upstream's destroy leaves it: stopped, or paused and stripped, and VmExtra gone first.
    let mut stopped = world.clone();
    stopped.configure(|vm| vm.on_reboot = vec![Action::Start]);
    stopped.stop(ShutdownCode::Reboot);
    assert_eq!(stopped.repair(), Some(Repair::Shutdown));
    world.domain().info.paused = true;
    world.domain().devices.clear();
    assert_eq!(world.repair(), Some(Repair::Shutdown));
}

// In `Case::remains`, drop `domain.info.handle.is_tombstone() ||`.
#[test]
fn h04_what_was_being_destroyed_is_destroyed_to_its_end() {
    let tombstone = unbuilt(Uuid::tombstone(3), 3);
    let mut world = World::halted();
    world.seen.domains = vec![tombstone.clone()];
    assert_eq!(world.repair(), Some(Repair::Shutdown));
    let mut suspended = World::suspended();
    suspended.seen.domains = vec![tombstone.clone()];
    assert_eq!(suspended.repair(), Some(Repair::FinishSuspend));
    let mut running = World::running();
    running.seen.domains.push(tombstone);
    assert_eq!(running.repair(), Some(Repair::DestroyDomains(vec![3])), "beside the one that lives");
}

// In `Case::with_domain`, drop `if record.has_image() { .. }`; in `Case::without_domain`, drop
// `|| record.extra.is_some()`.
#[test]
fn h05_vmextra_of_a_domain_that_is_gone_is_dropped_and_a_used_image_is_forgotten() {
    let mut world = World::running();
    world.seen = Default::default();
    assert_eq!(world.repair(), Some(Repair::Clean { suspended: false }));
    world.converge();
    assert_eq!(world.extra, None);

    let mut resumed = World::suspended();
    let resume = Operation::Resume { disk: image() };
    let cut = (0..).find(|cut| {
        let mut world = resumed.clone();
        let _ = world.attempt(&resume, &mut Fuel(*cut));
        world.seen.living().any(|domain| domain.complete())
    });
    assert_eq!(resumed.attempt(&resume, &mut Fuel(cut.unwrap())), Err(Stopped::Cut));
    assert_eq!(resumed.repair(), Some(Repair::ForgetImage));
    resumed.converge();
    resumed.seen = Default::default();
    assert_eq!(resumed.repair(), Some(Repair::Clean { suspended: false }), "its guest may have run");
}

// In `poweroff`, replace `tear_down(true, subject)` by `tear_down(false, subject)`: then nothing tells of the epoch.
#[test]
fn h06_what_a_poweroff_leaves_behind_its_domain_is_finished() {
    let mut world = World::running();
    // Its flag is clear already, its epoch is not over.
    world.carry_out(&Operation::VbdHotunplug("xvda".into(), true));
    world.carry_out(&Operation::VbdHotunplug("xvdd".into(), true));
    world.carry_out(&Operation::VifHotunplug("0".into(), true));
    assert!(!world.epochs.is_empty());
    for cut in 0.. {
        let mut world = world.clone();
        if world.attempt(&Operation::Poweroff { timeout: None }, &mut Fuel(cut)).is_ok() {
            break;
        }
        if world.converge().1 == Verdict::Sensible(Sensible::Halted) {
            assert!(world.epochs.is_empty() && world.extra.is_none(), "cut at {cut}");
        }
    }
}

// In `Case::without_domain`, drop `|| !seen.datapaths.is_empty()` and the arm for it beside an image.
#[test]
fn h07_storage_that_a_dead_domain_holds_is_released() {
    let mut world = World::halted();
    world.seen.datapaths = vec!["vbd/7/xvda".into()];
    assert_eq!(world.repair(), Some(Repair::Clean { suspended: false }));
    let mut suspended = World::suspended();
    suspended.seen.datapaths = vec!["vbd/7/xvda".into()];
    assert_eq!(suspended.repair(), Some(Repair::Clean { suspended: true }));
    suspended.converge();
    assert!(suspended.seen.datapaths.is_empty() && suspended.rests() == Some(Sensible::Suspended));
}

// In `Case::is_fragment`, drop `|| (!domain.has_run() && unrecorded())`; in `Case::suspended`, answer
// `Repair::Shutdown` where it answers `Repair::FastResume`.
#[test]
fn h11_an_effect_whose_record_was_lost_counts_as_not_done() {
    let mut built = half_started();
    built.extra.as_mut().unwrap().build_info = None;
    built.domain().action_request = None;
    assert_eq!(built.repair(), Some(Repair::Shutdown), "built, and no record of what from");

    let mut saved = World::running();
    saved.stop(ShutdownCode::Suspend);
    saved.intent = Some(intent(Goal::Suspend(image())));
    assert_eq!(saved.repair(), Some(Repair::FastResume), "saved, and no record of an image");
    // The other way round: the image is on record and complete, the intent is not there.
    saved.intent = None;
    saved.extra.as_mut().unwrap().suspend_memory_bytes = super::world::BYTES;
    assert_eq!(saved.repair(), Some(Repair::FinishSuspend));
}

// In `Case::without_domain`, drop `flags ||`.
#[test]
fn h15_a_vm_without_domain_is_examined_too() {
    let mut world = World::halted();
    assert_eq!(world.rests(), Some(Sensible::Halted));
    world.seen.active_vifs = vec!["0".into()];
    assert_eq!(world.repair(), Some(Repair::Clean { suspended: false }));
    let suspended = World::suspended();
    assert!(!suspended.seen.active_vifs.is_empty() && suspended.rests() == Some(Sensible::Suspended));
}

// In `run_time`, drop the `if let Some(made)`; or `.max(computed)`; or `.min(now.mono)`.
#[test]
fn h16_a_jump_of_the_clock_neither_hides_a_reboot_loop_nor_makes_one() {
    let rebooted = |jump: i64, ran: u64| {
        let mut world = World::running();
        world.configure(|vm| vm.on_reboot = vec![Action::Start]);
        world.domain().info.cpu_time = ran * SECOND;
        world.now.wall = world.now.wall.saturating_add_signed(jump * SECOND as i64);
        world.stop(ShutdownCode::Reboot);
        world
    };
    let delay = |world: &World| match world.repair() {
        Some(Repair::Restart { delay }) => delay / SECOND,
        other => panic!("{other:?}"),
    };
    // Seen made a thousand seconds ago, by a clock that does not jump.
    assert_eq!(delay(&rebooted(-5_000, 1)), 0);
    let mut young = rebooted(5_000, 1);
    young.made = Some(young.now);
    assert_eq!(delay(&young), 15);
    // Made before this daemon began: the clock counts, within what the host shows.
    let mut unseen = rebooted(-5_000, 500);
    unseen.made = None;
    assert_eq!(delay(&unseen), 0, "it has computed for longer than the clock says it is there");
    unseen.domain().info.cpu_time = 1;
    assert_eq!(delay(&unseen), 15);
    let mut after_boot = rebooted(5_000, 1);
    after_boot.made = None;
    assert_eq!(delay(&after_boot), 0);
    after_boot.now.mono = 60 * SECOND;
    assert_eq!(delay(&after_boot), 15, "it is not older than the host");
}

// In `stop::act`, answer `Verdict::Sensible(Sensible::Running)` while there is an intent.
#[test]
fn h17_a_stop_is_seen_as_long_as_it_lasts_whatever_was_decided_before() {
    let mut world = World::running();
    world.configure(|vm| vm.on_shutdown = vec![Action::Shutdown]);
    world.stop(ShutdownCode::Poweroff);
    for intent in [None, Some(intent(Goal::Tune)), Some(intent(Goal::VbdPlug("xvda".into())))] {
        world.intent = intent;
        for _ in 0..3 {
            assert_eq!(world.repair(), Some(Repair::Shutdown));
        }
    }
}

// In `Case::without_domain`, answer `Repair::Restart` where `on_shutdown` has `Action::Start`; in `Case::as_wanted`,
// drop the arm `Goal::Poweroff if stopped.is_some()`.
#[test]
fn h21_a_halted_or_suspended_vm_is_not_started_by_its_on_shutdown_list() {
    let start_always = |mut world: World| {
        world.configure(|vm| vm.on_shutdown = vec![Action::Start]);
        world
    };
    assert_eq!(start_always(World::halted()).rests(), Some(Sensible::Halted));
    assert_eq!(start_always(World::suspended()).rests(), Some(Sensible::Suspended));
    let mut vanished = start_always(World::running());
    vanished.seen.domains.clear();
    assert_eq!(vanished.repair(), Some(Repair::Clean { suspended: false }));
    // The guest stops as the client's power-off asks it to, and the daemon dies.
    let mut world = start_always(World::running());
    world.intent = Some(intent(Goal::Poweroff));
    world.stop(ShutdownCode::Poweroff);
    assert_eq!(world.repair(), Some(Repair::FinishPoweroff));
}

// In `Case::as_wanted`, drop the arm `Goal::Poweroff if stopped.is_some()`.
#[test]
fn h22_a_guest_that_reboots_under_a_poweroff_stays_down() {
    let mut world = World::running();
    world.configure(|vm| vm.on_reboot = vec![Action::Start]);
    world.stop(ShutdownCode::Reboot);
    for intent in [intent(Goal::Poweroff), committed(Goal::Poweroff)] {
        let mut world = world.clone();
        world.intent = Some(intent);
        assert_eq!(world.converge(), (vec![Repair::FinishPoweroff], Verdict::Sensible(Sensible::Halted)));
        assert_eq!(world.rests(), Some(Sensible::Halted), "and a second look finds nothing to do");
    }
}

// In `devices::has_gone`, drop `|| (device.unplug_asked && given_up)`.
#[test]
fn h34_an_unplug_refused_at_first_and_granted_later_is_not_forgotten() {
    let mut world = World::running();
    let device = world.domain().devices.iter_mut().find(|device| device.name.as_deref() == Some("xvda")).unwrap();
    device.unplug_asked = true;
    assert_eq!(world.rests(), Some(Sensible::Running), "it is the guest's to grant");
    let device = world.domain().devices.iter_mut().find(|device| device.name.as_deref() == Some("xvda")).unwrap();
    device.frontend_state = Some(6);
    assert_eq!(world.repair(), Some(Repair::Unplug { vbds: vec!["xvda".into()], vifs: vec![] }));
    world.converge();
    assert!(!world.seen.datapaths.iter().any(|datapath| datapath.ends_with("/xvda")));
    // A boot loader in the guest closes its end and hands over to the kernel: nobody asked for that one.
    let device = world.domain().devices.iter_mut().find(|device| device.kind == "vif").unwrap();
    device.frontend_state = Some(6);
    assert_eq!(world.rests(), Some(Sensible::Running));
}

#[test]
fn a_device_whose_guest_has_removed_its_end_is_unplugged() {
    let mut world = World::running();
    let device = world.domain().devices.iter_mut().find(|device| device.kind == "vif").unwrap();
    device.frontend_state = None;
    assert_eq!(world.repair(), Some(Repair::Unplug { vbds: vec![], vifs: vec!["0".into()] }));
    world.converge();
    assert_eq!(world.rests(), Some(Sensible::Running));
    assert!(world.domain().devices.iter().all(|device| device.kind != "vif"));
}

// In `Case::with_domain`, answer `Repair::Shutdown` for an HVM guest whose `roles` are empty.
#[test]
fn h35_a_device_model_that_died_is_no_stop_of_the_guest() {
    let mut world = World::running();
    world.configure(|vm| {
        vm.ty = crate::interface::vm::BuilderInfo::Hvm(Default::default());
        vm.on_shutdown = vec![Action::Start];
    });
    world.domain().roles.clear();
    assert_eq!(world.rests(), Some(Sensible::Running));
}

// In `Case::with_duplicates`, drop `if !powers_off && ..`; in `decide`, drop the sort by rank.
#[test]
fn h37_of_several_domains_the_intact_one_is_kept() {
    let mut world = World::running();
    let (kept, other) = (world.domain().info.domid, unbuilt(uuid(), 9));
    world.seen.domains.insert(0, other);
    assert_eq!(world.repair(), Some(Repair::DestroyDomains(vec![9])));
    world.converge();
    assert_eq!(world.domain().info.domid, kept);
    // Both have run: which one holds the guest is not for us to say, and only a power-off ends it.
    world.seen.domains.push(grown(uuid(), 9));
    assert!(matches!(world.decide(), Verdict::Stuck(_)));
    world.seen.leftovers = vec![4];
    assert!(matches!(world.decide(), Verdict::Stuck(_)), "and nothing else is touched meanwhile");
    world.intent = Some(committed(Goal::Poweroff));
    assert_eq!(world.repair(), Some(Repair::FinishPoweroff));
    // Two fragments are both nothing.
    let mut world = half_started();
    world.seen.domains.push(unbuilt(uuid(), 9));
    assert_eq!(world.repair(), Some(Repair::Shutdown));
}

// In `poweroff`, move `Step::Commit` behind `tear_down`.
#[test]
fn h40_a_poweroff_cut_half_way_leaves_no_stripped_domain() {
    for (op, abandoned) in [(None, true), (None, false), (Some(1), true), (Some(1), false)] {
        for cut in 0.. {
            let mut world = World::running();
            if world.attempt(&Operation::Poweroff { timeout: op }, &mut Fuel(cut)).is_ok() {
                break;
            }
            world.intent.as_mut().unwrap().abandoned = abandoned;
            let (_, verdict) = world.converge();
            let whole = World::running();
            match verdict {
                Verdict::Sensible(Sensible::Running) => assert_eq!(world.seen, whole.seen, "cut at {cut}"),
                verdict => assert_eq!(verdict, Verdict::Sensible(Sensible::Halted), "cut at {cut}"),
            }
        }
    }
}

// In `Case::rebooting`, drop `!old &&` or `if !self.record.may_start(..) { .. }`.
#[test]
fn h41_a_cancelled_reboot_ends_running_as_before_or_halted() {
    let before = World::running();
    for cut in 0.. {
        let mut world = before.clone();
        if world.attempt(&Operation::Reboot { timeout: None }, &mut Fuel(cut)).is_ok() {
            break;
        }
        world.intent.as_mut().unwrap().abandoned = true;
        let new = world.seen.living().any(|domain| domain.info.domid != before.seen.domains[0].info.domid);
        let finished = new && world.seen.living().all(|domain| domain.complete());
        let (repairs, verdict) = world.converge();
        assert!(!repairs.iter().any(|repair| matches!(repair, Repair::Restart { .. })), "cut at {cut}: {repairs:?}");
        match verdict {
            Verdict::Sensible(Sensible::Running) => assert!(finished || world.seen == before.seen, "cut at {cut}"),
            verdict => assert_eq!(verdict, Verdict::Sensible(Sensible::Halted), "cut at {cut}"),
        }
    }
}

// In `Case::as_wanted`, take any stop under `Goal::Suspend` for a suspend.
#[test]
fn h47_a_guest_that_dies_while_it_is_saved_has_not_suspended() {
    for (code, expected) in [
        (ShutdownCode::Crash, Repair::Shutdown),
        (ShutdownCode::Poweroff, Repair::Shutdown),
        (ShutdownCode::Reboot, Repair::Restart { delay: 0 }),
    ] {
        let mut world = World::running();
        world.configure(|vm| {
            vm.on_crash = vec![Action::Shutdown];
            vm.on_shutdown = vec![Action::Shutdown];
            vm.on_reboot = vec![Action::Start];
        });
        world.intent = Some(intent(Goal::Suspend(image())));
        world.stop(code);
        assert_eq!(world.repair(), Some(expected));
        assert_ne!(world.converge().1, Verdict::Sensible(Sensible::Suspended));
    }
}

// In `Stop::of`, answer `None` for texts other than `poweroff` and `reboot`.
#[test]
fn h71_an_unknown_action_request_is_a_poweroff() {
    for text in ["poweroff", "halt", "", "Reboot"] {
        let mut world = World::running();
        world.configure(|vm| vm.on_shutdown = vec![Action::Shutdown]);
        world.configure(|vm| vm.on_reboot = vec![Action::Start]);
        world.domain().action_request = Some(text.into());
        assert_eq!(world.repair(), Some(Repair::Shutdown), "{text:?}");
        let mut fragment = half_started();
        fragment.domain().action_request = Some(text.into());
        assert_eq!(fragment.repair(), Some(Repair::Shutdown), "{text:?}");
    }
    let mut world = World::running();
    world.configure(|vm| vm.on_reboot = vec![Action::Start]);
    world.domain().action_request = Some("reboot".into());
    assert_eq!(world.repair(), Some(Repair::Restart { delay: 0 }));
}

// In `DomainSeen::complete`, drop `(self.action_request.is_none() || self.has_run())`.
#[test]
fn h72_no_list_of_actions_applies_to_a_domain_whose_start_failed() {
    let everything_starts = |world: &mut World| {
        world.configure(|vm| {
            vm.on_shutdown = vec![Action::Start];
            vm.on_reboot = vec![Action::Start];
            vm.on_crash = vec![Action::Start];
        });
    };
    for cut in 0.. {
        let mut world = World::halted();
        everything_starts(&mut world);
        if world.attempt(&Operation::Start { force: false }, &mut Fuel(cut)).is_ok() {
            break;
        }
        world.intent.as_mut().unwrap().abandoned = true;
        let (repairs, _) = world.converge();
        assert!(!repairs.iter().any(|repair| matches!(repair, Repair::Restart { .. } | Repair::Unpause)));
        assert!(world.seen.living().all(|domain| domain.info.paused), "cut at {cut}");
    }
}

// In `stop::act`, drop the arm `Action::Pause if domain.info.paused`.
#[test]
fn h73_a_crash_that_is_kept_is_paused_once() {
    let mut world = World::running();
    world.configure(|vm| vm.on_crash = vec![Action::Pause]);
    world.stop(ShutdownCode::Crash);
    assert_eq!(world.converge(), (vec![Repair::Pause], Verdict::Sensible(Sensible::PreservedCrash)));
    assert_eq!(world.converge(), (vec![], Verdict::Sensible(Sensible::PreservedCrash)));
}

// In `stop::act`, drop the arm `Action::Start if stop == Stop::Crash && early`, or give `Restart` a delay of 0.
#[test]
fn s27_a_guest_that_ends_too_soon_is_held_back() {
    let ended = |code, after: u64| {
        let mut world = World::halted();
        world
            .configure(|vm| (vm.on_crash, vm.on_reboot) = (vec![Action::Coredump, Action::Start], vec![Action::Start]));
        world.carry_out(&Operation::Start { force: false });
        world.carry_out(&Operation::Atomic(Box::new(MicroOp::VmUnpause)));
        world.pass(after * SECOND);
        world.stop(code);
        world
    };
    assert_eq!(ended(ShutdownCode::Crash, 119).repair(), Some(Repair::Shutdown));
    assert_eq!(ended(ShutdownCode::Crash, 120).repair(), Some(Repair::Restart { delay: 0 }));
    assert_eq!(ended(ShutdownCode::Reboot, 119).repair(), Some(Repair::Restart { delay: 15 * SECOND }));
    assert_eq!(ended(ShutdownCode::Watchdog, 120).repair(), Some(Repair::Restart { delay: 0 }));
    // A daemon that dies while it holds the guest back holds it back again.
    let mut world = ended(ShutdownCode::Reboot, 5);
    let restart = Operation::Repair(world.repair().unwrap());
    assert_eq!(world.attempt(&restart, &mut Fuel(0)), Err(Stopped::Cut));
    world.made = None;
    assert_eq!(world.repair(), Some(Repair::Restart { delay: 15 * SECOND }));
}

// In `Record::may_start`, drop `&& intent.boot == now.boot`.
#[test]
fn s26_a_reboot_cut_short_by_a_crash_of_the_host_starts_nothing() {
    let mut world = World::halted();
    world.extra = Some(VmExtra::default());
    world.intent = Some(committed(Goal::Reboot));
    assert_eq!(world.repair(), Some(Repair::Restart { delay: 0 }));
    world.now = Now { boot: 2, ..world.now };
    assert_eq!(world.repair(), Some(Repair::Clean { suspended: false }));
}

// In `decide`, drop the question for a foreigner.
#[test]
fn a_domain_of_another_instance_is_left_to_it() {
    for mut world in [World::running(), World::halted()] {
        if world.seen.domains.is_empty() {
            // Not even what is left of one is ours to clear.
            world.seen.domains = World::running().seen.domains;
            world.seen.domains[0].info.dying = true;
        }
        world.intent = Some(committed(Goal::Poweroff));
        assert!(world.repair().is_some());
        world.seen.domains[0].instance = Some(crate::backend::Settings::default().instance);
        assert!(world.repair().is_some());
        world.seen.domains[0].instance = Some("org.xen.xapi.xenops.other".to_owned());
        assert_eq!(world.decide(), Verdict::Foreign("org.xen.xapi.xenops.other".to_owned()));
    }
}

// In `devices::tend`, drop `.or_else(|| half_inserted(domain, record))`.
#[test]
fn a_medium_that_is_half_in_is_ejected() {
    let mut world = World::running();
    let device = world.domain().devices.iter_mut().find(|device| device.name.as_deref() == Some("xvda")).unwrap();
    device.half_inserted = true;
    assert_eq!(world.converge(), (vec![Repair::Eject(vec!["xvda".into()])], Verdict::Sensible(Sensible::Running)));
}

// In `devices::tend`, drop `.or_else(|| prioritise(domain, record))`.
#[test]
fn a_priority_in_force_is_compared_with_the_row() {
    use crate::interface::vbd::{Class, Qos, Scheduler};
    let mut world = World::running();
    let mut rows = world.subject.vbds.to_vec();
    std::sync::Arc::make_mut(&mut rows[0]).qos = Some(Qos::Ionice(Scheduler::BestEffort(Class::Low)));
    world.subject.vbds = rows.into();
    assert_eq!(world.rests(), Some(Sensible::Running), "a host that does not tell is left alone");
    let device = world.domain().devices.iter_mut().find(|device| device.name.as_deref() == Some("xvda")).unwrap();
    device.qos = Some("best-effort: prio 4\n".into());
    assert_eq!(world.converge(), (vec![Repair::SetQos(vec!["xvda".into()])], Verdict::Sensible(Sensible::Running)));
}

// In `Case::without_domain`, drop the arm `Goal::Poweroff`, or its `record.committed() &&`.
#[test]
fn a_poweroff_of_a_suspended_vm_gives_up_its_image_once_it_is_committed() {
    let mut world = World::suspended();
    world.intent = Some(intent(Goal::Poweroff));
    assert_eq!(world.rests(), Some(Sensible::Suspended));
    world.intent = Some(committed(Goal::Poweroff));
    assert_eq!(world.converge(), (vec![Repair::FinishPoweroff], Verdict::Sensible(Sensible::Halted)));
}

// In `Case::without_domain`, drop the arm `Goal::Remove`, or its guard; in `decide`, drop `Goal::Rename`, or its filter.
#[test]
fn removing_and_renaming_roll_forward() {
    let mut world = World::suspended();
    world.intent = Some(committed(Goal::Remove));
    assert_eq!(world.repair(), Some(Repair::Remove));
    world.seen.domains = vec![unbuilt(Uuid::tombstone(3), 3)];
    assert_eq!(world.repair(), Some(Repair::FinishSuspend), "first what is not gone yet");
    let mut world = World::running();
    world.intent = Some(committed(Goal::Remove));
    assert_eq!(world.rests(), Some(Sensible::Running), "a guest is not removed");
    let to = "04efbb51-2bce-495f-9d86-75fc70ba01e1".parse().unwrap();
    world.intent = Some(committed(Goal::Rename(to)));
    assert_eq!(world.repair(), Some(Repair::Rename(to)));
    world.intent = Some(committed(Goal::Rename(uuid())));
    assert_eq!(world.rests(), Some(Sensible::Running));
}

// In `Case::without_domain`, answer `Verdict::Sensible(Sensible::Suspended)` without `devices::unflag`.
#[test]
fn a_plug_that_a_suspended_vm_cannot_have_leaves_no_flag() {
    let mut world = World::suspended();
    world.seen.active_vifs.clear();
    assert_eq!(world.attempt(&Operation::VifHotplug("0".into()), &mut Fuel(Fuel::ENDLESS)), Err(Stopped::Refused));
    let repair = Repair::Deactivate { vbds: vec![], vifs: vec!["0".into()] };
    assert_eq!(world.converge(), (vec![repair], Verdict::Sensible(Sensible::Suspended)));
    assert!(world.seen.active_vifs.is_empty());
}

// In `devices::has_gone`, drop `&& !coming`.
#[test]
fn a_disk_that_qemu_has_not_taken_up_yet_is_left_to_it() {
    let mut world = World::running();
    let device = world.domain().devices.iter_mut().find(|device| device.name.as_deref() == Some("xvda")).unwrap();
    (device.kind, device.online, device.backend_state) = ("qdisk".into(), false, Some(1));
    assert!(matches!(world.repair(), Some(Repair::Unplug { .. })), "nobody is there to serve it");
    world.domain().roles = vec![crate::host::Role::DeviceModel];
    assert_eq!(world.rests(), Some(Sensible::Running));
}

// In `devices::unflag`, drop `|| (disk && is_no_device(record, name))`.
#[test]
fn an_empty_drive_of_a_pv_guest_stays_active_without_a_device() {
    let mut world = World::running();
    let mut rows = world.subject.vbds.to_vec();
    rows.push(crate::operation::fixture::disk("xvdc", crate::interface::vbd::Mode::ReadOnly, false));
    world.subject.vbds = rows.into();
    world.seen.active_vbds.push("xvdc".into());
    world.intent = Some(intent(Goal::VbdPlug("xvdc".into())));
    assert_eq!(world.rests(), Some(Sensible::Running));
    world.configure(|vm| vm.ty = crate::interface::vm::BuilderInfo::Hvm(Default::default()));
    world.extra.as_mut().unwrap().ty = None;
    assert_eq!(world.repair(), Some(Repair::Deactivate { vbds: vec!["xvdc".into()], vifs: vec![] }));
}

// In `Case::with_domain`, drop the `if` about `suspending`.
#[test]
fn h42_a_guest_that_suspends_when_nobody_waits_any_more_runs_on() {
    for (asked, repair) in [(true, Repair::FastResume), (false, Repair::Shutdown)] {
        let mut world = World::running();
        world.domain().suspending = asked;
        world.domain().info.shutdown = Some(ShutdownCode::Suspend);
        assert_eq!(world.repair(), Some(repair));
    }
}

// In `Case::with_domain`, drop the `if` about `pending_shutdown`.
#[test]
fn a_request_to_suspend_that_nobody_waits_for_is_taken_back() {
    let mut world = World::running();
    world.domain().pending_shutdown = Some("suspend".into());
    world.intent = Some(intent(Goal::Suspend(image())));
    assert_eq!(world.converge(), (vec![Repair::FastResume], Verdict::Sensible(Sensible::Running)));
    assert_eq!(world.domain().pending_shutdown, None);
}
