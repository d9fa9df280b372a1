//! The client that watches: it follows all events, and asks after every task at once.

use crate::oracle::Violation;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use xenops_core::interface::dynamic::Id;
use xenops_core::interface::vm::State;
use xenops_core::interface::{Answer, Call, Error, PowerState, Vm};
use xenops_core::machine::ClientId;

/// What a call of the watcher was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Events.
    Events,
    /// How a task stands.
    Task(u64),
    /// How a VM stands.
    Vm(String),
}

/// Where it is in the stream of events.
#[derive(Clone, Debug)]
pub struct Watcher {
    /// Its connection.
    pub id: ClientId,
    /// The number to ask from.
    from: Option<i64>,
    /// What it was told of each VM when it last asked because of an event.
    view: BTreeMap<String, Option<(PowerState, Vec<i64>)>>,
    /// Tasks that it must ask after before anything else happens.
    tasks: VecDeque<u64>,
    /// What else it wants to ask now.
    pub wants: Vec<(Purpose, Call)>,
    mirrors: bool,
    /// Numbers are another daemon's.
    restarted: bool,
}

impl Watcher {
    /// One that has seen nothing.
    pub fn new(id: ClientId, mirrors: bool) -> Watcher {
        let mut watcher = Watcher {
            id,
            from: None,
            view: BTreeMap::new(),
            wants: Vec::new(),
            tasks: VecDeque::new(),
            mirrors,
            restarted: false,
        };
        watcher.ask();
        watcher
    }

    /// Another daemon is there. It asks from where it was, and must be told of everything.
    pub fn reconnect(&mut self, id: ClientId, forgets: bool) {
        let from = if forgets { None } else { self.from };
        *self = Watcher { from, restarted: true, ..Watcher::new(id, self.mirrors) };
        self.wants.clear();
        self.ask();
    }

    /// Ask for what has happened since.
    pub fn ask(&mut self) {
        self.wants.push((Purpose::Events, Call::UpdatesGet { last_id: self.from, timeout: None }));
    }

    /// A task to ask after now.
    pub fn next_task(&mut self) -> Option<u64> {
        self.tasks.pop_front()
    }

    /// The number that it will ask from.
    pub fn from(&self) -> Option<i64> {
        self.from
    }

    /// Events: each task is asked after before anything else happens; then for more. Barriers that came.
    pub fn told(&mut self, reply: &Result<Answer, Error>) -> Result<usize, Violation> {
        let Ok(Answer::Updates(barriers, ids, next)) = reply else {
            return Err(Violation::new("S32", format!("UPDATES.get answered {reply:?}")));
        };
        let grown = self.restarted || self.from.is_none_or(|from| *next > from);
        self.restarted = false;
        if !grown {
            let text = format!("UPDATES.get from {:?} gave {} objects and the number {next}", self.from, ids.len());
            return Err(Violation::new("S32", text));
        }
        let distinct: BTreeSet<&Id> = ids.iter().collect();
        if distinct.len() != ids.len() {
            return Err(Violation::new("S32", format!("UPDATES.get names an object twice: {ids:?}")));
        }
        self.from = Some(*next);
        for id in ids {
            match id {
                Id::Task(task) => {
                    self.tasks.push_back(task.parse().unwrap_or(u64::MAX));
                }
                Id::Vm(vm) if self.mirrors => {
                    self.wants.push((Purpose::Vm(vm.clone()), Call::VmStat { id: vm.clone() }));
                }
                _ => {}
            }
        }
        self.ask();
        Ok(barriers.len())
    }

    /// How a VM stands.
    pub fn saw(&mut self, vm: String, reply: &Result<Answer, Error>) {
        match reply {
            Ok(Answer::Vm(_, state)) => drop(self.view.insert(vm, Some((state.power_state, state.domids.clone())))),
            // The host did not answer the daemon: it would have to ask again.
            _ => drop(self.view.insert(vm, None)),
        }
    }

    /// At rest, what events have led it to know is what a full listing says.
    pub fn compare(&self, vms: &[(std::sync::Arc<Vm>, State)]) -> Result<(), Violation> {
        for (vm, state) in vms.iter().filter(|_| self.mirrors) {
            let listed = (state.power_state, state.domids.clone());
            let known = self.view.get(&vm.id);
            if known.is_none_or(|known| known.as_ref().is_some_and(|known| *known != listed)) {
                let text = format!("vm {}: events led to {known:?}, a full listing says {listed:?}", vm.id);
                return Err(Violation::new("S32", text));
            }
        }
        Ok(())
    }
}
