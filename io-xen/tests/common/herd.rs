//! Many VMs, what is known of their records, and what clients do with them.

use super::caller::{Called, Caller, Gone};
use crate::answer;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xenops_core::host::Uuid;
use xenops_core::interface::task::{State, Task};
use xenops_core::interface::vm::Action;
use xenops_core::interface::{Answer, Call, DeviceId, Disk, Network, PowerState, Vbd, Vif};
use xenops_io_sim::fleet::{SHARED, Shape};
use xenops_io_sim::world::{Choices, Concern};

/// Whether a record is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    There,
    Gone,
    /// The call that was to change that was not answered.
    Either,
    /// The call that was to remove it was not answered: it may still go.
    Leaving,
}

/// A VM and what its client was told of it.
pub struct Vm {
    shape: Shape,
    id: Uuid,
    row: Is,
    /// By class and name.
    devices: BTreeMap<(bool, String), Is>,
    /// Its domains when it came to rest last; none since it was touched.
    rested: Option<Vec<i64>>,
    /// It is never touched.
    left_alone: bool,
    /// If it goes, then maybe with its image.
    moves: bool,
    /// What was done with it and came of it.
    history: Vec<String>,
}

/// All of them.
pub struct Herd {
    pub vms: Vec<Vm>,
    choices: Choices,
    consoles: PathBuf,
    tasks: Vec<String>,
    next_device: u32,
    moved: Vec<Disk>,
    /// What was done, by name: how often it was answered well.
    pub done: BTreeMap<&'static str, u32>,
}

/// A disk's device name, or a network interface's.
const DISK: bool = true;
const NIC: bool = false;

impl Herd {
    /// So many VMs with devices, the first few of which are only started; consoles are in the host's directory.
    pub fn draw(seed: u64, count: u32, left_alone: u32, host: &Path) -> Herd {
        let mut choices = Choices::seeded(seed);
        let vms = (0..count).map(|n| Vm::draw(n, n < left_alone, &mut choices)).collect();
        let consoles = host.to_owned();
        Herd { vms, choices, consoles, tasks: Vec::new(), next_device: 0, moved: Vec::new(), done: BTreeMap::new() }
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.vms.iter().map(|vm| vm.id).collect()
    }

    /// What was done lately with each, for one who looks for the cause of a failure.
    pub fn histories(&self) -> String {
        let history = |vm: &Vm| vm.history[vm.history.len().saturating_sub(60)..].join("\n  ");
        let vms: Vec<_> = self.vms.iter().map(|vm| format!("vm {}:\n  {}", vm.id, history(vm))).collect();
        vms.join("\n")
    }

    /// One of so many.
    pub fn choose(&mut self, n: usize) -> usize {
        self.choices.choose(Concern::Workload, n as u32) as usize
    }

    /// All are imported and run: those that are left alone do for good.
    pub fn settle_in(&mut self, caller: &mut Caller) -> Result<(), Gone> {
        for n in 0..self.vms.len() {
            self.import(n, caller)?;
            self.start(n, caller)?;
        }
        Ok(())
    }

    /// One thing that a client or a guest does.
    pub fn step(&mut self, caller: &mut Caller) -> Result<(), Gone> {
        let n = self.choose(self.vms.len());
        if self.vms[n].left_alone {
            return Ok(());
        }
        let dice = self.choose(100);
        match self.vms[n].row {
            Is::Gone if dice < 30 => return self.add(n, caller),
            Is::Gone => return self.import(n, caller),
            Is::There => {}
            Is::Either | Is::Leaving => return Ok(()),
        }
        let (state, domids) = self.stat(n, caller)?;
        match dice {
            0..10 => self.add_device(n, dice.is_multiple_of(2), caller),
            10..16 => self.remove_device(n, caller),
            16..20 if matches!(state, PowerState::Halted | PowerState::Suspended) => self.remove(n, state, caller),
            20..24 => self.cancel(caller),
            24..34 => {
                self.reboot_inside(n, &domids);
                Ok(())
            }
            34..37 if state == PowerState::Running => {
                self.vms[n].rested = None;
                let call = Call::DebugTrigger { cmd: "reboot".to_owned(), args: vec![self.vms[n].id.text()] };
                self.call(n, "trigger", call, caller).map(|_| ())
            }
            _ => self.power(n, state, dice, caller),
        }
    }

    fn stat(&self, n: usize, caller: &mut Caller) -> Result<(PowerState, Vec<i64>), Gone> {
        let id = self.vms[n].id.text();
        Ok(
            answer!(caller.call("stat", Call::VmStat { id })?, Answer::Vm(_, state) => (state.power_state, state.domids)),
        )
    }

    /// A start leaves a VM paused, as upstream's does.
    fn start(&mut self, n: usize, caller: &mut Caller) -> Result<(), Gone> {
        let id = || self.vms[n].id.text();
        let calls = [Call::VmStart { id: id(), paused: false }, Call::VmUnpause { id: id() }];
        calls.into_iter().try_for_each(|call| self.ask(n, call, caller))
    }

    fn power(&mut self, n: usize, state: PowerState, dice: usize, caller: &mut Caller) -> Result<(), Gone> {
        let id = self.vms[n].id.text();
        let image = self.vms[n].shape.image();
        let device = self.some_device(n);
        let call = match (state, dice % 8) {
            (PowerState::Halted, _) => return self.start(n, caller),
            (PowerState::Suspended, 0) => Call::VmShutdown { id, delay: None },
            (PowerState::Suspended, _) => Call::VmResume { id, suspend_vdi: image },
            (PowerState::Paused, 0) => Call::VmShutdown { id, delay: None },
            (PowerState::Paused, _) => Call::VmUnpause { id },
            (_, 0) => Call::VmShutdown { id, delay: None },
            (_, 1) => Call::VmShutdown { id, delay: Some(60.0) },
            (_, 2 | 3) => Call::VmReboot { id, delay: Some(60.0) },
            (_, 4) => Call::VmReboot { id, delay: None },
            (_, 5) => Call::VmSuspend { id, suspend_vdi: image },
            (_, 6) => match device {
                Some((DISK, id)) => Call::VbdPlug { id },
                Some((NIC, id)) => Call::VifPlug { id },
                None => Call::VmPause { id },
            },
            (_, _) => match device {
                Some((DISK, id)) => Call::VbdUnplug { id, force: dice > 60 },
                Some((NIC, id)) => Call::VifUnplug { id, force: dice > 60 },
                None => Call::VmPause { id },
            },
        };
        self.ask(n, call, caller)
    }

    fn ask(&mut self, n: usize, call: Call, caller: &mut Caller) -> Result<(), Gone> {
        self.vms[n].rested = None;
        let method = call.method();
        let called = self.call(n, method, call, caller)?;
        if let Ok(Answer::TaskId(task)) = called {
            self.tasks.push(task);
        }
        Ok(())
    }

    fn some_device(&mut self, n: usize) -> Option<(bool, DeviceId)> {
        let id = self.vms[n].id;
        let mut there: Vec<_> = self.vms[n].devices.keys().cloned().collect();
        if there.is_empty() {
            return None;
        }
        let (class, name) = there.swap_remove(self.choose(there.len()));
        Some((class, DeviceId::new(id.text(), name)))
    }

    fn import(&mut self, n: usize, caller: &mut Caller) -> Result<(), Gone> {
        let vm = &mut self.vms[n];
        let names = vm.first_devices();
        vm.rested = None;
        vm.row = Is::Either;
        for name in &names {
            vm.devices.insert(name.clone(), Is::Either);
        }
        let metadata = vm.shape.metadata(vm.id);
        let called = self.call(n, "import", Call::VmImportMetadata { metadata }, caller)?;
        assert!(called.is_ok(), "{called:?}");
        let vm = &mut self.vms[n];
        vm.row = Is::There;
        vm.devices = names.into_iter().map(|name| (name, Is::There)).collect();
        Ok(())
    }

    /// Without devices: those come one by one.
    fn add(&mut self, n: usize, caller: &mut Caller) -> Result<(), Gone> {
        let vm = &mut self.vms[n];
        vm.row = Is::Either;
        let row = Arc::new(vm.shape.vm(vm.id));
        let called = self.call(n, "add", Call::VmAdd { vm: row }, caller)?;
        assert!(called.is_ok(), "{called:?}");
        self.vms[n].row = Is::There;
        Ok(())
    }

    fn remove(&mut self, n: usize, state: PowerState, caller: &mut Caller) -> Result<(), Gone> {
        let tasks = answer!(caller.call("remove", Call::TaskList)?, Answer::Tasks(tasks) => tasks);
        let vm = &mut self.vms[n];
        let pends = |task: &Task| matches!(task.state, State::Pending(_)) && task.dbg == vm.id.text();
        // It may be suspended when its turn to be removed comes.
        vm.moves = state == PowerState::Suspended || tasks.iter().any(pends);
        let before = vm.devices.clone();
        vm.rested = None;
        vm.row = Is::Leaving;
        vm.devices.values_mut().for_each(|is| *is = Is::Leaving);
        let id = vm.id.text();
        let what = if state == PowerState::Suspended { "remove suspended" } else { "remove" };
        let called = self.call(n, what, Call::VmRemove { id }, caller)?;
        let vm = &mut self.vms[n];
        match called {
            Ok(_) => {
                vm.row = Is::Gone;
                vm.devices.values_mut().for_each(|is| *is = Is::Gone);
                self.moved.extend(vm.moved());
            }
            Err(_) => {
                vm.row = Is::There;
                vm.devices = before;
            }
        }
        Ok(())
    }

    fn add_device(&mut self, n: usize, class: bool, caller: &mut Caller) -> Result<(), Gone> {
        self.next_device += 1;
        let vm = &mut self.vms[n];
        let number = 4 + self.next_device % 8;
        let name = if class == DISK { format!("xvd{}", char::from(b'e' + number as u8)) } else { number.to_string() };
        if vm.devices.get(&(class, name.clone())) == Some(&Is::There) {
            return Ok(());
        }
        let id = DeviceId::new(vm.id.text(), name.clone());
        let call = if class == DISK {
            let backend = Some(Disk::Local(format!("/srv/{}/{name}.img", vm.id)));
            Call::VbdAdd { vbd: Arc::new(Vbd { id, backend, ..Vbd::default() }) }
        } else {
            let backend = Network::Local("xenbr0".to_owned());
            Call::VifAdd { vif: Arc::new(Vif { id, position: i64::from(number), backend, ..Vif::default() }) }
        };
        self.change((n, class, name), Is::There, "add device", call, caller)
    }

    fn remove_device(&mut self, n: usize, caller: &mut Caller) -> Result<(), Gone> {
        let Some((class, id)) = self.some_device(n) else { return Ok(()) };
        let name = id.device.clone();
        let call = if class == DISK { Call::VbdRemove { id } } else { Call::VifRemove { id } };
        self.change((n, class, name), Is::Gone, "remove device", call, caller)
    }

    fn change(
        &mut self,
        (n, class, name): (usize, bool, String),
        to: Is,
        what: &'static str,
        call: Call,
        caller: &mut Caller,
    ) -> Result<(), Gone> {
        let devices = &mut self.vms[n].devices;
        let before = devices.insert((class, name.clone()), Is::Either).unwrap_or(Is::Gone);
        let called = self.call(n, what, call, caller)?;
        self.vms[n].devices.insert((class, name), if called.is_ok() { to } else { before });
        Ok(())
    }

    fn cancel(&mut self, caller: &mut Caller) -> Result<(), Gone> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let at = self.choose(self.tasks.len());
        let id = self.tasks.swap_remove(at);
        let called = caller.call("cancel", Call::TaskCancel { id })?;
        *self.done.entry("cancel").or_default() += u32::from(called.is_ok());
        Ok(())
    }

    /// Disks of VMs that may have gone with their images since this was asked last.
    pub fn take_moved(&mut self) -> Vec<Disk> {
        std::mem::take(&mut self.moved)
    }

    /// Calls about a VM, and keeps what came of it.
    fn call(&mut self, n: usize, what: &'static str, call: Call, caller: &mut Caller) -> Called {
        let text = format!("{call:?}");
        let called = caller.call(&self.vms[n].id.text(), call);
        self.vms[n].history.push(format!("{text} -> {called:?}"));
        *self.done.entry(what).or_default() += u32::from(matches!(called, Ok(Ok(_))));
        called
    }

    /// Has a guest reboot by itself, as one who sits at its console.
    fn reboot_inside(&mut self, n: usize, domids: &[i64]) {
        let Some(domid) = domids.first() else { return };
        let console = self.consoles.join(format!("console-{domid}"));
        if UnixStream::connect(console).is_ok_and(|mut console| console.write_all(b"reboot\r").is_ok()) {
            self.vms[n].rested = None;
            self.vms[n].history.push(format!("reboot in domain {domid}"));
            *self.done.entry("reboot from inside").or_default() += 1;
        }
    }

    /// Guests go on while there is no daemon.
    pub fn while_down(&mut self) {
        let names: Vec<_> =
            std::fs::read_dir(&self.consoles).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        for _ in 0..self.choose(3) {
            let domids: Vec<i64> =
                names.iter().filter_map(|name| name.to_str()?.strip_prefix("console-")?.parse().ok()).collect();
            let touched: BTreeSet<i64> = self.vms.iter().filter_map(|vm| vm.rested.clone()).flatten().collect();
            let free: Vec<i64> = domids.into_iter().filter(|domid| !touched.contains(domid)).collect();
            if free.is_empty() {
                return;
            }
            let domid = free[self.choose(free.len())];
            let console = self.consoles.join(format!("console-{domid}"));
            if UnixStream::connect(console).is_ok_and(|mut console| console.write_all(b"reboot\r").is_ok()) {
                *self.done.entry("reboot from inside, no daemon").or_default() += 1;
            }
        }
    }

    /// What a daemon that has just started says of all VMs is what its client was told before.
    pub fn compare(&mut self, caller: &mut Caller) -> Result<(), Gone> {
        self.tasks.clear();
        self.vms.iter_mut().for_each(|vm| vm.history.push("a daemon starts".to_owned()));
        let rows = answer!(caller.call("list", Call::VmList)?, Answer::Vms(vms) => vms);
        for vm in &mut self.vms {
            let row = rows.iter().find(|(row, _)| row.id == vm.id.text());
            let mut there: BTreeSet<(bool, String)> = BTreeSet::new();
            if let Some((_, state)) = row {
                let id = || vm.id.text();
                let vbds = answer!(caller.call("list", Call::VbdList { id: id() })?, Answer::Vbds(vbds) => vbds);
                let vifs = answer!(caller.call("list", Call::VifList { id: id() })?, Answer::Vifs(vifs) => vifs);
                there.extend(vbds.iter().map(|(vbd, _)| (DISK, vbd.id.device.clone())));
                there.extend(vifs.iter().map(|(vif, _)| (NIC, vif.id.device.clone())));
                if let Some(rested) = &vm.rested {
                    assert_eq!(&state.domids, rested, "vm {} was not touched: {:#?}", vm.id, vm.history);
                }
            }
            vm.row = agreed(&format!("vm {}", vm.id), &vm.history, vm.row, row.is_some());
            if vm.row == Is::Gone {
                self.moved.extend(vm.moved());
            }
            let unheard = there.iter().find(|name| !vm.devices.contains_key(*name));
            assert_eq!(unheard, None, "vm {} has a device that nobody added: {:#?}", vm.id, vm.history);
            for (name, is) in &mut vm.devices {
                *is = agreed(&format!("device {name:?} of vm {}", vm.id), &vm.history, *is, there.contains(name));
            }
            vm.devices.retain(|_, is| *is != Is::Gone);
        }
        Ok(())
    }

    /// All is at rest: from here on those that nobody touches keep their domains.
    pub fn rested(&mut self, caller: &mut Caller) -> Result<(), Gone> {
        for n in 0..self.vms.len() {
            let vm = &mut self.vms[n];
            // What has not gone by now stays.
            for is in vm.devices.values_mut().chain([&mut vm.row]).filter(|is| **is == Is::Leaving) {
                *is = Is::Either;
            }
            self.vms[n].rested = if self.vms[n].row == Is::There { Some(self.stat(n, caller)?.1) } else { None };
        }
        Ok(())
    }

    /// All VMs go; whether they have.
    pub fn take_away(&mut self, caller: &mut Caller) -> Result<bool, Gone> {
        let rows = answer!(caller.call("list", Call::VmList)?, Answer::Vms(vms) => vms);
        for (vm, state) in &rows {
            let id = || vm.id.clone();
            let _: Called = Ok(if state.power_state == PowerState::Halted {
                caller.call("remove", Call::VmRemove { id: id() })?
            } else {
                caller.call("shutdown", Call::VmShutdown { id: id(), delay: None })?
            });
        }
        Ok(rows.is_empty())
    }
}

impl Vm {
    fn draw(n: u32, left_alone: bool, choices: &mut Choices) -> Vm {
        let mut shape = Shape::draw(n, choices);
        // A disk that several have is none of this host's.
        shape.disks.retain(|disk| disk.backend != Some(Disk::Vdi(SHARED.to_owned())));
        if let Some(disk) = shape.disks.first_mut() {
            disk.first = true;
        }
        shape.nics = (1, 1);
        if left_alone {
            shape.actions = [vec![Action::Shutdown], vec![Action::Shutdown], vec![Action::Start]];
        }
        let id = shape.ids[0];
        Vm {
            shape,
            id,
            row: Is::Gone,
            devices: BTreeMap::new(),
            rested: None,
            left_alone,
            moves: false,
            history: Vec::new(),
        }
    }

    /// It has gone: what went with it, if its image did.
    fn moved(&mut self) -> Vec<Disk> {
        let moves = std::mem::take(&mut self.moves);
        let disks = self.shape.disks.iter().filter_map(|disk| disk.backend.clone());
        if moves { disks.collect() } else { Vec::new() }
    }

    /// An import renames disks as upstream's does.
    fn first_devices(&self) -> Vec<(bool, String)> {
        let disks =
            self.shape.disks.iter().filter(|disk| disk.first).map(|disk| (DISK, disk.device.replace("hd", "xvd")));
        disks.chain((0..self.shape.nics.1).map(|nic| (NIC, nic.to_string()))).collect()
    }
}

fn agreed(what: &str, history: &[String], told: Is, there: bool) -> Is {
    assert!(told != Is::There || there, "{what} was there and is lost: {history:#?}");
    assert!(told != Is::Gone || !there, "{what} was gone and is back: {history:#?}");
    match told {
        _ if !there => Is::Gone,
        Is::Leaving => Is::Leaving,
        _ => Is::There,
    }
}
