//! Recordings that fail come down to short ones that fail in the same way; what is none, or does not fail, says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use xenops_core::host::{Fault, Outcome, Reply};
use xenops_core::machine::Input;
use xenops_core::machine::recording::Snapshot;
use xenops_io_sim::relive::file::{First, Recording};
use xenops_io_sim::relive::life::{Broken, Life};
use xenops_io_sim::relive::{build, relive};
use xenops_io_sim::run::{run, run_recorded};
use xenops_io_sim::shrink::recording::{Shrunk, shrink};
use xenops_io_sim::swarm::Profile;
use xenops_io_sim::trace::Trace;
use xenops_io_sim::world::Choices;

/// A file of one test, gone with it.
struct Kept(PathBuf);

impl Kept {
    fn new(name: &str) -> Kept {
        Kept(std::env::temp_dir().join(format!("xenops-recording-{name}-{}", std::process::id())))
    }

    fn of(name: &str, text: &str) -> Kept {
        let kept = Kept::new(name);
        fs::write(&kept.0, text).unwrap();
        kept
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Of the last daemon of a run that has a good many inputs.
fn recorded(seed: u64) -> Recording {
    let (outcome, recording) = run_recorded(seed, Choices::seeded(seed), Profile::Ci);
    assert_eq!(outcome.violation, None);
    recording
}

fn long() -> Recording {
    (0..40).map(recorded).find(|recording| recording.told.len() > 300).expect("some daemon lives long")
}

fn shrunk(recording: &Recording, name: &str) -> (Shrunk, Kept) {
    let (whole, short) = (Kept::new(name), Kept::new(&format!("{name}-short")));
    recording.keep(&whole.0).unwrap();
    let shrunk = shrink(&whole.0, None, Duration::from_secs(20)).unwrap();
    shrunk.recording.keep(&short.0).unwrap();
    (shrunk, short)
}

/// How a recording fails.
fn fails(path: &Path) -> String {
    relive(path, &mut Trace::default()).unwrap().differs.expect("it fails")
}

#[test]
fn a_run_is_recorded_as_it_goes_and_recording_changes_nothing() {
    for seed in [3, 11, 42] {
        let (outcome, recording) = run_recorded(seed, Choices::seeded(seed), Profile::Ci);
        assert_eq!(outcome.hash, run(seed, Choices::seeded(seed), Profile::Ci, Trace::default()).hash, "seed {seed}");
        let kept = Kept::new(&format!("run-{seed}"));
        recording.keep(&kept.0).unwrap();
        let relived = relive(&kept.0, &mut Trace::default()).unwrap();
        assert_eq!((relived.differs, relived.untold, relived.cut), (None, 0, false), "seed {seed}");
        assert_eq!(relived.inputs, recording.told.len() as u64, "seed {seed}");
    }
}

/// In mid-life, with a request in flight that the machine takes for another's: it panics when that ends.
fn confused(recording: &Recording) -> Option<(Recording, usize)> {
    let half = recording.told.len() / 2;
    let mut life = Life::begin(recording.first.clone()).unwrap_or_else(|broken| panic!("{broken}"));
    for (at, told) in recording.told.iter().enumerate() {
        let ends = |effect: u64| {
            let of = |input: &Input| matches!(input, Input::Done { effect: other, .. } if other.0 == effect);
            recording.told[at..].iter().position(|told| of(&told.input))
        };
        let mut machine = serde_json::to_value(life.machine()).unwrap();
        let places = machine["flights"]["places"].as_array_mut().unwrap();
        for (index, place) in places.iter_mut().enumerate().filter(|_| at > half) {
            let effect = place["turn"].as_u64().unwrap() << 32 | index as u64;
            let seat = place["value"]["owner"].get("Seat").cloned();
            let (Some(seat), Some(left)) = (seat, ends(effect)) else { continue };
            if left < 30 {
                continue;
            }
            place["value"]["owner"] = serde_json::json!({"Intent": [seat[0], null]});
            let machine = serde_json::from_value(machine).unwrap();
            let first = First::Snapshot(Box::new(Snapshot { build: build(), now: told.now, machine }));
            return Some((Recording { first, told: recording.told[at..].to_vec() }, left + 1));
        }
        life.tell(told.clone()).unwrap_or_else(|broken| panic!("{broken}"));
    }
    None
}

#[test]
fn a_panic_is_left_with_what_it_needs() {
    let (recording, at) =
        (0..200).map(recorded).find_map(|recording| confused(&recording)).expect("in some run a request takes long");
    let (shrunk, short) = shrunk(&recording, "panic");
    let Broken::Panics(text) = &shrunk.broken else { panic!("{:?}", shrunk.broken) };
    assert!(text.contains("an intent is written to begin an operation"), "{text}");
    assert_eq!((shrunk.first, shrunk.inputs()), (at, 1));
    assert!(fails(&short.0).contains("an intent is written to begin an operation"));
    // What it does on the way may change; that it does not panic is what the file is kept for.
    assert!(shrunk.recording.told.iter().all(|told| told.effects.is_none()));
}

#[test]
fn an_outcome_that_comes_twice_is_left_with_its_request() {
    let mut recording = long();
    let done = |at: &usize| matches!(recording.told[*at].input, Input::Done { .. });
    let at = (recording.told.len() / 2..).find(done).unwrap();
    let mut again = recording.told[at].clone();
    again.now = recording.told[at + 20].now;
    recording.told.insert(at + 20, again);
    let (shrunk, short) = shrunk(&recording, "twice");
    assert!(matches!(shrunk.broken, Broken::Unasked(_)), "{:?}", shrunk.broken);
    assert_eq!(shrunk.first, at + 21);
    let [.., once, twice] = &shrunk.recording.told[..] else { panic!("{} inputs are left", shrunk.inputs()) };
    assert_eq!(once.input, twice.input);
    assert!(shrunk.inputs() * 2 < shrunk.first, "{} inputs are left of {}", shrunk.inputs(), shrunk.first);
    assert!(fails(&short.0).contains("which nobody asks for now"));
}

/// Without the program that made it, what is left is still of the recording: the same effects up to the one that differs.
#[test]
fn other_effects_stay_other_effects() {
    let mut recording = long();
    let made =
        |at: &usize| matches!(recording.told[*at].input, Input::Done { outcome: Outcome::Ok(Reply::Domain(_)), .. });
    let at = (0..recording.told.len()).rfind(made).unwrap();
    if let Input::Done { outcome, .. } = &mut recording.told[at].input {
        *outcome = Outcome::Refused(Fault::TimedOut);
    }
    let (shrunk, short) = shrunk(&recording, "differs");
    let Broken::Differs(_) = &shrunk.broken else { panic!("{:?}", shrunk.broken) };
    assert!(shrunk.first == at + 1 && shrunk.inputs() < shrunk.first, "{} of {}", shrunk.inputs(), shrunk.first);
    assert!(fails(&short.0).contains("has other effects now"));
    let last = shrunk.recording.told.len() - 1;
    assert!(shrunk.recording.told[..last].iter().all(|told| told.effects.is_some()));
}

fn says(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xenops-sim")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_cannot_be_shrunk_says_why() {
    let whole = Kept::new("whole");
    recorded(3).keep(&whole.0).unwrap();
    let text = fs::read_to_string(&whole.0).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let out = Kept::new("out");
    for (name, text, why) in [
        ("empty", "", "is no recording: it is empty"),
        ("other", "Dear reader,\n", "is no recording: its first line is none of one"),
        ("cut-first", &first[..first.len() / 2], "is no recording: its first line is none of one"),
        ("late", rest, "its beginning is missing"),
        ("odd", &text.replacen(r#"{"Told""#, r#"{"Tolled""#, 1), "line 2 is none of a recording"),
        ("two", &format!("{text}{first}\n"), "two recordings are in one file"),
        ("well", &text, "shows no failure: nothing to shrink"),
        ("cut", &text[..text.len() - 9], "shows no failure as far as its last line, which is cut short"),
    ] {
        let kept = Kept::of(name, text);
        let (status, said, complained) =
            says(&["replay", "--shrink", &out.0.display().to_string(), &kept.0.display().to_string()]);
        assert_eq!((status, said.as_str()), (Some(2), ""), "{name}: {complained}");
        assert!(complained.contains(why) && complained.lines().count() == 1, "{name}: {complained}");
        assert!(!out.0.exists(), "{name}");
    }
    let same = whole.0.display().to_string();
    let (status, _, complained) = says(&["replay", "--shrink", &same, &same]);
    assert!(status == Some(2) && complained.contains("would be overwritten"), "{complained}");
}

#[test]
fn what_is_left_is_told() {
    let mut recording = recorded(3);
    let at = recording.told.iter().rposition(|told| matches!(told.input, Input::Done { .. })).unwrap();
    let again = recording.told[at].clone();
    recording.told.insert(at + 1, again);
    let (whole, short, page) = (Kept::new("tell"), Kept::new("tell-short"), Kept::new("tell.html"));
    recording.keep(&whole.0).unwrap();
    let [whole, out, html] = [&whole, &short, &page].map(|kept| kept.0.display().to_string());
    let (status, said, complained) = says(&["replay", &whole, "--shrink", &out, "--timeline", "--html", &html]);
    assert_eq!(status, Some(1), "{said}{complained}");
    let left = format!("inputs are left of {}", at + 2);
    assert!(said.contains(&left) && said.contains("nobody asks for now"), "{said}");
    assert!(said.contains(&format!("again: xenops-sim replay {out}")), "{said}");
    assert!(fs::read_to_string(&page.0).unwrap().contains(&left));
    let (status, said, _) = says(&["replay", &out]);
    assert!(status == Some(1) && said.contains("nobody asks for now"), "{said}");
}

/// What is left is a recording of the machine itself: it lives through that, and the other does not.
#[cfg(feature = "mutants")]
#[test]
fn other_effects_shrink_far_beside_who_recorded_them() {
    let (whole, short) = (Kept::new("against"), Kept::new("against-short"));
    let [from, to] = [&whole, &short].map(|kept| kept.0.display().to_string());
    let itself = env!("CARGO_BIN_EXE_xenops-sim");
    for mutant in ["canary", "extra-dropped-first", "series-goes-on"] {
        let shows = |seed: &u64| {
            recorded(*seed).keep(&whole.0).unwrap();
            says(&["replay", &from, "--mutant", mutant]).0 == Some(1)
        };
        (0..40).find(shows).expect("some recording shows it");
        let (status, said, complained) =
            says(&["replay", &from, "--mutant", mutant, "--shrink", &to, "--against", itself, "--json"]);
        assert_eq!(status, Some(1), "{mutant}: {complained}");
        let said: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        assert!(said["special"].as_u64() <= Some(25), "{mutant}: {said}");
        assert_eq!(says(&["replay", &to]).0, Some(0), "{mutant}: {said}");
        assert_eq!(says(&["replay", &to, "--mutant", mutant]).0, Some(1), "{mutant}: {said}");
    }
}
