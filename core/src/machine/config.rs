//! What a machine is opened with.

use crate::backend::Settings;
use crate::host::HostFacts;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Given once, at each start of the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Drawn at each start; instance id, UUIDs and MAC addresses come from it.
    pub entropy: [u8; 32],
    /// What the host is.
    pub facts: Arc<HostFacts>,
    /// Time-outs and switches.
    pub settings: Arc<Settings>,
    /// `worker-pool-size`: micro-ops with a request in flight at once.
    pub workers: u32,
    /// Bounds on everything that a client can grow.
    pub bounds: Bounds,
}

/// The most of each kind that is kept; over it the oldest goes, or the new one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// VMs.
    pub vms: usize,
    /// Devices of one VM, of each kind.
    pub devices: usize,
    /// Operations waiting on one VM.
    pub queued: usize,
    /// Tasks that have ended and were not destroyed; the oldest go.
    pub finished_tasks: usize,
    /// Barriers; the oldest go.
    pub barriers: usize,
    /// Calls that wait for something: events, looks, removals.
    pub open_calls: usize,
    /// Bytes of one record's text.
    pub record_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            vms: 16_384,
            devices: 1024,
            queued: 4096,
            finished_tasks: 16_384,
            barriers: 4096,
            open_calls: 4096,
            record_bytes: 1 << 20,
        }
    }
}
