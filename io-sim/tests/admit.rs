//! What real Xen 4.17 said when a daemon started a PV guest with a disk and a NIC and shut it down, offered to the model.
//!
//! A transcript holds what was asked as well, so that it stays true of real Xen when the machine comes to ask otherwise.
//! Recordings have replies only, and are lived through where they are made, under the commit that made them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use xenops_io_sim::admit::{Admitted, admit};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pv-life.transcript")
}

fn changed(name: &str, change: impl Fn(&str) -> String) -> Admitted {
    let lines: Vec<String> = fs::read_to_string(kept()).unwrap().lines().map(change).collect();
    let path = std::env::temp_dir().join(format!("xenops-admit-{name}-{}", std::process::id()));
    fs::write(&path, lines.join("\n")).unwrap();
    let admitted = admit(&path);
    fs::remove_file(&path).unwrap();
    admitted.unwrap()
}

#[test]
fn the_model_admits_what_real_xen_said() {
    let admitted = admit(&kept()).unwrap();
    assert_eq!(admitted.refused, Vec::<String>::new());
    let (asked, equal, not) = admitted.table.total();
    assert!(asked > 100 && equal * 2 > asked && not == 0, "{}", admitted.table);
    assert_eq!(admitted.ends, None);
}

// `xl destroy` of a domain that the daemon has made: it dies for a while before it goes. Fails when `Admission::domain`
// has no `killer`.
#[test]
fn the_model_admits_that_somebody_else_destroys_a_domain() {
    let admitted = admit(&kept().with_file_name("foreign-destroy.transcript")).unwrap();
    assert_eq!(admitted.refused, Vec::<String>::new());
}

// Fails when `differs` explains what only the daemon writes.
#[test]
fn what_nobody_but_the_daemon_writes_is_as_it_wrote_it() {
    let admitted = changed("disk", |line| match line.contains("\"Said\"") {
        true => line.replace("/tmp/vm/g2.img", "/tmp/vm/other.img"),
        false => line.to_owned(),
    });
    assert!(admitted.refused.iter().any(|why| why.contains("/params is Some(\"/tmp/vm/other.img\")")));
    assert!(admitted.table.share() > 0.0);
}

// Fails when the keys that a back end may have are not those that the model's have.
#[test]
fn a_back_end_has_the_keys_that_the_models_has() {
    let admitted = changed("key", |line| line.replace("feature-flush-cache", "feature-unheard-of"));
    assert!(admitted.refused.iter().any(|why| why.contains("feature-unheard-of")), "{:?}", admitted.refused);
}
