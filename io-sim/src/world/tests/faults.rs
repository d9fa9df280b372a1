//! What goes wrong: fates of requests, crashes, reboots; and that all of it is the same each time.

use super::*;

fn store(path: &str) -> Request {
    let mut batch = Batch::new();
    batch.write(path, "1");
    Request::Store(batch)
}

#[test]
fn each_fate_does_and_says_what_it_is() {
    let lost = || Outcome::Unknown(Fault::Lost("the answer".to_owned()));
    let late = 5_000;
    for (fate, applied, outcome) in [
        (Fate::Plain, true, Outcome::Ok(Reply::Unit)),
        (Fate::Refused(Fault::Conflict), false, Outcome::Refused(Fault::Conflict)),
        (Fate::Unapplied, false, lost()),
        (Fate::Unanswered, true, lost()),
        (Fate::Partly, true, lost()),
        (Fate::AppliedLate(late), true, Outcome::Ok(Reply::Unit)),
        (Fate::AnsweredLate(late), true, Outcome::Ok(Reply::Unit)),
    ] {
        let mut world = World::new(Config::default(), Choices::nothing());
        world.start_with(EffectId(1), store("/x"), fate.clone());
        let slow = matches!(fate, Fate::AppliedLate(_) | Fate::AnsweredLate(_));
        assert_eq!(world.store().exists("/x"), applied && !matches!(fate, Fate::AppliedLate(_)), "{fate:?}");
        assert_eq!(world.take_outcome().is_none(), slow, "{fate:?}");
        if slow {
            assert_eq!(world.next_event(), Some(late));
            world.run_until(late);
            assert_eq!(world.take_outcome(), Some((EffectId(1), outcome)), "{fate:?}");
        } else {
            let mut again = World::new(Config::default(), Choices::nothing());
            again.start_with(EffectId(1), store("/x"), fate.clone());
            assert_eq!(again.take_outcome(), Some((EffectId(1), outcome)), "{fate:?}");
        }
        assert_eq!(world.store().exists("/x"), applied, "{fate:?}");
    }
}

#[test]
fn an_abort_is_answered_with_what_happened() {
    for (choice, stopped) in [(0, true), (1, false)] {
        let mut tape = Tape::default();
        tape.lanes[Concern::Fault as usize] = vec![choice];
        let mut world = World::new(Config::default(), Choices::taped(tape));
        world.start_with(EffectId(1), store("/x"), Fate::AppliedLate(9));
        world.abort(EffectId(1));
        world.run_until(9);
        let outcome = if stopped { Outcome::Aborted } else { Outcome::Ok(Reply::Unit) };
        assert_eq!(world.take_outcome(), Some((EffectId(1), outcome)));
        assert_eq!(world.store().exists("/x"), !stopped);
        world.abort(EffectId(1));
        assert!(world.at_rest(), "an abort of what has ended is nothing");
    }
}

#[test]
fn a_crash_of_the_daemon_leaves_each_effect_done_or_not() {
    let mut seen = [false; 4];
    for seed in 0..64 {
        let mut world = World::new(Config { pace: Pace::Natural, ..Config::default() }, Choices::seeded(seed));
        for (effect, path) in [(1, "/a"), (2, "/b")] {
            world.start(EffectId(effect), store(path));
        }
        world.start(EffectId(3), Request::Wait(Wait { any: vec![Condition::Present("/c".to_owned())], until: 99 }));
        world.daemon_crash();
        seen[usize::from(world.store().exists("/a")) + 2 * usize::from(world.store().exists("/b"))] = true;
        assert!(world.at_rest() && world.in_flight() == 0);
    }
    assert_eq!(seen, [true; 4], "independently");
}

#[test]
fn a_helper_does_not_outlive_what_it_talks_to_by_much() {
    for seed in 0..32 {
        let mut daemon = Daemon::new(Config { pace: Pace::Natural, ..Config::default() }, Choices::seeded(seed));
        let domid = daemon.create(VM);
        daemon.act(domid, DomainAct::MaxVcpus(2));
        daemon.act(domid, DomainAct::SetMaxMem(200 * 1024));
        let args = format!("-mode linux_build -domid {domid} -mem_start_mib 128");
        let spawn = Spawn {
            process: Handle(1),
            role: Role::Builder,
            domid: Some(domid),
            program: daemon.world.facts().guest_helper.clone(),
            args: args.split(' ').map(str::to_owned).collect(),
            env: Vec::new(),
            scratch: None,
            stream: None,
        };
        daemon.ask(Request::Spawn(Box::new(spawn)));
        daemon.world.daemon_crash();
        daemon.rest();
        assert_eq!(daemon.world.processes().iter().count(), 0);
    }
}

#[test]
fn a_reboot_of_the_host_leaves_only_what_is_durable() {
    let mut daemon = Daemon::new(Config::default(), Choices::nothing());
    daemon.start_pv(VM);
    let entry = |value: Option<&str>| xenops_core::host::Entry {
        key: "VM/a/config".to_owned(),
        value: value.map(str::to_owned),
    };
    daemon.ask(Request::Append(vec![entry(Some("1")), entry(Some("2"))]));
    daemon.world.host_reboot();
    assert_eq!(daemon.world.hypervisor().iter().map(|(domid, _)| domid).collect::<Vec<_>>(), [0]);
    assert_eq!(daemon.world.disk().records().get("VM/a/config").map(|text| &**text), Some("2"));
    assert_eq!(daemon.world.devices().iter().count() + daemon.world.processes().iter().count(), 0);
    assert!(daemon.world.lineages().iter().next().is_none() && daemon.world.at_rest());
    daemon.start_pv(VM);
    assert!(daemon.world.breaches().is_empty());
}
