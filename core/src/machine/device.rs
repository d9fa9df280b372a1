//! Calls about disks and network interfaces, and rows that clients write.

use super::client::Now;
use super::client::Now::{Answer as At, Later};
use super::entropy::derived_mac;
use super::flight::Owner;
use super::rows::Row;
use super::slot::Asker;
use super::{CallId, Effects, Machine};
use crate::backend::MicroOp;
use crate::host::{Entry, Outcome, Request, Uuid};
use crate::interface::{Answer, Call, DeviceId, Disk, Error, Vbd, Vif, Vm};
use crate::operation::Operation;
use crate::recovery::Repair;
use std::sync::Arc;

/// Longest device name: it is a file's name and part of xenstore paths.
const LONGEST_NAME: usize = 64;

impl Machine {
    pub(super) fn device_call(
        &mut self,
        call: CallId,
        asked: &Call,
        dbg: &str,
        effects: &mut Effects,
    ) -> Result<Now, Error> {
        if let Some((id, op)) = device_operation(asked) {
            let vm = self.find_device(id, asked)?;
            let task = self.submit(vm, op, dbg, effects)?;
            return Ok(At(Answer::TaskId(task.to_string())));
        }
        match asked {
            Call::VbdAdd { vbd } => self.add_vbd(call, vbd, dbg, effects),
            Call::VifAdd { vif } => self.add_vif(call, vif, effects),
            Call::VbdRemove { id } => {
                let vm = self.find_device(id, asked)?;
                self.awaited(call, vm, Operation::RemoveVbd(id.device.clone()), dbg, effects)
            }
            Call::VifRemove { id } => {
                let vm = self.find_device(id, asked)?;
                self.awaited(call, vm, Operation::RemoveVif(id.device.clone()), dbg, effects)
            }
            Call::VbdStat { id } => {
                let vm = self.find_device(id, asked)?;
                Ok(self.ask_about(vm, Asker::Vbd(call, id.device.clone()), effects))
            }
            Call::VifStat { id } => {
                let vm = self.find_device(id, asked)?;
                Ok(self.ask_about(vm, Asker::Vif(call, id.device.clone()), effects))
            }
            Call::VbdList { id } => match self.find(id) {
                Ok(vm) => Ok(self.ask_about(vm, Asker::Vbds(call), effects)),
                Err(_) => Ok(At(Answer::Vbds(Vec::new()))),
            },
            Call::VifList { id } => match self.find(id) {
                Ok(vm) => Ok(self.ask_about(vm, Asker::Vifs(call), effects)),
                Err(_) => Ok(At(Answer::Vifs(Vec::new()))),
            },
            other => Err(Error::Unimplemented(other.method().to_owned())),
        }
    }

    fn find_device(&self, id: &DeviceId, asked: &Call) -> Result<u64, Error> {
        let kind = if asked.method().starts_with("VBD.") { "vbd" } else { "vif" };
        let gone = || Error::does_not_exist("VM", format!("{}/{kind}.{}", id.vm, id.device));
        let vm = self.find(&id.vm).map_err(|_| gone())?;
        let rows = &self.slot(vm).rows;
        let there = match kind {
            "vbd" => rows.vbds.iter().any(|vbd| vbd.id.device == id.device),
            _ => rows.vifs.iter().any(|vif| vif.id.device == id.device),
        };
        if there { Ok(vm) } else { Err(gone()) }
    }

    /// Whether an operation's device is there, and may be removed.
    pub(super) fn check_devices(&self, vm: u64, op: &Operation) -> Result<(), Error> {
        let slot = self.slot(vm);
        let plugged = |disk: bool, name: &str| {
            slot.seen.as_ref().is_some_and(|seen| seen.living().any(|domain| domain.device(disk, name).is_some()))
        };
        let gone = |kind: &str, name: &str| Error::does_not_exist("VM", format!("{}/{kind}.{name}", slot.text));
        let (disk, name) = match op {
            Operation::RemoveVbd(name) => (true, name),
            Operation::RemoveVif(name) => (false, name),
            Operation::VbdHotplug(name) | Operation::VbdHotunplug(name, _) => (true, name),
            Operation::VifHotplug(name) | Operation::VifHotunplug(name, _) => (false, name),
            _ => return Ok(()),
        };
        let there = match disk {
            true => slot.rows.vbds.iter().any(|vbd| vbd.id.device == *name),
            false => slot.rows.vifs.iter().any(|vif| vif.id.device == *name),
        };
        if !there {
            return Err(gone(if disk { "vbd" } else { "vif" }, name));
        }
        let removes = matches!(op, Operation::RemoveVbd(_) | Operation::RemoveVif(_));
        if removes && plugged(disk, name) { Err(Error::DeviceIsConnected) } else { Ok(()) }
    }

    pub(super) fn add_vm(&mut self, call: CallId, config: &Arc<Vm>, effects: &mut Effects) -> Result<Now, Error> {
        let bad = |text: String| Error::InternalError(text);
        let id: Uuid = config.id.parse().map_err(|error| bad(format!("vm id {error}")))?;
        check_vm(config)?;
        if !self.by_id.contains_key(&id) && self.vms.len() >= self.config.bounds.vms {
            return Err(bad(format!("this daemon manages {} vms already", self.config.bounds.vms)));
        }
        if self.is_rename_target(id) {
            return Err(bad(format!("another vm is being renamed to {id}")));
        }
        let text = id.text();
        let config =
            if config.id == text { config.clone() } else { Arc::new(Vm { id: text.clone(), ..(**config).clone() }) };
        let vm = self.slot_of(id);
        self.write_row(vm, Row::Vm(config), call, Answer::Text(text), effects)
    }

    fn add_vbd(&mut self, call: CallId, vbd: &Arc<Vbd>, dbg: &str, effects: &mut Effects) -> Result<Now, Error> {
        let vm = self.device_owner(&vbd.id, |rows| rows.vbds.len())?;
        let mut vbd = (**vbd).clone();
        vbd.id.vm = self.slot(vm).text.to_string();
        let (answer, vbd) = (Answer::DeviceId(vbd.id.clone()), Arc::new(vbd));
        let row = Row::Vbd(vbd.clone());
        let stored = |old: &Vbd| matches!(old.backend, Some(Disk::Vdi(_)));
        let replaces = |old: &Arc<Vbd>| old.id == vbd.id && old.backend != vbd.backend && stored(old);
        if self.slot(vm).rows.vbds.iter().any(replaces) {
            // What was behind it is to be let go of, which takes its turn.
            self.entries(vm, &row)?;
            return self.awaited(call, vm, Operation::ReplaceVbd(vbd), dbg, effects);
        }
        self.write_row(vm, row, call, answer, effects)
    }

    fn add_vif(&mut self, call: CallId, vif: &Arc<Vif>, effects: &mut Effects) -> Result<Now, Error> {
        let vm = self.device_owner(&vif.id, |rows| rows.vifs.len())?;
        let mut vif = (**vif).clone();
        vif.id.vm = self.slot(vm).text.to_string();
        match vif.mac.as_str() {
            "random" => vif.mac = self.entropy.mac(),
            "" => vif.mac = derived_mac(vif.position, &vif.id.vm),
            _ => {}
        }
        let answer = Answer::DeviceId(vif.id.clone());
        self.write_row(vm, Row::Vif(Arc::new(vif)), call, answer, effects)
    }

    fn device_owner(&self, id: &DeviceId, count: impl Fn(&super::rows::Rows) -> usize) -> Result<u64, Error> {
        let vm = self.find(&id.vm).map_err(|_| Error::does_not_exist("VM", id.vm.clone()))?;
        check_name(&id.device)?;
        if count(&self.slot(vm).rows) >= self.config.bounds.devices {
            return Err(Error::InternalError(format!(
                "vm has {} devices of this kind already",
                self.config.bounds.devices
            )));
        }
        Ok(vm)
    }

    /// Write a row; the call is answered when it is durable.
    fn write_row(
        &mut self,
        vm: u64,
        row: Row,
        call: CallId,
        answer: Answer,
        effects: &mut Effects,
    ) -> Result<Now, Error> {
        let slot = self.slot(vm);
        if slot.active().is_some_and(|active| active.op.changes_identity()) {
            let text = format!("vm {} is being renamed or removed; try again later", slot.text);
            return Err(Error::InternalError(text));
        }
        if !slot.unsure.is_empty() {
            let text = format!("an earlier write of the records of vm {} has not ended; try again later", slot.text);
            return Err(Error::InternalError(text));
        }
        let entries = self.entries(vm, &row)?;
        self.send(Request::Append(entries), Owner::Client { vm, row, call, answer }, None, effects);
        Ok(Later)
    }

    /// A row's entries, if they are not too large.
    fn entries(&self, vm: u64, row: &Row) -> Result<Vec<Entry>, Error> {
        let slot = self.slot(vm);
        let entries = slot.rows.entries(&slot.text, row);
        let bound = self.config.bounds.record_bytes;
        if entries.iter().any(|entry| entry.value.as_ref().is_some_and(|text| text.len() > bound)) {
            return Err(Error::InternalError(format!("record of {} is larger than {bound} bytes", slot.text)));
        }
        Ok(entries)
    }

    pub(super) fn client_row(
        &mut self,
        vm: u64,
        row: Row,
        call: CallId,
        answer: Answer,
        outcome: Outcome,
        effects: &mut Effects,
    ) {
        let outcome = if mutant!(RowNotDurable) { Outcome::Ok(crate::host::Reply::Unit) } else { outcome };
        let slot = self.slot_mut(vm);
        if matches!(outcome, Outcome::Unknown(_)) {
            slot.unsure.push(row.clone());
        }
        let reply = match outcome {
            Outcome::Ok(_) => {
                slot.written(&row);
                slot.rows.apply(row);
                // The comparison is with other rows now.
                slot.verdict = None;
                Ok(answer)
            }
            Outcome::Refused(fault) | Outcome::Unknown(fault) => Err(Error::InternalError(fault.to_string())),
            Outcome::Aborted => Err(Error::InternalError("write was aborted".to_owned())),
        };
        self.reply(call, reply, effects);
        self.drive(vm, effects);
    }

    /// Whether a VM is being given this identity.
    pub(super) fn is_rename_target(&self, id: Uuid) -> bool {
        let to =
            |op: &Operation| matches!(op, Operation::Rename(to) | Operation::Repair(Repair::Rename(to)) if *to == id);
        self.vms.iter().any(|(_, slot)| slot.active().is_some_and(|active| to(&active.op)))
    }

    /// Whether a client's write of a VM's row has not come to its outcome.
    pub(super) fn client_rows_in_flight(&self, vm: u64) -> bool {
        self.flights.iter().any(|(_, flight)| matches!(&flight.owner, Owner::Client { vm: of, .. } if *of == vm))
    }
}

fn device_operation(asked: &Call) -> Option<(&DeviceId, Operation)> {
    let atomic = |op: MicroOp| Operation::Atomic(Box::new(op));
    Some(match asked {
        Call::VbdPlug { id } => (id, Operation::VbdHotplug(id.device.clone())),
        Call::VbdUnplug { id, force } => (id, Operation::VbdHotunplug(id.device.clone(), *force)),
        Call::VbdInsert { id, disk } => (id, atomic(MicroOp::VbdInsert(id.device.clone(), disk.clone()))),
        Call::VbdEject { id } => (id, atomic(MicroOp::VbdEject(id.device.clone()))),
        Call::VifPlug { id } => (id, Operation::VifHotplug(id.device.clone())),
        Call::VifUnplug { id, force } => (id, Operation::VifHotunplug(id.device.clone(), *force)),
        Call::VifMove { id, network } => (id, atomic(MicroOp::VifMove(id.device.clone(), network.clone()))),
        Call::VifSetCarrier { id, carrier } => (id, atomic(MicroOp::VifSetCarrier(id.device.clone(), *carrier))),
        Call::VifSetLockingMode { id, locking_mode } => {
            (id, atomic(MicroOp::VifSetLockingMode(id.device.clone(), locking_mode.clone())))
        }
        Call::VifSetTrunks { id, trunks } => (id, atomic(MicroOp::VifSetTrunks(id.device.clone(), trunks.clone()))),
        Call::VifSetIpv4Configuration { id, ipv4_configuration } => {
            (id, atomic(MicroOp::VifSetIpv4(id.device.clone(), ipv4_configuration.clone())))
        }
        Call::VifSetIpv6Configuration { id, ipv6_configuration } => {
            (id, atomic(MicroOp::VifSetIpv6(id.device.clone(), ipv6_configuration.clone())))
        }
        _ => return None,
    })
}

/// A device's name is part of a file's name and of xenstore paths.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':'));
    if name.is_empty() || name.len() > LONGEST_NAME || !plain {
        let shown: String = name.chars().take(LONGEST_NAME).collect();
        let text = format!("device name {shown:?} is not 1 to {LONGEST_NAME} letters, digits, '_', '-' or ':'");
        return Err(Error::InternalError(text));
    }
    Ok(())
}

/// What no host could build.
pub(super) fn check_vm(vm: &Vm) -> Result<(), Error> {
    let bad = |text: &str| Err(Error::InternalError(format!("vm {}: {text}", vm.id)));
    if vm.memory_static_max < 0 || vm.memory_dynamic_min < 0 || vm.memory_dynamic_max < vm.memory_dynamic_min {
        return bad("memory sizes are not 0 <= dynamic_min <= dynamic_max bytes");
    }
    if !(0..=512).contains(&vm.vcpu_max) {
        return bad("vcpu_max is not between 0 and 512");
    }
    Ok(())
}
