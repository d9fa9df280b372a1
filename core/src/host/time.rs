//! The time that a driver tells the machine.

use serde::{Deserialize, Serialize};

/// One nanosecond count per second.
pub const SECOND: u64 = 1_000_000_000;

/// One nanosecond count per millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// A moment. Scheduling uses `mono` only; `wall` is for the wire and for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
pub struct Now {
    /// Which boot of the host this is; `mono` starts again with each.
    pub boot: u64,
    /// Nanoseconds since that boot.
    pub mono: u64,
    /// Nanoseconds since 1970 as the host's clock has them; may jump.
    pub wall: u64,
}

impl Now {
    /// Unix time in seconds, as the wire and VmExtra show it.
    pub fn unix_seconds(&self) -> f64 {
        self.wall as f64 / SECOND as f64
    }
}

/// Seconds from outside as nanoseconds; negative, not-a-number and enormous ones are brought into range.
pub fn nanoseconds(seconds: f64) -> u64 {
    const CENTURY: f64 = 3.2e9;
    if seconds.is_nan() { 0 } else { (seconds.clamp(0.0, CENTURY) * SECOND as f64) as u64 }
}
