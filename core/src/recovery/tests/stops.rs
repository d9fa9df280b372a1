//! What a domain that has stopped comes to, by code and list; and domains of which not enough is known to act.

use super::world::{World, image, intent};
use crate::host::ShutdownCode;
use crate::host::time::SECOND;
use crate::interface::vm::{Action, BuilderInfo};
use crate::recovery::{Goal, Intent, Repair, Sensible, Verdict};

fn stopped(code: ShutdownCode, list: &[Action]) -> World {
    let mut world = World::running();
    world.configure(|vm| {
        vm.on_crash = vec![Action::Coredump];
        (vm.on_shutdown, vm.on_reboot, vm.on_softreboot) = (vec![], vec![], vec![]);
        let chosen = match code {
            ShutdownCode::Crash => &mut vm.on_crash,
            ShutdownCode::Reboot | ShutdownCode::Watchdog => &mut vm.on_reboot,
            ShutdownCode::SoftReset => &mut vm.on_softreboot,
            _ => &mut vm.on_shutdown,
        };
        *chosen = list.to_vec();
    });
    world.stop(code);
    world
}

#[test]
fn the_last_action_of_the_list_decides_and_none_is_a_shutdown() {
    use Action::{Coredump, Pause, Shutdown, Softreboot, Start};
    let restart = Repair::Restart { delay: 0 };
    for code in [ShutdownCode::Poweroff, ShutdownCode::Reboot, ShutdownCode::Crash, ShutdownCode::Other(9)] {
        for (list, expected) in [
            (&[][..], Repair::Shutdown),
            (&[Coredump], Repair::Shutdown),
            (&[Shutdown], Repair::Shutdown),
            (&[Start], restart.clone()),
            (&[Start, Coredump], restart.clone()),
            (&[Coredump, Start], restart.clone()),
            (&[Shutdown, Start], restart.clone()),
            (&[Start, Shutdown], Repair::Shutdown),
            (&[Pause], Repair::Pause),
            (&[Pause, Shutdown], Repair::Shutdown),
            (&[Softreboot], Repair::SoftReset),
        ] {
            assert_eq!(stopped(code, list).repair(), Some(expected), "{code:?} {list:?}");
        }
    }
    assert_eq!(stopped(ShutdownCode::Watchdog, &[Start]).repair(), Some(restart.clone()));
    assert_eq!(stopped(ShutdownCode::SoftReset, &[Softreboot]).repair(), Some(Repair::SoftReset));
    assert_eq!(stopped(ShutdownCode::Suspend, &[Start]).repair(), Some(Repair::Shutdown), "nobody asked for it");
    let mut asked = stopped(ShutdownCode::Poweroff, &[Softreboot]);
    (asked.domain().info.shutdown, asked.domain().action_request) = (None, Some("poweroff".into()));
    assert_eq!(asked.repair(), Some(restart), "it has not stopped: a soft reset would be refused");
}

#[test]
fn an_early_crash_keeps_what_is_not_a_start() {
    for (list, expected) in [
        (&[Action::Start][..], Repair::Shutdown),
        (&[Action::Pause], Repair::Pause),
        (&[Action::Softreboot], Repair::SoftReset),
    ] {
        let mut world = stopped(ShutdownCode::Crash, list);
        world.made = Some(world.now);
        assert_eq!(world.repair(), Some(expected), "{list:?}");
    }
}

#[test]
fn a_suspended_guest_runs_on_only_with_all_it_needs() {
    let suspended = |change: fn(&mut World)| {
        let mut world = World::running();
        world.stop(ShutdownCode::Suspend);
        world.intent = Some(intent(Goal::Suspend(image())));
        change(&mut world);
        world.repair()
    };
    assert_eq!(suspended(|_| {}), Some(Repair::FastResume));
    assert_eq!(suspended(|world| world.domain().devices[0].online = false), Some(Repair::Shutdown));
    assert_eq!(suspended(|world| world.domain().devices.clear()), Some(Repair::Shutdown), "storage still holds a disk");
    let hvm = |world: &mut World| world.extra.as_mut().unwrap().ty = Some(BuilderInfo::Hvm(Default::default()));
    assert_eq!(suspended(hvm), Some(Repair::Shutdown), "qemu is gone");
}

#[test]
fn a_rebooted_guest_that_was_paused_again_is_left_paused() {
    let mut world = World::running();
    world.domain().info.paused = true;
    world.intent = Some(Intent { committed: true, ..intent(Goal::Reboot) });
    assert_eq!(world.rests(), Some(Sensible::Paused));
    world.domain().info.cpu_time = 0;
    assert_eq!(world.repair(), Some(Repair::Unpause), "one that has not run yet was to run");
}

#[test]
fn a_guest_that_runs_without_a_tree_is_nobodys_to_destroy_but_its_clients() {
    let mut world = World::running();
    world.domain().introduced = false;
    assert!(matches!(world.decide(), Verdict::Stuck(_)));
    world.intent = Some(Intent { committed: true, ..intent(Goal::Poweroff) });
    assert_eq!(world.repair(), Some(Repair::FinishPoweroff));
}

#[test]
fn a_run_of_two_minutes_is_long_enough() {
    let mut world = stopped(ShutdownCode::Reboot, &[Action::Start]);
    let made = world.now;
    world.made = Some(made);
    world.pass(119 * SECOND);
    assert_eq!(world.repair(), Some(Repair::Restart { delay: 15 * SECOND }));
    world.pass(SECOND);
    assert_eq!(world.repair(), Some(Repair::Restart { delay: 0 }));
}
