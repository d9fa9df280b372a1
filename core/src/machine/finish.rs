//! A plan's steps begin and end; so does the plan, and its task.

use super::flight::Owner;
use super::rows::Row;
use super::run::{Begun, NodeId};
use super::slot::{Active, Ended, Job, Seat};
use super::tasks::SubState;
use super::timers::Alarm;
use super::updates::Object;
use super::{Effects, Machine, TaskId};
use crate::backend::{Failure, MicroOp, Procedure, Product};
use crate::host::time::{MILLISECOND, SECOND};
use crate::host::{Entry, Fault, Outcome, Reply, Request, Uuid};
use crate::interface::{Answer, Decode, DeviceId, Error, Value};
use crate::operation::Operation;
use crate::recovery::{Intent, Repair};

/// How long a domain that a client builds step by step may wait for its next step: then nobody will finish it.
const CONSTRUCTION_PATIENCE: u64 = 600 * SECOND;

impl Machine {
    /// The intent is durable, or could not be made so: then nothing has happened and the operation fails (H69).
    pub(super) fn intended(&mut self, vm: u64, before: Option<Intent>, outcome: Outcome, effects: &mut Effects) {
        let Job::Begin(active) = std::mem::replace(&mut self.slot_mut(vm).job, Job::Rest) else {
            unreachable!("an intent is written to begin an operation")
        };
        if active.cancelling || !matches!(outcome, Outcome::Ok(_)) {
            self.timers.cancel(active.expiry);
        }
        let failure = match Failure::of(if mutant!(NoSpaceIgnored) { Outcome::Ok(Reply::Unit) } else { outcome }) {
            // It is on disk: it goes like that of any operation which has ended.
            Ok(_) if active.cancelling => {
                return self.ended(vm, &active, Err(Failure::Refused(Fault::Cancelled)), effects);
            }
            Ok(_) => {
                let repairs = active.task.is_none();
                let slot = self.slot_mut(vm);
                slot.written(&Row::Intent(None));
                slot.job = Job::Run(active);
                if repairs {
                    self.finish_if_well(vm, effects);
                }
                return self.run(vm, effects);
            }
            Err(failure) => failure,
        };
        let slot = self.slot_mut(vm);
        slot.rows.intent = before;
        if matches!(failure, Failure::InDoubt(_)) {
            slot.unsure.push(Row::Intent(None));
        }
        // A repair's own failure tells nobody: whoever waits is still the operation before it.
        if active.task.is_some() {
            self.slot_mut(vm).ended = Some(Ended { task: active.task, result: Err(failure) });
        }
        self.drive(vm, effects);
    }

    /// Begin what may begin; end the plan when all has ended.
    pub(super) fn run(&mut self, vm: u64, effects: &mut Effects) {
        while let Some(slot) = self.vms.get_mut(vm)
            && let Job::Run(active) = &mut slot.job
        {
            if let Some(result) = active.run.result().cloned() {
                return self.plan_over(vm, result, effects);
            }
            let Some(node) = active.run.next() else { return };
            let (counted, task, cancelling) = (active.run.counted(node), active.task, active.cancelling);
            if self.cancel_point(vm, task, counted, cancelling) {
                self.end_node(vm, node, Err(Failure::Refused(Fault::Cancelled)), effects);
                continue;
            }
            let active = self.slot_mut(vm).active_mut().expect("the plan runs");
            match active.run.begin(node) {
                Begun::Group => {}
                Begun::Commit => self.commit(vm, node, effects),
                Begun::Leaf(op) => self.begin_leaf(vm, node, op, effects),
            }
        }
    }

    fn begin_leaf(&mut self, vm: u64, node: NodeId, op: MicroOp, effects: &mut Effects) {
        let now = self.now;
        let domid = self.slot(vm).active().and_then(|active| active.domid);
        let context = self.context(vm, domid).expect("a plan has its subject");
        if mutant!(IntentDeletedEarly) && self.slot(vm).active().is_some_and(|a| a.run.progress(node, 1000) == 1000) {
            let gone = self.slot(vm).rows.entries(&self.slot(vm).text, &Row::Intent(None));
            self.send(Request::Append(gone), Owner::Nobody, None, effects);
        }
        let name = op.name();
        let task = self.slot(vm).active().and_then(|active| active.task);
        let subtask = task.and_then(|task| self.tasks.get_mut(task)).and_then(|task| task.begin_subtask(name));
        let mut procedure = Box::new(Procedure::new(op, context, now));
        let stepped = procedure.begin();
        let active = self.slot_mut(vm).active_mut().expect("the plan runs");
        active.subtasks.extend(subtask.map(|subtask| (node, subtask, now.mono)));
        active.run.put(node, procedure);
        self.advance(vm, Seat::Leaf(node), stepped, effects);
    }

    pub(super) fn leaf_over(&mut self, vm: u64, node: NodeId, result: Result<Product, Failure>, effects: &mut Effects) {
        let active = self.slot_mut(vm).active_mut().expect("a leaf ends within its plan");
        let destroyed = active.run.is_destroy(node);
        let result = match result {
            Ok(Product::Domain(domid)) => {
                active.domid = Some(domid);
                let now = self.now;
                self.slot_mut(vm).made = Some((domid, now));
                self.watch_domain(vm, domid, effects);
                Ok(())
            }
            Ok(Product::Result(value)) => {
                active.result = Some(value);
                Ok(())
            }
            Ok(_) => {
                if destroyed {
                    active.domid = None;
                }
                Ok(())
            }
            Err(failure) => Err(failure),
        };
        self.end_subtask(vm, node, result.is_ok());
        self.end_node(vm, node, result, effects);
    }

    fn end_subtask(&mut self, vm: u64, node: NodeId, well: bool) {
        let mono = self.now.mono;
        let active = self.slot_mut(vm).active_mut().expect("a leaf ends within its plan");
        let task = active.task;
        let Some(place) = active.subtasks.iter().position(|(owner, ..)| *owner == node) else { return };
        let (_, subtask, began) = active.subtasks.swap_remove(place);
        if let Some(task) = task.and_then(|task| self.tasks.get_mut(task)) {
            let ms = mono.saturating_sub(began) / MILLISECOND;
            task.subtasks[subtask].1 = if well { SubState::Completed(ms) } else { SubState::Failed };
        }
    }

    pub(super) fn end_node(&mut self, vm: u64, node: NodeId, result: Result<(), Failure>, effects: &mut Effects) {
        let active = self.slot_mut(vm).active_mut().expect("a node ends within its plan");
        active.run.end(node, result);
        self.progress(vm, Seat::Leaf(node), 0);
        self.run(vm, effects);
    }

    pub(super) fn progress(&mut self, vm: u64, seat: Seat, part: u32) {
        let (Seat::Leaf(node), Some(active)) = (seat, self.slot(vm).active()) else { return };
        let (Some(task), thousandths) = (active.task, active.run.progress(node, part.min(1000))) else { return };
        let Some(shown) = self.tasks.get_mut(task) else { return };
        if let super::tasks::State::Pending(before) = &mut shown.state
            && *before < thousandths
        {
            *before = thousandths;
            self.updates.add(Object::Task(task));
        }
    }

    /// The plan is over: rows that go with it first, then the VM is looked at.
    fn plan_over(&mut self, vm: u64, result: Result<(), Failure>, effects: &mut Effects) {
        let Job::Run(active) = std::mem::replace(&mut self.slot_mut(vm).job, Job::Rest) else {
            unreachable!("a plan runs until it is over")
        };
        self.timers.cancel(active.expiry);
        assert!(active.flights.is_empty(), "a plan ends when all of its requests have come to their outcome");
        let rows = result.and_then(|()| self.rows_after(vm, &active.op).map_err(Failure::Error));
        match rows {
            Ok(Some(Rewrite { entries, rows })) => {
                self.slot_mut(vm).job = Job::Rows(active);
                self.send(Request::Append(entries), Owner::Rows(vm, rows), None, effects);
            }
            rows => {
                self.keep_constructing(vm, &active.op, rows.is_ok());
                let result = rows.map(|_| active.result.clone());
                self.ended(vm, &active, result, effects);
            }
        }
    }

    /// What an operation that went well makes of the VM's rows.
    fn rows_after(&self, vm: u64, op: &Operation) -> Result<Option<Rewrite>, Error> {
        let rows = match op {
            Operation::Rename(to) | Operation::Repair(Repair::Rename(to)) => {
                return Ok(Some(Rewrite { entries: self.renamed_entries(vm, *to), rows: Vec::new() }));
            }
            Operation::Remove | Operation::Repair(Repair::Remove) => vec![Row::None],
            Operation::ReplaceVbd(vbd) => vec![Row::Vbd(vbd.clone())],
            Operation::RemoveVbd(name) => vec![Row::NoVbd(name.clone())],
            Operation::RemoveVif(name) => vec![Row::NoVif(name.clone())],
            Operation::ImportMetadata(metadata) => self.import_rows(vm, metadata)?,
            _ => return Ok(None),
        };
        let slot = self.slot(vm);
        let entries = rows.iter().flat_map(|row| slot.rows.entries(&slot.text, row)).collect();
        Ok(Some(Rewrite { entries, rows }))
    }

    /// A client that has made one step of a domain has a while for the next.
    fn keep_constructing(&mut self, vm: u64, op: &Operation, well: bool) {
        if matches!(op, Operation::VbdHotplug(_) | Operation::VifHotplug(_)) {
            return;
        }
        let until = (well && op.constructs()).then(|| self.now.mono.saturating_add(CONSTRUCTION_PATIENCE));
        self.slot_mut(vm).constructing = until;
        if let Some(until) = until {
            self.timers.set(until, Alarm::Look(vm));
        }
    }

    fn ended(&mut self, vm: u64, active: &Active, result: Result<Option<Value>, Failure>, effects: &mut Effects) {
        let slot = self.slot_mut(vm);
        slot.look_wanted = !mutant!(NoLookAfter);
        if result.is_err() || active.op.goal().is_some() {
            self.abandon(vm, result.is_err(), effects);
        }
        let (slot, task) = (self.slot_mut(vm), active.task);
        if task.is_none() {
            let text = |failure: Failure| failure.into_error("", "").to_string().into_boxed_str();
            slot.trouble = result.as_ref().err().cloned().map(text);
        }
        // A repair's own end tells nobody: whoever waits is still the operation before it.
        if task.is_some() {
            assert!(slot.ended.is_none(), "one operation ends at a time");
            slot.ended = Some(Ended { task, result });
        }
        self.drive(vm, effects);
    }

    /// What wrote the intent has come to its end, well or not: nothing is started for it any more. What failed once
    /// would fail for ever, and that is made durable; a crash before it is costs one more try.
    fn abandon(&mut self, vm: u64, failed: bool, effects: &mut Effects) {
        let slot = self.slot_mut(vm);
        let Some(intent) = &mut slot.rows.intent else { return };
        if intent.goal.changes_identity() {
            // It is finished all the same. Its rows may be gone, though nobody knows: a mark would be all that is left.
            return;
        }
        intent.abandoned = true;
        if failed {
            let entries = slot.rows.entries(&slot.text, &Row::Intent(slot.rows.intent.clone()));
            self.send(Request::Append(entries), Owner::Abandon(vm), None, effects);
        }
    }

    pub(super) fn abandoned(&mut self, vm: u64, outcome: &Outcome, effects: &mut Effects) {
        if let Some(slot) = self.vms.get_mut(vm)
            && matches!(outcome, Outcome::Unknown(_))
        {
            slot.unsure.push(Row::Intent(None));
            // It may have come to rest since: nothing else would have it written once more.
            self.drive(vm, effects);
        }
    }

    /// Rows that an operation changes are durable.
    pub(super) fn rows_changed(&mut self, vm: u64, rows: Vec<Row>, outcome: Outcome, effects: &mut Effects) {
        let Job::Rows(active) = std::mem::replace(&mut self.slot_mut(vm).job, Job::Rest) else {
            unreachable!("rows are changed by an operation")
        };
        let result = Failure::of(outcome).map(|_| match active.op {
            Operation::ImportMetadata(_) => Some(Value::String(self.slot(vm).text.to_string())),
            Operation::ReplaceVbd(ref vbd) => Some(Value::of(&vbd.id)),
            _ => active.result.clone(),
        });
        if matches!(result, Err(Failure::InDoubt(_))) {
            // What is not finished of a removal or a rename its intent asks for again.
            self.slot_mut(vm).unsure.extend(rows.iter().filter(|row| **row != Row::None).cloned());
        }
        if result.is_ok() {
            if let Operation::Rename(to) | Operation::Repair(Repair::Rename(to)) = &active.op {
                self.rename(vm, *to);
            }
            for row in rows {
                self.forget_updates(vm, &row);
                if row == Row::None {
                    return self.remove_slot(vm, active.task, effects);
                }
                self.slot_mut(vm).rows.apply(row);
            }
        }
        self.ended(vm, &active, result, effects);
    }

    fn forget_updates(&mut self, vm: u64, row: &Row) {
        let slot = self.vms.get(vm).expect("its rows are changed");
        let vm = slot.id;
        match row {
            Row::NoVbd(name) => self.updates.remove(&Object::Vbd(vm, name.as_str().into())),
            Row::NoVif(name) => self.updates.remove(&Object::Vif(vm, name.as_str().into())),
            Row::None => {
                let vbds = slot.rows.vbds.iter().map(|vbd| Object::Vbd(vm, vbd.id.device.as_str().into()));
                let vifs = slot.rows.vifs.iter().map(|vif| Object::Vif(vm, vif.id.device.as_str().into()));
                let all: Vec<_> = vbds.chain(vifs).chain([Object::Vm(vm)]).collect();
                all.iter().for_each(|object| self.updates.remove(object));
            }
            _ => {}
        }
    }

    /// All rows of a VM are gone, and so is its place.
    fn remove_slot(&mut self, vm: u64, task: Option<TaskId>, effects: &mut Effects) {
        let slot = self.slot_mut(vm);
        let gone = Failure::Error(Error::does_not_exist("VM", slot.text.to_string()));
        let ended = slot.ended.take();
        if let Some(task) = task {
            self.finish_with(vm, task, Ok(None), effects);
        }
        if let Some(ended) = ended
            && let Some(task) = ended.task
        {
            self.finish_with(vm, task, ended.result, effects);
        }
        while let Some(queued) = self.queues.pop(vm) {
            self.finish_task(vm, queued.task, Err(gone.clone()), effects);
        }
        self.answer_askers_gone(vm, effects);
        self.unwatch(vm, effects);
        let busy = self.slot(vm).glance.is_some() || self.client_rows_in_flight(vm);
        let slot = self.slot_mut(vm);
        slot.rows = Default::default();
        slot.aside.clear();
        if !busy {
            self.vacate(vm);
        }
    }

    /// A renamed VM's records under its new identity, the old ones gone, in one entry list: all or none.
    fn renamed_entries(&self, vm: u64, to: Uuid) -> Vec<Entry> {
        let slot = self.slot(vm);
        let renamed = renamed(&slot.rows, to);
        let text = to.text();
        let mut entries = slot.rows.entries(&slot.text, &Row::None);
        if mutant!(OldNameStays) {
            entries.clear();
        }
        let mut rows: Vec<Row> = Vec::new();
        rows.extend(renamed.vm.clone().map(Row::Vm));
        rows.extend(renamed.vbds.iter().cloned().map(Row::Vbd));
        rows.extend(renamed.vifs.iter().cloned().map(Row::Vif));
        rows.extend(renamed.extra.clone().map(|extra| Row::Extra(Some(extra))));
        entries.extend(rows.iter().flat_map(|row| renamed.entries(&text, row)));
        entries
    }

    fn rename(&mut self, vm: u64, to: Uuid) {
        self.forget_updates(vm, &Row::None);
        let slot = self.slot_mut(vm);
        let from = slot.id;
        slot.rows = renamed(&slot.rows, to);
        slot.id = to;
        slot.text = to.text().into();
        slot.watched = None;
        self.by_id.remove(&from);
        self.by_id.insert(to, vm);
        self.signal_all(vm);
    }

    /// The intent of a settled VM is gone. While it cannot be taken back it would be obeyed after a crash: so that is
    /// tried again, and whoever waited for the operation is told all the same.
    pub(super) fn settled(&mut self, vm: u64, outcome: Outcome, effects: &mut Effects) {
        let again = self.now.mono + SECOND;
        let slot = self.slot_mut(vm);
        slot.job = Job::Rest;
        match outcome {
            Outcome::Refused(_) if mutant!(IntentStays) => slot.rows.intent = None,
            Outcome::Ok(_) => slot.rows.intent = None,
            Outcome::Unknown(_) => {
                slot.rows.intent = None;
                slot.unsure.push(Row::Intent(None));
            }
            Outcome::Refused(_) | Outcome::Aborted => {
                slot.verdict = None;
                slot.look_wanted = true;
                slot.look_pause = again;
            }
        }
        self.finish_ended(vm, effects);
        self.drive(vm, effects);
    }

    /// End a task whose VM is settled: its objects changed, and it did.
    pub(super) fn finish_with(
        &mut self,
        vm: u64,
        task: TaskId,
        result: Result<Option<Value>, Failure>,
        effects: &mut Effects,
    ) {
        if let Some(slot) = self.vms.get(vm)
            && slot.rows.vm.is_some()
        {
            self.signal_vm(vm);
        }
        self.finish_task(vm, task, result, effects);
    }

    /// End a task.
    pub(super) fn finish_task(
        &mut self,
        vm: u64,
        task: TaskId,
        result: Result<Option<Value>, Failure>,
        effects: &mut Effects,
    ) {
        let result = result.map_err(|failure| failure.into_error(&self.slot(vm).text, task));
        if let Some(call) = self.waiting.for_task(task) {
            let reply = result.map(|value| {
                value.map_or(Answer::Unit, |value| match value {
                    Value::String(text) => Answer::Text(text),
                    value => DeviceId::decode(&value).map_or(Answer::Unit, Answer::DeviceId),
                })
            });
            self.tasks.destroy(task);
            self.updates.remove(&Object::Task(task));
            return self.reply(call, reply, effects);
        }
        if self.tasks.get(task).is_none() {
            return;
        }
        let forgotten = self.tasks.finish(task, self.now, result);
        if forgotten != Some(task) {
            self.updates.add(Object::Task(task));
        }
        if let Some(forgotten) = forgotten {
            self.updates.remove(&Object::Task(forgotten));
        }
    }
}

/// Rows to be changed at an operation's end: their entries, and the rows themselves but for a rename's.
struct Rewrite {
    entries: Vec<Entry>,
    rows: Vec<Row>,
}

/// The same records under another id.
fn renamed(rows: &super::rows::Rows, to: Uuid) -> super::rows::Rows {
    use std::sync::Arc;
    let text = to.text();
    super::rows::Rows {
        vm: rows.vm.as_ref().map(|vm| Arc::new(crate::interface::Vm { id: text.clone(), ..(**vm).clone() })),
        vbds: rows
            .vbds
            .iter()
            .map(|vbd| {
                let mut vbd = (**vbd).clone();
                vbd.id.vm.clone_from(&text);
                Arc::new(vbd)
            })
            .collect(),
        vifs: rows
            .vifs
            .iter()
            .map(|vif| {
                let mut vif = (**vif).clone();
                vif.id.vm.clone_from(&text);
                Arc::new(vif)
            })
            .collect(),
        extra: rows.extra.clone(),
        intent: None,
    }
}
