//! The host's memory.

use serde::{Deserialize, Serialize};

/// Sizes in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// Free now.
    pub free: u64,
    /// Being scrubbed, free soon.
    pub scrub: u64,
}
