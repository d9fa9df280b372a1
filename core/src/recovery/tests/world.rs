//! The world of one VM, as far as recovery can tell its states apart: what each micro-op does to it, in small steps.

use crate::backend::{ActionRequest, DeviceSeen, DomainSeen, MicroOp, Observation, Reason, Settings, ionice_words};
use crate::host::time::SECOND;
use crate::host::{DomId, DomainInfo, Now, Role, ShutdownCode, Uuid};
use crate::interface::extra::{BuildInfo, Builder};
use crate::interface::vm::BuilderInfo;
use crate::interface::{Disk, VmExtra};
use crate::operation::fixture::{disk, nic, subject};
use crate::operation::{Operation, Step, Subject, plan};
use crate::recovery::{Goal, Intent, Record, Repair, Sensible, Verdict, decide};
use std::collections::{BTreeMap, BTreeSet};

/// Pages and bytes: only whether there are any matters.
const PAGES: u64 = 16_384;
pub(super) const BYTES: i64 = 1 << 26;

/// A guest's execution, from one boot on, and how often it was let run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guest {
    boot: u32,
    runs: u32,
}

/// Why a plan stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stopped {
    /// It was cut.
    Cut,
    /// A micro-op did not find what it is about.
    Refused,
}

/// How many more effects there may be.
pub(super) struct Fuel(pub(super) u32);

impl Fuel {
    pub(super) const ENDLESS: u32 = u32::MAX;

    fn burn(&mut self) -> Result<(), Stopped> {
        self.0 = self.0.checked_sub(1).ok_or(Stopped::Cut)?;
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) subject: Subject,
    pub(super) extra: Option<VmExtra>,
    pub(super) intent: Option<Intent>,
    pub(super) made: Option<Now>,
    pub(super) seen: Observation,
    pub(super) now: Now,
    pub(super) epochs: BTreeSet<String>,
    pub(super) image: Option<Guest>,
    pub(super) guests: BTreeMap<DomId, Guest>,
    /// Runs of each boot's guest so far.
    runs: BTreeMap<u32, u32>,
    pub(super) next: DomId,
    /// Groups go through their members from the last to the first.
    pub(super) backwards: bool,
    pub(super) removed: bool,
    pub(super) renamed: bool,
}

impl World {
    /// Halted: one disk, one interface.
    pub(super) fn halted() -> World {
        use crate::interface::vbd::Mode::{ReadOnly, ReadWrite};
        World::of(subject(vec![disk("xvda", ReadWrite, true), disk("xvdd", ReadOnly, true)], vec![nic("0", 0)]))
    }

    pub(super) fn of(subject: Subject) -> World {
        World {
            subject,
            extra: None,
            intent: None,
            made: None,
            seen: Observation::default(),
            now: Now { boot: 1, mono: 5_000 * SECOND, wall: 2_000_000 * SECOND },
            epochs: BTreeSet::new(),
            image: None,
            guests: BTreeMap::new(),
            runs: BTreeMap::new(),
            next: 1,
            backwards: false,
            removed: false,
            renamed: false,
        }
    }

    pub(super) fn running() -> World {
        let mut world = World::halted();
        world.carry_out(&Operation::Start { force: false });
        world.carry_out(&Operation::Atomic(Box::new(MicroOp::VmUnpause)));
        world.pass(1_000 * SECOND);
        world
    }

    pub(super) fn suspended() -> World {
        let mut world = World::running();
        world.carry_out(&Operation::Suspend { disk: image() });
        world
    }

    /// Change the VM's row.
    pub(super) fn configure(&mut self, change: impl FnOnce(&mut crate::interface::Vm)) {
        change(std::sync::Arc::make_mut(&mut self.subject.vm));
    }

    pub(super) fn pass(&mut self, nanoseconds: u64) {
        self.now.mono += nanoseconds;
        self.now.wall += nanoseconds;
        for domain in self.seen.domains.iter_mut().filter(|domain| domain.info.runnable()) {
            domain.info.cpu_time += nanoseconds / 2;
        }
    }

    /// Its only domain.
    pub(super) fn domain(&mut self) -> &mut DomainSeen {
        assert_eq!(self.seen.domains.len(), 1);
        &mut self.seen.domains[0]
    }

    pub(super) fn stop(&mut self, code: ShutdownCode) {
        self.domain().info.shutdown = Some(code);
    }

    pub(super) fn decide(&self) -> Verdict {
        let record = Record {
            vm: &self.subject.vm,
            vbds: &self.subject.vbds,
            vifs: &self.subject.vifs,
            extra: self.extra.as_ref(),
            intent: self.intent.as_ref(),
            made: self.made,
        };
        decide(&record, &self.seen, &Settings::default(), self.now)
    }

    pub(super) fn rests(&self) -> Option<Sensible> {
        match self.decide() {
            Verdict::Sensible(state) => Some(state),
            _ => None,
        }
    }

    pub(super) fn repair(&self) -> Option<Repair> {
        match self.decide() {
            Verdict::Repair(repair, _) => Some(repair),
            _ => None,
        }
    }

    /// An operation, whole; then its intent goes.
    pub(super) fn carry_out(&mut self, op: &Operation) {
        assert_eq!(self.attempt(op, &mut Fuel(Fuel::ENDLESS)), Ok(()), "{op:?}");
        self.intent = None;
    }

    /// An operation as far as it comes.
    pub(super) fn attempt(&mut self, op: &Operation, fuel: &mut Fuel) -> Result<(), Stopped> {
        let domid = self.seen.living().next().map(|domain| domain.info.domid);
        self.intent = op.intent(domid, self.now, self.intent.as_ref()).or(self.intent.take());
        for step in plan(op, &self.subject) {
            self.step(&step, fuel)?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, fuel: &mut Fuel) -> Result<(), Stopped> {
        match step {
            Step::Do(op) => self.run(op, fuel),
            Step::Serial(_, steps) => steps.iter().try_for_each(|step| self.step(step, fuel)),
            Step::Parallel(_, steps) if self.backwards => steps.iter().rev().try_for_each(|step| self.step(step, fuel)),
            Step::Parallel(_, steps) => steps.iter().try_for_each(|step| self.step(step, fuel)),
            Step::BestEffort(step) => match self.step(step, fuel) {
                Err(Stopped::Refused) => Ok(()),
                result => result,
            },
            Step::Commit => {
                fuel.burn()?;
                if let Some(intent) = &mut self.intent {
                    intent.committed = true;
                }
                Ok(())
            }
        }
    }

    /// The domain that a micro-op is about.
    fn own(&mut self) -> Result<&mut DomainSeen, Stopped> {
        let mut living =
            self.seen.domains.iter_mut().filter(|domain| !domain.info.handle.is_tombstone() && !domain.info.dying);
        match (living.next(), living.next()) {
            (Some(domain), None) => Ok(domain),
            _ => Err(Stopped::Refused),
        }
    }

    fn run(&mut self, op: &MicroOp, fuel: &mut Fuel) -> Result<(), Stopped> {
        match op {
            MicroOp::VmHookScript(..) => fuel.burn(),
            MicroOp::VmDelay(time) => {
                fuel.burn()?;
                self.pass(*time);
                Ok(())
            }
            MicroOp::VmCreate => self.create(fuel),
            MicroOp::VmBuild { .. } => self.build(fuel),
            MicroOp::VmRestore(_) => self.restore(fuel),
            MicroOp::VmSave(_) => self.save(fuel),
            MicroOp::VmCreateDeviceModel { .. } => {
                let hvm = matches!(self.subject.vm.ty, BuilderInfo::Hvm(_));
                fuel.burn()?;
                self.own()?.roles = if hvm { vec![Role::DeviceModel] } else { Vec::new() };
                Ok(())
            }
            MicroOp::VmDestroyDeviceModel => {
                fuel.burn()?;
                self.seen.domains.iter_mut().for_each(|domain| domain.roles.clear());
                Ok(())
            }
            MicroOp::VmDestroy => self.destroy(|_| true, fuel),
            MicroOp::VmDestroyDomains(domids) => self.destroy(|domid| domids.contains(&domid), fuel),
            MicroOp::VmClean { suspended } => self.clean(*suspended, fuel),
            MicroOp::VmForgetImage => {
                fuel.burn()?;
                self.extra.as_mut().ok_or(Stopped::Refused)?.suspend_memory_bytes = 0;
                Ok(())
            }
            MicroOp::VmPause => {
                self.own()?;
                fuel.burn()?;
                self.own()?.info.paused = true;
                Ok(())
            }
            MicroOp::VmUnpause => self.unpause(fuel),
            MicroOp::VmFastResume => {
                fuel.burn()?;
                let domain = self.own()?;
                if domain.pending_shutdown.take().is_some() {
                    return Ok(());
                }
                assert_eq!(domain.info.shutdown.take(), Some(ShutdownCode::Suspend));
                let domid = domain.info.domid;
                self.let_run(domid);
                Ok(())
            }
            MicroOp::VmSoftReset => {
                fuel.burn()?;
                self.own()?.info.shutdown = None;
                Ok(())
            }
            MicroOp::VmShutdownDomain { reason, .. } => {
                fuel.burn()?;
                let code = if *reason == Reason::Reboot { ShutdownCode::Reboot } else { ShutdownCode::Poweroff };
                self.own()?.info.shutdown = Some(code);
                Ok(())
            }
            MicroOp::VmSetActionRequest(ActionRequest::None) => {
                fuel.burn()?;
                self.own()?.action_request = None;
                Ok(())
            }
            MicroOp::VmRemove => {
                fuel.burn()?;
                self.removed = true;
                Ok(())
            }
            MicroOp::VmRename(_) => {
                fuel.burn()?;
                self.renamed = true;
                Ok(())
            }
            _ => self.run_device(op, fuel),
        }
    }

    fn run_device(&mut self, op: &MicroOp, fuel: &mut Fuel) -> Result<(), Stopped> {
        match op {
            MicroOp::VbdSetActive(device, active) => {
                fuel.burn()?;
                flag(&mut self.seen.active_vbds, device, *active);
                Ok(())
            }
            MicroOp::VifSetActive(device, active) => {
                fuel.burn()?;
                flag(&mut self.seen.active_vifs, device, *active);
                Ok(())
            }
            MicroOp::VbdEpochBegin(device) => {
                fuel.burn()?;
                assert!(self.epochs.insert(device.clone()), "an epoch begins when the one before has ended");
                Ok(())
            }
            MicroOp::VbdEpochEnd(device) => {
                fuel.burn()?;
                self.epochs.remove(device);
                Ok(())
            }
            MicroOp::VbdPlug(device) => {
                fuel.burn()?;
                let datapath = format!("vbd/{}/{device}", self.own()?.info.domid);
                self.seen.datapaths.push(datapath);
                self.plug("vbd", device, fuel)
            }
            MicroOp::VifPlug(device) => self.plug("vif", device, fuel),
            MicroOp::VbdUnplug { device, .. } => self.unplug("vbd", device, fuel),
            MicroOp::VifUnplug { device, .. } => self.unplug("vif", device, fuel),
            MicroOp::VbdEject(device) => {
                fuel.burn()?;
                self.disk(device)?.half_inserted = false;
                Ok(())
            }
            MicroOp::VbdSetQos(device) => {
                fuel.burn()?;
                let row = self.subject.vbds.iter().find(|vbd| vbd.id.device == *device).ok_or(Stopped::Refused)?;
                let words = row.qos.as_ref().map(ionice_words);
                self.disk(device)?.qos = words;
                Ok(())
            }
            _ => unreachable!("{op:?} is in no plan"),
        }
    }

    fn disk(&mut self, device: &str) -> Result<&mut DeviceSeen, Stopped> {
        let is_it = |seen: &&mut DeviceSeen| seen.name.as_deref() == Some(device) && seen.kind != "vif";
        self.own()?.devices.iter_mut().find(is_it).ok_or(Stopped::Refused)
    }

    fn create(&mut self, fuel: &mut Fuel) -> Result<(), Stopped> {
        assert!(self.seen.domains.is_empty(), "a vm has one domain");
        if self.extra.as_ref().is_none_or(|extra| extra.suspend_memory_bytes == 0) {
            fuel.burn()?;
            let ty = Some(self.subject.vm.ty.clone());
            self.extra = Some(VmExtra { ty, last_start_time: self.now.unix_seconds(), ..VmExtra::default() });
        }
        fuel.burn()?;
        let domid = self.next;
        self.next += 1;
        self.made = Some(self.now);
        self.seen.domains.push(unbuilt(self.id(), domid));
        fuel.burn()?;
        let domain = self.domain();
        domain.introduced = true;
        domain.action_request = Some("poweroff".into());
        Ok(())
    }

    fn build(&mut self, fuel: &mut Fuel) -> Result<(), Stopped> {
        fuel.burn()?;
        let domain = self.own()?;
        domain.info.total_pages = PAGES;
        let domid = domain.info.domid;
        let boot = self.runs.len() as u32;
        self.runs.insert(boot, 0);
        self.guests.insert(domid, Guest { boot, runs: 0 });
        fuel.burn()?;
        self.extra.as_mut().ok_or(Stopped::Refused)?.build_info = Some(build_info());
        Ok(())
    }

    fn restore(&mut self, fuel: &mut Fuel) -> Result<(), Stopped> {
        fuel.burn()?;
        let guest = self.image.ok_or(Stopped::Refused)?;
        assert_eq!(self.runs[&guest.boot], guest.runs, "an image is older than its guest");
        let domain = self.own()?;
        domain.info.total_pages = PAGES;
        let domid = domain.info.domid;
        self.guests.insert(domid, guest);
        Ok(())
    }

    fn save(&mut self, fuel: &mut Fuel) -> Result<(), Stopped> {
        fuel.burn()?;
        self.image = None;
        fuel.burn()?;
        self.own()?.pending_shutdown = Some("suspend".into());
        fuel.burn()?;
        let domain = self.own()?;
        domain.pending_shutdown = None;
        domain.info.shutdown = Some(ShutdownCode::Suspend);
        let guest = self.guests.get(&self.seen.domains[0].info.domid).copied();
        fuel.burn()?;
        self.image = guest;
        fuel.burn()?;
        self.extra.as_mut().ok_or(Stopped::Refused)?.suspend_memory_bytes = BYTES;
        Ok(())
    }

    fn unpause(&mut self, fuel: &mut Fuel) -> Result<(), Stopped> {
        fuel.burn()?;
        let domain = self.own()?;
        assert!(domain.complete() && domain.action_request.is_none(), "only a complete domain runs");
        domain.info.paused = false;
        let domid = domain.info.domid;
        self.let_run(domid);
        Ok(())
    }

    fn let_run(&mut self, domid: DomId) {
        let others = self.seen.living().filter(|domain| domain.info.runnable() && domain.info.domid != domid);
        assert_eq!(others.count(), 0, "a vm runs in one domain");
        // A world made up by a test has domains that nobody built.
        if let Some(guest) = self.guests.get_mut(&domid) {
            let runs = self.runs.get_mut(&guest.boot).expect("its boot is counted");
            assert_eq!(*runs, guest.runs, "a guest runs on from where it was last");
            *runs += 1;
            guest.runs = *runs;
        }
    }

    fn plug(&mut self, kind: &'static str, name: &str, fuel: &mut Fuel) -> Result<(), Stopped> {
        fuel.burn()?;
        self.own()?.devices.push(DeviceSeen { online: false, ..plugged(kind, name) });
        fuel.burn()?;
        self.own()?.devices.last_mut().expect("it was pushed").online = true;
        Ok(())
    }

    fn unplug(&mut self, kind: &str, name: &str, fuel: &mut Fuel) -> Result<(), Stopped> {
        let Ok(domain) = self.own() else { return Ok(()) };
        let domid = domain.info.domid;
        if domain.device(kind != "vif", name).is_some() {
            fuel.burn()?;
            let is_it =
                |seen: &DeviceSeen| seen.name.as_deref() == Some(name) && (seen.kind == "vif") == (kind == "vif");
            let domain = self.own()?;
            domain.devices.iter_mut().filter(|device| is_it(device)).for_each(|device| device.online = false);
            fuel.burn()?;
            self.own()?.devices.retain(|device| !is_it(device));
        }
        fuel.burn()?;
        self.seen.datapaths.retain(|datapath| *datapath != format!("vbd/{domid}/{name}"));
        Ok(())
    }

    fn destroy(&mut self, wanted: impl Fn(DomId) -> bool, fuel: &mut Fuel) -> Result<(), Stopped> {
        let domids: Vec<_> = self.seen.domains.iter().map(|domain| domain.info.domid).filter(|d| wanted(*d)).collect();
        for domid in domids {
            fuel.burn()?;
            let domains = self.seen.domains.iter_mut().filter(|domain| domain.info.domid == domid);
            domains.for_each(|domain| domain.info.handle = Uuid::tombstone(domid));
            fuel.burn()?;
            self.seen.domains.retain(|domain| domain.info.domid != domid);
            self.guests.remove(&domid);
            self.seen.leftovers.push(domid);
        }
        let leftovers: Vec<_> = self.seen.leftovers.iter().copied().filter(|d| wanted(*d)).collect();
        for domid in leftovers {
            fuel.burn()?;
            self.seen.datapaths.retain(|datapath| !datapath.starts_with(&format!("vbd/{domid}/")));
            fuel.burn()?;
            self.seen.leftovers.retain(|left| *left != domid);
        }
        Ok(())
    }

    fn clean(&mut self, suspended: bool, fuel: &mut Fuel) -> Result<(), Stopped> {
        assert!(self.seen.living().next().is_none(), "what has a domain is not cleaned");
        fuel.burn()?;
        self.seen.datapaths.clear();
        if suspended {
            return Ok(());
        }
        fuel.burn()?;
        self.epochs.clear();
        fuel.burn()?;
        self.seen.active_vbds.clear();
        fuel.burn()?;
        self.seen.active_vifs.clear();
        fuel.burn()?;
        self.extra = None;
        Ok(())
    }

    /// A repair, whole; its intent stays, as it does until the VM is sensible.
    pub(super) fn attempt_whole(&mut self, repair: Repair) {
        let op = Operation::Repair(repair);
        assert_eq!(self.attempt(&op, &mut Fuel(Fuel::ENDLESS)), Ok(()), "{op:?} in {self:?}");
    }

    /// Repair until there is nothing to repair, then drop the intent. What was repaired, and where it came to rest.
    pub(super) fn converge(&mut self) -> (Vec<Repair>, Verdict) {
        let mut repairs = Vec::new();
        loop {
            match self.decide() {
                Verdict::Repair(repair, _) => {
                    assert!(repairs.len() < 6, "{repairs:?}, then {repair:?}, in {self:?}");
                    self.attempt_whole(repair.clone());
                    repairs.push(repair);
                    if self.removed || self.renamed {
                        return (repairs, Verdict::Sensible(Sensible::Halted));
                    }
                }
                verdict => {
                    self.intent = self.intent.take().filter(|_| matches!(verdict, Verdict::Stuck(_)));
                    return (repairs, verdict);
                }
            }
        }
    }

    /// The host has crashed: nothing that was volatile is left.
    pub(super) fn boot(&mut self) {
        self.seen = Observation::default();
        self.epochs.clear();
        self.guests.clear();
        self.made = None;
        self.now = Now { boot: self.now.boot + 1, mono: SECOND, wall: self.now.wall + 60 * SECOND };
    }

    fn id(&self) -> Uuid {
        self.subject.vm.id.parse().expect("tests name vms by uuid")
    }
}

fn flag(flags: &mut Vec<String>, device: &str, active: bool) {
    flags.retain(|flag| flag != device);
    if active {
        flags.push(device.to_owned());
    }
}

pub(super) fn image() -> Disk {
    Disk::Local("/image".into())
}

pub(super) fn intent(goal: Goal) -> Intent {
    Intent { goal, committed: false, abandoned: false, domid: None, boot: 1 }
}

pub(super) fn build_info() -> BuildInfo {
    BuildInfo {
        memory_max: 1 << 16,
        memory_target: 1 << 16,
        memory_total_source: None,
        kernel: "/k".into(),
        vcpus: 1,
        builder: Builder::Pv { cmdline: String::new(), ramdisk: None },
        hard_affinity: Vec::new(),
    }
}

/// A domain as Xen makes it.
pub(super) fn unbuilt(handle: Uuid, domid: DomId) -> DomainSeen {
    DomainSeen {
        info: DomainInfo {
            domid,
            handle,
            paused: true,
            dying: false,
            shutdown: None,
            hvm: false,
            total_pages: 0,
            max_pages: PAGES,
            cpu_time: 0,
            vcpus: 1,
        },
        instance: None,
        introduced: false,
        action_request: None,
        suspending: false,
        pending_shutdown: None,
        devices: Vec::new(),
        roles: Vec::new(),
        memory_target: None,
        uncooperative: false,
        guest_agent: Default::default(),
        xsdata: Default::default(),
        console_tty: None,
        vnc_port: None,
        shadow_mib: None,
    }
}

/// A complete one that has run for a while.
pub(crate) fn grown(handle: Uuid, domid: DomId) -> DomainSeen {
    let mut domain = unbuilt(handle, domid);
    domain.introduced = true;
    domain.info.paused = false;
    domain.info.total_pages = PAGES;
    domain.info.cpu_time = SECOND;
    domain
}

pub(crate) fn plugged(kind: &'static str, name: &str) -> DeviceSeen {
    DeviceSeen {
        kind: kind.into(),
        devid: 0,
        name: Some(name.into()),
        backend_state: Some(4),
        online: true,
        kthread_pid: None,
        vdi: None,
        half_inserted: false,
        qos: None,
        frontend_state: Some(4),
        unplug_asked: false,
    }
}
