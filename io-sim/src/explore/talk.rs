//! What goes between the machine and its clients, and from there to the host.

use super::state::{State, Waiting, Who};
use crate::action::{Action, Target};
use crate::client::Asked;
use crate::ledger::{Ended, Key, View};
use crate::oracle::{Checked, Violation, state};
use crate::run::take_reply;
use crate::timeline::Kind as Happens;
use crate::world::Choices;
use xenops_core::interface::task::State as TaskState;
use xenops_core::interface::{Answer, Call, Error};
use xenops_core::machine::{CallId, ClientId, Effect, Effects, Input, Machine, TaskId};

const CLIENT: ClientId = ClientId(1);

impl State {
    /// The client asks for the next thing of every VM of which it waits for nothing.
    pub fn clients_ask(&mut self) -> Checked {
        for place in 0..self.wants.len() {
            let waits = self.pending.iter().any(|(_, of)| *of == place);
            if !waits && let Some(action) = self.wants[place].pop() {
                self.ask(place, action)?;
            }
        }
        Ok(())
    }

    /// The client asks for something of a VM.
    pub(super) fn ask(&mut self, place: usize, action: Action) -> Checked {
        let (id, _) = state::standing(&self.world, &self.shelf, &self.swarm.shapes[place]);
        let swarm = self.swarm.clone();
        let target = Target { shape: &swarm.shapes[place], id, exported: None, task: 0, bystander: None };
        let call = action.call(&target, &mut Choices::nothing());
        let asked = Asked { action, place, id, triggered: false };
        self.ledger.asking(&asked);
        if action.is_awaited() {
            let intact = self.ledger.intact(place, &self.view());
            let key = Key::Call(self.next_call);
            self.ledger.asked(key, asked.clone(), intact, 0);
            self.pending.push((key, place));
        }
        self.call(Who::Op(asked), call)
    }

    fn call(&mut self, who: Who, call: Call) -> Checked {
        let mut effects = Effects::new();
        self.say(who, call, &mut effects);
        self.carry_out(effects)
    }

    fn say(&mut self, who: Who, call: Call, effects: &mut Effects) {
        let number = CallId(self.next_call);
        self.next_call += 1;
        self.calls.insert(number, who);
        let request = xenops_core::interface::Request { debug_info: "x".into(), call };
        self.handle(Input::Call { call: number, client: CLIENT, request }, effects);
    }

    fn handle(&mut self, input: Input, effects: &mut Effects) {
        let (mono, step) = self.at();
        self.trace.heard(mono, step, &input, &self.machine);
        let before = effects.len();
        self.machine.handle(self.world.now(), input, effects);
        for effect in &effects[before..] {
            self.trace.wanted(mono, step, effect, &self.machine);
        }
    }

    pub(super) fn tell(&mut self, input: Input) -> Checked {
        let mut effects = Effects::new();
        self.handle(input, &mut effects);
        self.carry_out(effects)
    }

    /// Replies are given, and who waits for a task is told of its end, before anything is asked of the host.
    pub(super) fn carry_out(&mut self, mut effects: Effects) -> Checked {
        self.give_replies(&mut effects)?;
        let has_ended = |key: &Key, machine: &Machine| match key {
            Key::Task(task) => machine.has_ended(TaskId(*task)),
            Key::Call(_) => false,
        };
        while let Some(at) = self.pending.iter().position(|(key, _)| has_ended(key, &self.machine)) {
            let (Key::Task(task), _) = self.pending[at] else { break };
            self.say(Who::Stat(TaskId(task)), Call::TaskStat { id: task.to_string() }, &mut effects);
            self.give_replies(&mut effects)?;
            self.say(Who::Nobody, Call::TaskDestroy { id: task.to_string() }, &mut effects);
            self.give_replies(&mut effects)?;
        }
        for effect in effects {
            match effect {
                Effect::Do { effect, request, deadline } => {
                    if !self.flights.depart(effect, deadline) {
                        return Err(Violation::new("machine", format!("{effect:?} was asked for twice")));
                    }
                    // What only looks on, and what is the daemon's own, is begun at once.
                    if request.is_wait() || request.is_own() {
                        self.world.start(effect, request);
                        self.drain();
                        self.show(Some(effect));
                    } else {
                        self.asked.push(Waiting { effect, request, aborted: false });
                    }
                }
                Effect::Abort { effect, deadline } => {
                    self.flights.hasten(effect, deadline);
                    match self.asked.iter_mut().find(|waiting| waiting.effect == effect) {
                        Some(waiting) => waiting.aborted = true,
                        None => self.world.abort(effect),
                    }
                    self.drain();
                }
                Effect::Reply { .. } => {}
            }
        }
        self.look()?;
        self.clients_ask()
    }

    fn give_replies(&mut self, effects: &mut Effects) -> Checked {
        let mut at = 0;
        while at < effects.len() {
            match take_reply(effects, at) {
                Some((call, reply)) => self.replied(call, reply)?,
                None => at += 1,
            }
        }
        Ok(())
    }

    fn replied(&mut self, call: CallId, reply: Result<Answer, Error>) -> Checked {
        let Some(who) = self.calls.remove(&call) else {
            return Err(Violation::new("calls", format!("call {call} was answered twice, or to nobody")));
        };
        match who {
            Who::Nobody => Ok(()),
            Who::Op(asked) if asked.action.has_task() => {
                let Ok(Answer::TaskId(id)) = reply else { return Ok(()) };
                let key = Key::Task(id.parse().unwrap_or(u64::MAX));
                let intact = self.ledger.intact(asked.place, &self.view());
                self.pending.push((key, asked.place));
                self.ledger.asked(key, asked, intact, 0);
                Ok(())
            }
            Who::Op(_) => {
                let how = match reply {
                    Ok(_) => Ended::Well,
                    Err(Error::Cancelled(_)) => Ended::Cancelled,
                    Err(_) => Ended::Badly,
                };
                self.ended(Key::Call(call.0), how)
            }
            Who::Stat(task) => {
                let Ok(Answer::Task(shown)) = reply else { return self.ended(Key::Task(task.0), Ended::Badly) };
                let how = match (&shown.state, shown.state.error()) {
                    (TaskState::Completed { .. }, _) => Ended::Well,
                    (_, Some(Error::Cancelled(_))) => Ended::Cancelled,
                    _ => Ended::Badly,
                };
                self.ended(Key::Task(task.0), how)
            }
        }
    }

    fn ended(&mut self, key: Key, how: Ended) -> Checked {
        self.note(|| format!("  {key:?} has ended: {how:?}"));
        self.pending.retain(|(pending, _)| *pending != key);
        let view = View { world: &self.world, shelf: &self.shelf, swarm: &self.swarm };
        self.ledger.ended(key, how, &view).map(|_| ())
    }

    /// The client cancels what it waits for.
    pub(super) fn client_cancels(&mut self, at: usize) -> Checked {
        let of = self.pending[at].1;
        self.mark(Happens::Fault, Some(of), || "the client changes its mind, and cancels what it asked for".to_owned());
        let (Key::Task(task), _) = self.pending[at] else { return Ok(()) };
        if let Some(op) = self.ledger.get_mut(self.pending[at].0) {
            op.cancelled = true;
        }
        self.call(Who::Nobody, Call::TaskCancel { id: task.to_string() })
    }

    /// Whether it has cancelled that already.
    pub(super) fn is_cancelled(&self, key: Key) -> bool {
        self.ledger.pending().any(|(of, op)| of == key && op.cancelled)
    }
}
