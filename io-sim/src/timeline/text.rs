//! A timeline as text, in fixed columns: time, number of inputs, VM, kind, what, outcome, then what was different.

use super::fold::{stretches, summary};
use super::{Event, Timeline, seconds};
use std::fmt::Write;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Everything.
    All,
    /// Quiet stretches in one line each, and of differences a few.
    Folded,
}

/// Differences that a folded timeline shows of one event.
const FEW: usize = 4;

/// The columns, one event a line.
pub fn text(timeline: &Timeline, shown: Shown) -> String {
    let vm = timeline.vms.iter().map(String::len).max().unwrap_or(0).max("host".len());
    let mut text = format!("{:>14} {:>6}  {:vm$}  {:6}  what\n", "seconds", "input", "vm", "kind");
    for stretch in stretches(timeline) {
        let events = &timeline.events[stretch.events];
        if stretch.quiet && shown == Shown::Folded {
            let _ = writeln!(text, "{:>14} {:>6}  {:vm$}  {:6}  {}", "...", "", "", "", summary(events));
            continue;
        }
        for event in events {
            line(&mut text, timeline, event, vm, shown);
        }
    }
    text
}

fn line(text: &mut String, timeline: &Timeline, event: &Event, vm: usize, shown: Shown) {
    let (time, lane, kind) = (seconds(event.mono), timeline.name(event.lane), event.kind.word());
    let _ = write!(text, "{time:>14} {:>6}  {lane:vm$}  {kind:6}  {}", event.step, event.what);
    if !event.outcome.is_empty() {
        let _ = write!(text, " -> {}", event.outcome);
    }
    text.push('\n');
    let most = if shown == Shown::All { usize::MAX } else { FEW };
    for change in event.changes.iter().take(most) {
        let _ = writeln!(text, "{:>14} {:>6}  {:vm$}  {:6}      {change}", "", "", "", "");
    }
    if event.changes.len() > most {
        let _ =
            writeln!(text, "{:>14} {:>6}  {:vm$}  {:6}      and {} more", "", "", "", "", event.changes.len() - most);
    }
}
