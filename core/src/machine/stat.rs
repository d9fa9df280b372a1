//! Answers about VMs and their devices: from the last look, or from one that is joined or started.

use super::client::Now;
use super::rows::Rows;
use super::slot::{Active, Asker, Glance, Job, Seat, Slot};
use super::{CallId, Effects, Machine};
use crate::backend::{DeviceSeen, DomainSeen, Failure, Observation, xc};
use crate::interface::vm::{BuilderInfo, Console, ConsoleProtocol, DomainType, State};
use crate::interface::{Answer, Error, Vbd, Vif, VmExtra, vbd, vif};

impl Machine {
    /// Answer from the last look if it still holds, else from one that begins now or next.
    pub(super) fn ask_about(&mut self, vm: u64, asker: Asker, effects: &mut Effects) -> Now {
        if self.slot(vm).is_settled() || mutant!(StatFromOldLook) && self.slot(vm).seen.is_some() {
            return match self.tell(vm, &asker) {
                Some((_, Ok(answer))) => Now::Answer(answer),
                Some((call, Err(error))) => {
                    self.reply(call, Err(error), effects);
                    Now::Later
                }
                None => Now::Later,
            };
        }
        self.glance(vm, asker, effects);
        Now::Later
    }

    pub(super) fn list_vms(&mut self, call: CallId, effects: &mut Effects) -> Now {
        let unsettled: Vec<_> = self
            .vms
            .iter()
            .filter(|(_, slot)| slot.rows.vm.is_some() && !slot.is_settled())
            .map(|(vm, _)| vm)
            .collect();
        if unsettled.is_empty() {
            return Now::Answer(self.all_vms());
        }
        let list = self.waiting.await_looks(call, unsettled.len());
        for vm in unsettled {
            self.glance(vm, Asker::List(list), effects);
        }
        Now::Later
    }

    fn all_vms(&self) -> Answer {
        let with_row = self.vms.iter().filter_map(|(vm, slot)| Some((vm, slot.rows.vm.clone()?)));
        Answer::Vms(with_row.map(|(vm, config)| (config, self.state(vm))).collect())
    }

    /// One who asked while a glance was under way waits for the next: its answer must be true of a moment after
    /// the question.
    fn glance(&mut self, vm: u64, asker: Asker, effects: &mut Effects) {
        if let Some(glance) = self.slot_mut(vm).glance.as_mut().filter(|_| mutant!(GlanceJoined)) {
            return glance.askers.push(asker);
        }
        if self.slot(vm).glance.is_some() {
            self.slot_mut(vm).askers.push(asker);
            return;
        }
        self.looks += 1;
        let started = self.looks;
        let mut procedure = Box::new(self.new_look(vm));
        let stepped = procedure.begin();
        let slot = self.slot_mut(vm);
        let name = slot.text.clone();
        slot.glance = Some(Glance { procedure: Some(procedure), started, askers: vec![asker], name });
        self.advance(vm, Seat::Glance, stepped, effects);
    }

    /// A glance has ended.
    pub(super) fn glanced(&mut self, vm: u64, result: Result<Box<Observation>, Failure>, effects: &mut Effects) {
        let glance = self.slot_mut(vm).glance.take().expect("it has just ended");
        if self.slot(vm).rows.vm.is_none() {
            self.slot_mut(vm).askers.extend(glance.askers);
            self.answer_askers_gone(vm, effects);
            return self.forget_empty(vm);
        }
        // Under a name that a domain has no more, or not yet, none is seen: what was seen before still holds.
        let named = |active: &Active| !active.op.changes_identity();
        let known = glance.name == self.slot(vm).text && self.slot(vm).active().is_none_or(named);
        let error = match result {
            Ok(_) if !known && self.slot(vm).seen.is_some() => None,
            Ok(seen) => {
                self.saw(vm, glance.started, *seen, effects);
                None
            }
            Err(failure) => Some(failure.into_error(&self.slot(vm).text, "")),
        };
        for asker in glance.askers {
            self.answer_asker(vm, &asker, error.as_ref(), effects);
        }
        let mut next = std::mem::take(&mut self.slot_mut(vm).askers).into_iter();
        if let Some(first) = next.next() {
            self.glance(vm, first, effects);
            match &mut self.slot_mut(vm).glance {
                Some(glance) => glance.askers.extend(next),
                None => next.for_each(|asker| self.answer_asker(vm, &asker, None, effects)),
            }
        }
    }

    /// A place that nothing is known of any more: its VM was removed, or was not added in the end.
    pub(super) fn forget_empty(&mut self, vm: u64) {
        let Some(slot) = self.vms.get(vm) else { return };
        let idle = matches!(slot.job, Job::Rest) && self.queues.is_empty(vm) && slot.unsure.is_empty();
        if slot.rows == Rows::default() && idle && slot.glance.is_none() && !self.client_rows_in_flight(vm) {
            self.vacate(vm);
        }
    }

    fn answer_asker(&mut self, vm: u64, asker: &Asker, error: Option<&Error>, effects: &mut Effects) {
        if let Asker::List(list) = asker {
            if let Some(call) = self.waiting.looked(*list) {
                let answer = self.all_vms();
                self.reply(call, Ok(answer), effects);
            }
        } else if let Some((call, answer)) = self.tell(vm, asker) {
            self.reply(call, error.map_or(answer, |error| Err(error.clone())), effects);
        }
    }

    /// The VM has been removed while somebody asked about it.
    pub(super) fn answer_askers_gone(&mut self, vm: u64, effects: &mut Effects) {
        for asker in std::mem::take(&mut self.slot_mut(vm).askers) {
            let gone = Error::does_not_exist("VM", format!("{}/config", self.slot(vm).text));
            self.answer_asker(vm, &asker, Some(&gone), effects);
        }
    }

    /// What somebody asked, from the last look.
    fn tell(&self, vm: u64, asker: &Asker) -> Option<(CallId, Result<Answer, Error>)> {
        let slot = self.slot(vm);
        let seen = slot.seen.as_deref();
        let gone = |what: String| Error::does_not_exist("VM", format!("{}/{what}", slot.text));
        Some(match asker {
            Asker::List(_) => return None,
            Asker::Vm(call) => {
                let answer = slot.rows.vm.clone().map(|config| Answer::Vm(config, Box::new(self.state(vm))));
                (*call, answer.ok_or_else(|| gone("config".to_owned())))
            }
            Asker::Vbd(call, name) => {
                let row = slot.rows.vbds.iter().find(|vbd| vbd.id.device == *name);
                let answer = row.map(|row| Answer::Vbd(row.clone(), vbd_state(seen, row)));
                (*call, answer.ok_or_else(|| gone(format!("vbd.{name}"))))
            }
            Asker::Vif(call, name) => {
                let row = slot.rows.vifs.iter().find(|vif| vif.id.device == *name);
                let answer = row.map(|row| Answer::Vif(row.clone(), vif_state(seen, row)));
                (*call, answer.ok_or_else(|| gone(format!("vif.{name}"))))
            }
            Asker::Vbds(call) => {
                let all = slot.rows.vbds.iter().map(|row| (row.clone(), vbd_state(seen, row))).collect();
                (*call, Ok(Answer::Vbds(all)))
            }
            Asker::Vifs(call) => {
                let all = slot.rows.vifs.iter().map(|row| (row.clone(), vif_state(seen, row))).collect();
                (*call, Ok(Answer::Vifs(all)))
            }
        })
    }

    /// A VM as clients see it.
    pub(super) fn state(&self, vm: u64) -> State {
        let slot = self.slot(vm);
        let mut state = State { power_state: self.power_state(vm), ..State::halted() };
        let Some(domain) = slot.domain() else {
            if slot.is_rebooting() {
                // Between two domains: as the one that is to come.
                state.domain_type = slot.rows.vm.as_ref().map_or(DomainType::Undefined, |vm| domain_type(&vm.ty));
            }
            return state;
        };
        let extra = slot.rows.extra.as_deref();
        self.fill_from_domain(&mut state, slot, domain);
        if let Some(extra) = extra {
            fill_from_extra(&mut state, extra);
        }
        state
    }

    fn fill_from_domain(&self, state: &mut State, slot: &Slot, domain: &DomainSeen) {
        let seen = slot.seen.as_ref().expect("its domain was seen");
        state.domids = seen.living().map(|domain| i64::from(domain.info.domid)).collect();
        state.memory_actual = (domain.info.total_pages * 4096) as i64;
        state.memory_target = domain.memory_target.map_or(0, |kib| kib * 1024);
        state.memory_limit = state.memory_actual.max((domain.info.max_pages * 4096) as i64);
        state.uncooperative_balloon_driver = domain.uncooperative;
        state.guest_agent = domain.guest_agent.iter().collect();
        state.xsdata_state = domain.xsdata.iter().collect();
        state.hvm = domain.info.hvm;
        state.rtc_timeoffset = seen.rtc_timeoffset.clone().unwrap_or_default();
        state.consoles = consoles(domain);
        if let Some(vm) = &slot.rows.vm {
            state.vcpu_target = vm.vcpus;
            state.shadow_multiplier_target =
                domain.shadow_mib.map_or(1.0, |mib| xc::overhead::shadow_multiplier(vm, mib));
            state.domain_type =
                domain_type(slot.rows.extra.as_ref().and_then(|extra| extra.ty.as_ref()).unwrap_or(&vm.ty));
        }
    }
}

fn fill_from_extra(state: &mut State, extra: &VmExtra) {
    state.pv_drivers_detected = extra.pv_drivers_detected;
    state.last_start_time = extra.last_start_time;
    state.nomigrate = extra.nomigrate;
    state.nested_virt = extra.nested_virt;
    state.featureset = extra.platformdata.get("featureset").cloned().unwrap_or_default();
}

fn domain_type(ty: &BuilderInfo) -> DomainType {
    match ty {
        BuilderInfo::Hvm(_) => DomainType::Hvm,
        BuilderInfo::Pv(_) => DomainType::Pv,
        BuilderInfo::PvInPvh(_) => DomainType::PvInPvh,
        BuilderInfo::Pvh(_) => DomainType::Pvh,
    }
}

fn consoles(domain: &DomainSeen) -> Vec<Console> {
    let vnc = domain.vnc_port.map(|port| Console { protocol: ConsoleProtocol::Rfb, port, path: String::new() });
    let tty = domain.console_tty.clone().map(|path| Console { protocol: ConsoleProtocol::Vt100, port: 0, path });
    vnc.into_iter().chain(tty).collect()
}

/// A disk as clients see it.
pub(super) fn vbd_state(seen: Option<&Observation>, row: &Vbd) -> vbd::State {
    let device = device(seen, true, &row.id.device);
    vbd::State {
        active: seen.is_some_and(|seen| seen.active_vbds.contains(&row.id.device)),
        plugged: device.is_some(),
        qos_target: device.and_then(|device| device.qos.as_deref()).and_then(vbd::Qos::of_ionice),
        backend_present: device.and_then(DeviceSeen::disk),
    }
}

/// A network interface as clients see it.
pub(super) fn vif_state(seen: Option<&Observation>, row: &Vif) -> vif::State {
    let device = device(seen, false, &row.id.device);
    let domid = seen.and_then(|seen| seen.living().next()).map(|domain| domain.info.domid);
    vif::State {
        active: seen.is_some_and(|seen| seen.active_vifs.contains(&row.id.device)),
        plugged: device.is_some(),
        kthread_pid: device.and_then(|device| device.kthread_pid).unwrap_or(0),
        media_present: device.is_some(),
        device: device.and(domid).map(|domid| format!("vif{domid}.{}", row.position)),
        pvs_rules_active: false,
    }
}

fn device<'a>(seen: Option<&'a Observation>, disk: bool, name: &str) -> Option<&'a DeviceSeen> {
    seen?.living().find_map(|domain| domain.device(disk, name))
}
