//! Every file of every corpus, through its target.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use xenops_fuzz::TARGETS;

#[test]
fn every_corpus_file_keeps_its_properties() {
    for (name, target) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let files: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{} is empty", corpus.display());
        for file in files {
            let data = fs::read(&file).unwrap();
            assert!(catch_unwind(|| target(&data)).is_ok(), "{} fails on {}", name, file.display());
        }
    }
}

/// A target without a binary, or a binary without a corpus, would not be noticed.
#[test]
fn targets_binaries_and_corpora_go_together() {
    let list = |folder: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let mut targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    targets.sort_unstable();
    assert_eq!(list("fuzz_targets"), targets);
    assert_eq!(list("corpus"), targets);
}
