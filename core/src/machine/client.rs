//! Calls: each is answered now, or becomes an operation, a question to the host, or a wait.

use super::flight::{HostCall, Owner};
use super::slot::{Asker, Queued};
use super::timers::Alarm;
use super::updates::Object;
use super::{CallId, ClientId, Effect, Effects, Machine, TaskId, policy};
use crate::backend::MicroOp;
use crate::host::time::{SECOND, nanoseconds};
use crate::host::{Batch, DomainAct, Outcome, Perms, Reply, Request, ShutdownCode, Uuid};
use crate::interface::host::GuestAgentFeature;
use crate::interface::{Answer, Call, Error, Request as Asked, query};
use crate::operation::Operation;

/// Upstream waits this long for removals and imports that it answers itself.
const PATIENCE: u64 = 1200 * SECOND;

/// What a call comes to at once.
pub(super) enum Now {
    /// Its answer.
    Answer(Answer),
    /// It will be answered later.
    Later,
}

use Now::{Answer as At, Later};

impl Machine {
    pub(super) fn call(&mut self, call: CallId, client: ClientId, asked: Asked, effects: &mut Effects) {
        if self.waiting.len() >= self.config.bounds.open_calls {
            let error =
                Error::InternalError("too many calls are waiting; answer some events or close connections".to_owned());
            effects.push(Effect::Reply { call, reply: Err(error) });
            return;
        }
        self.waiting.open(call, client);
        match self.carry_out(call, &asked, effects) {
            Ok(At(answer)) => self.reply(call, Ok(answer), effects),
            Ok(Later) => self.waiting.keep(),
            Err(error) => self.reply(call, Err(error), effects),
        }
    }

    /// Answer a call, if its client is still there.
    pub(super) fn reply(&mut self, call: CallId, reply: Result<Answer, Error>, effects: &mut Effects) {
        if let Some(alarm) = self.waiting.close(call) {
            self.timers.cancel(alarm);
            effects.push(Effect::Reply { call, reply });
        }
    }

    fn carry_out(&mut self, call: CallId, asked: &Asked, effects: &mut Effects) -> Result<Now, Error> {
        let dbg = asked.debug_info.tag();
        if let Some(done) = self.observers.call(&asked.call) {
            return done.map(|()| At(Answer::Unit));
        }
        match &asked.call {
            Call::Query => Ok(At(Answer::Query(self.query()))),
            Call::GetDiagnostics => Ok(At(Answer::Text(self.diagnostics()))),
            Call::TaskStat { .. }
            | Call::TaskCancel { .. }
            | Call::TaskDestroy { .. }
            | Call::TaskDestroyOnFinish { .. }
            | Call::TaskList => self.task_call(&asked.call, effects).map(At),
            Call::UpdatesGet { last_id, timeout } => Ok(self.get_updates(call, *last_id, *timeout)),
            Call::UpdatesLastId => Ok(At(Answer::Int(self.updates.last()))),
            Call::UpdatesInjectBarrier { vm_id, id } => {
                self.updates.inject_barrier(*id, vm_id);
                Ok(At(Answer::Unit))
            }
            Call::UpdatesRemoveBarrier { id } => {
                self.updates.remove_barrier(*id);
                Ok(At(Answer::Unit))
            }
            Call::UpdatesRefreshVm { id } => {
                let vm = self.find(id)?;
                self.signal_all(vm);
                Ok(At(Answer::Unit))
            }
            Call::DebugTrigger { cmd, args } => self.trigger(call, cmd, args, dbg, effects),
            Call::DebugShutdown => Err(Error::Unimplemented("DEBUG.shutdown: the driver's to carry out".to_owned())),
            other if other.method().starts_with("HOST.") => self.host_call(call, other, effects),
            other if other.method().starts_with("VM.") => self.vm_call(call, other, dbg, effects),
            other => self.device_call(call, other, dbg, effects),
        }
    }

    fn query(&self) -> query::Query {
        query::Query {
            name: "xenops".to_owned(),
            vendor: "XCP".to_owned(),
            version: "0.1".to_owned(),
            features: Vec::new(),
            instance_id: self.instance.text(),
        }
    }

    /// A VM by its id's text.
    pub(super) fn find(&self, id: &str) -> Result<u64, Error> {
        let gone = || Error::does_not_exist("VM", format!("{id}/config"));
        let uuid: Uuid = id.parse().map_err(|_| gone())?;
        let vm = *self.by_id.get(&uuid).ok_or_else(gone)?;
        if self.slot(vm).rows.vm.is_none() { Err(gone()) } else { Ok(vm) }
    }

    /// Queue an operation for a VM; its task.
    pub(super) fn submit(&mut self, vm: u64, op: Operation, dbg: &str, effects: &mut Effects) -> Result<TaskId, Error> {
        if self.queues.len(vm) >= self.config.bounds.queued {
            let text = format!("vm has {} operations waiting already; wait for some to end", self.config.bounds.queued);
            return Err(Error::InternalError(text));
        }
        let task = self.tasks.create(dbg, self.now, vm);
        if op.is_hard_poweroff() {
            self.make_way(vm, effects);
        }
        self.queues.push(vm, Queued { op, task });
        self.drive(vm, effects);
        Ok(task)
    }

    fn submitted(&mut self, id: &str, op: Operation, dbg: &str, effects: &mut Effects) -> Result<Now, Error> {
        let vm = self.find(id)?;
        let task = self.submit(vm, op, dbg, effects)?;
        Ok(At(Answer::TaskId(task.to_string())))
    }

    /// Queue an operation whose end answers this call.
    pub(super) fn awaited(
        &mut self,
        call: CallId,
        vm: u64,
        op: Operation,
        dbg: &str,
        effects: &mut Effects,
    ) -> Result<Now, Error> {
        let task = self.tasks.next_id();
        self.waiting.await_task(task, call);
        if let Err(error) = self.submit(vm, op, dbg, effects) {
            self.waiting.for_task(task);
            return Err(error);
        }
        if self.waiting.is_open(call) {
            let alarm = self.timers.set(self.now.mono.saturating_add(PATIENCE), Alarm::Call(call.0));
            self.waiting.bound(call, alarm);
        }
        Ok(Later)
    }

    fn vm_call(&mut self, call: CallId, asked: &Call, dbg: &str, effects: &mut Effects) -> Result<Now, Error> {
        if let Some((id, op)) = vm_operation(asked)? {
            return self.submitted(id, op, dbg, effects);
        }
        match asked {
            Call::VmAdd { vm } => self.add_vm(call, vm, effects),
            Call::VmRemove { id } => {
                let vm = self.find(id)?;
                self.awaited(call, vm, Operation::Remove, dbg, effects)
            }
            Call::VmStat { id } => {
                let vm = self.find(id)?;
                Ok(self.ask_about(vm, Asker::Vm(call), effects))
            }
            Call::VmExists { id } => Ok(At(Answer::Bool(self.find(id).is_ok()))),
            Call::VmList => Ok(self.list_vms(call, effects)),
            Call::VmExportMetadata { id } => {
                let vm = self.find(id)?;
                self.export_metadata(vm).map(|text| At(Answer::Text(text)))
            }
            Call::VmImportMetadata { metadata } => {
                let (vm, op) = self.import(metadata)?;
                self.awaited(call, vm, op, dbg, effects)
            }
            Call::VmImportMetadataAsync { metadata } => {
                let (vm, op) = self.import(metadata)?;
                let task = self.submit(vm, op, dbg, effects)?;
                Ok(At(Answer::TaskId(task.to_string())))
            }
            Call::VmGenerateStateString { vm } => self.generate_state(vm).map(|text| At(Answer::Text(text))),
            other => Err(Error::Unimplemented(other.method().to_owned())),
        }
    }

    fn host_call(&mut self, call: CallId, asked: &Call, effects: &mut Effects) -> Result<Now, Error> {
        let bad = |text: String| Error::InternalError(text);
        let (request, kind) = match asked {
            Call::HostStat => (Request::HostStat, HostCall::Stat),
            Call::HostGetConsoleData => (Request::ConsoleRing, HostCall::Console),
            Call::HostGetTotalMemoryMib => (Request::Memory, HostCall::TotalMemory),
            Call::HostSendDebugKeys { debug_keys } => (Request::DebugKeys(debug_keys.clone()), HostCall::Unit),
            Call::HostUpdateGuestAgentFeatures { features } => {
                (Request::Store(guest_agent_features(features)), HostCall::Unit)
            }
            Call::HostSetWorkerPoolSize { pool_size } => {
                let size = u32::try_from(*pool_size)
                    .map_err(|_| bad(format!("worker pool size {pool_size} is not between 0 and 4294967295")))?;
                self.budget.resize(size);
                let vms: Vec<_> = self.vms.iter().map(|(vm, _)| vm).filter(|vm| !self.queues.is_empty(*vm)).collect();
                vms.into_iter().for_each(|vm| self.drive(vm, effects));
                self.pump(effects);
                return Ok(At(Answer::Unit));
            }
            Call::HostCombineCpuPolicies { policy1, policy2 } => {
                return policy::combine(policy1, policy2).map(|both| At(Answer::Text(both))).map_err(bad);
            }
            Call::HostIsCompatible { vm_policy, host_policy } => {
                return policy::fits(vm_policy, host_policy).map(|fits| At(Answer::Bool(fits))).map_err(bad);
            }
            other => return Err(Error::Unimplemented(other.method().to_owned())),
        };
        self.send(request, Owner::Call(call, kind), None, effects);
        Ok(Later)
    }

    pub(super) fn host_answered(&mut self, call: CallId, kind: HostCall, outcome: Outcome, effects: &mut Effects) {
        let reply = match (kind, outcome) {
            (HostCall::Stat, Outcome::Ok(Reply::Host(host))) => Ok(Answer::Host(host)),
            (HostCall::Console, Outcome::Ok(Reply::Text(text))) => Ok(Answer::Text(printable(&text))),
            (HostCall::TotalMemory, Outcome::Ok(Reply::Memory(memory))) => {
                Ok(Answer::Int((memory.total / 1024) as i64))
            }
            (HostCall::Unit, Outcome::Ok(_)) => Ok(Answer::Unit),
            (_, Outcome::Ok(other)) => Err(Error::InternalError(format!("host answered with {other:?}"))),
            (_, Outcome::Refused(fault) | Outcome::Unknown(fault)) => Err(Error::InternalError(fault.to_string())),
            (_, Outcome::Aborted) => Err(Error::InternalError("request to the host was aborted".to_owned())),
        };
        self.reply(call, reply, effects);
    }

    fn task_call(&mut self, asked: &Call, effects: &mut Effects) -> Result<Answer, Error> {
        let (Call::TaskStat { id }
        | Call::TaskCancel { id }
        | Call::TaskDestroy { id }
        | Call::TaskDestroyOnFinish { id }) = asked
        else {
            return Ok(Answer::Tasks(self.tasks.iter().map(|(id, task)| task.show(id)).collect()));
        };
        let gone = || Error::does_not_exist("task", id.clone());
        let task = TaskId(id.parse().map_err(|_| gone())?);
        let record = self.tasks.get_mut(task).ok_or_else(gone)?;
        match asked {
            Call::TaskStat { .. } => return Ok(Answer::Task(Box::new(record.show(task)))),
            Call::TaskCancel { .. } => self.cancel(task, super::flight::ABORT_PATIENCE, effects),
            Call::TaskDestroyOnFinish { .. } if record.vm.is_some() => record.destroy_on_finish = true,
            _ => {
                self.tasks.destroy(task);
                self.updates.remove(&Object::Task(task));
            }
        }
        Ok(Answer::Unit)
    }

    fn get_updates(&mut self, call: CallId, last: Option<i64>, timeout: Option<i64>) -> Now {
        let from = last.unwrap_or(0).max(0);
        // A number that this daemon never gave counts as none, once and for all.
        let from = if from > self.updates.last() && !mutant!(OldNumberDeaf) { 0 } else { from };
        if let Some((barriers, ids, next)) = self.updates.get(from) {
            return At(Answer::Updates(barriers, ids, next));
        }
        if let Some(seconds) = timeout {
            let wait = (seconds.max(0) as u64).saturating_mul(SECOND);
            let alarm = self.timers.set(self.now.mono.saturating_add(wait), Alarm::Call(call.0));
            self.waiting.bound(call, alarm);
        }
        self.waiting.await_events(call, from);
        Later
    }

    /// Those who wait for events get what there is now.
    pub(super) fn tell_getters(&mut self, effects: &mut Effects) {
        if !self.waiting.has_news(self.updates.last()) {
            return;
        }
        let told: Vec<_> =
            self.waiting.getters().filter_map(|(call, from)| Some((call, self.updates.get(from)?))).collect();
        for (call, (barriers, ids, next)) in told {
            self.reply(call, Ok(Answer::Updates(barriers, ids, next)), effects);
        }
    }

    /// A call has waited long enough.
    pub(super) fn call_expired(&mut self, call: CallId, effects: &mut Effects) {
        if let Some(from) = self.waiting.events_after(call) {
            return self.reply(call, Ok(Answer::Updates(Vec::new(), Vec::new(), from)), effects);
        }
        if !self.waiting.is_open(call) {
            return;
        }
        if let Some(task) = self.waiting.abandon(call) {
            self.cancel(task, super::flight::ABORT_PATIENCE, effects);
            self.reply(call, Err(Error::Cancelled(task.to_string())), effects);
        }
    }

    fn trigger(
        &mut self,
        call: CallId,
        cmd: &str,
        args: &[String],
        dbg: &str,
        effects: &mut Effects,
    ) -> Result<Now, Error> {
        match (cmd, args) {
            ("set-cancel-trigger", [tag, point]) => {
                let point =
                    point.parse().map_err(|_| Error::InternalError(format!("{point:?} is not a cancel point")))?;
                self.tasks.set_trigger(tag, point);
                Ok(At(Answer::Unit))
            }
            ("reboot" | "halt", [id]) => {
                let vm = self.find(id)?;
                let code = if cmd == "reboot" { ShutdownCode::Reboot } else { ShutdownCode::Poweroff };
                let domain = self.slot(vm).domain();
                let domid = domain.ok_or_else(|| Error::does_not_exist("domain", id.clone()))?.info.domid;
                let request = Request::Domain(domid, DomainAct::Shutdown(code));
                self.send(request, Owner::Call(call, HostCall::Unit), None, effects);
                Ok(Later)
            }
            ("rename", [from, to]) => {
                let vm = self.find(from)?;
                let to: Uuid = to.parse().map_err(|error| Error::InternalError(format!("{error}")))?;
                if self.by_id.contains_key(&to) && !mutant!(RenameOverAnother) {
                    return Err(Error::AlreadyExists("VM".to_owned(), format!("{to}/config")));
                }
                self.awaited(call, vm, Operation::Rename(to), dbg, effects)
            }
            _ => Err(Error::Unimplemented(cmd.to_owned())),
        }
    }
}

/// Calls that become an operation as they are.
fn vm_operation(asked: &Call) -> Result<Option<(&str, Operation)>, Error> {
    let atomic = |op: MicroOp| Operation::Atomic(Box::new(op));
    let (id, op) = match asked {
        Call::VmStart { id, paused } => (id, Operation::Start { force: *paused }),
        Call::VmShutdown { id, delay } => (id, Operation::Poweroff { timeout: delay.map(nanoseconds) }),
        Call::VmReboot { id, delay } => (id, Operation::Reboot { timeout: delay.map(nanoseconds) }),
        Call::VmSuspend { id, suspend_vdi } => (id, Operation::Suspend { disk: suspend_vdi.clone() }),
        Call::VmResume { id, suspend_vdi } => (id, Operation::Resume { disk: suspend_vdi.clone() }),
        Call::VmCreate { id } => (id, atomic(MicroOp::VmCreate)),
        Call::VmBuild { id, force } => (id, atomic(MicroOp::VmBuild { force: *force })),
        Call::VmCreateDeviceModel { id, save_state } => {
            (id, atomic(MicroOp::VmCreateDeviceModel { restore: *save_state }))
        }
        Call::VmDestroy { id } => (id, atomic(MicroOp::VmDestroy)),
        Call::VmPause { id } => (id, atomic(MicroOp::VmPause)),
        Call::VmUnpause { id } => (id, atomic(MicroOp::VmUnpause)),
        Call::VmFastResume { id } => (id, atomic(MicroOp::VmFastResume)),
        Call::VmS3Suspend { id } => (id, atomic(MicroOp::VmS3Suspend)),
        Call::VmS3Resume { id } => (id, atomic(MicroOp::VmS3Resume)),
        Call::VmRequestRdp { id, enabled } => (id, atomic(MicroOp::VmRequestRdp(*enabled))),
        Call::VmRunScript { id, script } => (id, atomic(MicroOp::VmRunScript(script.clone()))),
        Call::VmSetXsdata { id, xsdata } => (id, atomic(MicroOp::VmSetXsdata(xsdata.clone()))),
        Call::VmSetVcpus { id, vcpus } => {
            // What is out of range is refused as too many are: when the operation begins, by the row as it is then.
            (id, atomic(MicroOp::VmSetVcpus(u32::try_from(*vcpus).unwrap_or(u32::MAX))))
        }
        Call::VmSetShadowMultiplier { id, multiplier } => (id, atomic(MicroOp::VmSetShadowMultiplier(*multiplier))),
        Call::VmSetMemoryDynamicRange { id, minimum, maximum } => {
            if minimum > maximum || *minimum < 0 {
                let text = format!("memory range {minimum}..{maximum} is not a range of bytes");
                return Err(Error::InternalError(text));
            }
            (id, atomic(MicroOp::VmSetMemoryDynamicRange(*minimum, *maximum)))
        }
        Call::VmDelay { id, delay } => (id, atomic(MicroOp::VmDelay(nanoseconds(*delay)))),
        _ => return Ok(None),
    };
    Ok(Some((id, op)))
}

/// Features of the guest agent, readable by every guest.
fn guest_agent_features(features: &[GuestAgentFeature]) -> Batch {
    const ROOT: &str = "/guest_agent_features";
    let mut batch = Batch::new();
    batch.remove(ROOT).mkdir(ROOT, Perms::world_readable());
    for feature in features {
        let base = format!("{ROOT}/{}", feature.name);
        batch.mkdir(base.clone(), Perms::world_readable());
        batch.write(format!("{base}/licensed"), if feature.licensed { "1" } else { "0" });
        batch.mkdir(format!("{base}/parameters"), Perms::world_readable());
        for (key, value) in &feature.parameters {
            batch.write(format!("{base}/parameters/{key}"), value.clone());
        }
    }
    batch
}

/// Bytes that no terminal should get become blanks.
fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\r' | '\n' | ' '..='~') { c } else { ' ' }).collect()
}
