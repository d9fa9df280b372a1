//! How long things may take, and what may begin at all.
//!
//! Bounds are of virtual time. Where nothing has gone wrong yet they are near what is needed; where something has, only
//! what no trouble of others may hold up is bounded.

use super::{Checked, Violation};
use crate::action::Action::{self, *};
use crate::ledger::Key;
use std::collections::BTreeMap;
use xenops_core::host::time::SECOND;

/// A question is answered from what is known, or after looks; each of their requests may take its time.
const QUESTION: u64 = 150 * SECOND;

/// What was cancelled ends, and so does a hard power-off, which cancels what is in its way.
const CANCELLED: u64 = 28 * SECOND;
const POWEROFF: u64 = 60 * SECOND;

/// An operation that waits for no guest, of a VM of which nothing else is asked, whatever others wait for.
const SWIFT: u64 = 70 * SECOND;

/// A task of one step, with all that may go wrong: storage that hangs, a disk that is slow, notices that are lost for long.
const STEP: u64 = 4000 * SECOND;

/// Something that was asked for.
#[derive(Clone, Copy, Debug)]
struct Since {
    action: Action,
    asked: u64,
    cancelled: Option<u64>,
    /// Nothing else was asked of its VM.
    alone: bool,
    /// Nothing had gone wrong.
    calm: bool,
    /// The worker pool is none, and has been since it was asked for.
    no_pool: bool,
    /// Its intent could not be written.
    refused: bool,
}

/// What has been asked for and has not ended.
#[derive(Clone, Debug, Default)]
pub struct Haste {
    since: BTreeMap<Key, Since>,
    /// Something has gone wrong that may take time.
    pub troubled: bool,
    no_pool: bool,
    /// Nobody is held to it.
    off: bool,
}

fn is_swift(action: Action) -> bool {
    matches!(action, VmStart | VmResume | VmPause | VmUnpause | VmShutdownHard | VmRunScript | VmSetXsdata | VmDestroy)
}

fn is_one_step(action: Action) -> bool {
    matches!(action, VmPause | VmUnpause | VmCreate | VmBuild | VmCreateDeviceModel | VmSetXsdata | VmRequestRdp)
}

fn needs_pool(action: Action) -> bool {
    is_swift(action) && action != VmShutdownHard
}

impl Haste {
    /// Of a run in which something may go wrong at any time, or not before it is said.
    pub fn new(troubled: bool) -> Haste {
        Haste { troubled, ..Haste::default() }
    }

    /// The same, where anybody is held to it.
    pub fn only(self, strict: bool) -> Haste {
        Haste { off: !strict, ..self }
    }

    /// It is under way.
    pub fn asked(&mut self, key: Key, action: Action, alone: bool, mono: u64) {
        if self.off {
            return;
        }
        let (calm, no_pool) = (!self.troubled, self.no_pool);
        self.since.insert(key, Since { action, asked: mono, cancelled: None, alone, calm, no_pool, refused: false });
    }

    /// It is to be cancelled.
    pub fn cancelled(&mut self, key: Key, mono: u64) {
        if let Some(since) = self.since.get_mut(&key) {
            since.cancelled.get_or_insert(mono);
        }
    }

    /// The intent of what was asked for could not be written.
    pub fn refused(&mut self, key: Key) {
        if let Some(since) = self.since.get_mut(&key) {
            since.refused = true;
        }
    }

    /// The worker pool has this size from now on.
    pub fn pool(&mut self, size: u32) {
        self.no_pool = size == 0;
        if size > 0 {
            self.since.values_mut().for_each(|since| since.no_pool = false);
        }
    }

    /// The daemon has gone, and what it was asked for with it.
    pub fn crashed(&mut self) {
        self.since.clear();
        self.no_pool = false;
    }

    /// A question was answered that was asked then.
    pub fn answered(&self, asked: u64, mono: u64) -> Checked {
        if self.off {
            return Ok(());
        }
        within(mono - asked, QUESTION, "law 12", || "a question was answered".to_owned())
    }

    /// Something has ended; `lost`: its cancellation came too late.
    pub fn ended(&mut self, key: Key, well: bool, lost: bool, mono: u64) -> Checked {
        let Some(since) = self.since.remove(&key) else { return Ok(()) };
        let Since { action, asked, cancelled, alone, calm, no_pool, refused } = since;
        let (age, name) = (mono - asked, action.name());
        if well && no_pool && needs_pool(action) {
            return Err(Violation::new("H66", format!("{name} went well, and there was no worker for it")));
        }
        if well && refused {
            return Err(Violation::new("H69", format!("{name} went well though its intent could not be written")));
        }
        if alone && is_one_step(action) {
            within(age, STEP, "L1", || format!("{name} has ended"))?;
        }
        if !calm || self.troubled {
            return Ok(());
        }
        if let Some(cancelled) = cancelled.filter(|_| !lost) {
            within(mono - cancelled, CANCELLED, "L2", || format!("{name} has ended after its cancellation"))?;
        }
        if action == VmShutdownHard {
            within(age, POWEROFF, "law 11", || format!("{name} has ended"))?;
        }
        if alone && is_swift(action) {
            within(age, SWIFT, "L7", || format!("{name} has ended, of a vm of which nothing else was asked,"))?;
        }
        Ok(())
    }
}

fn within(took: u64, most: u64, rule: &'static str, what: impl FnOnce() -> String) -> Checked {
    if took <= most {
        return Ok(());
    }
    Err(Violation::new(rule, format!("{} only after {} s", what(), took / SECOND)))
}
