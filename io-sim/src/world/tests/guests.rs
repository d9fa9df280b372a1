//! Guests: stopping, suspending and restoring, ballooning, sleeping, consoles.

use super::*;
use crate::world::guest::Life;
use crate::world::traits::{Agent, Balloons, Obeys, Suspends, Whim};
use xenops_core::host::{ImageMode, ImageRecord, Token};
use xenops_core::interface::Disk;

const SAVED: Handle = Handle(500);

fn image() -> Disk {
    Disk::Local("/srv/suspended".to_owned())
}

impl Daemon {
    fn helper(&mut self, handle: u64, role: Role, domid: DomId, mode: &str, stream: Option<Handle>) {
        let args = format!("-mode {mode} -domid {domid} -fd {{stream}}");
        let program = self.world.facts().guest_helper.clone();
        let args = args.split(' ').map(str::to_owned).collect();
        let spawn = Spawn {
            process: Handle(handle),
            role,
            domid: Some(domid),
            program,
            args,
            env: vec![],
            scratch: None,
            stream,
        };
        self.ask(Request::Spawn(Box::new(spawn)));
    }

    fn said(&mut self, handle: u64, line: u32) -> String {
        let process = self.wait(Condition::Said(Handle(handle), line)).expect("it was started");
        process.lines.first().cloned().unwrap_or_else(|| panic!("ended: {:?}", process.exit))
    }

    fn tell(&mut self, handle: u64, word: &str) {
        self.ask(Request::Tell(Handle(handle), word.to_owned()));
    }

    fn shutdown(&mut self, domid: DomId, word: &str) {
        self.store(&[(&format!("/local/domain/{domid}/control/shutdown"), word)]);
    }

    /// The dialogue of a save, up to and with the image's end.
    fn suspend(&mut self, domid: DomId) {
        self.ask(Request::OpenImage { stream: SAVED, disk: image(), mode: ImageMode::Save });
        self.ask(Request::AppendImage(SAVED, ImageRecord::Signature));
        self.helper(400, Role::Saver, domid, "save", Some(SAVED));
        assert_eq!(self.said(400, 0), "prepare:xenguest");
        self.ask(Request::AppendImage(SAVED, ImageRecord::Libxc));
        self.tell(400, "done");
        assert!(self.said(400, 1).starts_with("info:"));
        assert_eq!(self.said(400, 2), "suspend:");
        self.shutdown(domid, "suspend");
        self.wait(Condition::Stopped(domid));
        self.tell(400, "done");
        assert_eq!(self.said(400, 3), "result:");
        assert_eq!(self.wait(Condition::Exited(Handle(400))).and_then(|p| p.exit), Some(Exit::Code(0)));
        self.ask(Request::Forget(Handle(400)));
        self.ask(Request::AppendImage(SAVED, ImageRecord::EndOfImage));
        self.ask(Request::SyncImage(SAVED));
        self.ask(Request::CloseStream(SAVED));
    }

    /// The dialogue of a restore into a fresh domain.
    fn restore(&mut self, stream: Handle) -> DomId {
        let domid = self.create(VM);
        self.act(domid, DomainAct::MaxVcpus(2));
        self.act(domid, DomainAct::SetMaxMem(200 * 1024));
        self.ask(Request::OpenImage { stream, disk: image(), mode: ImageMode::Restore });
        let handle = stream.0 + 1;
        self.helper(handle, Role::Restorer, domid, "restore", Some(stream));
        assert_eq!(self.ask(Request::ReadImage(stream)), Reply::Image(Some(ImageRecord::Signature)));
        assert_eq!(self.ask(Request::ReadImage(stream)), Reply::Image(Some(ImageRecord::Libxc)));
        self.tell(handle, "restore:xenguest");
        assert!(self.said(handle, 0).starts_with("result:xenguest "));
        self.wait(Condition::Exited(Handle(handle)));
        assert_eq!(self.ask(Request::ReadImage(stream)), Reply::Image(Some(ImageRecord::EndOfImage)));
        assert_eq!(self.ask(Request::ReadImage(stream)), Reply::Image(None));
        self.ask(Request::CloseStream(stream));
        self.ask(Request::Introduce(domid, 1, 1));
        domid
    }

    fn guest(&self, domid: DomId) -> &crate::world::guest::Guest {
        &self.world.hypervisor().get(domid).unwrap().guest
    }
}

fn daemon(pace: Pace) -> Daemon {
    Daemon::new(Config { pace, consoles: true, ..Config::default() }, Choices::seeded(5))
}

#[test]
fn a_guest_is_suspended_and_runs_on_in_another_domain() {
    for pace in paces() {
        let mut daemon = daemon(pace);
        let domid = daemon.start_pv(VM);
        daemon.wait(Condition::Present(format!("/local/domain/{domid}/control/feature-suspend")));
        let lineage = daemon.guest(domid).lineage;
        daemon.suspend(domid);
        assert!(daemon.world.images().get(&image()).is_some_and(|image| image.complete() && image.synced == 4));
        daemon.act(domid, DomainAct::Destroy);
        let domid = daemon.restore(Handle(600));
        assert_eq!((daemon.guest(domid).lineage, daemon.guest(domid).life), (lineage, Life::Frozen));
        daemon.act(domid, DomainAct::Unpause);
        assert_eq!(daemon.guest(domid).life, Life::Up);
        assert!(daemon.world.breaches().is_empty());
        daemon.world.host_reboot();
        assert!(daemon.world.images().get(&image()).is_some_and(|image| image.complete()), "it was synced");
    }
}

#[test]
fn a_cancelled_suspend_makes_the_image_stale_and_the_world_tells() {
    let mut daemon = daemon(Pace::Instant);
    let domid = daemon.start_pv(VM);
    daemon.suspend(domid);
    daemon.act(domid, DomainAct::Resume);
    assert_eq!(daemon.guest(domid).life, Life::Up);
    assert!(daemon.world.breaches().is_empty());
    let copy = daemon.restore(Handle(600));
    assert!(daemon.world.breaches().is_empty(), "as long as it does not run");
    daemon.act(copy, DomainAct::Unpause);
    let lineage = daemon.guest(domid).lineage.unwrap();
    assert_eq!(daemon.world.breaches(), [Breach::RanTwice(lineage, domid, copy)]);
}

#[test]
fn an_image_that_was_not_synced_does_not_outlive_the_host() {
    let mut daemon = daemon(Pace::Instant);
    daemon.ask(Request::OpenImage { stream: SAVED, disk: image(), mode: ImageMode::Save });
    daemon.ask(Request::AppendImage(SAVED, ImageRecord::Signature));
    *daemon.world.choices() = Choices::nothing();
    daemon.world.host_reboot();
    assert_eq!(daemon.world.images().get(&image()), None);
    let again = Request::OpenImage { stream: SAVED, disk: image(), mode: ImageMode::Restore };
    assert!(matches!(daemon.outcome(again), Outcome::Refused(Fault::NotFound(_))));
    assert_eq!((daemon.world.now().boot, daemon.world.now().mono), (2, 0));
}

#[test]
fn a_save_of_a_guest_that_did_not_suspend_fails() {
    for suspends in [Suspends::Halts, Suspends::Crashes] {
        let mut daemon = daemon(Pace::Instant);
        let domid = daemon.start_pv(VM);
        daemon.world.hypervisor.get_mut(domid).unwrap().guest.traits.suspends = suspends;
        daemon.ask(Request::OpenImage { stream: SAVED, disk: image(), mode: ImageMode::Save });
        daemon.helper(400, Role::Saver, domid, "save", Some(SAVED));
        daemon.ask(Request::AppendImage(SAVED, ImageRecord::Libxc));
        daemon.tell(400, "done");
        daemon.shutdown(domid, "suspend");
        daemon.wait(Condition::Stopped(domid));
        daemon.tell(400, "done");
        let process = daemon.wait(Condition::Exited(Handle(400))).unwrap();
        assert_eq!(process.exit, Some(Exit::Code(1)));
        assert!(process.lines.last().unwrap().starts_with("error:xc_domain_save "), "{:?}", process.lines);
    }
}

// The helper says so at the end of what it could write; the image has no guest in it.
#[test]
fn a_save_finds_the_disk_full_in_the_middle() {
    let mut daemon = daemon(Pace::Instant);
    let domid = daemon.start_pv(VM);
    daemon.ask(Request::OpenImage { stream: SAVED, disk: image(), mode: ImageMode::Save });
    daemon.ask(Request::AppendImage(SAVED, ImageRecord::Signature));
    daemon.helper(400, Role::Saver, domid, "save", Some(SAVED));
    daemon.ask(Request::AppendImage(SAVED, ImageRecord::Libxc));
    daemon.tell(400, "done");
    daemon.shutdown(domid, "suspend");
    daemon.wait(Condition::Stopped(domid));
    daemon.world.disk_mut().full = true;
    daemon.tell(400, "done");
    let process = daemon.wait(Condition::Exited(Handle(400))).unwrap();
    assert_eq!(process.exit, Some(Exit::Code(1)));
    assert_eq!(process.lines.last().unwrap(), "error:xc_domain_save 28 No space left on device");
    assert!(daemon.world.images().get(&image()).is_some_and(|image| image.memory().is_none()));
    daemon.act(domid, DomainAct::Resume);
    assert_eq!(daemon.guest(domid).life, Life::Up);
}

#[test]
fn a_crash_of_an_hvm_guest_may_look_like_a_reboot() {
    for (flavour, choice, code) in [
        (Flavour::Hvm, 0, ShutdownCode::Crash),
        (Flavour::Hvm, 1, ShutdownCode::Reboot),
        (Flavour::Pvh, 1, ShutdownCode::Crash),
        (Flavour::Pv, 1, ShutdownCode::Crash),
    ] {
        let mut daemon = daemon(Pace::Instant);
        let domid = daemon.start_pv(VM);
        daemon.world.hypervisor.get_mut(domid).unwrap().flavour = flavour;
        let mut tape = Tape::default();
        tape.lanes[Concern::Guest as usize] = vec![choice];
        *daemon.world.choices() = Choices::taped(tape);
        daemon.shutdown(domid, "crash");
        daemon.rest();
        assert_eq!(daemon.world.hypervisor().get(domid).unwrap().stopped(), Some(code), "{flavour:?} {choice}");
    }
}

// As oxenstored 4.17 may: nobody is told, and who waits learns of it when domains are counted.
#[test]
fn an_end_of_which_nobody_tells_is_found_by_the_census() {
    const SOON: u64 = 1_000_000_000;
    for (untold_ends, late) in [(0, false), (1, true)] {
        let mut daemon = Daemon::new(Config { untold_ends, ..Config::default() }, Choices::seeded(5));
        let domid = daemon.start_pv(VM);
        daemon.rest();
        while daemon.world.take_notice().is_some() {}
        let began = daemon.world.now().mono;
        let wait = Wait { any: vec![Condition::Stopped(domid)], until: u64::MAX };
        daemon.world.start(EffectId(900), Request::Wait(wait));
        daemon.world.start(EffectId(901), Request::Domain(domid, DomainAct::Shutdown(ShutdownCode::Poweroff)));
        daemon.world.run_until(began + SOON);
        let told = std::iter::from_fn(|| daemon.world.take_outcome()).any(|(effect, _)| effect == EffectId(900));
        let noticed = daemon.world.take_notice() == Some(Token::DOMAINS);
        assert_eq!((told, noticed), (!late, !late));
        daemon.world.run_until(began + 6 * SOON);
        if late {
            assert_eq!(daemon.world.take_outcome(), Some((EffectId(900), Outcome::Ok(Reply::Held(Some(0), None)))));
            assert_eq!(daemon.world.take_notice(), Some(Token::DOMAINS));
        }
        assert!(daemon.world.at_rest());
    }
}

#[test]
fn a_helper_that_is_told_to_abort_does() {
    let mut daemon = daemon(Pace::Instant);
    let domid = daemon.start_pv(VM);
    daemon.ask(Request::OpenImage { stream: SAVED, disk: image(), mode: ImageMode::Save });
    daemon.helper(400, Role::Saver, domid, "save", Some(SAVED));
    daemon.tell(400, "abort");
    let process = daemon.wait(Condition::Exited(Handle(400))).unwrap();
    assert_eq!(process.exit, Some(Exit::Code(1)));
}

#[test]
fn what_guests_do_when_asked_to_stop() {
    let cases = [
        (Obeys::Well, "poweroff", true, Some(ShutdownCode::Poweroff)),
        (Obeys::Well, "reboot", true, Some(ShutdownCode::Reboot)),
        (Obeys::Never, "poweroff", true, None),
        (Obeys::Deaf, "poweroff", false, None),
        (Obeys::Reboots, "poweroff", true, Some(ShutdownCode::Reboot)),
        (Obeys::Crashes, "poweroff", true, Some(ShutdownCode::Crash)),
        (Obeys::Well, "nonsense", true, None),
    ];
    for (obeys, word, acknowledged, code) in cases {
        let mut daemon = daemon(Pace::Natural);
        let domid = daemon.start_pv(VM);
        daemon.world.hypervisor.get_mut(domid).unwrap().guest.traits.obeys = obeys;
        daemon.shutdown(domid, word);
        daemon.rest();
        let left = daemon.value(&format!("/local/domain/{domid}/control/shutdown"));
        assert_eq!(left.as_deref() == Some(""), acknowledged, "{obeys:?} {word}");
        assert_eq!(daemon.world.hypervisor().get(domid).unwrap().stopped(), code, "{obeys:?} {word}");
    }
}

#[test]
fn a_paused_guest_does_nothing_until_it_runs() {
    let mut daemon = daemon(Pace::Natural);
    let domid = daemon.start_pv(VM);
    daemon.rest();
    daemon.act(domid, DomainAct::Pause);
    let used = daemon.world.hypervisor().get(domid).unwrap().info.cpu_time;
    daemon.shutdown(domid, "reboot");
    daemon.rest();
    let domain = daemon.world.hypervisor().get(domid).unwrap();
    assert_eq!((domain.stopped(), domain.told(u64::MAX).cpu_time), (None, used));
    daemon.act(domid, DomainAct::Unpause);
    daemon.rest();
    assert_eq!(daemon.world.hypervisor().get(domid).unwrap().stopped(), Some(ShutdownCode::Reboot));
}

#[test]
fn whims() {
    let cases = [
        (Whim::Poweroff, Some(ShutdownCode::Poweroff)),
        (Whim::Crash, Some(ShutdownCode::Crash)),
        (Whim::Suspend, Some(ShutdownCode::Suspend)),
        (Whim::SoftReset, Some(ShutdownCode::SoftReset)),
        (Whim::Flood, None),
    ];
    for (whim, code) in cases {
        let mut daemon = daemon(Pace::Natural);
        let domid = daemon.create(VM);
        daemon.build(domid);
        daemon.world.hypervisor.get_mut(domid).unwrap().guest.traits.whim = whim;
        daemon.act(domid, DomainAct::Unpause);
        daemon.rest();
        assert_eq!(daemon.world.hypervisor().get(domid).unwrap().stopped(), code, "{whim:?}");
        if whim == Whim::SoftReset {
            daemon.act(domid, DomainAct::SoftReset);
            assert_eq!(daemon.guest(domid).life, Life::Booting);
        }
        assert!(daemon.world.breaches().is_empty());
    }
}

#[test]
fn memory_follows_its_target_within_its_bounds() {
    for (balloons, target, expected) in [
        (Balloons::Well, "65536", 16384),
        (Balloons::Slowly, "65536", 16384),
        (Balloons::Never, "65536", 32768),
        (Balloons::Well, "99999999", 129 * 256),
        (Balloons::Well, "nonsense", 32768),
    ] {
        let mut daemon = daemon(Pace::Instant);
        let domid = daemon.start_pv(VM);
        let free = daemon.world.hypervisor().memory().free;
        daemon.world.hypervisor.get_mut(domid).unwrap().guest.traits.balloons = balloons;
        daemon.store(&[(&format!("/local/domain/{domid}/memory/target"), target)]);
        daemon.rest();
        let pages = daemon.world.hypervisor().get(domid).unwrap().info.total_pages;
        assert_eq!(pages, expected, "{balloons:?} {target}");
        assert_eq!(daemon.world.hypervisor().memory().free + pages * 4, free + 32768 * 4);
    }
}

#[test]
fn an_agent_runs_scripts() {
    let mut daemon = daemon(Pace::Instant);
    let domid = daemon.create(VM);
    daemon.build(domid);
    daemon.world.hypervisor.get_mut(domid).unwrap().guest.traits.agent = Agent::Full;
    daemon.act(domid, DomainAct::Unpause);
    let batcmd = format!("/local/domain/{domid}/control/batcmd");
    daemon.wait(Condition::Present(format!("/local/domain/{domid}/control/feature-xs-batcmd")));
    daemon.store(&[(&format!("{batcmd}/script"), "true"), (&format!("{batcmd}/state"), "READY")]);
    daemon.wait(Condition::Equals(format!("{batcmd}/state"), "SUCCESS".to_owned()));
    assert_eq!(daemon.value(&format!("{batcmd}/return")).as_deref(), Some("0"));
}

#[test]
fn an_hvm_guest_starts_with_its_device_model() {
    let mut daemon = daemon(Pace::Natural);
    let domid = daemon.create(VM);
    daemon.world.hypervisor.get_mut(domid).unwrap().flavour = Flavour::Hvm;
    daemon.build(domid);
    daemon.act(domid, DomainAct::Unpause);
    daemon.rest();
    assert_eq!(daemon.guest(domid).life, Life::Booting, "its firmware waits for hardware");
    let program = daemon.world.facts().qemu.clone();
    let (process, role) = (Handle(9), Role::DeviceModel);
    let spawn =
        Spawn { process, role, domid: Some(domid), program, args: vec![], env: vec![], scratch: None, stream: None };
    daemon.ask(Request::Spawn(Box::new(spawn)));
    daemon.rest();
    assert_eq!(daemon.guest(domid).life, Life::Up);
    assert_eq!(daemon.ask(Request::Domain(domid, DomainAct::HasPvCallback)), Reply::Flag(true));
    daemon.shutdown(domid, "s3");
    daemon.rest();
    assert!(daemon.guest(domid).asleep);
    daemon.act(domid, DomainAct::AcpiWake);
    assert!(!daemon.guest(domid).asleep);
}

#[test]
fn a_console_is_read_and_typed_at() {
    let mut daemon = daemon(Pace::Natural);
    let domid = daemon.start_pv(VM);
    assert!(!daemon.world.console_input(domid, "help"), "nobody reads it yet");
    daemon.rest();
    let (lines, next) = daemon.world.console(domid).unwrap().since(0);
    assert_eq!(lines.last(), Some("Welcome. Type help."));
    assert!(daemon.world.console_input(domid, "echo hello"));
    assert_eq!(daemon.world.console(domid).unwrap().since(next).0.last(), Some("hello"));
    assert!(daemon.world.console_input(domid, "reboot"));
    daemon.rest();
    assert_eq!(daemon.world.hypervisor().get(domid).unwrap().stopped(), Some(ShutdownCode::Reboot));
}
