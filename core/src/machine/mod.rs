//! The machine: calls and outcomes in, requests and replies out.
//!
//! Each VM has one queue and one job. The job of a VM that is in doubt is a look; what the look saw is compared
//! with what was wanted (`recovery`); a repair is one more operation; a VM that needs none is settled, and the
//! next operation of its queue begins. That one path serves a restart, a failure, a cancellation, an unknown
//! outcome, a guest's own doings and the ordinary end of every operation.

mod cancel;
mod client;
mod device;
mod diagnostics;
mod drive;
mod entropy;
mod fingerprint;
mod finish;
mod flight;
mod invariant;
mod lie;
mod listed;
mod metadata;
mod notice;
mod observers;
mod policy;
mod restate;
mod rows;
mod run;
mod seat;
mod slab;
mod slot;
mod stat;
mod tasks;
mod timers;
mod updates;
mod waiting;

pub mod budget;
pub mod config;
pub mod effect;
pub mod flights;
pub mod id;
pub mod input;
pub mod queues;
pub mod recording;

pub use config::{Bounds, Config};
pub use effect::{Effect, Effects};
pub use fingerprint::{Bearing, Stretch};
pub use flights::{Flights, Landing};
pub use id::{CallId, ClientId, EffectId, TaskId};
pub use input::Input;

use crate::host::{Entry, Now, Request, Token, Uuid};
use budget::Budget;
use entropy::Entropy;
use flight::{Flight, Owner, Parked};
use queues::Queues;
use rows::Key;
use serde::{Deserialize, Serialize};
use slab::Slab;
use slot::{Queued, Slot};
use std::collections::BTreeMap;
use tasks::Tasks;
use timers::{Alarm, Timers};
use updates::{Object, Updates};

/// Decides; never does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    config: Config,
    now: Now,
    entropy: Entropy,
    instance: Uuid,
    vms: Slab<Slot>,
    by_id: BTreeMap<Uuid, u64>,
    tasks: Tasks,
    updates: Updates,
    flights: Slab<Flight>,
    queues: Queues<Queued>,
    budget: Budget<Parked>,
    timers: Timers,
    waiting: waiting::Waiting,
    observers: observers::Observers,
    domains: notice::Domains,
    /// Processes and streams that any place whose VM has gone had numbered: its next VM's are others.
    handles: u64,
    /// Looks that have been started, of all VMs.
    looks: u64,
    /// Records that no VM can use: key and why.
    aside: Vec<(String, String)>,
}

impl Machine {
    /// Start or restart. `records` is what the journal and the directory gave back; of the host nothing is assumed.
    pub fn open(config: Config, now: Now, records: Vec<Entry>, effects: &mut Effects) -> Machine {
        let mut entropy = Entropy::new(config.entropy);
        let instance = entropy.uuid();
        let mut machine = Machine {
            tasks: Tasks::new(config.bounds.finished_tasks),
            updates: Updates::new(config.bounds.barriers),
            queues: Queues::default(),
            budget: Budget::new(config.workers),
            config,
            now,
            entropy,
            instance,
            vms: Slab::default(),
            by_id: BTreeMap::new(),
            flights: Slab::default(),
            timers: Timers::default(),
            waiting: waiting::Waiting::default(),
            observers: observers::Observers::default(),
            domains: notice::Domains::default(),
            handles: 0,
            looks: 0,
            aside: Vec::new(),
        };
        for record in records {
            machine.load(record);
        }
        machine.set_orphans_aside();
        let vms: Vec<_> = machine.by_id.values().copied().collect();
        for vm in &vms {
            machine.signal_all(*vm);
        }
        // Looks begin when this watch stands: what changes after a look is then noticed.
        machine.send(Request::Watch(Token::DOMAINS, Vec::new()), Owner::WatchDomains, None, effects);
        machine
    }

    /// Take one input; append what must now be done.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Effects) {
        // A clock that goes backwards within a boot is the driver's fault, not a reason to run timers backwards.
        let mono = if now.boot == self.now.boot { now.mono.max(self.now.mono) } else { now.mono };
        self.now = Now { mono, ..now };
        match input {
            Input::Call { call, client, request } => self.call(call, client, request, effects),
            Input::Hangup { client } => self.waiting.hang_up(client, &mut self.timers),
            Input::Done { effect, outcome } => self.done(effect, outcome, effects),
            Input::Noticed { token } => self.noticed(token, effects),
            Input::Everything => self.everything(effects),
            Input::Tick => {}
        }
        self.ring(effects);
        self.tell_getters(effects);
        self.check();
    }

    /// Monotonic nanoseconds of the next `Tick` that is needed if nothing else comes first.
    pub fn deadline(&self) -> Option<u64> {
        self.timers.next()
    }

    fn load(&mut self, record: Entry) {
        let Some(text) = record.value else { return };
        let Some(key) = Key::parse(&record.key) else {
            // Rows of later kinds (PCI, vGPU, USB) and of other programs stay where they are.
            self.aside.push((record.key, "not a record of this version".to_owned()));
            return;
        };
        let vm = self.slot_of(key.vm());
        let slot = self.vms.get_mut(vm).expect("just found or made");
        if let Err(why) = slot.rows.load(&key, &text) {
            slot.aside.insert(record.key, why);
        }
    }

    /// Records of a VM that has no configuration: it is not listed, but who adds it again should know why.
    fn set_orphans_aside(&mut self) {
        for vm in self.by_id.values() {
            let slot = self.vms.get_mut(*vm).expect("found by its identity");
            if slot.rows.vm.is_none() {
                let missing = || "missing beside other records of this vm".to_owned();
                slot.aside.entry(format!("VM/{}/config", slot.text)).or_insert_with(missing);
            }
        }
    }

    /// A VM's place, made if it has none.
    fn slot_of(&mut self, id: Uuid) -> u64 {
        if let Some(vm) = self.by_id.get(&id) {
            return *vm;
        }
        let vm = self.vms.insert(Slot { handles: self.handles, ..Slot::new(id) });
        self.by_id.insert(id, vm);
        vm
    }

    /// A VM's place is given up.
    fn vacate(&mut self, vm: u64) {
        if let Some(slot) = self.vms.remove(vm) {
            self.by_id.remove(&slot.id);
            self.handles = self.handles.max(slot.handles);
        }
    }

    fn slot(&self, vm: u64) -> &Slot {
        self.vms.get(vm).expect("a vm's place is kept while anything of it is in flight")
    }

    fn slot_mut(&mut self, vm: u64) -> &mut Slot {
        self.vms.get_mut(vm).expect("a vm's place is kept while anything of it is in flight")
    }

    /// Ask the host.
    fn send(
        &mut self,
        request: Request,
        owner: Owner,
        purse: Option<budget::Purse>,
        effects: &mut Effects,
    ) -> EffectId {
        let deadline = self.now.mono.saturating_add(flight::patience(&request, self.now.mono));
        let effect = EffectId(self.flights.insert(Flight { owner, purse }));
        effects.push(Effect::Do { effect, request, deadline });
        effect
    }

    /// Run what is due.
    fn ring(&mut self, effects: &mut Effects) {
        while let Some(alarm) = self.timers.due(self.now.mono) {
            match alarm {
                Alarm::Look(vm) => {
                    if self.vms.get(vm).is_some() {
                        self.drive(vm, effects);
                    }
                }
                Alarm::Expire(task) => self.cancel(TaskId(task), flight::ABORT_PATIENCE, effects),
                Alarm::Call(call) => self.call_expired(CallId(call), effects),
                Alarm::Domains => self.list_domains(effects),
            }
        }
    }

    fn signal_vm(&mut self, vm: u64) {
        let vm = self.slot(vm).id;
        self.updates.add(Object::Vm(vm));
    }

    fn signal_all(&mut self, vm: u64) {
        self.signal_vm(vm);
        let slot = self.vms.get(vm).expect("signalled by its own place");
        for vbd in slot.rows.vbds.iter() {
            self.updates.add(Object::Vbd(slot.id, vbd.id.device.as_str().into()));
        }
        for vif in slot.rows.vifs.iter() {
            self.updates.add(Object::Vif(slot.id, vif.id.device.as_str().into()));
        }
    }
}

#[cfg(test)]
mod tests;
