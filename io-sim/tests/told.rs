//! A run is told as it happened, and telling changes nothing; a page needs nothing else; lines of JSON parse.

use std::path::PathBuf;
use std::process::Command;
use xenops_io_sim::explore::replay::replay;
use xenops_io_sim::explore::scope::{Budget, Op, Scope};
use xenops_io_sim::fleet::Guest;
use xenops_io_sim::run::{Outcome, run};
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::timeline::html::{About, page};
use xenops_io_sim::timeline::text::{Shown, text};
use xenops_io_sim::timeline::{Kind, Timeline};
use xenops_io_sim::trace::Trace;
use xenops_io_sim::world::{Choices, Tape};

fn told(choices: Choices, seed: u64) -> (Outcome, Timeline) {
    let mut outcome = run(seed, choices, Profile::Ci, Trace::telling());
    let timeline = outcome.told.take().expect("it was wanted");
    (outcome, timeline)
}

/// The shortest run: one VM, nothing goes wrong, two operations.
fn shortest() -> (Outcome, Timeline) {
    told(Choices::taped(Tape { operations: Some(2), ..Tape::default() }), 0)
}

#[test]
fn telling_changes_nothing() {
    for seed in [3, 11, 42] {
        let (outcome, timeline) = told(Choices::seeded(seed), seed);
        let untold = run(seed, Choices::seeded(seed), Profile::Ci, Trace::default());
        assert_eq!((outcome.hash, outcome.tape), (untold.hash, untold.tape), "seed {seed}");
        assert!(untold.told.is_none() && timeline.events.len() as u64 > outcome.requests, "seed {seed}");
        let asked = timeline.bars.iter().filter(|bar| !bar.task).count() as u64;
        assert_eq!(asked, outcome.requests, "seed {seed}: each request is a bar");
    }
}

// The words may change: look at what is different, then write it anew with XENOPS_WRITE=1.
#[test]
fn the_shortest_run_is_told_in_columns() {
    let (outcome, timeline) = shortest();
    assert_eq!(outcome.violation, None);
    let told = text(&timeline, Shown::Folded);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/shortest.timeline");
    if std::env::var_os("XENOPS_WRITE").is_some() {
        std::fs::write(&path, &told).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let differs = told.lines().zip(expected.lines()).find(|(told, expected)| told != expected);
    assert!(told == expected, "the first line that differs: {differs:#?}\n{told}");
}

#[test]
fn every_event_has_a_line_and_what_was_begun_is_ended() {
    let (_, timeline) = shortest();
    let lines = text(&timeline, Shown::All);
    for event in &timeline.events {
        assert!(lines.contains(&event.what), "{}", event.what);
    }
    for bar in timeline.bars.iter().filter(|bar| bar.task) {
        assert!(bar.to.is_some(), "{}", bar.what);
    }
    let kinds = [Kind::Call, Kind::Ended, Kind::Ask, Kind::Done, Kind::Notice, Kind::Domain, Kind::Start, Kind::Rest];
    for kind in kinds {
        assert!(timeline.events.iter().any(|event| event.kind == kind), "{kind:?}");
    }
    let changed =
        |what: &str| timeline.events.iter().any(|event| event.changes.iter().any(|change| change.contains(what)));
    for what in ["+ domain ", "- domain ", "+ record VM/vm0/config", "- record VM/vm0/config", "/local/domain/"] {
        assert!(changed(what), "{what}");
    }
}

#[test]
fn a_page_needs_nothing_else_and_has_each_event() {
    let seed = 42;
    let (outcome, timeline) = told(Choices::seeded(seed), seed);
    let about = About {
        run: format!("seed {seed}"),
        violation: outcome.violation,
        mutant: Some("a <breakage> & more".to_owned()),
        again: "xenops-sim replay".to_owned(),
        found: vec!["found \"somewhere\"".to_owned()],
    };
    let page = page(&timeline, &about);
    for outside in ["http://", "https://", " src=", "@import", "url(", "<link", "<breakage>"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for at in 0..timeline.events.len() {
        assert_eq!(page.matches(&format!("id=\"e{at}\"")).count(), 1, "event {at}");
    }
    let begins = page.find("<script type=\"application/json\" id=\"data\">").expect("what is drawn");
    let data = &page[begins..];
    let data = &data[data.find('>').unwrap() + 1..data.find("</script>").unwrap()];
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["events"].as_array().unwrap().len(), timeline.events.len());
    assert_eq!(data["bars"].as_array().unwrap().len(), timeline.bars.len());
    let folded: u64 = data["stretches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part[1].as_u64().unwrap() - part[0].as_u64().unwrap())
        .sum();
    assert_eq!(folded, timeline.events.len() as u64, "each event is in one stretch");
}

#[test]
fn an_exploration_is_told() {
    let budget = Budget { crashes: 1, faults: 0, cancels: 0, guests: 0, all: 1 };
    let ops = vec![Op::named("start").unwrap()];
    let scope = Scope { vms: 1, guest: Guest::Pv, ops, budget, reboots: false, unreduced: false };
    // The first crash that there is, some way into the start.
    let told = (1..6).find_map(|choice| {
        let choices = [vec![0; 12], vec![choice]].concat();
        let (mut trace, violation) = replay(&scope, &choices, Trace::telling());
        let timeline = trace.told().filter(|_| violation.is_none())?;
        timeline.events.iter().any(|event| event.kind == Kind::Fault).then_some(timeline)
    });
    let timeline = told.expect("the daemon is killed");
    let lost = timeline.bars.iter().filter(|bar| bar.outcome == "lost with the daemon").count();
    assert!(lost > 0 && timeline.events.iter().filter(|event| event.kind == Kind::Start).count() == 2);
}

fn lines(args: &[&str]) -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_xenops-sim")).args(args).output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("it says a text");
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[test]
fn runs_and_explorations_report_lines_of_json() {
    let run = lines(&["run", "--seeds", "0..12", "--shard", "1/3", "--json", "--threads", "1"]);
    let sums = run.last().unwrap();
    assert_eq!((sums["seeds"].as_u64(), sums["violations"].as_u64()), (Some(4), Some(0)));
    assert_eq!(sums["hash"].as_str().unwrap().len(), 16);
    for key in ["requests", "lifetimes", "seconds", "sometimes", "operations", "faults", "blind"] {
        assert!(!sums[key].is_null(), "{key}");
    }
    let explored = lines(&["explore", "--ops", "pause", "--crashes", "1", "--json"]);
    assert_eq!(explored.last().unwrap()["complete"], true);
}
