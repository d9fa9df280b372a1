//! The course of a run: clients work while faults strike, all comes to rest, all is taken away.

use super::step::MOMENT;
use super::{Chore, Happens, Later, Open, Phase, Run, Who};
use crate::client::Client;
use crate::fleet::{BYSTANDER, SHARED};
use crate::ledger::Ledger;
use crate::oracle::domains::Domains;
use crate::oracle::haste::Haste;
use crate::oracle::records::Shelf;
use crate::oracle::shown::Shown;
use crate::oracle::traffic::Traffic;
use crate::oracle::{Checked, Violation, rest, state};
use crate::schedule::Schedule;
use crate::sometimes::{Property, Sometimes};
use crate::swarm::{Profile, Swarm};
use crate::timeline::Story;
use crate::trace::Trace;
use crate::watcher::Watcher;
use crate::workload::Standing;
use crate::world::{Choices, Pace, World};
use std::collections::BTreeMap;
use xenops_core::host::time::SECOND;
use xenops_core::host::{DomainAct, DomainSpec, Flavour, Handle, Request, Role, Spawn, Uuid};
use xenops_core::interface::vm::State;
use xenops_core::interface::{Call, PowerState, Vm};
use xenops_core::machine::{ClientId, Effects, Machine};

/// Inputs within which all must come to rest once nothing strikes any more.
const REST_INPUTS: u64 = 60_000;

/// Nanoseconds of virtual time for the same: the longest time-outs, several times over, and more than twice what the
/// longest of 3,000 runs took.
const REST_TIME: u64 = 3 * 3600 * SECOND;

/// Inputs of one run at most.
const MOST_INPUTS: u64 = 600_000;

const STRANGER: Uuid = Uuid(*b"\xf0\x2e\x16\x40\0\0\x40\0\x80\0\0\0\0\0\0\x01");

impl Run {
    pub(super) fn new(seed: u64, mut choices: Choices, profile: Profile, mut trace: Trace) -> Run {
        let swarm = Swarm::draw(&mut choices, profile);
        let schedule = Schedule::new(swarm.schedule, swarm.shapes.len(), swarm.operations, &mut choices);
        let mut sometimes = Sometimes::default();
        swarm.schedule.property().into_iter().for_each(|property| sometimes.hit(property));
        let operations = choices.operations();
        if let Some(story) = trace.story() {
            *story = Story::of(&swarm.shapes);
        }
        let mut world = World::new(swarm.host.clone(), choices);
        world.storage_mut().shared.insert(SHARED.to_owned());
        let foreign = swarm.foreign.then(|| stranger(&mut world));
        let names = swarm.shapes.iter().enumerate().flat_map(|(n, shape)| shape.ids.map(|id| (id, n)));
        let domains = Domains::new(names.collect(), foreign.map(|domid| (domid, STRANGER)));
        let mut effects = Effects::new();
        let config = Run::config(&swarm, &world, seed, 0);
        let machine = Machine::open(config, world.now(), Vec::new(), &mut effects);
        let clients: Vec<Client> = (0..swarm.clients).map(|n| Client::new(ClientId(u64::from(n) + 1))).collect();
        let next_client = clients.len() as u64 + 1;
        Run {
            seed,
            phase: Phase::Working,
            first: rest::picture(&world),
            world,
            machine,
            effects,
            journal: Default::default(),
            flights: Default::default(),
            schedule,
            ready: Vec::new(),
            inbox: Default::default(),
            turn: 0,
            life: 0,
            clients,
            watcher: Watcher::new(ClientId(next_client), swarm.habits.mirrors),
            open: BTreeMap::new(),
            next_call: 0,
            next_client,
            next_external: 1 << 20,
            budget: operations.unwrap_or(swarm.operations),
            plan: swarm.plan.clone(),
            later: BTreeMap::new(),
            deaf: false,
            slow: false,
            odd_request: false,
            odd_process: false,
            stuck: false,
            damaged: None,
            processes_struck: 0,
            repeat: false,
            cut: false,
            ledger: Ledger::new(swarm.shapes.len()).on(swarm.is_odd()),
            haste: Haste::new(swarm.is_odd()).only(swarm.strict),
            begins: BTreeMap::new(),
            traffic: Traffic::new(swarm.workers),
            shown: Shown::new(swarm.shapes.len()),
            shelf: Shelf::default(),
            domains,
            events: Vec::new(),
            batch: Vec::new(),
            recorded: None,
            copied_every: 0,
            most: MOST_INPUTS,
            recovering: 0,
            guests_stopped: 0,
            unfinished: BTreeMap::new(),
            settled_at: (0, 0),
            broken: Vec::new(),
            asking_until: 0,
            rests: [0; 2],
            steps: 0,
            requests: 0,
            lifetimes: 0,
            struck: Default::default(),
            operations: BTreeMap::new(),
            sometimes,
            trace,
            hash: Default::default(),
            swarm,
        }
    }

    /// From the first input to the last.
    pub(super) fn play(&mut self) -> Checked {
        let (seed, swarm) = (self.seed, &self.swarm);
        self.trace.line(self.world.now().mono, self.steps, || format!("seed {seed} {swarm:#?}"));
        let mut effects = std::mem::take(&mut self.effects);
        self.show(None);
        self.mark(Happens::Start, None, || "a daemon starts on an empty host".to_owned());
        self.carry_out(&mut effects)?;
        if self.swarm.bystander {
            let vm = std::sync::Arc::new(self.swarm.shapes[0].vm(BYSTANDER));
            let input = self.call(self.watcher.id, Who::Nobody, "bystander".to_owned(), Call::VmAdd { vm });
            self.queue(input);
        }
        while self.phase < Phase::Cleared {
            if self.steps > self.most {
                if self.most < MOST_INPUTS {
                    return Err(Violation::new("length", format!("{} inputs and no end", self.most)));
                }
                return Err(Violation::new("L3", format!("{MOST_INPUTS} inputs and no end")));
            }
            self.advance()?;
        }
        Ok(())
    }

    /// One input, or time passes, or the next phase begins.
    fn advance(&mut self) -> Checked {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= self.steps) {
            let what = entry.remove();
            self.later_now(what)?;
        }
        if self.phase == Phase::Working
            && let Some(kind) = self.plan.due(self.steps)
        {
            return self.strike(kind);
        }
        if self.phase == Phase::Working {
            self.gaze();
        }
        if let Some(input) = self.next_input()? {
            return self.feed(input);
        }
        self.end_turn();
        self.clients_act();
        if !self.inbox.is_empty() {
            return Ok(());
        }
        if self.phase == Phase::Working && self.budget == 0 && self.clients.iter().all(Client::is_free) {
            return self.settle();
        }
        if self.phase == Phase::Enduring && self.endured()? {
            return self.settle();
        }
        if self.phase >= Phase::Settling && self.is_quiet() {
            return self.rested();
        }
        match self.next_moment() {
            Some(mono) => self.pass(mono),
            None => self.nothing_comes(),
        }
    }

    fn clients_act(&mut self) {
        let mono = self.now().mono;
        for n in 0..self.clients.len() {
            let due = |client: &Client, budget| client.next(budget).is_some_and(|at| at <= mono);
            if due(&self.clients[n], self.budget) {
                self.client_acts(n);
            }
        }
    }

    pub(super) fn next_moment(&self) -> Option<u64> {
        let clients = self.clients.iter().filter_map(|client| client.next(self.budget));
        let others = [self.world.next_event(), self.flights.next(), self.machine.deadline(), self.journal.next()];
        clients.chain(others.into_iter().flatten()).min()
    }

    fn pass(&mut self, mono: u64) -> Checked {
        let mono = mono.max(self.now().mono);
        self.world.run_until(mono);
        self.synced()?;
        if self.phase >= Phase::Settling && mono > self.settled_at.0.saturating_add(REST_TIME) {
            return self.restless("too long");
        }
        self.look()?;
        self.show(None);
        Ok(())
    }

    /// Nothing will happen by itself: what is to come after so many inputs comes now.
    fn nothing_comes(&mut self) -> Checked {
        if let Some((_, what)) = self.later.pop_first() {
            return self.later_now(what);
        }
        match self.phase {
            Phase::Working => return self.settle(),
            Phase::Enduring => return self.endures_nothing(),
            _ => {}
        }
        self.restless("and nothing will happen any more")
    }

    /// Faults stop, and clients ask for nothing new; or what is broken stays so for a while.
    pub(super) fn settle(&mut self) -> Checked {
        if self.phase == Phase::Working && self.breaks() {
            return self.calm();
        }
        self.note(|| "all is to come to rest".to_owned());
        let text = "nothing goes wrong and nobody asks for anything from here on: all must come to rest";
        self.mark(Happens::Rest, None, || text.to_owned());
        self.phase = Phase::Settling;
        self.budget = 0;
        self.world.mend();
        self.calm()?;
        self.settled_at = (self.now().mono, self.steps);
        Ok(())
    }

    /// Nothing new strikes.
    fn calm(&mut self) -> Checked {
        self.plan.0.clear();
        (self.odd_request, self.odd_process, self.slow, self.stuck) = (false, false, false, false);
        let config = self.world.config_mut();
        (config.odd_requests, config.odd_processes, config.odd_guests) = (0, 0, 0);
        while let Some((_, what)) = self.later.pop_first() {
            if !matches!(what, Later::Cancel(..) | Later::HangUp(_) | Later::Hunt(..) | Later::Crash(..)) {
                self.later_now(what)?;
            }
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        let idle = self.inbox.is_empty() && self.journal.is_idle() && self.flights.is_empty();
        let waits = |open: &Open| !matches!(open.who, Who::Watcher(_));
        let clients = self.clients.iter().all(Client::is_free);
        let listens = !self.later.values().any(|what| matches!(what, Later::Listen));
        idle && clients
            && listens
            && self.machine.is_at_rest()
            && self.world.at_rest()
            && !self.open.values().any(waits)
            && self.ledger.pending().all(|(_, op)| op.unwatched)
    }

    fn restless(&mut self, why: &str) -> Checked {
        let pending: Vec<String> =
            self.ledger.pending().map(|(key, op)| format!("{key:?} {:?}", op.asked.action)).collect();
        let open = self.open.values().filter(|open| !matches!(open.who, Who::Watcher(_))).count();
        let text = format!(
            "no rest, {why}: machine at rest {}, {} flights, {open} open calls, pending {pending:?}, host at rest {}",
            self.machine.is_at_rest(),
            self.flights.len(),
            self.world.at_rest(),
        );
        Err(Violation::new("L3", text))
    }

    /// All is at rest: look at everything, then go on.
    fn rested(&mut self) -> Checked {
        if self.steps > self.settled_at.1 + REST_INPUTS {
            return self.restless("too many inputs");
        }
        self.machine.check_all();
        self.ledger.rested();
        let states = rest::check(&self.world, &self.shelf, &self.swarm.shapes)?;
        rest::epochs(&self.world, &self.swarm.shapes, &states)?;
        self.note(|| format!("at rest: {states:?}"));
        self.mark(Happens::Rest, None, || format!("all is at rest: {states:?}"));
        if states.contains(&rest::Sensible::PreservedCrash) {
            self.sometimes.hit(Property::CrashPreserved);
        }
        match self.phase {
            Phase::Settling => {
                self.rests[1] = self.now().mono - self.settled_at.0;
                self.phase = Phase::Clearing;
                self.chore(Chore::Tasks, Call::TaskList);
                self.chore(Chore::List, Call::VmList);
                self.list_devices();
                self.clear();
            }
            _ => self.cleared()?,
        }
        Ok(())
    }

    fn list_devices(&mut self) {
        for place in 0..self.swarm.shapes.len() {
            let (id, _) = state::standing(&self.world, &self.shelf, &self.swarm.shapes[place]);
            self.chore(Chore::Devices, Call::VbdList { id: id.text() });
            self.chore(Chore::Devices, Call::VifList { id: id.text() });
        }
    }

    fn chore(&mut self, chore: Chore, call: Call) {
        let input = self.call(self.watcher.id, Who::Janitor(chore), "tidy".to_owned(), call);
        self.queue(input);
    }

    /// Every VM goes, whatever state it is in.
    fn clear(&mut self) {
        self.settled_at = (self.now().mono, self.steps);
        self.mark(Happens::Rest, None, || "every vm is taken away".to_owned());
        for place in 0..self.swarm.shapes.len() {
            let (id, standing) = state::standing(&self.world, &self.shelf, &self.swarm.shapes[place]);
            if standing == Standing::Absent {
                continue;
            }
            self.ledger.external(place);
            self.chore(Chore::Stop, Call::VmShutdown { id: id.text(), delay: None });
            self.chore(Chore::Remove(id), Call::VmRemove { id: id.text() });
        }
        if self.shelf.of(BYSTANDER).is_some() {
            self.chore(Chore::Remove(BYSTANDER), Call::VmRemove { id: BYSTANDER.text() });
        }
    }

    /// The world is as it was at first.
    fn cleared(&mut self) -> Checked {
        self.phase = Phase::Cleared;
        if let Some(key) = self.journal.records().keys().next() {
            return Err(Violation::new("L9", format!("record {key} is left")));
        }
        match rest::difference(&self.first, &rest::picture(&self.world)) {
            Some(what) => Err(Violation::new("L9", format!("{what} is left when all vms have gone"))),
            None => Ok(()),
        }
    }

    /// A full listing says what is so.
    pub(super) fn listed(&mut self, vms: &[(std::sync::Arc<Vm>, State)]) -> Checked {
        for shape in &self.swarm.shapes {
            let (id, standing) = state::standing(&self.world, &self.shelf, shape);
            let shown = vms.iter().find(|(vm, _)| vm.id == id.text()).map(|(_, state)| state.power_state);
            let is = match standing {
                Standing::Absent => None,
                Standing::Halted => Some(PowerState::Halted),
                Standing::Paused => Some(PowerState::Paused),
                Standing::Running => Some(PowerState::Running),
                Standing::Suspended => Some(PowerState::Suspended),
            };
            if shown != is {
                return Err(Violation::new("S18", format!("vm {id} is {is:?} and is listed as {shown:?}")));
            }
        }
        Ok(())
    }
}

/// A domain that somebody else runs beside the daemon's.
fn stranger(world: &mut World) -> u32 {
    let pace = std::mem::replace(&mut world.config_mut().pace, Pace::Instant);
    let odds = (world.config().odd_requests, world.config().odd_processes, world.config().odd_guests);
    let config = world.config_mut();
    (config.odd_requests, config.odd_processes, config.odd_guests) = (0, 0, 0);
    let domid = 1;
    let spawn = Spawn {
        process: Handle(u64::MAX),
        role: Role::Builder,
        domid: Some(domid),
        program: "/usr/lib/xen/bin/xl".to_owned(),
        args: ["-domid", "1", "-mem_start_mib", "16"].map(str::to_owned).to_vec(),
        env: Vec::new(),
        scratch: None,
        stream: None,
    };
    let requests = [
        Request::CreateDomain(spec(STRANGER)),
        Request::Domain(domid, DomainAct::MaxVcpus(1)),
        Request::Spawn(Box::new(spawn)),
        Request::Forget(Handle(u64::MAX)),
        Request::Introduce(domid, 1, 1),
        Request::Domain(domid, DomainAct::Unpause),
    ];
    for (n, request) in requests.into_iter().enumerate() {
        let effect = xenops_core::machine::EffectId(super::step::EXTERNAL + n as u64);
        world.start_with(effect, request, crate::world::Fate::Plain);
    }
    while world.take_outcome().is_some() || world.take_notice().is_some() {}
    world.run_until(MOMENT);
    let config = world.config_mut();
    config.pace = pace;
    (config.odd_requests, config.odd_processes, config.odd_guests) = odds;
    domid
}

/// An empty domain.
pub(super) fn spec(handle: Uuid) -> DomainSpec {
    DomainSpec {
        handle,
        flavour: Flavour::Pv,
        hap: false,
        iommu: false,
        nested_virt: false,
        vpmu: false,
        ssidref: 0,
        max_vcpus: 1,
        max_grant_frames: 64,
        max_maptrack_frames: 0,
        emulation_flags: 0,
        misc_flags: 0,
    }
}
