//! Any record, any intent, any world: recovery has an answer, its answers come to an end, and it starts nothing
//! without a reason.

use super::world::{BYTES, World, build_info, image, intent, plugged, unbuilt};
use crate::backend::{DeviceSeen, DomainSeen};
use crate::host::time::SECOND;
use crate::host::{DomId, Now, Role, ShutdownCode, Uuid};
use crate::interface::vm::{Action, BuilderInfo, HvmInfo};
use crate::interface::{VmExtra, vbd};
use crate::operation::fixture::{disk, nic, subject};
use crate::recovery::{Goal, Intent, Repair, Sensible, Verdict, explain};
use proptest::prelude::*;
use std::sync::Arc;

fn uuid() -> Uuid {
    World::halted().subject.vm.id.parse().unwrap()
}

fn names(all: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    proptest::sample::subsequence(all, 0..=all.len()).prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        Just(Action::Coredump),
        Just(Action::Shutdown),
        Just(Action::Start),
        Just(Action::Pause),
        Just(Action::Softreboot)
    ];
    prop::collection::vec(action, 0..3)
}

fn goal() -> impl Strategy<Value = Goal> {
    let mut goals = vec![Goal::Start, Goal::Remove, Goal::Rename(Uuid::default()), Goal::Rename(uuid()), Goal::Tune];
    for device in ["xvda", "0", "nothing"].map(str::to_owned) {
        goals.extend([Goal::VbdPlug(device.clone()), Goal::VbdUnplug(device.clone())]);
        goals.extend([Goal::VifPlug(device.clone()), Goal::VifUnplug(device)]);
    }
    let often = [Goal::Poweroff, Goal::Reboot, Goal::Suspend(image()), Goal::Resume(image())];
    prop_oneof![proptest::sample::select(goals), proptest::sample::select(often.to_vec())]
}

fn an_intent() -> impl Strategy<Value = Intent> {
    (goal(), any::<bool>(), any::<bool>(), prop::option::of(1..4u32), 0..2u64)
        .prop_map(|(goal, committed, abandoned, domid, boot)| Intent { goal, committed, abandoned, domid, boot })
}

fn code() -> impl Strategy<Value = ShutdownCode> {
    prop_oneof![
        Just(ShutdownCode::Poweroff),
        Just(ShutdownCode::Reboot),
        Just(ShutdownCode::Suspend),
        Just(ShutdownCode::Crash),
        Just(ShutdownCode::Watchdog),
        Just(ShutdownCode::SoftReset),
        any::<u8>().prop_map(ShutdownCode::Other)
    ]
}

fn device(kind: &'static str, name: &'static str) -> impl Strategy<Value = DeviceSeen> {
    let qos = prop::option::of(prop_oneof![Just("idle".to_owned()), Just("gibberish\n".to_owned())]);
    let state = prop::option::of(0..8u32);
    (any::<[bool; 2]>(), state.clone(), state, qos).prop_map(
        move |([online, unplug_asked], frontend_state, backend_state, qos)| DeviceSeen {
            online,
            frontend_state,
            unplug_asked,
            backend_state,
            qos,
            ..plugged(kind, name)
        },
    )
}

fn devices() -> impl Strategy<Value = Vec<DeviceSeen>> {
    let optional = (
        prop::option::of(device("vbd", "xvda")),
        prop::option::of(device("qdisk", "xvdd")),
        prop::option::of(device("vif", "0")),
        prop::option::of(device("vif", "not in a row")),
    );
    optional.prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect())
}

fn domain(domid: DomId) -> impl Strategy<Value = DomainSeen> {
    let handle = prop_oneof![4 => Just(uuid()), 1 => Just(Uuid::tombstone(domid))];
    let text = prop_oneof![Just("poweroff"), Just("reboot"), Just("gibberish"), Just("")];
    let pages = prop_oneof![1 => Just(0), 4 => Just(1000u64)];
    let cpu = prop_oneof![2 => Just(0), 1 => Just(SECOND), 1 => any::<u64>()];
    (
        (handle, any::<[bool; 2]>(), prop::bool::weighted(0.1), prop::option::of(code())),
        (pages, cpu, any::<u32>(), prop::option::weighted(0.3, text), devices()),
        (any::<bool>(), prop::bool::weighted(0.2)),
    )
        .prop_map(
            move |(
                (handle, [paused, introduced], dying, shutdown),
                (pages, cpu, vcpus, text, devices),
                (served, asked),
            )| {
                let mut domain = unbuilt(handle, domid);
                domain.info.paused = paused || pages == 0;
                domain.info.dying = dying;
                domain.info.shutdown = shutdown;
                domain.info.total_pages = pages;
                // What may run has run.
                domain.info.cpu_time = cpu.max(u64::from(domain.info.runnable()));
                domain.info.vcpus = vcpus;
                domain.introduced = introduced;
                domain.action_request = text.map(str::to_owned);
                domain.pending_shutdown = asked.then(|| "suspend".to_owned());
                domain.devices = devices;
                domain.roles = if served { vec![Role::DeviceModel] } else { Vec::new() };
                domain
            },
        )
}

fn extra() -> impl Strategy<Value = VmExtra> {
    let started = prop_oneof![any::<f64>(), Just(2_000_000.0 - 50.0), Just(2_000_000.0 - 500.0)];
    (started, any::<bool>(), any::<bool>()).prop_map(|(last_start_time, suspended, built)| VmExtra {
        last_start_time,
        suspend_memory_bytes: if suspended { BYTES } else { 0 },
        build_info: built.then(build_info),
        ..VmExtra::default()
    })
}

fn now() -> impl Strategy<Value = Now> {
    let usual = Now { boot: 1, mono: 5_000 * SECOND, wall: 2_000_000 * SECOND };
    prop_oneof![3 => Just(usual), 1 => (any::<u64>(), any::<u64>()).prop_map(|(mono, wall)| Now { boot: 1, mono, wall })]
}

fn world() -> impl Strategy<Value = World> {
    let domains = (
        prop::option::weighted(0.7, domain(1)),
        prop::option::weighted(0.2, domain(2)),
        prop::option::weighted(0.1, domain(3)),
    );
    let datapaths = names(&["vbd/1/xvda", "vbd/1/xvdd", "vbd/2/xvda", "vbd/9/xvda"]);
    let leftovers = proptest::sample::subsequence(vec![2u32, 9], 0..=2);
    let world = (domains, names(&["xvda", "xvdd", "nothing"]), names(&["0", "nothing"]), datapaths, leftovers);
    let lists = [actions(), actions(), actions(), actions()];
    let made = prop::option::of((0..3u64, any::<u64>()));
    (world, prop::option::of(extra()), prop::option::of(an_intent()), lists, (now(), made, any::<[bool; 2]>()))
        .prop_map(
            |(
                (domains, active_vbds, active_vifs, datapaths, leftovers),
                extra,
                intent,
                lists,
                (now, made, [hvm, qos]),
            )| {
                let mut xvda = disk("xvda", vbd::Mode::ReadWrite, true);
                Arc::make_mut(&mut xvda).qos =
                    qos.then_some(vbd::Qos::Ionice(vbd::Scheduler::RealTime(vbd::Class::High)));
                let rows = subject(vec![xvda, disk("xvdd", vbd::Mode::ReadOnly, false)], vec![nic("0", 0)]);
                let mut world = World::of(rows);
                world.configure(|vm| {
                    [vm.on_crash, vm.on_shutdown, vm.on_reboot, vm.on_softreboot] = lists;
                    if hvm {
                        vm.ty = BuilderInfo::Hvm(HvmInfo::default());
                    }
                });
                world.seen.domains = [domains.0, domains.1, domains.2].into_iter().flatten().collect();
                // Domains are numbered on from those there are.
                world.next = 10;
                let gone = |domid: &DomId| world.seen.domains.iter().all(|domain| domain.info.domid != *domid);
                world.seen.leftovers = leftovers.into_iter().filter(gone).collect();
                world.seen.active_vbds = active_vbds;
                world.seen.active_vifs = active_vifs;
                world.seen.datapaths = datapaths;
                world.extra = extra;
                world.intent = intent;
                world.made = made.map(|(boot, mono)| Now { boot, mono, wall: 0 });
                world.now = now;
                world
            },
        )
}

/// Whether there is a reason to let a guest run, said once more and in other words.
fn justified(world: &World, repair: &Repair) -> bool {
    let intent = world.intent.as_ref();
    let wants = |goal: &Goal| intent.filter(|intent| intent.goal == *goal);
    let living: Vec<_> = world.seen.living().collect();
    match repair {
        Repair::Restart { .. } => {
            let stopped = living.iter().any(|domain| domain.info.shutdown.is_some());
            let asked = wants(&Goal::Reboot).is_some_and(|intent| {
                !intent.abandoned && intent.boot == world.now.boot && (intent.committed || stopped)
            });
            asked || living.iter().any(|domain| stopped_by_itself(world, domain))
        }
        Repair::Unpause => {
            let mut complete = living.iter().filter(|domain| domain.complete() && domain.action_request.is_none());
            let old = |domain: &DomainSeen| intent.and_then(|intent| intent.domid) == Some(domain.info.domid);
            wants(&Goal::Reboot).is_some_and(|intent| intent.committed) && complete.any(|domain| !old(domain))
        }
        Repair::FastResume => {
            let is = |code| living.iter().any(|domain| domain.info.shutdown == code);
            let pending = living.iter().any(|domain| domain.complete() && domain.pending_shutdown.is_some());
            wants(&Goal::Suspend(image()))
                .is_some_and(|intent| (is(Some(ShutdownCode::Suspend)) && !intent.committed) || (is(None) && pending))
                && world.extra.as_ref().is_none_or(|extra| extra.suspend_memory_bytes == 0)
        }
        _ => true,
    }
}

fn stopped_by_itself(world: &World, domain: &DomainSeen) -> bool {
    let vm = &world.subject.vm;
    let crashed = domain.info.shutdown == Some(ShutdownCode::Crash);
    let stopped = domain.info.shutdown.is_some() || domain.action_request.is_some();
    let lists = match domain.info.shutdown {
        Some(ShutdownCode::Suspend) => vec![],
        Some(ShutdownCode::Crash) => vec![&vm.on_crash],
        Some(ShutdownCode::SoftReset) => vec![&vm.on_softreboot],
        _ => vec![&vm.on_shutdown, &vm.on_reboot],
    };
    let starts = lists.iter().any(|list| list.iter().any(|a| matches!(a, Action::Start | Action::Softreboot)));
    let early = world.made.is_some_and(|made| made.boot == world.now.boot && made.mono >= world.now.mono);
    world.extra.is_some() && domain.complete() && stopped && starts && !(crashed && early)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn every_world_comes_to_rest(before in world()) {
        let (repairs, verdict) = before.clone().converge();
        prop_assert!(!matches!(verdict, Verdict::Repair(..)));
        let restarts = repairs.iter().filter(|repair| matches!(repair, Repair::Restart { .. })).count();
        prop_assert!(restarts <= 1, "{:?}", repairs);
        // A soft reset gives the guest another life, and what was to be seen to in the first is seen to in the second.
        let lives = 1 + repairs.iter().filter(|repair| **repair == Repair::SoftReset).count();
        if let Verdict::Sensible(Sensible::Halted | Sensible::Suspended) = verdict {
            prop_assert!(repairs.len() <= 3 * lives, "{:?}", repairs);
        }
    }

    #[test]
    fn nothing_runs_without_a_reason(before in world()) {
        let mut world = before;
        for _ in 0..8 {
            let Some(repair) = world.repair() else { break };
            prop_assert!(justified(&world, &repair), "{repair:?}");
            if matches!(repair, Repair::Remove | Repair::Rename(_)) {
                break;
            }
            world.attempt_whole(repair);
        }
    }

    #[test]
    fn a_sensible_vm_without_a_domain_has_nothing_left_of_one(before in world()) {
        let mut world = before;
        let (_, verdict) = world.converge();
        if verdict == Verdict::Sensible(Sensible::Halted) && !world.removed && !world.renamed {
            prop_assert_eq!(&world.seen, &Default::default());
            prop_assert!(world.extra.is_none());
        }
    }

    #[test]
    fn an_image_and_a_guest_that_can_run_are_never_both_at_rest(before in world()) {
        let mut world = before;
        let (_, verdict) = world.converge();
        if let Verdict::Sensible(state @ (Sensible::Running | Sensible::Paused)) = verdict {
            prop_assert!(world.extra.as_ref().is_some_and(|extra| extra.suspend_memory_bytes == 0), "{state:?}");
            prop_assert!(world.seen.living().count() == 1 && world.seen.domains.len() == 1);
        }
    }

    #[test]
    fn every_verdict_can_be_told(before in world()) {
        let told = explain(&before.decide());
        prop_assert!(!told.is_empty() && !told.contains('\n') && told.len() < 200);
    }

    #[test]
    fn dom0_is_never_touched(before in world(), mut dom0 in domain(0), poweroff in any::<bool>()) {
        let mut world = before;
        dom0.info.handle = uuid();
        dom0.info.dying = false;
        world.seen.domains = vec![dom0];
        world.seen.leftovers.clear();
        world.intent = poweroff.then(|| Intent { committed: true, ..intent(Goal::Poweroff) });
        prop_assert_eq!(world.rests(), Some(Sensible::Running));
    }
}
