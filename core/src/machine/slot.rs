//! One VM: its rows, what it is doing, what was last seen of it.

use super::rows::{Row, Rows};
use super::run::{NodeId, Run};
use super::timers::AlarmKey;
use super::{CallId, EffectId, TaskId};
use crate::backend::{Change, DomainSeen, Failure, Observation, Procedure};
use crate::host::{DomId, Now, Uuid};
use crate::interface::Value;
use crate::operation::{Operation, Subject};
use crate::recovery::{Goal, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A VM's place in the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) id: Uuid,
    /// The id's text, which stands in every key, path and error.
    pub(crate) text: Arc<str>,
    pub(crate) rows: Rows,
    /// Its records that cannot be used, by key, and why. As long as there is one it is left as it is.
    pub(crate) aside: BTreeMap<String, String>,
    pub(crate) job: Job,
    /// The level bit: something may have changed since the last look started.
    pub(crate) look_wanted: bool,
    /// Monotonic time before which a notice alone starts no look.
    pub(crate) look_after: u64,
    /// Monotonic time before which no look at all starts: the last one failed.
    pub(crate) look_pause: u64,
    /// Rings when it may be looked at again.
    pub(crate) look_alarm: Option<AlarmKey>,
    pub(crate) seen: Option<Arc<Observation>>,
    /// When the look that `seen` comes from was started, in looks.
    pub(crate) seen_at: u64,
    /// What recovery said of `seen`; none while the VM is in doubt.
    pub(crate) verdict: Option<Verdict>,
    /// A read-only look beside a running operation, for those who ask meanwhile.
    pub(crate) glance: Option<Glance>,
    /// Who asked after it had started.
    pub(crate) askers: Vec<Asker>,
    /// Repairs since it was last sensible.
    pub(crate) repairs: u32,
    /// How often it was left alone since it was last sensible.
    pub(crate) given_up: u32,
    /// Why the last repair since then failed, if it did.
    pub(crate) trouble: Option<Box<str>>,
    /// Effects answered `Unknown` that have not ended.
    pub(crate) stragglers: BTreeSet<EffectId>,
    /// An operation that has ended, and whose task waits until the VM is settled.
    pub(crate) ended: Option<Ended>,
    /// The domain that this daemon made last, and when.
    pub(crate) made: Option<(DomId, Now)>,
    /// A client builds its domain step by step: what is not complete may stay until this monotonic time.
    pub(crate) constructing: Option<u64>,
    /// The domain whose paths are watched.
    pub(crate) watched: Option<DomId>,
    /// Rows whose append has no known outcome: on disk may stand either. Nothing begins until they are written once
    /// more as they are here.
    pub(crate) unsure: Vec<Row>,
    /// Monotonic time before which they are not: the last try failed.
    pub(crate) unsure_after: u64,
    /// How many processes and streams have been numbered in its place.
    pub(crate) handles: u64,
}

/// Which procedure of a VM asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seat {
    /// A micro-op of the running plan.
    Leaf(NodeId),
    /// The look that settles.
    Look,
    /// The look for those who ask.
    Glance,
}

/// What a VM is doing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Nothing.
    Rest,
    /// Looking, to settle what is in doubt.
    Look { procedure: Option<Box<Procedure>>, started: u64 },
    /// The intent is on its way to the journal; then the plan begins.
    Begin(Box<Active>),
    /// A plan.
    Run(Box<Active>),
    /// Rows that an operation changes are on their way to the journal.
    Rows(Box<Active>),
    /// The intent is being cleared.
    Settle,
    /// Rows of which nobody knows how they stand on disk are being written once more.
    Restate,
}

/// An operation in progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Active {
    pub(crate) op: Operation,
    /// None: a repair, which nobody can cancel but a hard power-off.
    pub(crate) task: Option<TaskId>,
    pub(crate) run: Run,
    pub(crate) subject: Subject,
    pub(crate) domid: Option<DomId>,
    pub(crate) result: Option<Value>,
    pub(crate) cancelling: bool,
    /// By a hard power-off, which no point of no return stops.
    pub(crate) forced: bool,
    pub(crate) flights: Vec<(NodeId, EffectId, bool)>,
    /// Rings when its task has had its time.
    pub(crate) expiry: Option<AlarmKey>,
    /// Subtask numbers of live micro-ops and when they began.
    pub(crate) subtasks: Vec<(NodeId, usize, u64)>,
    /// Record changes, one at a time; the first is on its way.
    pub(crate) changes: VecDeque<(NodeId, Change)>,
}

/// An operation that waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Queued {
    pub(crate) op: Operation,
    pub(crate) task: TaskId,
}

/// An operation that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) task: Option<TaskId>,
    pub(crate) result: Result<Option<Value>, Failure>,
}

/// A read-only look.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Glance {
    pub(crate) procedure: Option<Box<Procedure>>,
    pub(crate) started: u64,
    pub(crate) askers: Vec<Asker>,
    /// The VM's id when it began.
    pub(crate) name: Arc<str>,
}

/// Who waits for a look, and for what of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Asker {
    Vm(CallId),
    Vbd(CallId, String),
    Vbds(CallId),
    Vif(CallId, String),
    Vifs(CallId),
    /// One part of a list.
    List(u64),
}

impl Slot {
    pub(crate) fn new(id: Uuid) -> Slot {
        Slot {
            id,
            text: id.text().into(),
            rows: Rows::default(),
            aside: BTreeMap::new(),
            job: Job::Rest,
            look_wanted: true,
            look_after: 0,
            look_pause: 0,
            look_alarm: None,
            seen: None,
            seen_at: 0,
            verdict: None,
            glance: None,
            askers: Vec::new(),
            repairs: 0,
            given_up: 0,
            trouble: None,
            stragglers: BTreeSet::new(),
            ended: None,
            made: None,
            constructing: None,
            watched: None,
            unsure: Vec::new(),
            unsure_after: 0,
            handles: 0,
        }
    }

    /// Why it is left as it is, if a record of it cannot be used, and what can be done.
    pub(crate) fn set_aside(&self) -> Option<String> {
        let (key, why) = self.aside.first_key_value()?;
        let remedy = if key.starts_with("VM/") { "add it again" } else { "a hard shutdown drops it" };
        Some(format!("set aside: record {key}: {why}; {remedy}"))
    }

    /// A row is on disk as it is meant: only the record that cannot be used is made good by being written anew.
    pub(crate) fn written(&mut self, row: &Row) {
        if !self.aside.is_empty() {
            for entry in self.rows.entries(&self.text, row) {
                self.aside.remove(&entry.key);
            }
        }
    }

    /// What it is about to be known by.
    pub(crate) fn becomes(&self) -> Option<Uuid> {
        match &self.rows.intent.as_ref()?.goal {
            Goal::Rename(to) if *to != self.id => Some(*to),
            _ => None,
        }
    }

    /// Nothing in flight, no bit set: what was last seen is still so.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.job, Job::Rest) && !self.look_wanted && self.seen.is_some() && self.ended.is_none()
    }

    /// The running operation.
    pub(crate) fn active(&self) -> Option<&Active> {
        match &self.job {
            Job::Begin(active) | Job::Run(active) | Job::Rows(active) => Some(active),
            _ => None,
        }
    }

    /// The running operation, to change.
    pub(crate) fn active_mut(&mut self) -> Option<&mut Active> {
        match &mut self.job {
            Job::Begin(active) | Job::Run(active) | Job::Rows(active) => Some(active),
            _ => None,
        }
    }

    /// The domain that was last seen, if one was that is not being torn down.
    pub(crate) fn domain(&self) -> Option<&DomainSeen> {
        self.seen.as_ref()?.living().next()
    }

    /// The rows as a plan takes them.
    pub(crate) fn subject(&self) -> Option<Subject> {
        let vm = self.rows.vm.clone()?;
        Some(Subject { vm, vbds: self.rows.vbds.clone(), vifs: self.rows.vifs.clone() })
    }

    /// A reboot shows as running throughout.
    pub(crate) fn is_rebooting(&self) -> bool {
        use crate::recovery::Repair;
        let running = self.active().map(|active| &active.op);
        matches!(running, Some(Operation::Reboot { .. } | Operation::Repair(Repair::Restart { .. })))
    }

    /// A client that builds its domain step by step is not done with it.
    pub(crate) fn is_constructing(&self, mono: u64) -> bool {
        self.constructing.is_some_and(|until| mono < until) && self.domain().is_some()
    }
}

impl Operation {
    /// The one that is never stuck behind what it must end.
    pub(crate) fn is_hard_poweroff(&self) -> bool {
        matches!(self, Operation::Poweroff { timeout: None })
    }

    /// One step of building a domain, on its own.
    pub(crate) fn constructs(&self) -> bool {
        use crate::backend::MicroOp;
        let step = |op: &MicroOp| {
            matches!(op, MicroOp::VmCreate | MicroOp::VmBuild { .. } | MicroOp::VmCreateDeviceModel { .. })
        };
        matches!(self, Operation::Atomic(op) if step(op))
    }
}
