//! A simulated host in this process: the model of `io-sim`, at the pace of the real clock.

use super::Host;
use crate::clock;
use crate::failure::Failure;
use crate::inbox::{Arrival, Inbox, Promise};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use xenops_core::host::{HostFacts, Request};
use xenops_core::machine::EffectId;
use xenops_io_sim::world::{Choices, Config, Pace, World};

/// Reads `simulated-pace`.
pub fn pace(name: &str) -> Result<Pace, Failure> {
    match name {
        "natural" => Ok(Pace::Natural),
        "instant" => Ok(Pace::Instant),
        _ => Err(Failure::configuration(format!("simulated-pace: {name:?} is not natural or instant"))),
    }
}

/// A host on which nothing goes wrong by itself, and whose clocks are the real ones.
pub fn world(pace: Pace) -> World {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let mono = clock::mono();
    let config = Config { pace, consoles: true, wall: wall.saturating_sub(mono), ..Config::default() };
    let mut world = World::new(config, Choices::nothing());
    world.run_until(mono);
    world
}

/// The host, and who waits for which answer.
pub struct Simulated {
    world: RefCell<World>,
    promises: RefCell<HashMap<EffectId, Promise>>,
    inbox: Rc<Inbox>,
}

impl Simulated {
    /// A fresh host; it ends with this value.
    pub fn new(pace: Pace, inbox: Rc<Inbox>) -> Simulated {
        Simulated { world: RefCell::new(world(pace)), promises: RefCell::default(), inbox }
    }

    fn deliver(&self, world: &mut World) {
        while let Some((effect, outcome)) = world.take_outcome() {
            if let Some(promise) = self.promises.borrow_mut().remove(&effect) {
                promise.answer(outcome);
            }
        }
        while let Some(token) = world.take_notice() {
            self.inbox.push(Arrival::Noticed(token));
        }
    }
}

impl Host for Simulated {
    fn facts(&self) -> Arc<HostFacts> {
        self.world.borrow().facts()
    }

    fn start(&self, request: Request, promise: Promise) {
        let effect = promise.effect();
        self.promises.borrow_mut().insert(effect, promise);
        let mut world = self.world.borrow_mut();
        world.start(effect, request);
        self.deliver(&mut world);
    }

    fn abort(&self, effect: EffectId) {
        let mut world = self.world.borrow_mut();
        world.abort(effect);
        self.deliver(&mut world);
    }

    fn deadline(&self) -> Option<u64> {
        self.world.borrow().next_event()
    }

    fn advance(&self, mono_ns: u64) {
        let mut world = self.world.borrow_mut();
        world.run_until(mono_ns);
        self.deliver(&mut world);
    }
}
