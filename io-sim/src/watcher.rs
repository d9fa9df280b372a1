//! The client that watches: it follows all events, and asks after every task at once.

use crate::oracle::Violation;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use xenops_core::interface::dynamic::Id;
use xenops_core::interface::{Answer, Call, Error, vbd, vif, vm};
use xenops_core::machine::ClientId;

/// What a call of the watcher was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Events.
    Events,
    /// How a task stands.
    Task(u64),
    /// How a VM or a device stands.
    Stands(Id),
}

/// How something stands.
#[derive(Clone, Debug, PartialEq)]
enum Shown {
    Vm(Box<vm::State>),
    Vbd(vbd::State),
    Vif(vif::State),
}

/// Where it is in the stream of events.
#[derive(Clone, Debug)]
pub struct Watcher {
    /// Its connection.
    pub id: ClientId,
    /// The number to ask from.
    from: Option<i64>,
    /// What it was told of each VM and device when it last asked because of an event.
    view: BTreeMap<Id, Option<Shown>>,
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
                id => self.asks_how_stands(id),
            }
        }
        self.ask();
        Ok(barriers.len())
    }

    fn asks_how_stands(&mut self, what: &Id) {
        let call = match what.clone() {
            _ if !self.mirrors => return,
            Id::Vm(id) => Call::VmStat { id },
            Id::Vbd(id) => Call::VbdStat { id },
            Id::Vif(id) => Call::VifStat { id },
            _ => return,
        };
        self.wants.push((Purpose::Stands(what.clone()), call));
    }

    /// How a VM or a device stands.
    pub fn saw(&mut self, what: Id, reply: Result<Answer, Error>) {
        let shown = match reply {
            Ok(Answer::Vm(_, state)) => Some(Shown::Vm(state)),
            Ok(Answer::Vbd(_, state)) => Some(Shown::Vbd(state)),
            Ok(Answer::Vif(_, state)) => Some(Shown::Vif(state)),
            // It is gone, or the host did not answer the daemon: it would have to ask again.
            _ => None,
        };
        self.view.insert(what, shown);
    }

    /// A record is removed, which is no event: who has done that knows. What comes under its name is another.
    pub fn removed(&mut self, key: &str) {
        let Some((vm, row)) = key.strip_prefix("VM/").and_then(|row| row.split_once('/')) else { return };
        self.view.retain(|id, _| match (id, row.split_once('.')) {
            (Id::Vbd(id), Some(("vbd", name))) | (Id::Vif(id), Some(("vif", name))) => id.vm != vm || id.device != name,
            (Id::Vbd(id) | Id::Vif(id), None) => id.vm != vm,
            _ => true,
        });
    }

    /// At rest, what events have led it to know is what a full listing says.
    pub fn compare(&self, listed: Answer) -> Result<(), Violation> {
        let listed: Vec<(Id, Shown)> = match listed {
            Answer::Vms(vms) => {
                vms.into_iter().map(|(vm, state)| (Id::Vm(vm.id.clone()), Shown::Vm(Box::new(state)))).collect()
            }
            Answer::Vbds(vbds) => {
                vbds.into_iter().map(|(vbd, state)| (Id::Vbd(vbd.id.clone()), Shown::Vbd(state))).collect()
            }
            Answer::Vifs(vifs) => {
                vifs.into_iter().map(|(vif, state)| (Id::Vif(vif.id.clone()), Shown::Vif(state))).collect()
            }
            other => return Err(Violation::new("calls", format!("a listing was answered {other:?}"))),
        };
        for (id, listed) in listed.into_iter().filter(|_| self.mirrors) {
            let known = self.view.get(&id);
            // Adding a device or importing it is no event: who has done that knows how it stands.
            let untold = known.is_none() && matches!(id, Id::Vm(_));
            if untold || known.is_some_and(|known| known.as_ref().is_some_and(|known| *known != listed)) {
                let text = format!("{id:?}: events led to {known:?}, a full listing says {listed:?}");
                return Err(Violation::new("S32", text));
            }
        }
        Ok(())
    }
}
