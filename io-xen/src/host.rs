//! Hosts that the daemon can drive.

pub mod absent;
#[cfg(feature = "simulated")]
pub mod audit;
#[cfg(feature = "simulated")]
pub mod consoles;
#[cfg(feature = "simulated")]
pub mod frames;
#[cfg(feature = "simulated")]
pub mod process;
#[cfg(feature = "simulated")]
pub mod remote;
#[cfg(feature = "simulated")]
pub mod simulated;
pub mod xen;

use crate::config::{Choice, Config};
use crate::failure::Failure;
use crate::inbox::{Inbox, Promise};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use xenops_core::host::{HostFacts, Request};
use xenops_core::machine::EffectId;

/// A host, to the driver. It answers each request by its promise, at once or later, and puts what it notices into
/// the inbox that it was made with.
pub trait Host {
    /// What it is.
    fn facts(&self) -> Arc<HostFacts>;

    /// Starts a request.
    fn start(&self, request: Request, promise: Promise);

    /// Asks a request to end soon; it is answered nonetheless. One that is unknown or over is fine.
    fn abort(&self, effect: EffectId);

    /// When something will happen on it by itself, in monotonic nanoseconds, if it is the driver who must let it.
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// Lets happen what happens until that moment.
    fn advance(&self, _mono_ns: u64) {}

    /// Does what it must do beside; ends, with the reason, only when the host has gone.
    fn tend(&self) -> Pin<Box<dyn Future<Output = String> + '_>> {
        Box::pin(std::future::pending())
    }
}

/// Opens a host that was found.
pub type Opener = Box<dyn FnOnce(Rc<Inbox>) -> Result<Box<dyn Host>, Failure>>;

/// Finds the host to drive; it is opened later, when everything else is ready.
pub fn find(config: &Config) -> Result<Opener, Failure> {
    match config.host.clone() {
        Choice::Xen => {
            absent::check()?;
            let settings = xen::Settings::of(config);
            Ok(Box::new(move |inbox| Ok(Box::new(xen::Xen::open(&settings, inbox)?))))
        }
        #[cfg(feature = "simulated")]
        Choice::Simulated => {
            let pace = simulated::pace(&config.pace)?;
            let directory = config.sockets.clone();
            Ok(Box::new(move |inbox| Ok(Box::new(simulated::Simulated::open(pace, &directory, inbox)?))))
        }
        #[cfg(feature = "simulated")]
        Choice::SimulatedAt(directory) => {
            let pace = config.pace.clone();
            simulated::pace(&pace)?;
            Ok(Box::new(move |inbox| Ok(Box::new(remote::Remote::join(&directory, &pace, inbox)?))))
        }
        #[cfg(not(feature = "simulated"))]
        Choice::Simulated | Choice::SimulatedAt(_) => {
            let text = "host: this xenopsd was built without simulated hosts; build it with the feature \"simulated\"";
            Err(Failure::configuration(text))
        }
    }
}
