//! Calls that are answered late: events, looks, tasks that the client does not see, the host.

use super::timers::{AlarmKey, Timers};
use super::{CallId, ClientId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who waits, by call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// The call that is being carried out: most are answered at once.
    present: Option<(CallId, Open)>,
    calls: BTreeMap<CallId, Open>,
    /// Tasks whose end answers a call.
    tasks: BTreeMap<TaskId, CallId>,
    /// Calls that wait for events, and from which number.
    getters: BTreeMap<CallId, i64>,
    /// Lists that wait for looks: the call, and how many looks are missing.
    lists: BTreeMap<u64, (CallId, usize)>,
    next_list: u64,
    /// The number up to which those who wait for events have been told.
    told: i64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Open {
    client: ClientId,
    /// Rings when the call has waited long enough.
    alarm: Option<AlarmKey>,
}

impl Waiting {
    /// How many calls wait.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// How many calls wait: in all, for a task, for events, for looks.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [self.calls.len(), self.tasks.len(), self.getters.len(), self.lists.len()]
    }

    /// A call is carried out.
    pub(crate) fn open(&mut self, call: CallId, client: ClientId) {
        self.present = Some((call, Open { client, alarm: None }));
    }

    /// What was carried out has not been answered yet.
    pub(crate) fn keep(&mut self) {
        self.calls.extend(self.present.take());
    }

    /// A call waits until its alarm rings at the latest.
    pub(crate) fn bound(&mut self, call: CallId, alarm: AlarmKey) {
        let present = self.present.as_mut().filter(|(present, _)| *present == call).map(|(_, open)| open);
        if let Some(open) = present.or_else(|| self.calls.get_mut(&call)) {
            open.alarm = Some(alarm);
        }
    }

    /// A call is answered now: its alarm, to be taken back. `None`: its client has gone.
    pub(crate) fn close(&mut self, call: CallId) -> Option<Option<AlarmKey>> {
        self.getters.remove(&call);
        let present = self.present.take_if(|(present, _)| *present == call).map(|(_, open)| open);
        present.or_else(|| self.calls.remove(&call)).map(|open| open.alarm)
    }

    /// Whether a call still waits.
    pub(crate) fn is_open(&self, call: CallId) -> bool {
        self.present.is_some_and(|(present, _)| present == call) || self.calls.contains_key(&call)
    }

    /// A client has gone: its calls need no answer.
    pub(crate) fn hang_up(&mut self, client: ClientId, timers: &mut Timers) {
        for open in self.calls.values().filter(|open| open.client == client) {
            timers.cancel(open.alarm);
        }
        self.calls.retain(|_, open| open.client != client);
        let calls = &self.calls;
        self.getters.retain(|call, _| calls.contains_key(call));
    }

    /// The end of a task answers a call.
    pub(crate) fn await_task(&mut self, task: TaskId, call: CallId) {
        self.tasks.insert(task, call);
    }

    /// The call that a task's end answers.
    pub(crate) fn for_task(&mut self, task: TaskId) -> Option<CallId> {
        self.tasks.remove(&task)
    }

    /// The task that a call waits for; it waits no more.
    pub(crate) fn abandon(&mut self, call: CallId) -> Option<TaskId> {
        let task = self.tasks.iter().find(|(_, waiting)| **waiting == call).map(|(task, _)| *task)?;
        self.tasks.remove(&task);
        Some(task)
    }

    /// A call waits for events after `from`.
    pub(crate) fn await_events(&mut self, call: CallId, from: i64) {
        self.getters.insert(call, from);
    }

    /// The number after which a call waits for events.
    pub(crate) fn events_after(&self, call: CallId) -> Option<i64> {
        self.getters.get(&call).copied()
    }

    /// Calls that wait for events.
    pub(crate) fn getters(&self) -> impl Iterator<Item = (CallId, i64)> {
        self.getters.iter().map(|(call, from)| (*call, *from))
    }

    /// Whether any call waits for events, and has not been told of number `last` yet.
    pub(crate) fn has_news(&mut self, last: i64) -> bool {
        !self.getters.is_empty() && std::mem::replace(&mut self.told, last) != last
    }

    /// A call waits for so many looks.
    pub(crate) fn await_looks(&mut self, call: CallId, looks: usize) -> u64 {
        self.next_list += 1;
        self.lists.insert(self.next_list, (call, looks));
        self.next_list
    }

    /// One of a list's looks has ended; its call, if it was the last.
    pub(crate) fn looked(&mut self, list: u64) -> Option<CallId> {
        let (call, missing) = self.lists.get_mut(&list)?;
        *missing -= 1;
        if *missing > 0 {
            return None;
        }
        let call = *call;
        self.lists.remove(&list);
        Some(call)
    }
}
