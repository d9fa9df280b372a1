//! Moments at which something must be thought of again.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a moment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Alarm {
    /// A VM may be looked at again.
    Look(u64),
    /// A task has had its time.
    Expire(u64),
    /// A call has waited long enough.
    Call(u64),
    /// The list of domains may be asked for again.
    Domains,
}

/// By which an alarm is taken back: its moment, and the count of alarms before it.
pub(crate) type AlarmKey = (u64, u64);

/// Moments in order; those of one moment in the order they were set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Timers {
    #[serde(with = "super::listed")]
    alarms: BTreeMap<AlarmKey, Alarm>,
    set: u64,
}

impl Timers {
    /// Ring at `mono`.
    pub(crate) fn set(&mut self, mono: u64, alarm: Alarm) -> AlarmKey {
        self.set += 1;
        self.alarms.insert((mono, self.set), alarm);
        (mono, self.set)
    }

    /// Do not ring; one that has rung already is fine.
    pub(crate) fn cancel(&mut self, key: Option<AlarmKey>) {
        if let Some(key) = key {
            self.alarms.remove(&key);
        }
    }

    /// The next moment.
    pub(crate) fn next(&self) -> Option<u64> {
        self.alarms.first_key_value().map(|((mono, _), _)| *mono)
    }

    /// One alarm whose moment has come.
    pub(crate) fn due(&mut self, mono: u64) -> Option<Alarm> {
        if self.next()? > mono {
            return None;
        }
        self.alarms.pop_first().map(|(_, alarm)| alarm)
    }

    /// All of them, by moment.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Alarm)> {
        self.alarms.iter().map(|((at, _), alarm)| (*at, alarm))
    }

    /// All of them: seconds from now, rounded up, and what for.
    pub(crate) fn dump(&self, mono: u64) -> Vec<(u64, String)> {
        let until = |at: u64| at.saturating_sub(mono).div_ceil(1_000_000_000);
        self.alarms.iter().map(|((at, _), alarm)| (until(*at), format!("{alarm:?}"))).collect()
    }
}
