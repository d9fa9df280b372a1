//! A VM's next step: look, compare, repair; then its queue.

use super::flight::{Owner, POWEROFF_PATIENCE};
use super::lie::lie;
use super::rows::Row;
use super::run::Run;
use super::slot::{Active, Ended, Job, Queued, Seat};
use super::timers::Alarm;
use super::{Effects, Machine};
use crate::backend::{ActionRequest, Context, Failure, MicroOp, Observation, Procedure};
use crate::host::time::{MILLISECOND, SECOND};
use crate::host::{DomId, Fault, Request};
use crate::interface::{Error, PowerState};
use crate::operation::{Operation, plan};
use crate::recovery::{Goal, Record, Repair, Verdict, decide};
use std::collections::VecDeque;
use std::sync::Arc;

/// Looks that notices alone provoke begin at least this far apart: a guest can provoke them.
const LOOK_PACE: u64 = 100 * MILLISECOND;

/// Repairs in a row before a VM is left alone for a while.
const MOST_REPAIRS: u32 = 8;

/// How long it is left alone the first time; from then on twice as long each time.
const REPAIR_PAUSE: u64 = 30 * SECOND;

/// How often that is doubled: in the end it is tried every hour.
pub(super) const MOST_DOUBLINGS: u32 = 7;

impl Machine {
    /// Bring a VM as far as it gets without an outcome, a notice or time.
    pub(super) fn drive(&mut self, vm: u64, effects: &mut Effects) {
        if !self.domains.watching || self.restates(vm, effects) {
            return;
        }
        while let Some(slot) = self.vms.get(vm)
            && matches!(slot.job, Job::Rest)
            && slot.rows.vm.is_some()
        {
            if slot.look_wanted {
                if self.must_wait_to_look(vm) {
                    break;
                }
                self.look(vm, effects);
            } else if !self.consider(vm, effects) {
                break;
            }
        }
        self.drive_without_row(vm, effects);
    }

    /// A VM that has no row yet can only be given one.
    fn drive_without_row(&mut self, vm: u64, effects: &mut Effects) {
        let Some(slot) = self.vms.get_mut(vm) else { return };
        if slot.rows.vm.is_some() || !matches!(slot.job, Job::Rest) {
            return;
        }
        slot.look_wanted = true;
        // There is nothing to look at.
        self.finish_ended(vm, effects);
        match self.queues.pop(vm) {
            Some(next) => self.begin(vm, next, effects),
            None => self.forget_empty(vm),
        }
    }

    fn must_wait_to_look(&mut self, vm: u64) -> bool {
        let slot = self.slot(vm);
        let asked_for = slot.ended.is_some() || slot.seen.is_none() || !self.queues.is_empty(vm);
        let at = if asked_for { slot.look_pause } else { slot.look_after.max(slot.look_pause) };
        if at <= self.now.mono {
            return false;
        }
        if slot.look_alarm.is_none_or(|(alarm, _)| alarm != at) {
            self.timers.cancel(slot.look_alarm);
            let alarm = self.timers.set(at, Alarm::Look(vm));
            self.slot_mut(vm).look_alarm = Some(alarm);
        }
        true
    }

    fn look(&mut self, vm: u64, effects: &mut Effects) {
        self.looks += 1;
        let (started, mono) = (self.looks, self.now.mono);
        let alarm = self.slot_mut(vm).look_alarm.take();
        self.timers.cancel(alarm);
        let mut procedure = Box::new(self.new_look(vm));
        let slot = self.slot_mut(vm);
        slot.look_wanted = false;
        slot.look_after = slot.look_after.max(mono + LOOK_PACE);
        let stepped = procedure.begin();
        slot.job = Job::Look { procedure: Some(procedure), started };
        self.advance(vm, Seat::Look, stepped, effects);
    }

    /// A read-only look of a VM.
    pub(super) fn new_look(&self, vm: u64) -> Procedure {
        let context = self.context(vm, None).expect("a vm without a row is not looked at");
        Procedure::new(MicroOp::Look, context, self.now)
    }

    /// What a micro-op is about, as of now.
    pub(super) fn context(&self, vm: u64, domid: Option<DomId>) -> Option<Arc<Context>> {
        let slot = self.slot(vm);
        let subject = match slot.active() {
            Some(active) => active.subject.clone(),
            None => slot.subject()?,
        };
        Some(Arc::new(Context {
            id: slot.id,
            text: slot.text.clone(),
            becomes: slot.becomes(),
            vm: subject.vm,
            vbds: subject.vbds,
            vifs: subject.vifs,
            extra: slot.rows.extra.clone(),
            unreadable: !slot.aside.is_empty() && slot.aside.contains_key(&format!("extra/{}", slot.text)),
            domid,
            straggles: !slot.stragglers.is_empty(),
            facts: self.config.facts.clone(),
            settings: self.config.settings.clone(),
        }))
    }

    /// The look that settles has ended.
    pub(super) fn looked(
        &mut self,
        vm: u64,
        started: u64,
        result: Result<Box<Observation>, Failure>,
        effects: &mut Effects,
    ) {
        self.slot_mut(vm).job = Job::Rest;
        match result {
            Ok(seen) => {
                self.slot_mut(vm).look_wanted &= !mutant!(NoticeClearedAtEnd);
                self.saw(vm, started, *seen, effects);
            }
            Err(failure) => {
                // Nothing is known: again after a while, but nobody waits for that without end.
                let after = self.now.mono + SECOND;
                let slot = self.slot_mut(vm);
                slot.look_wanted = true;
                slot.look_pause = after;
                slot.repairs += 1;
                if slot.repairs >= MOST_REPAIRS {
                    self.give_up(vm, &failure.into_error("", "").to_string(), effects);
                }
            }
        }
        self.drive(vm, effects);
    }

    /// Take in what a look saw, and tell clients what is different.
    pub(super) fn saw(&mut self, vm: u64, started: u64, seen: Observation, effects: &mut Effects) {
        let slot = self.slot(vm);
        if slot.seen_at > started {
            return;
        }
        let before = slot.seen.clone();
        self.signal_difference(vm, before.as_deref(), &seen);
        let slot = self.slot_mut(vm);
        slot.seen = Some(Arc::new(seen));
        slot.seen_at = started;
        // It was of what had been seen before: somebody may have looked meanwhile, and seen more.
        slot.verdict = None;
        self.watch(vm, effects);
    }

    /// The VM is at rest and was just seen. `false`: there is nothing to do.
    fn consider(&mut self, vm: u64, effects: &mut Effects) -> bool {
        let slot = self.slot(vm);
        // What it is known by comes first: under the old name its domain would not be found.
        let named = slot.rows.intent.as_ref().is_none_or(|intent| !intent.goal.changes_identity());
        if self.hard_poweroff_next(vm) && slot.verdict.is_none() && named {
            self.finish_ended(vm, effects);
            return self.begin_next(vm, effects);
        }
        let verdict = match &self.slot(vm).verdict {
            Some(verdict) => verdict.clone(),
            None => self.decide(vm),
        };
        match verdict {
            // A client that builds its domain step by step is not done with it.
            Verdict::Repair(Repair::Shutdown, _) if self.slot(vm).is_constructing(self.now.mono) => {
                self.finish_ended(vm, effects);
                self.begin_next(vm, effects)
            }
            Verdict::Repair(Repair::Remove | Repair::Rename(_), _) if self.client_rows_in_flight(vm) => false,
            Verdict::Repair(repair, _) if self.may_repair(vm, &repair) => {
                // Of a reboot that is over the next daemon must know before anybody else does.
                if Operation::Repair(repair.clone()).overtakes(self.slot(vm).rows.intent.as_ref()).is_none() {
                    self.finish_if_well(vm, effects);
                }
                self.slot_mut(vm).repairs += 1;
                self.begin_repair(vm, repair, effects);
                true
            }
            Verdict::Repair(_, tell) => {
                self.give_up(vm, &tell, effects);
                self.begin_next(vm, effects);
                // Where nothing has begun the alarm for the next look is still to be set.
                true
            }
            verdict => self.settle(vm, verdict, effects),
        }
    }

    /// What is to be done with a VM as it was seen last.
    pub(super) fn decide(&self, vm: u64) -> Verdict {
        let slot = self.slot(vm);
        let seen = slot.seen.as_ref().expect("considered after a look");
        let verdict = decide(&self.record(vm), seen, &self.config.settings, self.now);
        match (slot.set_aside(), &verdict) {
            // What can be read of it is not all of it. A power-off that a client has asked for needs no more.
            (Some(aside), Verdict::Repair(repair, _))
                if *repair != Repair::FinishPoweroff && !mutant!(AsideRepaired) =>
            {
                Verdict::Stuck(aside.into())
            }
            _ => verdict,
        }
    }

    /// What this daemon has written about a VM.
    fn record(&self, vm: u64) -> Record<'_> {
        let slot = self.slot(vm);
        let rows = &slot.rows;
        let domid = slot.domain().map(|domain| domain.info.domid);
        Record {
            made: slot.made.filter(|(made, _)| Some(*made) == domid).map(|(_, when)| when),
            vm: rows.vm.as_ref().expect("only a vm with a row is considered"),
            vbds: &rows.vbds,
            vifs: &rows.vifs,
            extra: rows.extra.as_deref(),
            intent: rows.intent.as_ref(),
        }
    }

    /// Not for ever, and no domain starts on a disk that a straggler may still hold.
    fn may_repair(&self, vm: u64, repair: &Repair) -> bool {
        let slot = self.slot(vm);
        // Nor does the record go of one that may still be made.
        let waits =
            matches!(repair, Repair::Restart { .. } | Repair::FastResume | Repair::Unpause | Repair::Clean { .. });
        slot.repairs < MOST_REPAIRS && (!waits || slot.stragglers.is_empty() || mutant!(RepairUnderStraggler))
    }

    /// Leave a VM that cannot be brought to a sensible state now; look again later, or when a client wants something.
    fn give_up(&mut self, vm: u64, tell: &str, effects: &mut Effects) {
        let mono = self.now.mono;
        let slot = self.slot_mut(vm);
        let why = slot.trouble.as_ref().map_or_else(String::new, |trouble| format!(": {trouble}"));
        let failure = Failure::Error(Error::InternalError(format!("vm needs attention: {tell}{why}")));
        slot.look_after = mono + (REPAIR_PAUSE << slot.given_up.min(MOST_DOUBLINGS));
        slot.given_up += 1;
        slot.look_wanted = true;
        slot.repairs = 0;
        self.clear_queue(vm, &failure, effects);
        self.finish_ended(vm, effects);
    }

    /// Nothing need be done: the intent is fulfilled or void, and whoever waited is told.
    fn settle(&mut self, vm: u64, verdict: Verdict, effects: &mut Effects) -> bool {
        let slot = self.slot_mut(vm);
        let sensible = matches!(verdict, Verdict::Sensible(_));
        if sensible {
            (slot.repairs, slot.given_up, slot.trouble) = (0, 0, None);
        }
        slot.verdict = Some(verdict);
        if slot.rows.intent.is_some() && sensible {
            slot.job = Job::Settle;
            let entries = slot.rows.entries(&slot.text, &Row::Intent(None));
            self.send(Request::Append(entries), Owner::Settle(vm), None, effects);
            return true;
        }
        self.finish_ended(vm, effects);
        self.begin_next(vm, effects)
    }

    fn begin_next(&mut self, vm: u64, effects: &mut Effects) -> bool {
        let Some(first) = self.queues.first(vm) else { return false };
        if !self.budget.admits() && !first.op.is_hard_poweroff() {
            return false;
        }
        // A row that a client is writing would be left behind under the old name.
        if first.op.changes_identity() && self.client_rows_in_flight(vm) {
            return false;
        }
        let next = self.queues.pop(vm).expect("there is a first");
        self.begin(vm, next, effects);
        true
    }

    fn begin(&mut self, vm: u64, queued: Queued, effects: &mut Effects) {
        let Queued { op, task } = queued;
        if let Err(error) = self.check_begin(vm, &op) {
            return self.finish_task(vm, task, Err(Failure::Error(error)), effects);
        }
        let mut steps = self.slot(vm).subject().map_or_else(Vec::new, |subject| plan(&op, &subject));
        if self.slot(vm).constructing.is_some() && matches!(&op, Operation::Atomic(op) if **op == MicroOp::VmUnpause) {
            steps.insert(0, MicroOp::VmSetActionRequest(ActionRequest::None).into());
        }
        let counted = steps.iter().filter(|_| !mutant!(TaskExpiresEarly));
        let expires = counted.map(crate::operation::Step::expiry).sum();
        let expiry = self.timers.set(self.now.mono.saturating_add(expires), Alarm::Expire(task.0));
        let mut active = self.active(vm, op, Some(task), steps);
        active.expiry = Some(expiry);
        self.write_intent(vm, active, effects);
    }

    fn begin_repair(&mut self, vm: u64, repair: Repair, effects: &mut Effects) {
        let op = Operation::Repair(repair);
        let subject = self.slot(vm).subject().expect("only a vm with a row is repaired");
        let steps = plan(&op, &subject);
        let active = self.active(vm, op, None, steps);
        self.write_intent(vm, active, effects);
    }

    pub(super) fn active(
        &self,
        vm: u64,
        op: Operation,
        task: Option<super::TaskId>,
        steps: Vec<crate::operation::Step>,
    ) -> Box<Active> {
        let slot = self.slot(vm);
        let subject = slot.subject().unwrap_or_else(|| match &op {
            Operation::ImportMetadata(metadata) => super::metadata::subject(metadata),
            _ => unreachable!("only an import begins without a row"),
        });
        let domid = slot.domain().map(|domain| domain.info.domid);
        Box::new(Active {
            op,
            task,
            run: Run::new(steps),
            subject,
            domid,
            result: None,
            cancelling: false,
            forced: false,
            flights: Vec::new(),
            expiry: None,
            subtasks: Vec::new(),
            changes: VecDeque::new(),
        })
    }

    /// What is wanted is durable before the first effect.
    fn write_intent(&mut self, vm: u64, active: Box<Active>, effects: &mut Effects) {
        let before = self.slot(vm).rows.intent.as_ref();
        let intent = active.op.intent(active.domid, self.now, before);
        let now = self.now;
        let slot = self.slot_mut(vm);
        let intent = intent.or_else(|| active.op.overtakes(slot.rows.intent.as_ref()));
        slot.verdict = None;
        slot.look_wanted = true;
        if let Some(lie) = lie(&active.op, slot.rows.intent.as_ref(), now) {
            let entries = slot.rows.entries(&slot.text, &lie);
            self.send(Request::Append(entries), Owner::Nobody, None, effects);
        }
        let slot = self.slot_mut(vm);
        match intent.filter(|intent| intent.goal != Goal::Tune) {
            // A small change of a running VM needs no repair of its own: nothing need remember it.
            None => {
                slot.job = Job::Run(active);
                self.run(vm, effects);
            }
            Some(intent) => {
                if intent.committed {
                    // It is gone on with whatever comes.
                    self.no_longer_cancellable(active.task);
                }
                let slot = self.slot_mut(vm);
                let row = Row::Intent(Some(intent));
                let entries = slot.rows.entries(&slot.text, &row);
                let before = slot.rows.intent.clone();
                slot.rows.apply(row);
                slot.job = Job::Begin(active);
                self.send(Request::Append(entries), Owner::Intent(vm, before), None, effects);
            }
        }
    }

    /// Whether an operation may begin on the VM as it was seen.
    fn check_begin(&self, vm: u64, op: &Operation) -> Result<(), Error> {
        let slot = self.slot(vm);
        if let Some(aside) = slot.set_aside()
            && !op.is_hard_poweroff()
            && !mutant!(AsideUsed)
        {
            return Err(Error::InternalError(format!("vm {aside}")));
        }
        if mutant!(AllRefused) {
            return Err(Error::DomainNotBuilt);
        }
        if slot.rows.vm.is_none() {
            // Only an import begins without a row.
            return Ok(());
        }
        let instance = &self.config.settings.instance;
        if let Some(name) = slot.seen.as_ref().and_then(|seen| seen.foreigner(instance)) {
            let text = format!("vm's domain belongs to the instance {name:?}; ask that one");
            return Err(Error::InternalError(text));
        }
        if let Some(Verdict::Stuck(tell)) = &slot.verdict
            && !op.is_hard_poweroff()
        {
            return Err(Error::InternalError(format!("vm needs attention: {tell}")));
        }
        let found = self.power_state(vm);
        if let Some((accepted, expected)) = op.expects()
            && !accepted.contains(&found)
        {
            return Err(Error::BadPowerState(found, expected));
        }
        if let Operation::Rename(to) = op
            && self.by_id.contains_key(to)
            && !mutant!(RenameOverAnother)
        {
            return Err(Error::AlreadyExists("VM".to_owned(), format!("{to}/config")));
        }
        let waits = op.makes_domain() || op.changes_identity() || op.saves();
        if waits && !slot.stragglers.is_empty() && !mutant!(StartUnderStraggler) {
            let text = "an earlier request has not ended and may still hold the vm's disks or image; try again later";
            return Err(Error::InternalError(text.to_owned()));
        }
        if let Operation::ImportMetadata(metadata) = op {
            self.import_rows(vm, metadata)?;
        }
        self.check_devices(vm, op)
    }

    /// A hard power-off cancels what runs and waits before it on its VM.
    pub(super) fn make_way(&mut self, vm: u64, effects: &mut Effects) {
        self.clear_queue(vm, &Failure::Refused(Fault::Cancelled), effects);
        let running_poweroff = self.slot(vm).active().is_some_and(|active| {
            active.op.is_hard_poweroff() || matches!(active.op, Operation::Repair(Repair::FinishPoweroff))
        });
        if !running_poweroff && !mutant!(PoweroffWaits) {
            self.stop(vm, POWEROFF_PATIENCE, effects);
        }
    }

    /// End all that waits on a VM but hard power-offs.
    fn clear_queue(&mut self, vm: u64, why: &Failure, effects: &mut Effects) {
        while let Some(queued) = self.queues.remove(vm, |queued| !queued.op.is_hard_poweroff()) {
            self.finish_task(vm, queued.task, Err(why.clone()), effects);
        }
    }

    fn hard_poweroff_next(&self, vm: u64) -> bool {
        self.queues.first(vm).is_some_and(|queued| queued.op.is_hard_poweroff())
    }

    /// The VM's state as clients see it, from what was last seen.
    pub(super) fn power_state(&self, vm: u64) -> PowerState {
        let slot = self.slot(vm);
        if slot.is_rebooting() {
            return PowerState::Running;
        }
        let domain = slot.domain();
        match domain {
            Some(domain) if domain.info.paused => PowerState::Paused,
            Some(_) => PowerState::Running,
            None if slot.rows.extra.as_ref().is_some_and(|extra| extra.suspend_memory_bytes != 0) => {
                PowerState::Suspended
            }
            None => PowerState::Halted,
        }
    }

    /// The operation that has ended tells its caller as soon as it went well; a failure first sees its repair.
    pub(super) fn finish_if_well(&mut self, vm: u64, effects: &mut Effects) {
        if self.slot(vm).ended.as_ref().is_some_and(|ended| ended.result.is_ok()) {
            self.finish_ended(vm, effects);
        }
    }

    /// Tell whoever waits for the operation that has ended.
    pub(super) fn finish_ended(&mut self, vm: u64, effects: &mut Effects) {
        if let Some(Ended { task: Some(task), result }) = self.slot_mut(vm).ended.take() {
            self.finish_with(vm, task, result, effects);
        }
    }
}
