//! Requests that no daemon would make, in any order: the world takes them all, and always in the same way.

use super::*;
use crate::world::hypervisor::PAGE;
use xenops_core::host::{Change, Entry, Guard, ImageMode, ImageRecord, StorageCall, Token};
use xenops_core::interface::Disk;

struct Wild {
    choices: Choices,
    world: World,
    effect: u64,
}

impl Wild {
    fn new(seed: u64, pace: Pace) -> Wild {
        let config = Config {
            pace,
            memory: 1024 * 1024,
            odd_requests: 6,
            odd_processes: 8,
            odd_guests: 3,
            hooks: vec![("vm-pre-start".to_owned(), vec!["b".to_owned(), "a".to_owned()])],
            consoles: true,
            ..Config::default()
        };
        Wild { choices: Choices::seeded(seed), world: World::new(config, Choices::seeded(seed)), effect: 0 }
    }

    fn below(&mut self, n: u32) -> u32 {
        self.choices.choose(Concern::Workload, n)
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize].clone()
    }

    fn domid(&mut self) -> DomId {
        self.below(6)
    }

    fn path(&mut self) -> String {
        let domid = self.domid();
        let leaf = self.one(&["", "/state", "/online", "/backend", "/frontend", "/params", "/physical-device"]);
        match self.below(8) {
            0 => format!("/local/domain/{domid}"),
            1 => format!("/local/domain/{domid}/control/shutdown"),
            2 => format!("/local/domain/{domid}/memory/target"),
            3 => format!("/local/domain/0/backend/vif/{domid}/0{leaf}"),
            4 => format!("/local/domain/{domid}/device/vbd/51712{leaf}"),
            5 => format!("/local/domain/{domid}/control/batcmd/state"),
            6 => self.one(&["/", "", "/bad//path", "/vm", "relative"]).to_owned(),
            _ => format!("/local/domain/0/backend/vbd/{domid}/51712{leaf}"),
        }
    }

    fn value(&mut self) -> String {
        self.one(&["", "0", "1", "2", "3", "4", "5", "6", "poweroff", "suspend", "reboot", "READY", "/srv/a", "65536"])
            .to_owned()
    }

    fn change(&mut self) -> Change {
        let (path, value, domid) = (self.path(), self.value(), self.domid());
        match self.below(6) {
            0 => Change::Remove(path),
            1 => Change::Mkdir(path),
            2 => Change::SetPerms(path, Perms::readable(domid, 0)),
            _ => Change::Write(path, value),
        }
    }

    fn condition(&mut self) -> Condition {
        let (path, value, domid, n) = (self.path(), self.value(), self.domid(), self.below(9));
        match self.below(6) {
            0 => Condition::Present(path),
            1 => Condition::Absent(path),
            2 => Condition::Equals(path, value),
            3 => Condition::Said(Handle(n.into()), n % 3),
            4 => Condition::Stopped(domid),
            _ => Condition::FreeMemory(u64::from(n) * 200_000),
        }
    }

    fn act(&mut self) -> DomainAct {
        let n = self.below(4);
        self.one(&[
            DomainAct::Pause,
            DomainAct::Unpause,
            DomainAct::Unpause,
            DomainAct::Destroy,
            DomainAct::Shutdown(ShutdownCode::Crash),
            DomainAct::Shutdown(ShutdownCode::Suspend),
            DomainAct::Resume,
            DomainAct::SoftReset,
            DomainAct::SetHandle(Uuid::tombstone(n)),
            DomainAct::SetMaxMem(200_000),
            DomainAct::MaxVcpus(n),
            DomainAct::ShadowAllocation(n),
            DomainAct::AcpiWake,
            DomainAct::AllocUnbound,
            DomainAct::HasPvCallback,
        ])
    }

    fn spawn(&mut self) -> Spawn {
        let (process, domid) = (Handle(self.below(9).into()), self.domid());
        let role = self.one(&[
            Role::Builder,
            Role::Builder,
            Role::Saver,
            Role::Restorer,
            Role::DeviceModel,
            Role::Hotplug,
            Role::Hook,
            Role::Bootloader,
        ]);
        let action = self.one(&["add", "remove", "online"]);
        let kind = self.one(&["vbd/1/51712", "vif/2/0", "qdisk/1/51712", "nonsense"]);
        let args = format!("{action} -domid {domid} -mem_start_mib 64 type_if=vif -incoming ifname=vif{domid}.0-emu");
        Spawn {
            process,
            role,
            domid: Some(domid),
            program: "/bin/program".to_owned(),
            args: args.split(' ').map(str::to_owned).collect(),
            env: vec![("XENBUS_PATH".to_owned(), format!("backend/{kind}"))],
            scratch: None,
            stream: Some(Handle(self.below(3).into())),
        }
    }

    fn storage(&mut self) -> StorageCall {
        let (domid, dp, vdi) = (self.domid(), self.one(&["vbd/1/xvda", "vbd/2/xvda"]), self.one(&["sr/a", "sr/b"]));
        let (dp, vdi, read_write) = (dp.to_owned(), vdi.to_owned(), self.below(2) == 1);
        match self.below(7) {
            0 => StorageCall::Activate { dp, vdi },
            1 => StorageCall::Deactivate { dp, vdi },
            2 => StorageCall::Destroy { dp },
            3 => StorageCall::EpochBegin { vdi, persistent: read_write },
            4 => StorageCall::EpochEnd { vdi },
            5 => StorageCall::List { prefix: "vbd/1/".to_owned() },
            _ => StorageCall::Attach { dp, vdi, domid, read_write },
        }
    }

    fn image(&mut self) -> Request {
        let stream = Handle(self.below(3).into());
        let mode = self.one(&[ImageMode::Save, ImageMode::Restore]);
        match self.below(6) {
            0 | 1 => Request::OpenImage { stream, disk: Disk::Local("/srv/image".to_owned()), mode },
            2 => Request::AppendImage(
                stream,
                self.one(&[ImageRecord::Signature, ImageRecord::Libxc, ImageRecord::QemuTrad]),
            ),
            3 => Request::ReadImage(stream),
            4 => Request::SyncImage(stream),
            _ => Request::CloseStream(stream),
        }
    }

    fn request(&mut self) -> Request {
        let (domid, handle, path) = (self.domid(), Handle(self.below(9).into()), self.path());
        let token = Token(self.below(4).into());
        match self.below(30) {
            0..=5 => Request::Store(Batch { guards: vec![], changes: (0..3).map(|_| self.change()).collect() }),
            6 => Request::Store(Batch { guards: vec![Guard::Exists(path)], changes: vec![self.change()] }),
            7 => Request::Read(vec![Query::Value(path.clone()), Query::Tree { path, depth: 3, limit: 5 }]),
            8 => Request::Watch(token, vec![path]),
            9 => Request::Unwatch(token),
            10 => Request::Introduce(domid, 1, 1),
            11 | 12 => {
                let until = self.world.now().mono + u64::from(self.below(3)) * 1_000_000_000;
                Request::Wait(Wait { any: vec![self.condition(), self.condition()], until })
            }
            13 | 14 => Request::CreateDomain(spec(VM, self.one(&[Flavour::Pv, Flavour::Hvm, Flavour::Pvh]))),
            15..=18 => Request::Domain(domid, self.act()),
            19 => self.one(&[Request::ListDomains, Request::FindDomains(VM), Request::Memory, Request::HostStat]),
            20..=22 => Request::Spawn(Box::new(self.spawn())),
            23 => Request::Tell(handle, self.one(&["done", "restore:xenguest", "abort"]).to_owned()),
            24 => Request::Kill(domid, self.one(&[Role::DeviceModel, Role::Builder])),
            25 => self.one(&[
                Request::Forget(handle),
                Request::Processes(domid),
                Request::Hooks("/etc/vm-pre-start".to_owned()),
                Request::IsBehind { file: "/srv/a.img".to_owned(), device: "/dev/loop0".to_owned() },
            ]),
            26 => Request::Qmp(domid, self.one(&["cont", "xen-save-devices-state", "bad"]).to_owned(), String::new()),
            27 => Request::Append(vec![Entry { key: path, value: Some("x".to_owned()) }]),
            28 => self.image(),
            _ => Request::Storage(self.storage()),
        }
    }

    fn step(&mut self) {
        match self.below(40) {
            0 => self.world.daemon_crash(),
            1 => self.world.host_reboot(),
            2 => {
                let effect = self.effect.saturating_sub(self.below(5).into());
                self.world.abort(EffectId(effect));
            }
            3..=9 => {
                let passes = u64::from(self.below(50)) * 40_000_000;
                self.world.run_until(self.world.now().mono + passes);
            }
            10 => {
                let domid = self.domid();
                self.world.console_input(domid, "reboot");
            }
            _ => {
                let request = self.request();
                self.effect += 1;
                self.world.start(EffectId(self.effect), request);
            }
        }
        while self.world.take_outcome().is_some() {}
        while self.world.take_notice().is_some() {}
        self.check();
    }

    /// Memory is neither lost nor made, and a guest stands only where the hypervisor has a domain.
    fn check(&self) {
        let memory = self.world.hypervisor().memory();
        let held: u64 = self
            .world
            .hypervisor()
            .iter()
            .map(|(_, domain)| domain.info.total_pages * PAGE + u64::from(domain.shadow) * 1024)
            .sum();
        assert_eq!(memory.free + memory.scrub + held, memory.total);
        for process in self.world.processes().iter().filter(|process| process.shown.exit.is_none()) {
            assert!(process.of_this_daemon || process.next.is_some() || process.spawn.role.outlives_daemon());
        }
    }
}

fn run(seed: u64, pace: Pace) -> Wild {
    let mut wild = Wild::new(seed, pace);
    (0..600).for_each(|_| wild.step());
    wild
}

#[test]
fn random_requests_end_in_no_panic_and_always_the_same() {
    let mut traces = Vec::new();
    for seed in 0..60 {
        let pace = paces()[seed as usize % 3];
        let (one, other) = (run(seed, pace), run(seed, pace));
        assert_eq!(one.world.trace(), other.world.trace(), "seed {seed}");
        assert_eq!(one.world.tally(), other.world.tally(), "seed {seed}");
        let mut taped = Wild::new(seed, pace);
        *taped.world.choices() = Choices::taped(one.world.choices.made().clone());
        (0..600).for_each(|_| taped.step());
        assert_eq!(one.world.trace(), taped.world.trace(), "seed {seed}, from its tape");
        traces.push(one.world.trace());
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 60, "and each seed is another run");
}

#[test]
fn a_copy_goes_on_as_its_original() {
    let mut wild = run(7, Pace::Drawn);
    let mut copy = Wild { choices: wild.choices.clone(), world: wild.world.clone(), effect: wild.effect };
    for _ in 0..100 {
        wild.step();
        copy.step();
        assert_eq!(wild.world.trace(), copy.world.trace());
    }
    fn sent<T: Send>(_: T) {}
    sent(copy.world);
}

#[test]
fn every_mishap_happens_to_somebody() {
    let mut tally = std::collections::BTreeMap::new();
    for seed in 0..60 {
        for (kind, n) in run(seed, Pace::Drawn).world.tally().iter() {
            *tally.entry(kind).or_insert(0) += n;
        }
    }
    for kind in
        ["refused", "unapplied", "unanswered", "partly", "applied late", "answered late", "fails", "dies", "hangs"]
    {
        assert!(tally.contains_key(kind), "{kind}: {tally:?}");
    }
}
