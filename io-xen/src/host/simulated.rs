//! A simulated host in this process: the model of `io-sim`, at the pace of the real clock.

use super::Host;
use super::consoles::Consoles;
use crate::bell::Bell;
use crate::clock;
use crate::failure::{Failure, plain};
use crate::inbox::{Arrival, Inbox, Promise};
use smol::Async;
use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use xenops_core::host::{HostFacts, Request, Token};
use xenops_core::machine::EffectId;
use xenops_io_sim::world::{Choices, Config, Pace, World};

/// Least time between two looks at the consoles.
const PACE: Duration = Duration::from_millis(10);

/// Reads `simulated-pace`.
pub fn pace(name: &str) -> Result<Pace, Failure> {
    match name {
        "natural" => Ok(Pace::Natural),
        "instant" => Ok(Pace::Instant),
        _ => Err(Failure::configuration(format!("simulated-pace: {name:?} is not natural or instant"))),
    }
}

/// A host on which nothing goes wrong by itself, and whose clocks are the real ones. Guests have consoles where
/// these are given.
pub fn world(pace: Pace, consoles: Option<&Consoles>) -> World {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let mono = clock::mono();
    let config = Config {
        pace,
        consoles: consoles.is_some(),
        terminals: consoles.map_or(Config::default().terminals, Consoles::prefix),
        wall: wall.saturating_sub(mono),
        ..Config::default()
    };
    let mut world = World::new(config, Choices::nothing());
    world.run_until(mono);
    world
}

/// Consoles in this directory; none on a host that is to be fast.
pub fn consoles(pace: Pace, directory: &Path) -> Result<Option<Consoles>, Failure> {
    let consoles = (pace != Pace::Instant).then(|| Consoles::new(directory)).transpose();
    consoles
        .map_err(|error| Failure::new(format!("cannot make consoles in {}: {}", directory.display(), plain(&error))))
}

/// The host, and who waits for which answer.
pub struct Simulated {
    world: RefCell<World>,
    consoles: Option<RefCell<Consoles>>,
    promises: RefCell<HashMap<EffectId, Promise>>,
    inbox: Rc<Inbox>,
    // Rung when domains have come or gone, or guests may have said something that is listened to.
    stir: Bell,
}

impl Simulated {
    /// A fresh host; it ends with this value. Its guests' consoles are in this directory.
    pub fn open(pace: Pace, directory: &Path, inbox: Rc<Inbox>) -> Result<Simulated, Failure> {
        let consoles = consoles(pace, directory)?;
        let world = RefCell::new(world(pace, consoles.as_ref()));
        let consoles = consoles.map(RefCell::new);
        Ok(Simulated { world, consoles, promises: RefCell::default(), inbox, stir: Bell::default() })
    }

    fn deliver(&self, world: &mut World) {
        while let Some((effect, outcome)) = world.take_outcome() {
            if let Some(promise) = self.promises.borrow_mut().remove(&effect) {
                promise.answer(outcome);
            }
        }
        while let Some(token) = world.take_notice() {
            if token == Token::DOMAINS {
                self.stir.ring();
            }
            self.inbox.push(Arrival::Noticed(token));
        }
    }

    async fn serve(&self, consoles: &RefCell<Consoles>) -> io::Result<Infallible> {
        let ready = Async::new(consoles.borrow().ready().try_clone()?)?;
        loop {
            let stirs = async {
                self.stir.heard().await;
                Ok(())
            };
            smol::future::or(stirs, ready.readable()).await?;
            {
                let (mut world, mut consoles) = (self.world.borrow_mut(), consoles.borrow_mut());
                consoles.follow(&world);
                consoles.exchange(&mut world);
                self.deliver(&mut world);
            }
            // The driver's timer does not know of what was typed.
            self.inbox.bell().ring();
            smol::Timer::after(PACE).await;
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
        if world.next_event().is_none_or(|moment| moment > mono_ns) {
            return world.run_until(mono_ns);
        }
        world.run_until(mono_ns);
        self.deliver(&mut world);
        if self.consoles.as_ref().is_some_and(|consoles| consoles.borrow().is_attached()) {
            self.stir.ring();
        }
    }

    fn tend(&self) -> Pin<Box<dyn Future<Output = String> + '_>> {
        Box::pin(async {
            let Some(consoles) = &self.consoles else { return std::future::pending().await };
            match self.serve(consoles).await {
                Ok(never) => match never {},
                Err(error) => format!("the consoles cannot be waited for: {}", plain(&error)),
            }
        })
    }
}
