//! The machine on a simulated host, both in one hand: for tests and benchmarks, without faults of the driver's own.

use crate::world::World;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use xenops_core::backend::Settings;
use xenops_core::host::{Entry, Now, Outcome, Reply, Request};
use xenops_core::interface::{Answer, Call, DebugInfo, Error, Request as Asked, Value, task};
use xenops_core::machine::{Bounds, CallId, ClientId, Config, Effect, Effects, Input, Machine};

/// A daemon and its host, in virtual time.
pub struct Local {
    /// The daemon.
    pub machine: Machine,
    /// Its host.
    pub world: World,
    /// What the journal holds.
    pub records: BTreeMap<String, String>,
    /// Requests to the host so far.
    pub requests: u64,
    /// Inputs of the daemon and their times, where they are to be kept.
    pub tape: Option<Vec<(Now, Input)>>,
    effects: Effects,
    inputs: VecDeque<Input>,
    replies: BTreeMap<CallId, Result<Answer, Error>>,
    calls: u64,
    starts: u8,
    workers: u32,
}

impl Local {
    /// A daemon that has just started on this host, with nothing on record.
    pub fn new(world: World, workers: u32) -> Local {
        let mut effects = Effects::new();
        let records = BTreeMap::new();
        let machine = open(&world, workers, 1, &records, &mut effects);
        let mut local = Local {
            machine,
            world,
            records,
            requests: 0,
            tape: None,
            effects,
            inputs: VecDeque::new(),
            replies: BTreeMap::new(),
            calls: 0,
            starts: 1,
            workers,
        };
        local.run();
        local
    }

    /// Kill the daemon and start it again: what was durable is all it knows.
    pub fn restart(&mut self) {
        self.reopen();
        self.run();
    }

    /// The same, without its first input.
    pub fn reopen(&mut self) {
        self.world.daemon_crash();
        self.world.daemon_starts();
        self.effects.clear();
        self.inputs.clear();
        self.starts = self.starts.wrapping_add(1);
        self.machine = open(&self.world, self.workers, self.starts, &self.records, &mut self.effects);
    }

    /// Begin a call; its answer is there when `reply` gives it.
    pub fn call(&mut self, call: Call) -> CallId {
        self.calls += 1;
        let id = CallId(self.calls);
        let request = Asked { debug_info: DebugInfo("local".to_owned()), call };
        self.inputs.push_back(Input::Call { call: id, client: ClientId(1), request });
        self.run();
        id
    }

    /// A call's answer, once.
    pub fn reply(&mut self, call: CallId) -> Option<Result<Answer, Error>> {
        self.replies.remove(&call)
    }

    /// Carry out a call, letting time pass as it needs.
    pub fn ask(&mut self, call: Call) -> Result<Answer, Error> {
        let id = self.call(call);
        loop {
            if let Some(reply) = self.reply(id) {
                return reply;
            }
            assert!(self.wait(), "a call is answered before nothing more can happen");
        }
    }

    /// Carry out a call that makes a task, and the task; its result.
    pub fn do_task(&mut self, call: Call) -> Result<Option<Value>, Error> {
        let Answer::TaskId(id) = self.ask(call)? else { panic!("the call makes no task") };
        loop {
            let Answer::Task(task) = self.ask(Call::TaskStat { id: id.clone() })? else { panic!("a stat of a task") };
            match &task.state {
                task::State::Pending(_) => assert!(self.wait(), "a task ends before nothing more can happen"),
                task::State::Completed { result, .. } => {
                    let result = result.clone();
                    self.ask(Call::TaskDestroy { id })?;
                    return Ok(result);
                }
                failed => {
                    let error = failed.error().unwrap_or(Error::UnknownError);
                    self.ask(Call::TaskDestroy { id })?;
                    return Err(error);
                }
            }
        }
    }

    /// Let everything happen that happens at this moment.
    pub fn run(&mut self) {
        loop {
            self.dispatch();
            let Some(input) = self.next_input() else { return };
            let now = self.world.now();
            if let Some(tape) = &mut self.tape {
                tape.push((now, input.clone()));
            }
            self.machine.handle(now, input, &mut self.effects);
        }
    }

    /// Let time pass until something happens; `false` if nothing ever will.
    pub fn wait(&mut self) -> bool {
        let next = [self.world.next_event(), self.machine.deadline()].into_iter().flatten().min();
        let Some(next) = next else { return false };
        self.world.run_until(next);
        self.inputs.push_back(Input::Tick);
        self.run();
        true
    }

    /// Let so many nanoseconds pass.
    pub fn pass(&mut self, nanoseconds: u64) {
        let end = self.world.now().mono + nanoseconds;
        while [self.world.next_event(), self.machine.deadline()].into_iter().flatten().any(|next| next <= end) {
            self.wait();
        }
        self.world.run_until(end);
        self.inputs.push_back(Input::Tick);
        self.run();
    }

    fn next_input(&mut self) -> Option<Input> {
        if let Some(input) = self.inputs.pop_front() {
            return Some(input);
        }
        if let Some((effect, outcome)) = self.world.take_outcome() {
            return Some(Input::Done { effect, outcome });
        }
        self.world.take_notice().map(|token| Input::Noticed { token })
    }

    fn dispatch(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Do { effect, request: Request::Append(entries), .. } => {
                    entries.into_iter().for_each(|entry| keep(&mut self.records, entry));
                    self.inputs.push_back(Input::Done { effect, outcome: Outcome::Ok(Reply::Unit) });
                }
                Effect::Do { effect, request, .. } => {
                    self.requests += 1;
                    self.world.start(effect, request);
                }
                Effect::Abort { effect, .. } => self.world.abort(effect),
                Effect::Reply { call, reply } => {
                    let again = self.replies.insert(call, reply);
                    assert!(again.is_none(), "a call is answered once");
                }
            }
        }
        self.effects = effects;
    }
}

fn keep(records: &mut BTreeMap<String, String>, entry: Entry) {
    match entry.value {
        Some(value) => records.insert(entry.key, value),
        None => records.remove(&entry.key),
    };
}

fn open(world: &World, workers: u32, start: u8, records: &BTreeMap<String, String>, effects: &mut Effects) -> Machine {
    let config = Config {
        entropy: [start; 32],
        facts: world.facts(),
        settings: Arc::new(Settings::default()),
        workers,
        bounds: Bounds::default(),
    };
    let now: Now = world.now();
    let records = records.iter().map(|(key, value)| Entry { key: key.clone(), value: Some(value.clone()) }).collect();
    Machine::open(config, now, records, effects)
}
