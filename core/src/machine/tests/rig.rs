//! A machine in hand: its host answers at once that there is nothing and that all is done, but for what is held.

use crate::host::{
    DomId, DomainInfo, Entry, Found, HostFacts, Nodes, Now, Outcome, Query, Reply, Request, StorageCall,
};
use crate::interface::{Answer, Call, DebugInfo, Error, Request as Asked, Vm, task};
use crate::machine::slot::Job;
use crate::machine::{Bounds, CallId, ClientId, Config, Effect, EffectId, Effects, Input, Machine, TaskId};
use crate::operation::{Operation, Step, fixture};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const A: &str = "0a54076e-097e-419b-8c50-1d5e85e7a3a6";
pub(super) const B: &str = "0b54076e-097e-419b-8c50-1d5e85e7a3a6";
pub(super) const C: &str = "0c54076e-097e-419b-8c50-1d5e85e7a3a6";

/// A request that has not been answered.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) effect: EffectId,
    pub(super) request: Request,
    pub(super) deadline: u64,
}

pub(super) struct Rig {
    pub(super) machine: Machine,
    effects: Effects,
    pub(super) mono: u64,
    /// What the host does not answer by itself.
    pub(super) holds: fn(&Request) -> bool,
    pub(super) open: Vec<Open>,
    /// All that was asked of the host since the test last cleared it.
    pub(super) asked: Vec<Request>,
    pub(super) aborted: Vec<EffectId>,
    /// Domains that the host has.
    pub(super) domains: Vec<DomainInfo>,
    /// The domain that `run` takes for the VM's.
    pub(super) domid: Option<DomId>,
    /// Files in each hook directory.
    pub(super) hooks: Vec<String>,
    /// Nodes that have a value in xenstore.
    pub(super) nodes: BTreeMap<&'static str, &'static str>,
    replies: BTreeMap<CallId, Result<Answer, Error>>,
    calls: u64,
}

impl Rig {
    /// A daemon with so many workers and these VMs, all halted and at rest. Waits are held.
    pub(super) fn new(workers: u32, vms: &[&str]) -> Rig {
        let records = vms
            .iter()
            .map(|id| Entry { key: format!("VM/{id}/config"), value: Some(serde_json::to_string(&vm(id)).unwrap()) });
        let mut rig = Rig::opened(workers, records.collect(), Vec::new());
        assert!(rig.machine.is_at_rest(), "{:?}", rig.open);
        rig.asked.clear();
        rig
    }

    /// One that finds these records and these domains.
    pub(super) fn opened(workers: u32, records: Vec<Entry>, domains: Vec<DomainInfo>) -> Rig {
        let config = Config {
            entropy: [1; 32],
            facts: Arc::new(facts()),
            settings: Arc::default(),
            workers,
            bounds: Bounds::default(),
        };
        let mut effects = Effects::new();
        let now = Now { boot: 1, mono: 1_000_000_000, wall: 1_755_731_999_250_000_000 };
        let machine = Machine::open(config, now, records, &mut effects);
        let mut rig = Rig {
            machine,
            effects,
            mono: now.mono,
            holds: Request::is_wait,
            open: Vec::new(),
            asked: Vec::new(),
            aborted: Vec::new(),
            domains,
            domid: None,
            hooks: Vec::new(),
            nodes: BTreeMap::new(),
            replies: BTreeMap::new(),
            calls: 0,
        };
        rig.turn();
        rig
    }

    fn now(&self) -> Now {
        Now { boot: 1, mono: self.mono, wall: 1_755_731_999_250_000_000 + self.mono }
    }

    /// Tell it something, and let everything happen that is not held.
    pub(super) fn tell(&mut self, input: Input) {
        self.machine.handle(self.now(), input, &mut self.effects);
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::Do { effect, request, deadline } => {
                        self.asked.push(request.clone());
                        self.open.push(Open { effect, request, deadline });
                    }
                    Effect::Abort { effect, deadline } => {
                        self.aborted.push(effect);
                        let open = self.open.iter_mut().find(|open| open.effect == effect);
                        let open = open.expect("what is aborted is in flight");
                        open.deadline = open.deadline.min(deadline);
                    }
                    Effect::Reply { call, reply } => drop(self.replies.insert(call, reply)),
                }
            }
            self.machine.check_all();
            let holds = self.holds;
            let Some(next) = self.open.iter().position(|open| !holds(&open.request)) else { return };
            let open = self.open.remove(next);
            let outcome = Outcome::Ok(self.usual(&open.request));
            self.machine.handle(self.now(), Input::Done { effect: open.effect, outcome }, &mut self.effects);
        }
    }

    fn usual(&self, request: &Request) -> Reply {
        match request {
            Request::ListDomains => Reply::Domains(self.domains.clone()),
            Request::FindDomains(vm) => {
                Reply::Domains(self.domains.iter().filter(|info| info.handle == *vm).cloned().collect())
            }
            Request::Read(queries) => Reply::Found(queries.iter().map(|query| self.found(query)).collect()),
            Request::Hooks(_) => Reply::Names(self.hooks.clone()),
            Request::Wait(_) => Reply::Held(None, None),
            Request::Storage(StorageCall::List { .. }) => Reply::Names(Vec::new()),
            _ => Reply::Unit,
        }
    }

    fn found(&self, query: &Query) -> Found {
        match query {
            Query::Value(path) => Found::Value(self.nodes.get(path.as_str()).map(|value| value.to_string())),
            Query::Children(_) => Found::Children(None),
            Query::Tree { .. } => Found::Tree(Nodes::default()),
        }
    }

    /// A request that is held comes to its outcome.
    pub(super) fn done(&mut self, effect: EffectId, outcome: Outcome) {
        let place = self.open.iter().position(|open| open.effect == effect).expect("it is in flight");
        self.open.remove(place);
        self.tell(Input::Done { effect, outcome });
    }

    /// The first wait that is held ends as a delay does.
    pub(super) fn wait_ends(&mut self) {
        let effect = self.waits()[0];
        self.done(effect, Outcome::Ok(Reply::Held(None, None)));
    }

    /// Waits in flight.
    pub(super) fn waits(&self) -> Vec<EffectId> {
        self.open.iter().filter(|open| open.request.is_wait()).map(|open| open.effect).collect()
    }

    /// Begin a call.
    pub(super) fn call(&mut self, call: Call) -> CallId {
        self.calls += 1;
        let id = CallId(self.calls);
        let request = Asked { debug_info: DebugInfo("rig".to_owned()), call };
        self.tell(Input::Call { call: id, client: ClientId(1), request });
        id
    }

    /// A call's answer, once.
    pub(super) fn reply(&mut self, call: CallId) -> Option<Result<Answer, Error>> {
        self.replies.remove(&call)
    }

    /// A call that is answered at once.
    pub(super) fn ask(&mut self, call: Call) -> Answer {
        let id = self.call(call);
        self.reply(id).expect("it is answered at once").unwrap()
    }

    /// A call that makes a task.
    pub(super) fn task(&mut self, call: Call) -> TaskId {
        let Answer::TaskId(id) = self.ask(call) else { panic!("the call makes no task") };
        TaskId(id.parse().unwrap())
    }

    /// A delay on a VM: an operation that waits until the test lets it end.
    pub(super) fn delay(&mut self, id: &str) -> TaskId {
        self.task(Call::VmDelay { id: id.to_owned(), delay: 1.0 })
    }

    pub(super) fn cancel(&mut self, task: TaskId) {
        self.ask(Call::TaskCancel { id: task.to_string() });
    }

    /// How a task stands.
    pub(super) fn state(&mut self, task: TaskId) -> task::State {
        let Answer::Task(shown) = self.ask(Call::TaskStat { id: task.to_string() }) else { panic!("a task's state") };
        shown.state
    }

    pub(super) fn is_pending(&mut self, task: TaskId) -> bool {
        matches!(self.state(task), task::State::Pending(_))
    }

    pub(super) fn is_cancelled(&mut self, task: TaskId) -> bool {
        self.state(task).error() == Some(Error::Cancelled(task.to_string()))
    }

    /// A VM's place.
    pub(super) fn place(&self, id: &str) -> u64 {
        self.machine.by_id[&id.parse().unwrap()]
    }

    /// Let these steps run as an operation of a VM, in place of its own.
    pub(super) fn run(&mut self, id: &str, op: Operation, steps: Vec<Step>) -> TaskId {
        let (vm, now) = (self.place(id), self.now());
        let task = self.machine.tasks.create("rig", now, vm);
        let mut active = self.machine.active(vm, op, Some(task), steps);
        active.domid = self.domid;
        let slot = self.machine.slot_mut(vm);
        slot.rows.intent = active.op.intent(None, now, None);
        slot.look_wanted = true;
        slot.job = Job::Run(active);
        self.machine.run(vm, &mut self.effects);
        self.turn();
        task
    }
}

pub(super) fn vm(id: &str) -> Vm {
    Vm { id: id.to_owned(), ..fixture::vm() }
}

/// A domain of a VM that runs.
pub(super) fn domain(id: &str) -> DomainInfo {
    DomainInfo {
        domid: 7,
        handle: id.parse().unwrap(),
        paused: false,
        dying: false,
        shutdown: None,
        hvm: false,
        total_pages: 1,
        max_pages: 1,
        cpu_time: 1,
        vcpus: 1,
    }
}

fn facts() -> HostFacts {
    let text = String::new;
    HostFacts {
        cpus: 4,
        hvm: true,
        pv: true,
        hap: true,
        shadow: false,
        iommu: false,
        features_pv: text(),
        features_hvm: text(),
        block_script: text(),
        vif_script: text(),
        guest_helper: text(),
        qemu: text(),
        hvmloader: text(),
        pv_shim: text(),
        pygrub: text(),
        eliloader: text(),
        hooks: text(),
    }
}
