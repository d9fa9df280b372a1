//! VMs whose queues fill while they are busy, and empty at once when they are not.
//!
//! What is asked is a reboot of a halted VM, which is refused when its turn comes, so that little but the call, the
//! queue, the task and its update is left of an operation.

use crate::fleet;
use std::time::{Duration, Instant};
use xenops_core::host::{Found, Nodes, Now, Outcome, Query, Reply, Request};
use xenops_core::interface::{Call, DebugInfo, Request as Asked};
use xenops_core::machine::{CallId, ClientId, Effect, EffectId, Effects, Input, Machine};

/// A machine with VMs that are all at rest between two rounds.
pub struct Refusals {
    machine: Machine,
    now: Now,
    ids: Vec<String>,
    effects: Effects,
    calls: u64,
}

impl Refusals {
    /// So many VMs.
    pub fn new(vms: usize) -> Refusals {
        let local = fleet::local(vms);
        Refusals {
            now: local.world.now(),
            machine: local.machine,
            ids: (0..vms).map(fleet::id).collect(),
            effects: Effects::with_capacity(1024),
            calls: 1 << 32,
        }
    }

    /// Every VM is made busy. Every queue fills to this depth, one VM after the other; then each is emptied.
    /// How long the filling and the emptying took.
    pub fn round(&mut self, depth: usize) -> Duration {
        let busy: Vec<_> = (0..self.ids.len()).map(|n| self.hold(n)).collect();
        let asked: Vec<_> = (0..depth * self.ids.len()).map(|n| self.reboot(n % self.ids.len())).collect();
        let began = Instant::now();
        asked.into_iter().for_each(|call| self.handle(call));
        let mut taken = began.elapsed();
        for delay in busy {
            self.effects.clear();
            let last = self.let_go(delay);
            let began = Instant::now();
            self.handle(last);
            taken += began.elapsed();
        }
        self.effects.clear();
        taken
    }

    /// A VM waits from now on; the end of its wait.
    fn hold(&mut self, n: usize) -> Input {
        let delay = self.call(Call::VmDelay { id: self.ids[n].clone(), delay: 1.0 });
        self.handle(delay);
        self.outcome()
    }

    /// A VM's wait ends; the answer to the last question of the look that follows.
    fn let_go(&mut self, mut input: Input) -> Input {
        while !matches!(&input, Input::Done { outcome: Outcome::Ok(Reply::Found(_)), .. }) {
            self.handle(input);
            input = self.outcome();
        }
        input
    }

    fn reboot(&mut self, n: usize) -> Input {
        self.call(Call::VmReboot { id: self.ids[n].clone(), delay: None })
    }

    fn call(&mut self, call: Call) -> Input {
        self.calls += 1;
        let request = Asked { debug_info: DebugInfo("refused".to_owned()), call };
        Input::Call { call: CallId(self.calls), client: ClientId(1), request }
    }

    fn handle(&mut self, input: Input) {
        self.machine.handle(self.now, input, &mut self.effects);
    }

    /// What a host without domains answers to the one request among the effects.
    fn outcome(&mut self) -> Input {
        let mut requests = self.effects.drain(..).filter_map(|effect| match effect {
            Effect::Do { effect, request, .. } => Some((effect, request)),
            _ => None,
        });
        let (effect, request): (EffectId, Request) = requests.next().expect("a busy vm asks its host");
        let reply = match request {
            Request::Wait(_) => Reply::Held(None, None),
            Request::FindDomains(_) => Reply::Domains(Vec::new()),
            Request::Read(queries) => Reply::Found(queries.iter().map(nothing).collect()),
            other => panic!("a delay and a look ask nothing like {other:?}"),
        };
        Input::Done { effect, outcome: Outcome::Ok(reply) }
    }
}

fn nothing(query: &Query) -> Found {
    match query {
        Query::Value(_) => Found::Value(None),
        Query::Children(_) => Found::Children(None),
        Query::Tree { .. } => Found::Tree(Nodes::default()),
    }
}
