//! Calls of clients and what they are answered.

use super::{Chore, Later, Open, Phase, Run, Who};
use crate::action::Action;
use crate::client::{Asked, Scene};
use crate::fleet::{BYSTANDER, pick};
use crate::ledger::{Ended, Key, Op, View};
use crate::oracle::{Checked, Violation, state};
use crate::sometimes::Property;
use crate::watcher::Purpose;
use crate::world::Concern;
use xenops_core::host::DomId;
use xenops_core::host::time::SECOND;
use xenops_core::interface::task::State;
use xenops_core::interface::{Answer, Call, Error, PowerState};
use xenops_core::machine::{CallId, Input};
use xenops_core::recovery::Goal;

impl Run {
    /// A client does what it does next.
    pub(super) fn client_acts(&mut self, n: usize) {
        let tag = format!("c{}", self.next_call);
        if let Some(call) = self.clients[n].tend() {
            return self.push_call(n, Who::Client(n, None), tag, call);
        }
        let turn = self.clients[n].turn(self.swarm.shapes.len() as u32, self.world.choices());
        let shape = &self.swarm.shapes[turn.0];
        let scene = Scene {
            swarm: &self.swarm,
            vm: state::standing(&self.world, &self.shelf, shape),
            naming: self.is_naming(turn.0),
            fresh: self.world.is_latest(&shape.image()),
            bystander: self.shelf.of(BYSTANDER).filter(|records| records.row).map(|_| BYSTANDER),
        };
        let (asked, call) = self.clients[n].ask(turn, &scene, self.world.choices());
        self.budget -= 1;
        self.ask(n, asked, tag, call);
    }

    /// Whether a VM is being given a name or a row, as far as anybody can tell.
    fn is_naming(&self, place: usize) -> bool {
        let renamed = |id| {
            let intent = self.shelf.of(id).and_then(|records| records.intent.as_ref());
            intent.is_some_and(|intent| matches!(intent.goal, Goal::Rename(_)))
        };
        self.ledger.pending_of(place).any(|op| op.asked.action.names())
            || self.swarm.shapes[place].ids.into_iter().any(renamed)
    }

    fn push_call(&mut self, n: usize, who: Who, tag: String, call: Call) {
        let client = self.clients[n].id;
        let input = self.call(client, who, tag, call);
        self.inbox.push_back(input);
    }

    fn ask(&mut self, n: usize, mut asked: Asked, tag: String, call: Call) {
        let habits = self.swarm.habits.clone();
        self.ledger.asking(&asked);
        let choices = self.world.choices();
        // What has few steps is hit at the first of them, or not at all.
        let odds = if asked.action.is_short() { habits.triggers.min(2) } else { habits.triggers };
        if asked.action.has_task() && choices.odds(Concern::Workload, odds) {
            let point = 1 + pick(choices, Concern::Workload, &[0, 0, 0, 0, 1, 2, 3, 4, 6, 8, 11]);
            let trigger =
                Call::DebugTrigger { cmd: "set-cancel-trigger".to_owned(), args: vec![tag.clone(), point.to_string()] };
            self.push_call(n, Who::Nobody, tag.clone(), trigger);
            asked.triggered = true;
        }
        let number = self.next_call;
        let intact = self.intact(asked.place);
        self.push_call(n, Who::Client(n, Some(asked.clone())), tag, call);
        if asked.action.is_awaited() {
            let faults = self.struck.total();
            self.ledger.asked(Key::Call(number), asked, intact, faults);
            if self.world.choices().odds(Concern::Workload, habits.cancels.min(2)) {
                let after = u64::from(self.world.choices().choose(Concern::Workload, 4));
                self.later(after, Later::Hunt(n, number));
            }
        }
        if self.world.choices().odds(Concern::Workload, habits.hangs_up) {
            let after = u64::from(self.world.choices().choose(Concern::Workload, 20));
            self.later(after, Later::HangUp(n));
        }
    }

    fn intact(&self, place: usize) -> Option<DomId> {
        // Nor has anybody asked something whose task is not known yet.
        let asks = |open: &Open| matches!(&open.who, Who::Client(_, Some(asked)) if asked.place == place);
        if self.open.values().any(asks) {
            return None;
        }
        self.ledger.intact(place, &View { world: &self.world, shelf: &self.shelf, swarm: &self.swarm })
    }

    /// A call is answered.
    pub(super) fn replied(&mut self, call: CallId, reply: Result<Answer, Error>) -> Checked {
        let Some(open) = self.open.remove(&call) else {
            return Err(Violation::new("calls", format!("call {call} was answered twice, or to nobody")));
        };
        if let Ok(Answer::Vm(vm, state)) = &reply {
            // Notices take their time, and lost ones more.
            let since = if self.deaf { 0 } else { open.mono.saturating_sub(SECOND) };
            // And who asks all the time asks before any notice.
            if !matches!(open.who, Who::Gazer) {
                self.domains.told(&vm.id, &state.domids, since)?;
            }
            if self.swarm.strict {
                self.shows(&vm.id, open.step, state.power_state)?;
            }
        }
        if open.asks() {
            self.haste.answered(open.mono, self.now().mono)?;
        }
        if let Who::Pool(size) = open.who {
            self.haste.pool(size);
            self.traffic.pool = size as usize;
        }
        match open.who {
            Who::Client(n, asked) => {
                if let Some(asked) = asked {
                    self.answered(n, call, &asked, &reply)?;
                }
                let mono = self.now().mono;
                let follow = self.clients[n].told(&reply, &self.swarm.habits, mono, self.world.choices());
                if let Some(call) = follow {
                    let tag = "tidy".to_owned();
                    self.push_call(n, Who::Client(n, None), tag, call);
                }
                Ok(())
            }
            Who::Watcher(purpose) => self.watched(purpose, &reply),
            Who::Hunter(n, call) => {
                self.found(n, call, &reply);
                Ok(())
            }
            Who::Janitor(chore) => self.tidied(chore, reply),
            Who::Pool(_) | Who::Gazer | Who::Nobody => Ok(()),
        }
    }

    /// After every third input somebody asks how a VM stands, one VM after the other, until he is tired of it; two wait for
    /// an answer at most.
    pub(super) fn gaze(&mut self) {
        let waits = self.open.values().filter(|open| matches!(open.who, Who::Gazer)).count();
        if self.swarm.gazes == 0 || !self.steps.is_multiple_of(3) || waits >= 2 {
            return;
        }
        self.swarm.gazes -= 1;
        let place = (self.steps / 3) as usize % self.swarm.shapes.len();
        let (id, _) = state::standing(&self.world, &self.shelf, &self.swarm.shapes[place]);
        let input = self.call(self.watcher.id, Who::Gazer, "gaze".to_owned(), Call::VmStat { id: id.text() });
        self.queue(input);
    }

    fn shows(&self, vm: &str, asked: u64, power: PowerState) -> Checked {
        // What somebody else has done at this moment, nobody has heard of.
        let named = vm.parse().ok().and_then(|id| self.domains.named(id));
        let Some(place) = named.filter(|_| self.domains.has_looked(&self.world)) else { return Ok(()) };
        let reboots = |op: &Op| matches!(op.asked.action, Action::VmRebootClean | Action::VmRebootHard);
        let rebooting = self.ledger.wants_restart(place) || self.ledger.pending_of(place).any(reboots);
        let seen = (&self.world, &self.swarm.shapes[place]);
        self.shown.told((place, asked), rebooting, power, seen)
    }

    /// The first answer to what a client asked for.
    fn answered(&mut self, n: usize, call: CallId, asked: &Asked, reply: &Result<Answer, Error>) -> Checked {
        if matches!(reply, Err(Error::Unimplemented(what)) if what == asked.action.name()) {
            return Err(Violation::new("calls", format!("{} is not implemented", asked.action.name())));
        }
        if asked.action.has_task() {
            match reply {
                Ok(Answer::TaskId(id)) => self.follows(n, id, asked),
                Ok(other) => {
                    return Err(Violation::new("calls", format!("{} answered {other:?}", asked.action.name())));
                }
                Err(_) => self.count(asked.action, Ended::Badly),
            }
            return Ok(());
        }
        let how = match reply {
            Ok(_) => Ended::Well,
            Err(Error::Cancelled(_)) => Ended::Cancelled,
            Err(_) => Ended::Badly,
        };
        self.count(asked.action, how);
        if matches!(asked.action, Action::TaskDestroy | Action::TaskDestroyOnFinish) && how == Ended::Well {
            self.ledger.unwatch(Key::Task(self.clients[n].last_task()));
        }
        if asked.action.is_awaited() {
            self.ended(Key::Call(call.0), how)?;
        }
        Ok(())
    }

    fn follows(&mut self, n: usize, id: &str, asked: &Asked) {
        let task = id.parse().unwrap_or(u64::MAX);
        let (intact, faults) = (self.intact(asked.place), self.struck.total());
        let (alone, mono) = (self.ledger.pending_of(asked.place).next().is_none(), self.now().mono);
        self.haste.asked(Key::Task(task), asked.action, alone, mono);
        self.ledger.asked(Key::Task(task), asked.clone(), intact, faults);
        let cancels = self.swarm.habits.cancels;
        let odds = if asked.action.is_short() { cancels.div_ceil(2) } else { cancels };
        if self.world.choices().odds(Concern::Workload, odds) {
            let within = if asked.action.is_short() { 6 } else { 80 };
            let after = u64::from(self.world.choices().choose(Concern::Workload, within));
            self.later(after, Later::Cancel(n, task));
        }
    }

    pub(super) fn count(&mut self, action: Action, how: Ended) {
        let counts = self.operations.entry(action.name()).or_default();
        match how {
            Ended::Well => counts[0] += 1,
            Ended::Badly => counts[1] += 1,
            Ended::Cancelled => {
                counts[2] += 1;
                self.struck.count("cancellation");
            }
        }
    }

    fn ended(&mut self, key: Key, how: Ended) -> Checked {
        let mono = self.now().mono;
        let committed = self.ledger.get_mut(key).is_some_and(|op| op.committed);
        self.haste.ended(key, how == Ended::Well, committed, mono)?;
        let view = View { world: &self.world, shelf: &self.shelf, swarm: &self.swarm };
        let op = self.ledger.ended(key, how, &view)?;
        if let Some(op) = op {
            self.schedule.operation_ended(op.asked.place);
            if how == Ended::Well && op.cancelled {
                self.sometimes.hit(Property::CancelLost);
            }
            if self.struck.total() >= op.faults + 2 {
                self.sometimes.hit(Property::TwoFaults);
            }
            if let Key::Task(_) = key {
                self.count(op.asked.action, how);
            }
        }
        Ok(())
    }

    /// The watcher has an answer.
    fn watched(&mut self, purpose: Purpose, reply: &Result<Answer, Error>) -> Checked {
        match purpose {
            Purpose::Events if matches!(reply, Err(Error::InternalError(text)) if text.contains("too many calls")) => {
                self.ledger.untold();
                self.later(20, Later::Listen);
                Ok(())
            }
            Purpose::Events => {
                self.ledger.told_again();
                let barriers = self.watcher.told(reply)?;
                if barriers > 0 {
                    self.sometimes.hit(Property::BarrierReleased);
                }
                if let Ok(Answer::Updates(_, ids, _)) = reply {
                    self.batch = ids.iter().filter_map(|id| id.vm().map(str::to_owned)).collect();
                }
                Ok(())
            }
            Purpose::Task(task) => self.task_stands(task, reply),
            Purpose::Stands(what) => {
                self.watcher.saw(what, reply.clone());
                Ok(())
            }
        }
    }

    /// How a task stands, asked as soon as it changed.
    fn task_stands(&mut self, task: u64, reply: &Result<Answer, Error>) -> Checked {
        let Ok(Answer::Task(shown)) = reply else { return Ok(()) };
        let pending = matches!(shown.state, State::Pending(_));
        if self.ledger.task_ended(task) {
            if pending {
                return Err(Violation::new("S29", format!("task {task} had ended and is pending")));
            }
            return Ok(());
        }
        let Some(op) = self.ledger.get_mut(Key::Task(task)) else { return Ok(()) };
        if let Some(other) = op.overtaken.filter(|_| pending) {
            return Err(Violation::new(
                "law 6",
                format!("task {other} went well before task {task}, which waits before it"),
            ));
        }
        op.committed |= pending && !shown.cancellable;
        let asked = op.asked.clone();
        let how = match &shown.state {
            State::Pending(_) => return Ok(()),
            State::Completed { .. } => Ended::Well,
            State::Failed(_) => match shown.state.error() {
                Some(Error::Cancelled(_)) => Ended::Cancelled,
                error => {
                    self.must_go_well(asked.action, error.as_ref())?;
                    self.failed(error);
                    Ended::Badly
                }
            },
        };
        if let Some(op) = self.ledger.get_mut(Key::Task(task)).map(|op| op.clone()) {
            self.had_its_time(&op, how, shown)?;
            self.task_ended(&op, how, shown);
        }
        if how == Ended::Well {
            self.told_of_its_vm(&asked)?;
        }
        self.ended(Key::Task(task), how)
    }

    /// Whoever is told that an operation has ended well is told that its VM has changed.
    fn told_of_its_vm(&self, asked: &Asked) -> Checked {
        let ids = self.swarm.shapes[asked.place].ids.map(|id| id.text());
        let gone =
            ids.iter().all(|id| id.parse().is_ok_and(|id| !self.shelf.of(id).is_some_and(|records| records.row)));
        if gone || self.batch.iter().any(|vm| ids.contains(vm)) {
            return Ok(());
        }
        let text = format!("{} went well, and its vm is not among what has changed", asked.action.name());
        Err(Violation::new("S33", text))
    }

    /// Where nothing goes wrong and nothing is in anybody's way, what can be done is done.
    fn must_go_well(&self, action: Action, error: Option<&Error>) -> Checked {
        let can = matches!(action, Action::VmStart | Action::VmShutdownHard);
        if !self.swarm.calm || !can || matches!(error, Some(Error::BadPowerState(..))) {
            return Ok(());
        }
        let text = format!("{} failed though nothing was in its way: {error:?}", action.name());
        Err(Violation::new("L1", text))
    }

    /// What failures tell of what has been seen.
    fn failed(&mut self, error: Option<Error>) {
        let property = match error {
            Some(Error::DeviceDetachRejected(..)) => Property::UnplugRefused,
            Some(Error::NotEnoughMemory(_)) => Property::NoMemory,
            Some(Error::StorageBackendError(code, _)) if code == "SR_BACKEND_FAILURE_24" => Property::PlugBusy,
            Some(Error::InternalError(text)) if text.contains("has not ended") => Property::StragglerRefused,
            Some(Error::InternalError(text)) if text.contains("needs attention") => Property::GaveUp,
            _ => return,
        };
        self.sometimes.hit(property);
    }

    /// A client has thought better of it.
    pub(super) fn cancel(&mut self, n: usize, task: u64) {
        let pending = self.ledger.get_mut(Key::Task(task));
        if let Some(op) = pending {
            op.cancelled = true;
            self.haste.cancelled(Key::Task(task), self.world.now().mono);
            self.push_call(n, Who::Nobody, "cancel".to_owned(), Call::TaskCancel { id: task.to_string() });
        }
    }

    /// A client looks for the task of a call of its own.
    pub(super) fn hunt(&mut self, n: usize, call: u64) {
        if self.ledger.get_mut(Key::Call(call)).is_some() {
            self.push_call(n, Who::Hunter(n, call), "hunt".to_owned(), Call::TaskList);
        }
    }

    /// All tasks: that of the call is cancelled if it is still there.
    fn found(&mut self, n: usize, call: u64, reply: &Result<Answer, Error>) {
        let Ok(Answer::Tasks(tasks)) = reply else { return };
        let tag = format!("c{call}");
        let task = tasks.iter().find(|task| task.dbg == tag && matches!(task.state, State::Pending(_)));
        if let (Some(task), Some(op)) = (task, self.ledger.get_mut(Key::Call(call))) {
            op.cancelled = true;
            self.push_call(n, Who::Nobody, "cancel".to_owned(), Call::TaskCancel { id: task.id.clone() });
        }
    }

    /// A client goes, and comes again.
    pub(super) fn hang_up(&mut self, n: usize) {
        let client = self.clients[n].id;
        let waiting = self.inbox.iter().any(|input| matches!(input, Input::Call { client: of, .. } if *of == client));
        let names = |open: &super::Open| {
            open.client == client && matches!(&open.who, Who::Client(_, Some(asked)) if asked.action.names())
        };
        // What has not been sent yet would come from nobody; and nobody could tell what became of a name.
        if waiting || self.open.values().any(names) {
            return;
        }
        self.struck.count("hang-up");
        let gone: Vec<CallId> =
            self.open.iter().filter(|(_, open)| open.client == client).map(|(call, _)| *call).collect();
        for call in gone {
            self.open.remove(&call);
            self.ledger.forget(Key::Call(call.0));
        }
        // Before anything that would answer it.
        self.inbox.push_front(Input::Hangup { client });
        let (id, mono) = (self.fresh_client(), self.now().mono);
        self.clients[n].reconnect(id, mono);
    }

    /// The janitor has an answer.
    fn tidied(&mut self, chore: Chore, reply: Result<Answer, Error>) -> Checked {
        match (chore, reply) {
            (Chore::List, Ok(Answer::Vms(vms))) => {
                self.listed(&vms)?;
                self.watcher.compare(Answer::Vms(vms))
            }
            (Chore::Devices, Ok(listed)) => self.watcher.compare(listed),
            (Chore::Tasks, Ok(Answer::Tasks(tasks))) => {
                match tasks.iter().find(|task| matches!(task.state, State::Pending(_))) {
                    Some(task) => {
                        Err(Violation::new("L1", format!("task {} ({}) is pending at rest", task.id, task.dbg)))
                    }
                    None => Ok(()),
                }
            }
            (Chore::Stop, _) | (Chore::Remove(_), Ok(_)) => Ok(()),
            (Chore::Remove(_), Err(Error::DoesNotExist(..))) => Ok(()),
            (chore, reply) if self.phase == Phase::Clearing => {
                Err(Violation::new("L9", format!("{chore:?} was answered {reply:?}")))
            }
            (chore, reply) => Err(Violation::new("calls", format!("{chore:?} was answered {reply:?}"))),
        }
    }
}

impl Open {
    /// It asks how something stands.
    fn asks(&self) -> bool {
        use Action::{VbdList, VbdStat, VifList, VifStat, VmList, VmStat};
        match &self.who {
            Who::Client(_, Some(asked)) => {
                matches!(asked.action, VmStat | VbdStat | VifStat | VmList | VbdList | VifList)
            }
            Who::Watcher(Purpose::Stands(_)) | Who::Janitor(Chore::List | Chore::Devices) => true,
            _ => false,
        }
    }
}
