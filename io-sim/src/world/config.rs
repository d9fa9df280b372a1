//! What a simulated host is like, and how much goes wrong on it.

use super::hypervisor::FIRST_RESERVED;
use super::pace::Pace;
use serde::{Deserialize, Serialize};
use xenops_core::host::DomId;

/// All of it. Odds say "once in so many times"; 0 is never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// KiB for guests.
    pub memory: u64,
    /// Physical CPUs.
    pub cpus: u32,
    /// The number of the first domain after a start of the host.
    pub first_domain: DomId,
    /// Domains have numbers below this: one that is free is given again.
    pub domain_numbers: DomId,
    /// How long things take.
    pub pace: Pace,
    /// But requests and notices take no time: whoever drives the host says when each comes.
    pub stepped: bool,
    /// Requests of which the daemon does not get what it hoped for.
    pub odd_requests: u32,
    /// Steps of scripts, helpers and QEMU that go wrong.
    pub odd_processes: u32,
    /// Traits of guests that are not the well-behaved ones.
    pub odd_guests: u32,
    /// Domains that stop or leave of which xenstored does not tell: the daemon finds them when it counts domains.
    pub untold_ends: u32,
    /// Loop devices that are freed and taken at once by a program that has nothing to do with guests.
    pub loop_takers: u32,
    /// Hook scripts: directory and file names.
    pub hooks: Vec<(String, Vec<String>)>,
    /// Guests say something on their consoles.
    pub consoles: bool,
    /// Paths of guests' terminals, but for the domain's number.
    pub terminals: String,
    /// Records outlive a start of the host; upstream keeps them where they do not.
    pub records_outlive_boot: bool,
    /// Nanoseconds since 1970 at the first boot.
    pub wall: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            memory: 64 * 1024 * 1024,
            cpus: 8,
            first_domain: 1,
            domain_numbers: FIRST_RESERVED,
            pace: Pace::Instant,
            stepped: false,
            odd_requests: 0,
            odd_processes: 0,
            odd_guests: 0,
            untold_ends: 0,
            loop_takers: 0,
            hooks: Vec::new(),
            consoles: false,
            terminals: "/dev/pts/".to_owned(),
            records_outlive_boot: true,
            wall: 1_795_402_078 * xenops_core::host::time::SECOND,
        }
    }
}
