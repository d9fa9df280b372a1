//! The driver: what comes in goes to the machine, what comes out is done.

use crate::bell::Bell;
use crate::clients::{Client, Clients};
use crate::clock::{self, Clock};
use crate::database::{Append, Database};
use crate::host::Host;
use crate::inbox::{Arrival, Inbox, Promise};
use crate::last_words;
use crate::log;
use crate::recorder::Recorder;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use xenops_core::host::{Entry, Fault, Now, Outcome, Request};
use xenops_core::interface::Call;
use xenops_core::machine::effect::straggler_token;
use xenops_core::machine::recording::{Line, Opened, Snapshot, Told, hash};
use xenops_core::machine::{CallId, ClientId, Config, Effect, EffectId, Effects, Flights, Input, Landing, Machine};
use xenops_core::wire::{Connection, Incoming};

/// Arrivals handled in one turn: their records share one sync, and nobody else is heard meanwhile.
const TURN: usize = 128;

/// Drives a machine. Every task of the daemon shares it; all are on one thread.
pub struct Driver {
    clock: Clock,
    inbox: Rc<Inbox>,
    host: Box<dyn Host>,
    database: Database,
    decider: RefCell<Decider>,
    clients: RefCell<Clients>,
    // When `run` wakes up by itself.
    armed: Cell<u64>,
    closing: Cell<bool>,
    stop: Bell,
    // Changes that may still be asked of the host.
    changes_left: Cell<Option<u64>>,
}

/// What a driver begins with, beside what it drives.
pub struct Start {
    /// The machine's.
    pub config: Config,
    /// The records.
    pub records: Vec<Entry>,
    /// The change before which it ends, counted from the first.
    pub stop_at: Option<u64>,
    /// Where the machine's inputs go.
    pub recorder: Option<Recorder>,
}

struct Decider {
    machine: Machine,
    effects: Effects,
    flights: Flights,
    appends: Vec<Append>,
    recorder: Option<Recorder>,
}

impl Driver {
    /// Opens the machine on these records.
    pub fn open(start: Start, clock: Clock, host: Box<dyn Host>, inbox: Rc<Inbox>, database: Database) -> Driver {
        let Start { config, records, stop_at, recorder } = start;
        let decider = Decider::open(config, clock.now(), records, recorder);
        let driver = Driver {
            clock,
            inbox,
            host,
            database,
            decider: RefCell::new(decider),
            clients: RefCell::default(),
            armed: Cell::new(u64::MAX),
            closing: Cell::new(false),
            stop: Bell::default(),
            changes_left: Cell::new(stop_at),
        };
        driver.carry_out(&mut driver.decider.borrow_mut());
        driver
    }

    /// Turns for ever: when something has arrived, and when it is time.
    pub async fn run(&self) {
        loop {
            if self.turn() {
                smol::future::yield_now().await;
                continue;
            }
            let deadline = self.deadline();
            self.armed.set(deadline.unwrap_or(u64::MAX));
            let time = async {
                match deadline {
                    Some(moment) => drop(smol::Timer::after(clock::until(moment)).await),
                    None => smol::future::pending().await,
                }
            };
            smol::future::or(self.inbox.bell().heard(), time).await;
        }
    }

    /// Handles what has arrived and what is due, as much as fits one turn. Whether more is left.
    fn turn(&self) -> bool {
        self.inbox.attend(true);
        let now = self.clock.now();
        self.host.advance(now.mono);
        let mut decider = self.decider.borrow_mut();
        self.tick(&mut decider, now);
        for _ in 0..TURN {
            let Some(arrival) = self.inbox.pop() else { break };
            if let Some(input) = decider.input(arrival) {
                decider.handle(now, input);
                self.carry_out(&mut decider);
            }
        }
        if let Some(recorder) = &mut decider.recorder {
            recorder.flush();
        }
        if !decider.appends.is_empty() {
            self.database.append(std::mem::take(&mut decider.appends));
        }
        drop(decider);
        self.inbox.attend(false);
        !self.inbox.is_empty()
    }

    fn tick(&self, decider: &mut Decider, now: Now) {
        while let Some(effect) = decider.flights.overdue(now.mono) {
            log::warning("driver", format_args!("request {effect} has not ended by its deadline"));
            let outcome = Outcome::Unknown(Fault::TimedOut);
            decider.handle(now, Input::Done { effect, outcome });
            self.carry_out(decider);
        }
        if decider.machine.deadline().is_some_and(|deadline| deadline <= now.mono) {
            decider.handle(now, Input::Tick);
            self.carry_out(decider);
        }
    }

    fn carry_out(&self, decider: &mut Decider) {
        let Decider { effects, flights, appends, .. } = decider;
        for effect in effects.drain(..) {
            match effect {
                Effect::Do { effect, request, deadline } => {
                    flights.depart(effect, deadline);
                    let promise = Promise::new(effect, self.inbox.clone());
                    match request {
                        Request::Append(entries) => appends.push((promise, entries)),
                        request => {
                            self.count(&request);
                            self.host.start(request, promise);
                        }
                    }
                }
                Effect::Abort { effect, deadline } => {
                    flights.hasten(effect, deadline);
                    self.host.abort(effect);
                }
                Effect::Reply { call, reply } => self.clients.borrow_mut().reply(call, &reply),
            }
        }
    }

    fn count(&self, request: &Request) {
        let Some(left) = self.changes_left.get().filter(|_| !request.is_read_only()) else { return };
        if left == 1 {
            log::critical("driver", format_args!("stops before {request:?}, as debug-stop-at-request says"));
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        self.changes_left.set(Some(left - 1));
    }

    fn deadline(&self) -> Option<u64> {
        let decider = self.decider.borrow();
        let deadlines = [decider.machine.deadline(), decider.flights.next(), self.host.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Takes a new client.
    pub fn connect(&self, connection: Connection) -> Rc<Client> {
        self.clients.borrow_mut().add(connection)
    }

    /// Lets the machine handle these calls of a client now. What can be answered at once is, when this returns.
    pub fn call(&self, client: ClientId, calls: impl IntoIterator<Item = Incoming>) {
        self.inbox.attend(true);
        for Incoming { id, request } in calls {
            // Upstream ends without a word.
            if matches!(request.call, Call::DebugShutdown) {
                log::info("driver", format_args!("DEBUG.shutdown from client {client}"));
                self.stop.ring();
                continue;
            }
            let call: CallId = self.clients.borrow_mut().open(client, id);
            self.inbox.push(Arrival::Call(call, client, request));
        }
        let more = self.turn();
        if more || self.deadline().is_some_and(|deadline| deadline < self.armed.get()) {
            self.inbox.bell().ring();
        }
    }

    /// A client has gone.
    pub fn hang_up(&self, client: ClientId) {
        self.clients.borrow_mut().remove(client);
        self.inbox.push(Arrival::Hangup(client));
    }

    /// The clients.
    pub fn clients(&self) -> &RefCell<Clients> {
        &self.clients
    }

    /// The host.
    pub fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// The records' place.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Waits until a client asks the daemon to end.
    pub async fn stop_asked(&self) {
        self.stop.heard().await;
    }

    /// Whether calls are taken.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Takes no more calls, and waits until no request is in flight.
    pub async fn drain(&self) {
        self.closing.set(true);
        while self.decider.borrow().flights.next().is_some() || !self.inbox.is_empty() {
            smol::Timer::after(Duration::from_millis(10)).await;
        }
    }
}

impl Decider {
    fn open(config: Config, now: Now, records: Vec<Entry>, recorder: Option<Recorder>) -> Decider {
        let (mut effects, flights, appends) = (Effects::new(), Flights::default(), Vec::new());
        let Some(mut recorder) = recorder else {
            let machine = Machine::open(config, now, records, &mut effects);
            return Decider { machine, effects, flights, appends, recorder: None };
        };
        let (build, given) = (crate::recorder::build(), (config.clone(), records.clone()));
        let machine = last_words::heard(|| Machine::open(config, now, records, &mut effects));
        let ((config, records), effects_hash) = (given, machine.is_some().then(|| hash(&effects)));
        recorder.add(&Line::Opened(Box::new(Opened { build, config, now, records, effects: effects_hash })));
        recorder.flush();
        let Some(machine) = machine else { std::process::abort() };
        Decider { machine, effects, flights, appends, recorder: Some(recorder) }
    }

    fn handle(&mut self, now: Now, input: Input) {
        if !self.lives_on(now, input) {
            std::process::abort();
        }
    }

    /// Tells the machine, and records it; `false` if the machine panics. Then that it was told is on record.
    fn lives_on(&mut self, now: Now, input: Input) -> bool {
        let Decider { machine, effects, recorder, .. } = self;
        let Some(recorder) = recorder else {
            machine.handle(now, input, effects);
            return true;
        };
        let told = input.clone();
        let handled = last_words::heard(|| machine.handle(now, input, effects));
        let hash = handled.map(|()| hash(effects));
        recorder.add(&Line::Told(Box::new(Told { now, input: told, effects: hash })));
        if handled.is_none() {
            recorder.flush();
            return false;
        }
        if recorder.is_full() {
            let snapshot = Snapshot::of(&self.machine, crate::recorder::build());
            recorder.go_on(&Line::Snapshot(Box::new(snapshot)));
        }
        true
    }

    fn input(&mut self, arrival: Arrival) -> Option<Input> {
        Some(match arrival {
            Arrival::Call(call, client, request) => Input::Call { call, client, request },
            Arrival::Hangup(client) => Input::Hangup { client },
            Arrival::Answered(effect, outcome) => self.answered(effect, outcome)?,
            Arrival::Noticed(token) => Input::Noticed { token },
            Arrival::Everything => Input::Everything,
        })
    }

    fn answered(&mut self, effect: EffectId, outcome: Outcome) -> Option<Input> {
        match self.flights.land(effect) {
            Some(Landing::InTime) => Some(Input::Done { effect, outcome }),
            Some(Landing::Late) => {
                log::info("driver", format_args!("request {effect} has ended after all: {outcome:?}"));
                Some(Input::Noticed { token: straggler_token(effect) })
            }
            // A host that answers twice: the first answer stands.
            None => {
                log::error("driver", format_args!("request {effect} was answered twice, now: {outcome:?}"));
                None
            }
        }
    }
}

#[cfg(all(test, feature = "simulated"))]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use xenops_core::backend::Settings;
    use xenops_core::machine::Bounds;
    use xenops_core::machine::recording::Replay;
    use xenops_io_sim::world::{Choices, Config as Host, World};

    /// A machine that has one name too many for its VMs, which it asserts that it has not after each input.
    fn broken(machine: &Machine) -> Machine {
        let mut all = serde_json::to_value(machine).expect("it is plain data");
        all["by_id"]["00000000-0000-0000-0000-000000000007"] = 7.into();
        serde_json::from_value(all).expect("it is a machine")
    }

    // In `lives_on`, call `handle` without `heard`; or do not flush.
    #[test]
    fn what_a_machine_panics_at_is_on_record() {
        let scratch = Scratch::new("last-words");
        let path = scratch.path().join("recording");
        let recorder = Recorder::begin(&path, 1 << 20).expect("it can be made");
        let config = Config {
            entropy: [7; 32],
            facts: World::new(Host::default(), Choices::nothing()).facts(),
            settings: std::sync::Arc::new(Settings::default()),
            workers: 4,
            bounds: Bounds::default(),
        };
        let now = Now { boot: 1, mono: 1, wall: 1 };
        let mut decider = Decider::open(config, now, Vec::new(), Some(recorder));
        decider.effects.clear();
        assert!(decider.lives_on(now, Input::Everything));
        decider.machine = broken(&decider.machine);
        assert!(!decider.lives_on(now, Input::Tick));

        let text = std::fs::read_to_string(&path).expect("it can be read");
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        let [Line::Opened(opened), Line::Told(first), Line::Told(last)] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&last.input, last.effects), (&Input::Tick, None));
        let (mut replay, begins) = Replay::open((**opened).clone());
        assert_eq!((begins, replay.tell((**first).clone())), (Ok(()), Ok(())));
        // This machine is not broken: what came of the input was never recorded, and nothing is compared.
        assert_eq!(replay.tell((**last).clone()), Ok(()));
    }
}
