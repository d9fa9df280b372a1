//! Tests of the directory of files.

use super::*;
use crate::scratch::Scratch;
use std::os::unix::fs::{PermissionsExt, symlink};

fn changes(list: &[(&str, Option<&str>)]) -> Changes {
    list.iter().map(|(key, text)| ((*key).to_owned(), text.map(str::to_owned))).collect()
}

fn read(scratch: &Scratch) -> Files {
    Directory::new(scratch.path()).read().unwrap()
}

fn level(scratch: &Scratch, list: &[(&str, Option<&str>)]) {
    let failed = Directory::new(scratch.path()).level(&changes(list));
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn files_come_change_and_go_with_their_directories() {
    let scratch = Scratch::new("directory-level");
    level(&scratch, &[("VM/a/config", Some("1")), ("VM/a/vbd.xvda", Some("2")), ("extra/a", Some("3"))]);
    let mode = |path: &str| fs::metadata(scratch.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("VM"), mode("VM/a"), mode("VM/a/config")), (0o755, 0o755, 0o644));

    // A VM's last file goes and its first comes in one pass: its directory stays.
    let list = [("VM/a/config", None), ("VM/a/vbd.xvda", None), ("VM/a/vif.0", Some("4")), ("extra/b", None)];
    level(&scratch, &list);
    let records: Vec<(String, String)> = read(&scratch).records.into_iter().collect();
    assert_eq!(records, [("VM/a/vif.0".into(), "4".into()), ("extra/a".into(), "3".into())]);

    level(&scratch, &[("VM/a/vif.0", None), ("extra/a", None)]);
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((left.len(), fs::read_dir(scratch.path().join("VM")).unwrap().count()), (2, 0), "{left:?}");
}

#[test]
fn what_is_no_record_is_reported_and_left_alone() {
    let scratch = Scratch::new("directory-faulty");
    let root = scratch.path();
    level(&scratch, &[("VM/a/config", Some("{}"))]);
    fs::write(root.join("lock"), "1").unwrap();
    fs::write(root.join("VM/a/config.tmp"), "torn").unwrap();
    fs::write(root.join("VM/a/vbd.xvda"), "{\"torn\":").unwrap();
    fs::write(root.join("VM/a/vif.0"), [0xff]).unwrap();
    fs::create_dir_all(root.join("PCI/a/b/c/d")).unwrap();
    symlink("/nowhere", root.join("VM/a/vif.1")).unwrap();
    let files = read(&scratch);
    assert_eq!(files.records.keys().collect::<Vec<_>>(), ["VM/a/config"]);
    let mut faulty: Vec<_> =
        files.faulty.iter().map(|(path, _)| path.strip_prefix(root).unwrap().to_str().unwrap()).collect();
    faulty.sort();
    assert_eq!(faulty, ["PCI/a/b/c", "VM/a/vbd.xvda", "VM/a/vif.0", "VM/a/vif.1"]);
}

#[test]
fn one_that_cannot_be_written_does_not_stop_the_others() {
    let scratch = Scratch::new("directory-failed");
    fs::create_dir_all(scratch.path().join("VM/a/config/in-the-way")).unwrap();
    let directory = Directory::new(scratch.path());
    let failed = directory.level(&changes(&[("VM/a/config", Some("1")), ("VM/b/config", Some("2"))]));
    assert_eq!(failed.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["VM/a/config"]);
    assert_eq!(fs::read_to_string(scratch.path().join("VM/b/config")).unwrap(), "2");
}

#[test]
fn keys_stay_below_the_root() {
    for good in ["VM/a/config", "extra/a", "PCI/a/pci.0", "intent/a"] {
        assert!(is_key(good), "{good}");
    }
    let long = format!("VM/{}/config", "a".repeat(251));
    for bad in
        ["", "VM", "VM/", "/VM/a", "VM/../a", "VM/./a", "VM//a", "VM/.a", "VM/a.tmp", "VM/a\n", "a/b/c/d/e", &long]
    {
        assert!(!is_key(bad), "{bad}");
    }
}
