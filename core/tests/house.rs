//! The house rules that a look at the source can settle, over all crates of the workspace.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                into.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for dir in ["core/src", "core/tests", "io-xen/src", "io-sim/src", "fuzz/src", "benches/src"] {
        walk(&root.join(dir), &mut files);
    }
    assert!(files.len() > 80, "the walk finds the house");
    files
}

fn none(found: Vec<String>) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//!"));
    none(silent.map(|(path, _)| path.display().to_string()).collect());
}

#[test]
fn no_file_is_longer_than_800_lines_and_half_are_shorter_than_250() {
    let mut lengths: Vec<_> = sources().into_iter().map(|(path, text)| (text.lines().count(), path)).collect();
    lengths.sort();
    let median = lengths[lengths.len() / 2].0;
    assert!(median < 250, "median length is {median}");
    none(lengths.into_iter().filter(|(n, _)| *n > 800).map(|(n, path)| format!("{n} {}", path.display())).collect());
}

#[test]
fn nothing_is_left_undone() {
    let words = ["todo!(", "unimplemented!(", "#[ignore", "FIXME", "XXX"];
    let found = sources().into_iter().filter(|(path, _)| !path.ends_with("house.rs")).flat_map(|(path, text)| {
        let hits = words.iter().filter(|word| text.contains(**word));
        hits.map(|word| format!("{word} in {}", path.display())).collect::<Vec<_>>()
    });
    none(found.collect());
}
