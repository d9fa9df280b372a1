//! Which events stand out, and which stretches between them are quiet enough to be folded away.

use super::{Event, Kind, Timeline, Tone};
use std::ops::Range;

/// So many events just before the end, or before a rule is broken, are never folded away.
const LAST: usize = 24;

/// Events on both sides of one that stands out are shown with it.
const AROUND: usize = 2;

/// Shorter stretches are not worth it.
const LEAST: usize = 8;

/// Events in a row, shown or folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Which.
    pub(super) events: Range<usize>,
    /// Nothing in it stands out.
    pub(super) quiet: bool,
}

/// Whether a reader wants to see it in any case.
pub(super) fn stands_out(event: &Event) -> bool {
    let unhappy = matches!(event.tone, Tone::Badly | Tone::Unsure);
    event.kind.is_rule() || matches!(event.kind, Kind::Call | Kind::Ended | Kind::Domain | Kind::Abort) || unhappy
}

/// All events in stretches, in order.
pub(super) fn stretches(timeline: &Timeline) -> Vec<Stretch> {
    let count = timeline.events.len();
    let end = timeline.broken().map_or(count, |broken| broken + 1);
    let mut shown = vec![false; count];
    shown[end.saturating_sub(LAST)..end].fill(true);
    for (at, _) in timeline.events.iter().enumerate().filter(|(_, event)| stands_out(event)) {
        shown[at.saturating_sub(AROUND)..(at + AROUND + 1).min(count)].fill(true);
    }
    let mut all: Vec<Stretch> = Vec::new();
    let mut at = 0;
    for run in shown.chunk_by(|one, other| one == other) {
        let events = at..at + run.len();
        at = events.end;
        let quiet = !run[0] && run.len() >= LEAST;
        match all.last_mut().filter(|last| !last.quiet && !quiet) {
            Some(last) => last.events.end = events.end,
            None => all.push(Stretch { events, quiet }),
        }
    }
    all
}

/// What a quiet stretch was about.
pub(super) fn summary(events: &[Event]) -> String {
    let count = |kind| events.iter().filter(|event| event.kind == kind).count();
    let some = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let parts = [
        some(count(Kind::Ask), "requests asked"),
        some(count(Kind::Done), "answered well"),
        some(count(Kind::Notice), "notices"),
        some(count(Kind::Time), "times nothing but time passed"),
    ];
    let told: Vec<String> = parts.into_iter().flatten().collect();
    let told = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
    format!("{} events in which nothing went wrong{told}", events.len())
}
