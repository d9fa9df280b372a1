//! The simulated host as a daemon would use it.

mod devices;
mod faults;
mod guests;
mod random;

use super::*;
use xenops_core::host::{
    Batch, Condition, DomId, DomainAct, DomainSpec, Exit, Fault, Flavour, Found, Handle, Outcome, Perms, Process,
    Query, Reply, Request, Role, ShutdownCode, Spawn, Uuid, Wait,
};
use xenops_core::machine::EffectId;

/// A daemon in a few lines: it asks, and time passes until it has its answer.
pub(super) struct Daemon {
    pub(super) world: World,
    asked: u64,
}

impl Daemon {
    pub(super) fn new(config: Config, choices: Choices) -> Daemon {
        Daemon { world: World::new(config, choices), asked: 0 }
    }

    pub(super) fn outcome(&mut self, request: Request) -> Outcome {
        self.asked += 1;
        self.world.start(EffectId(self.asked), request);
        loop {
            while let Some((effect, outcome)) = self.world.take_outcome() {
                if effect.0 == self.asked {
                    return outcome;
                }
            }
            let next = self.world.next_event().expect("an effect that nothing will end");
            self.world.run_until(next);
        }
    }

    pub(super) fn ask(&mut self, request: Request) -> Reply {
        match self.outcome(request.clone()) {
            Outcome::Ok(reply) => reply,
            other => panic!("{request:?}: {other:?}"),
        }
    }

    pub(super) fn store(&mut self, pairs: &[(&str, &str)]) {
        let mut batch = Batch::new();
        for (path, value) in pairs {
            batch.write(*path, *value);
        }
        self.ask(Request::Store(batch));
    }

    pub(super) fn remove(&mut self, path: &str) {
        let mut batch = Batch::new();
        batch.remove(path);
        self.ask(Request::Store(batch));
    }

    pub(super) fn wait(&mut self, condition: Condition) -> Option<Process> {
        let until = self.world.now().mono + 300_000_000_000;
        match self.ask(Request::Wait(Wait { any: vec![condition.clone()], until })) {
            Reply::Held(Some(_), process) => process,
            other => panic!("{condition:?}: {other:?}"),
        }
    }

    pub(super) fn rest(&mut self) {
        while let Some(at) = self.world.next_event() {
            self.world.run_until(at);
        }
    }

    pub(super) fn act(&mut self, domid: DomId, act: DomainAct) {
        assert_eq!(self.ask(Request::Domain(domid, act)), Reply::Unit);
    }

    pub(super) fn value(&mut self, path: &str) -> Option<String> {
        match self.ask(Request::Read(vec![Query::Value(path.to_owned())])) {
            Reply::Found(found) => match &found[..] {
                [Found::Value(value)] => value.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn run(&mut self, handle: u64, role: Role, domid: DomId, args: &str, env: &[(&str, &str)]) -> Process {
        let program = match role {
            Role::Hotplug if args.contains("type_if") => self.world.facts().vif_script.clone(),
            Role::Hotplug => self.world.facts().block_script.clone(),
            _ => self.world.facts().guest_helper.clone(),
        };
        let spawn = Spawn {
            process: Handle(handle),
            role,
            domid: Some(domid),
            program,
            args: args.split(' ').map(str::to_owned).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            scratch: None,
            stream: None,
        };
        self.ask(Request::Spawn(Box::new(spawn)));
        let process = self.wait(Condition::Exited(Handle(handle))).expect("it was started");
        self.ask(Request::Forget(Handle(handle)));
        process
    }

    pub(super) fn create(&mut self, vm: Uuid) -> DomId {
        let Reply::Domain(domid) = self.ask(Request::CreateDomain(spec(vm, Flavour::Pv))) else { panic!("no domain") };
        let dir = format!("/local/domain/{domid}");
        let mut batch = Batch::new();
        batch.mkdir(&*dir, Perms::readable(0, domid));
        batch.write(format!("{dir}/vm"), format!("/vm/{}", vm.text()));
        for own in ["control", "data", "attr", "error", "device"] {
            batch.mkdir(format!("{dir}/{own}"), Perms::owned(domid));
        }
        self.ask(Request::Store(batch));
        domid
    }

    pub(super) fn build(&mut self, domid: DomId) {
        self.act(domid, DomainAct::MaxVcpus(2));
        self.act(domid, DomainAct::SetMaxMem(129 * 1024));
        let args = format!("-mode linux_build -domid {domid} -mem_start_mib 128");
        let process = self.run(u64::from(domid) << 8, Role::Builder, domid, &args, &[]);
        assert_eq!(process.exit, Some(Exit::Code(0)), "{:?}", process.lines);
        let console = format!("/local/domain/{domid}/console");
        self.store(&[(&format!("{console}/port"), "2"), (&format!("{console}/ring-ref"), "778754")]);
        self.ask(Request::Introduce(domid, 778_753, 1));
    }

    /// Both directories of a device, as a toolstack writes them.
    pub(super) fn directories(&mut self, domid: DomId, kind: &str, devid: u32, more: &[(&str, &str)]) {
        let class = if kind == "vif" { "vif" } else { "vbd" };
        let back = format!("/local/domain/0/backend/{kind}/{domid}/{devid}");
        let front = format!("/local/domain/{domid}/device/{class}/{devid}");
        let mut batch = Batch::new();
        batch.mkdir(&*front, Perms::readable(domid, 0)).mkdir(&*back, Perms::readable(0, domid));
        batch.write(format!("{front}/backend"), &*back).write(format!("{front}/state"), "1");
        batch.write(format!("{back}/frontend"), &*front).write(format!("{back}/online"), "1");
        for (leaf, value) in more {
            batch.write(format!("{back}/{leaf}"), *value);
        }
        batch.write(format!("{back}/state"), "1");
        self.ask(Request::Store(batch));
    }

    pub(super) fn script(&mut self, handle: u64, domid: DomId, kind: &str, devid: u32, args: &str) -> Option<Exit> {
        let (path, vif) = (format!("backend/{kind}/{domid}/{devid}"), format!("vif{domid}.{devid}"));
        let twin = format!("{vif}-emu");
        let env = [("XENBUS_PATH", &*path), ("vif", &*vif), ("INTERFACE", &*twin)];
        self.run(handle, Role::Hotplug, domid, args, &env).exit
    }

    pub(super) fn start_pv(&mut self, vm: Uuid) -> DomId {
        let domid = self.create(vm);
        self.build(domid);
        let file = format!("/srv/{domid}.img");
        self.directories(domid, "vbd", 51712, &[("params", &file), ("mode", "w"), ("type", "phy")]);
        self.directories(domid, "vif", 0, &[("mac", "00:16:3e:00:00:02"), ("bridge", "xenbr0")]);
        for (kind, devid, args) in [("vbd", 51712, "add"), ("vif", 0, "online type_if=vif")] {
            self.wait(Condition::Equals(
                format!("/local/domain/0/backend/{kind}/{domid}/{devid}/state"),
                "2".to_owned(),
            ));
            let handle = (u64::from(domid) << 8) + 1 + u64::from(devid);
            assert_eq!(self.script(handle, domid, kind, devid, args), Some(Exit::Code(0)), "{kind}");
        }
        self.act(domid, DomainAct::Unpause);
        domid
    }
}

pub(super) const VM: Uuid = Uuid([7; 16]);

fn spec(handle: Uuid, flavour: Flavour) -> DomainSpec {
    DomainSpec {
        handle,
        flavour,
        hap: false,
        iommu: false,
        nested_virt: false,
        vpmu: false,
        ssidref: 0,
        max_vcpus: 2,
        max_grant_frames: 64,
        max_maptrack_frames: 0,
        emulation_flags: 0,
        misc_flags: 0,
    }
}

fn paces() -> [Pace; 3] {
    [Pace::Instant, Pace::Natural, Pace::Drawn]
}

#[test]
fn a_pv_guest_starts_and_stops() {
    for pace in paces() {
        let mut daemon = Daemon::new(Config { pace, ..Config::default() }, Choices::seeded(3));
        let free = daemon.world.hypervisor().memory().free;
        let domid = daemon.start_pv(VM);
        for leaf in ["backend/vbd/1/51712", "backend/vif/1/0"] {
            daemon.wait(Condition::Equals(format!("/local/domain/0/{leaf}/state"), "4".to_owned()));
        }
        daemon.wait(Condition::Present(format!("/local/domain/{domid}/console/tty")));
        daemon.wait(Condition::Equals(format!("/local/domain/{domid}/control/feature-suspend"), "1".to_owned()));
        assert_eq!(daemon.world.nics().port("vif1.0").and_then(|port| port.bridge.as_deref()), Some("xenbr0"));
        let shutdown = format!("/local/domain/{domid}/control/shutdown");
        daemon.store(&[(&shutdown, "poweroff")]);
        daemon.wait(Condition::Equals(shutdown, String::new()));
        daemon.wait(Condition::Stopped(domid));
        let domain = daemon.world.hypervisor().get(domid).unwrap();
        assert_eq!(domain.info.shutdown, Some(ShutdownCode::Poweroff));
        daemon.act(domid, DomainAct::Destroy);
        assert!(daemon.world.hypervisor().get(domid).is_none());
        daemon.rest();
        assert_eq!(daemon.world.hypervisor().memory().free, free);
        assert!(daemon.world.devices().iter().all(|(_, device)| !device.live), "the front ends were the guest's");
        assert_eq!(daemon.world.attachments().loops().count(), 1, "loop devices stay until block remove");
        assert!(daemon.world.breaches().is_empty());
    }
}

#[test]
fn waits_end_by_time_and_by_abort() {
    let mut daemon = Daemon::new(Config { pace: Pace::Natural, ..Config::default() }, Choices::nothing());
    let until = daemon.world.now().mono + 5;
    assert_eq!(daemon.ask(Request::Wait(Wait { any: vec![], until })), Reply::Held(None, None));
    let any = vec![Condition::Present("/nowhere".to_owned())];
    daemon.world.start(EffectId(77), Request::Wait(Wait { any, until: u64::MAX }));
    assert_eq!(daemon.world.take_outcome(), None);
    daemon.world.abort(EffectId(77));
    assert_eq!(daemon.world.take_outcome(), Some((EffectId(77), Outcome::Aborted)));
    assert!(daemon.world.at_rest());
}

#[test]
fn what_is_not_there_is_refused() {
    let mut daemon = Daemon::new(Config::default(), Choices::nothing());
    for (request, fault) in [
        (Request::Domain(9, DomainAct::Pause), Fault::NoDomain(9)),
        (Request::Tell(Handle(1), "done".to_owned()), Fault::NotFound("process 1".to_owned())),
        (Request::ReadImage(Handle(1)), Fault::NotFound("stream 1".to_owned())),
        (Request::Qmp(1, "cont".to_owned(), String::new()), Fault::NotFound("device model of domain 1".to_owned())),
    ] {
        assert_eq!(daemon.outcome(request.clone()), Outcome::Refused(fault), "{request:?}");
    }
}
