//! What a client sees of an operation: progress, cancellation, result.

use super::TaskId;
use crate::host::{Now, time::SECOND};
use crate::interface::{Error, Pairs, Value, task};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// A task as the machine keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The caller's tag.
    pub(crate) dbg: String,
    /// When it was made.
    pub(crate) created: Now,
    /// How far it is.
    pub(crate) state: State,
    /// Micro-ops it has begun, newest last, with what came of them.
    pub(crate) subtasks: Vec<(Cow<'static, str>, SubState)>,
    /// A cancellation was asked for and may still have effect.
    pub(crate) cancelling: bool,
    /// Whether one could have effect.
    pub(crate) cancellable: bool,
    /// Moments at which a cancellation could have taken effect so far.
    pub(crate) cancel_points: u32,
    /// Cancel at this one: the debug trigger.
    pub(crate) cancel_at: Option<u32>,
    /// Forget it when it ends.
    pub(crate) destroy_on_finish: bool,
    /// The VM's place, while it is queued or runs.
    pub(crate) vm: Option<u64>,
}

/// A task's state; once ended it stays so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum State {
    /// Thousandths done.
    Pending(u32),
    /// Seconds it took, and its result.
    Completed(f64, Option<Value>),
    /// Why not.
    Failed(Error),
}

/// What came of a subtask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SubState {
    /// Still at it.
    Pending,
    /// Seconds are not kept: thousandths.
    Completed(u64),
    /// Its failure is the task's.
    Failed,
}

/// Subtasks kept of one task; a plan has fewer, repeated repairs could have more.
const MOST_SUBTASKS: usize = 256;

/// All tasks, and the order in which ended ones will be forgotten.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tasks {
    tasks: BTreeMap<TaskId, Task>,
    ended: VecDeque<TaskId>,
    next: u64,
    most_ended: usize,
    triggers: BTreeMap<String, u32>,
}

impl Tasks {
    /// None, keeping at most so many that have ended.
    pub(crate) fn new(most_ended: usize) -> Tasks {
        Tasks { most_ended, ..Tasks::default() }
    }

    /// A new task for a VM.
    pub(crate) fn create(&mut self, dbg: &str, now: Now, vm: u64) -> TaskId {
        let id = TaskId(self.next);
        self.next += 1;
        let task = Task {
            dbg: dbg.to_owned(),
            created: now,
            state: State::Pending(0),
            subtasks: Vec::new(),
            cancelling: false,
            cancellable: true,
            cancel_points: 0,
            cancel_at: self.triggers.remove(dbg),
            destroy_on_finish: false,
            vm: Some(vm),
        };
        self.tasks.insert(id, task);
        id
    }

    /// The number that the next task gets.
    pub(crate) fn next_id(&self) -> TaskId {
        TaskId(self.next)
    }

    /// The next task with this tag is cancelled at its n-th cancel point.
    pub(crate) fn set_trigger(&mut self, dbg: &str, point: u32) {
        // A client that sets triggers for tags that never come must not grow us.
        if self.triggers.len() >= 1024 {
            self.triggers.pop_first();
        }
        self.triggers.insert(dbg.to_owned(), point);
    }

    /// A task by number.
    pub(crate) fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// A task by number, to change.
    pub(crate) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.tasks.get_mut(&id)
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.tasks.iter().map(|(id, task)| (*id, task))
    }

    /// Count a cancel point; whether the task must stop here.
    pub(crate) fn cancel_point(&mut self, id: TaskId) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        task.cancel_points += 1;
        if task.cancel_at == Some(task.cancel_points) && task.cancellable {
            task.cancelling = true;
        }
        task.cancelling
    }

    /// End a task. The one that is forgotten now: itself if that was asked for, else the oldest of too many.
    pub(crate) fn finish(&mut self, id: TaskId, now: Now, result: Result<Option<Value>, Error>) -> Option<TaskId> {
        let task = self.tasks.get_mut(&id)?;
        assert!(matches!(task.state, State::Pending(_)), "a task ends once");
        let seconds = now.mono.saturating_sub(task.created.mono) as f64 / SECOND as f64;
        task.state = match result {
            Ok(value) => State::Completed(seconds, value),
            Err(error) => State::Failed(error),
        };
        task.vm = None;
        if task.destroy_on_finish {
            self.tasks.remove(&id);
            return Some(id);
        }
        self.ended.push_back(id);
        let oldest = if self.ended.len() > self.most_ended { self.ended.pop_front() } else { None };
        oldest.inspect(|oldest| drop(self.tasks.remove(oldest)))
    }

    /// Forget a task, whatever its state.
    pub(crate) fn destroy(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.remove(&id)?;
        if !matches!(task.state, State::Pending(_)) {
            self.ended.retain(|ended| *ended != id);
        }
        Some(task)
    }
}

impl Task {
    /// A micro-op begins: where its end is to be noted.
    pub(crate) fn begin_subtask(&mut self, name: &'static str) -> Option<usize> {
        (self.subtasks.len() < MOST_SUBTASKS).then(|| {
            self.subtasks.push((name.into(), SubState::Pending));
            self.subtasks.len() - 1
        })
    }

    /// As clients see it.
    pub(crate) fn show(&self, id: TaskId) -> task::Task {
        task::Task {
            id: id.to_string(),
            dbg: self.dbg.clone(),
            ctime: self.created.unix_seconds(),
            state: self.state.show(),
            subtasks: Pairs(self.subtasks.iter().rev().map(|(name, state)| (name.to_string(), state.show())).collect()),
            debug_info: Pairs(vec![("cancel_points_seen".to_owned(), self.cancel_points.to_string())]),
            backtrace: "()".to_owned(),
            cancellable: self.cancellable,
        }
    }
}

impl State {
    fn show(&self) -> task::State {
        match self {
            State::Pending(thousandths) => task::State::Pending(f64::from(*thousandths) / 1000.0),
            State::Completed(duration, result) => {
                task::State::Completed { duration: *duration, result: result.clone() }
            }
            State::Failed(error) => task::State::failed(error),
        }
    }
}

impl SubState {
    fn show(self) -> task::State {
        match self {
            SubState::Pending => task::State::Pending(0.0),
            SubState::Completed(ms) => task::State::Completed { duration: ms as f64 / 1000.0, result: None },
            SubState::Failed => task::State::Failed(Value::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_was_destroyed_leaves_room_for_another() {
        let mut tasks = Tasks::new(1);
        let now = Now { boot: 1, mono: 0, wall: 0 };
        let [first, second, third] = [(); 3].map(|()| tasks.create("dbg", now, 0));
        tasks.finish(first, now, Ok(None));
        assert!(tasks.destroy(first).is_some() && tasks.destroy(first).is_none());
        assert_eq!(tasks.finish(second, now, Ok(None)), None, "it is the only one");
        assert_eq!(tasks.finish(third, now, Ok(None)), Some(second));
    }

    #[test]
    fn a_trigger_stays_until_its_task_comes_and_there_are_not_too_many() {
        let (mut tasks, now) = (Tasks::new(1), Now { boot: 1, mono: 0, wall: 0 });
        (0..2000).for_each(|n| tasks.set_trigger(&format!("{n:04}"), 1));
        assert_eq!(tasks.triggers.len(), 1024);
        let last = tasks.create("1999", now, 0);
        assert!(tasks.cancel_point(last), "at its first");
        let again = tasks.create("1999", now, 0);
        assert!(!tasks.cancel_point(again), "only one is meant");
    }

    #[test]
    fn who_ends_a_task_is_told_which_is_forgotten() {
        let mut tasks = Tasks::new(1);
        let now = Now { boot: 1, mono: 0, wall: 0 };
        let [first, second, third] = [(); 3].map(|()| tasks.create("dbg", now, 0));
        assert_eq!(tasks.finish(first, now, Ok(None)), None);
        assert_eq!(tasks.finish(second, now, Ok(None)), Some(first), "the oldest of too many");
        tasks.get_mut(third).unwrap().destroy_on_finish = true;
        assert_eq!(tasks.finish(third, now, Ok(None)), Some(third), "as was asked");
        assert_eq!(tasks.iter().map(|(id, _)| id).collect::<Vec<_>>(), [second]);
    }
}
