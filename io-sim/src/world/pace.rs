//! How long things take on a simulated host.

use super::choice::{Choices, Concern};
use serde::{Deserialize, Serialize};
use xenops_core::host::time::{MILLISECOND, SECOND};

/// Where durations come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// Everything at once.
    #[default]
    Instant,
    /// As on a real host, always the same.
    Natural,
    /// Chosen each time: nothing, or a tenth, all or thirty times of what is natural.
    Drawn,
}

/// Something that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// A request's way to its effect, or the answer's way back.
    Request,
    /// A kernel or guest driver's turn.
    Driver,
    /// A step of a script or a hook.
    Script,
    /// A step of the guest helper or a boot loader.
    Helper,
    /// QEMU's start.
    Qemu,
    /// The end of a process that was told to end.
    Kill,
    /// Giving back a domain's memory.
    Destroy,
    /// Scrubbing it.
    Scrub,
    /// A guest's start.
    Boot,
    /// A guest's answer.
    Answer,
    /// A guest's own shutdown.
    Shutdown,
    /// A guest's whim, from its start.
    Whim,
}

impl Takes {
    fn natural(self) -> u64 {
        match self {
            Takes::Request => MILLISECOND / 5,
            Takes::Driver => 4 * MILLISECOND,
            Takes::Script => 60 * MILLISECOND,
            Takes::Helper => 250 * MILLISECOND,
            Takes::Qemu => 400 * MILLISECOND,
            Takes::Kill => 100 * MILLISECOND,
            Takes::Destroy => 120 * MILLISECOND,
            Takes::Scrub => 300 * MILLISECOND,
            Takes::Boot => 1200 * MILLISECOND,
            Takes::Answer => 20 * MILLISECOND,
            Takes::Shutdown => 800 * MILLISECOND,
            Takes::Whim => 10 * SECOND,
        }
    }
}

impl Pace {
    /// Nanoseconds.
    pub(super) fn draw(self, takes: Takes, choices: &mut Choices) -> u64 {
        match self {
            Pace::Instant => 0,
            Pace::Natural => takes.natural(),
            Pace::Drawn => match choices.choose(Concern::Latency, 8) {
                0..=3 => 0,
                4 | 5 => takes.natural() / 10,
                6 => takes.natural(),
                _ => takes.natural() * 30,
            },
        }
    }
}
