//! A client: asks for something, follows it to its end or not, asks for the next thing.

use crate::action::{Action, Target};
use crate::fleet::{Shape, pick};
use crate::swarm::{Habits, Swarm};
use crate::workload::Standing;
use crate::world::{Choices, Concern};
use xenops_core::host::Uuid;
use xenops_core::host::time::{MILLISECOND, SECOND};
use xenops_core::interface::task::State;
use xenops_core::interface::{Answer, Call, Error};
use xenops_core::machine::ClientId;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub action: Action,
    /// Of which VM of the run.
    pub place: usize,
    /// Under which name.
    pub id: Uuid,
    /// Its task is to cancel itself at some step.
    pub triggered: bool,
}

/// What a client is at.
#[derive(Clone, Debug)]
enum Mind {
    /// It asks for something at this moment, if there is anything left to ask.
    Free { at: u64 },
    /// It waits for an answer.
    Asks(Asked),
    /// It looks after its task at this moment, and later each time.
    Follows { task: u64, asked: Asked, at: u64, every: u64 },
    /// It waits to be told how its task stands.
    Polls { task: u64, asked: Asked, every: u64 },
    /// It has told the daemon to forget its task.
    Forgets,
}

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its connection.
    pub id: ClientId,
    mind: Mind,
    exported: Option<String>,
    last_task: u64,
    /// What it means to ask next of which VM, last first: it builds a domain step by step.
    intends: Vec<(usize, Action)>,
}

/// What a client sees of a VM when it decides what to ask of it.
pub struct Scene<'a> {
    /// What the run is like.
    pub swarm: &'a Swarm,
    /// By which name the VM goes now, and how it stands.
    pub vm: (Uuid, Standing),
    /// It is being given a name or a row.
    pub naming: bool,
    /// Its image, should it be imported, would be its guest's last state.
    pub fresh: bool,
    /// A VM whose name is taken.
    pub bystander: Option<Uuid>,
}

impl Client {
    /// One that has just connected.
    pub fn new(id: ClientId) -> Client {
        Client { id, mind: Mind::Free { at: 0 }, exported: None, last_task: 0, intends: Vec::new() }
    }

    /// When it does something by itself.
    pub fn next(&self, budget: u32) -> Option<u64> {
        match self.mind {
            Mind::Free { at } if budget > 0 => Some(at),
            Mind::Follows { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Whether it has nothing under way.
    pub fn is_free(&self) -> bool {
        matches!(self.mind, Mind::Free { .. })
    }

    /// The last task that it was given.
    pub fn last_task(&self) -> u64 {
        self.last_task
    }

    /// The daemon is gone, or the connection: whatever it had under way is lost to it.
    pub fn reconnect(&mut self, id: ClientId, at: u64) {
        *self = Client { mind: Mind::Free { at }, exported: self.exported.take(), ..Client::new(id) };
    }

    /// Its moment has come: it looks after its task, if it has one.
    pub fn tend(&mut self) -> Option<Call> {
        let Mind::Follows { task, asked, every, .. } = &self.mind else { return None };
        let call = Call::TaskStat { id: task.to_string() };
        self.mind = Mind::Polls { task: *task, asked: asked.clone(), every: *every };
        Some(call)
    }

    /// It turns to one of so many VMs, perhaps with something in mind.
    pub fn turn(&mut self, vms: u32, choices: &mut Choices) -> (usize, Option<Action>) {
        match self.intends.pop().filter(|_| !choices.odds(Concern::Workload, 8)) {
            Some((place, action)) => (place, Some(action)),
            None => (choices.choose(Concern::Workload, vms) as usize, None),
        }
    }

    /// It asks for something, tagged so that a trigger can find it.
    pub fn ask(
        &mut self,
        (place, intended): (usize, Option<Action>),
        scene: &Scene,
        choices: &mut Choices,
    ) -> (Asked, Call) {
        let (mut id, standing) = scene.vm;
        let shape: &Shape = &scene.swarm.shapes[place];
        let mut action = intended.unwrap_or_else(|| scene.swarm.workload.next(standing, choices));
        if action.names() && scene.naming {
            action = Action::VmStat;
        }
        let astray = choices.odds(Concern::Workload, scene.swarm.workload.silly.saturating_mul(2));
        if astray && !action.names() {
            id = if id == shape.ids[0] { shape.ids[1] } else { shape.ids[0] };
        }
        let target = Target {
            shape,
            id,
            exported: self.exported(scene.fresh),
            task: self.last_task,
            bystander: scene.bystander,
        };
        let call = action.call(&target, choices);
        let asked = Asked { action, place, id, triggered: false };
        self.mind = Mind::Asks(asked.clone());
        (asked, call)
    }

    /// What it exported before, unless that would bring back an image which has been used since.
    fn exported(&self, fresh: bool) -> Option<&String> {
        let has_image = |text: &str| {
            let bytes = text.split_once(r#"suspend_memory_bytes\":"#).map(|(_, rest)| rest);
            bytes.is_some_and(|bytes| !bytes.starts_with('0'))
        };
        self.exported.as_ref().filter(|text| fresh || !has_image(text))
    }

    /// An answer has come. The task that it follows from now on, if it follows one.
    pub fn told(
        &mut self,
        reply: &Result<Answer, Error>,
        habits: &Habits,
        mono: u64,
        choices: &mut Choices,
    ) -> Option<Call> {
        match std::mem::replace(&mut self.mind, Mind::Free { at: mono }) {
            Mind::Asks(asked) => {
                self.answered(asked, reply, habits, mono, choices);
                None
            }
            Mind::Polls { task, asked, every } => match reply {
                Ok(Answer::Task(state)) if matches!(state.state, State::Pending(_)) => {
                    let longer = (every * 4).min(5 * SECOND);
                    self.mind = Mind::Follows { task, asked, at: mono + every, every: longer };
                    None
                }
                Ok(Answer::Task(state)) if asked.action == Action::VmCreate && state.state.error().is_none() => {
                    self.intends = vec![(asked.place, Action::VmCreateDeviceModel), (asked.place, Action::VmBuild)];
                    self.mind = Mind::Forgets;
                    Some(Call::TaskDestroy { id: task.to_string() })
                }
                Ok(_) if !choices.odds(Concern::Workload, habits.litters) => {
                    self.mind = Mind::Forgets;
                    Some(Call::TaskDestroy { id: task.to_string() })
                }
                _ => {
                    self.rest(habits, mono, choices);
                    None
                }
            },
            Mind::Forgets => {
                self.rest(habits, mono, choices);
                None
            }
            mind => {
                self.mind = mind;
                None
            }
        }
    }

    fn answered(
        &mut self,
        asked: Asked,
        reply: &Result<Answer, Error>,
        habits: &Habits,
        mono: u64,
        choices: &mut Choices,
    ) {
        match reply {
            Ok(Answer::TaskId(id)) if asked.action.has_task() => {
                self.last_task = id.parse().unwrap_or(0);
                if !choices.odds(Concern::Workload, habits.hasty) {
                    let every = 2 * MILLISECOND;
                    self.mind = Mind::Follows { task: self.last_task, asked, at: mono + every, every };
                    return;
                }
            }
            Ok(Answer::Text(text)) if asked.action == Action::VmExport => self.exported = Some(text.clone()),
            _ => {}
        }
        self.rest(habits, mono, choices);
    }

    fn rest(&mut self, habits: &Habits, mono: u64, choices: &mut Choices) {
        let after = if choices.odds(Concern::Workload, habits.sleeps) {
            pick(choices, Concern::Workload, &[2 * SECOND, 20 * SECOND, 150 * SECOND])
        } else {
            pick(choices, Concern::Workload, &[10 * MILLISECOND, 0, SECOND])
        };
        self.mind = Mind::Free { at: mono + after };
    }
}
