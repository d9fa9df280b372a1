//! Datapaths and epochs as files: who may have a disk, and what a crash leaves.

use super::*;
use crate::scratch::Scratch;

struct Rig {
    storage: Storage,
    scratch: Scratch,
}

fn rig(name: &str) -> Rig {
    let scratch = Scratch::new(name);
    for disk in ["d", "e"] {
        fs::create_dir_all(scratch.path().join("disks/sr")).unwrap();
        fs::write(scratch.path().join("disks/sr").join(disk), "pristine").unwrap();
    }
    let storage = Storage::open(&scratch.path().join("dps"), &[scratch.path().join("disks")]).unwrap();
    Rig { storage, scratch }
}

fn attach(storage: &Storage, dp: &str, vdi: &str, domid: DomId, read_write: bool) -> Result<String, Fault> {
    let call = StorageCall::Attach { dp: dp.to_owned(), vdi: vdi.to_owned(), domid, read_write };
    match storage.call(call)? {
        Reply::Attached(attached) => Ok(attached.params),
        other => panic!("{other:?}"),
    }
}

fn names(storage: &Storage, prefix: &str) -> Vec<String> {
    match storage.call(StorageCall::List { prefix: prefix.to_owned() }) {
        Ok(Reply::Names(names)) => names,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disk_has_one_writer_or_readers_whoever_asks() {
    for ((one, first), (other, second), fine) in [
        ((1, true), (2, true), false),
        ((1, true), (1, true), false),
        ((1, true), (2, false), false),
        ((1, true), (1, false), true),
        ((1, false), (1, true), false),
        ((1, false), (2, false), true),
    ] {
        let Rig { storage, scratch: _scratch } = rig("shared");
        attach(&storage, "vbd/1/a", "sr/d", one, first).unwrap();
        attach(&storage, "vbd/1/a", "sr/d", one, first).expect("again is fine");
        // Another daemon of this host, or the next one.
        let again = storage.clone();
        assert_eq!(attach(&again, "vbd/2/b", "sr/d", other, second).is_ok(), fine, "{first} then {second}");
        assert!(attach(&again, "vbd/2/c", "sr/e", other, true).is_ok(), "another disk");
        storage.call(StorageCall::Destroy { dp: "vbd/1/a".to_owned() }).unwrap();
        attach(&again, "vbd/2/b", "sr/d", other, second).expect("it is free");
    }
}

#[test]
fn names_that_are_no_disk_of_the_storage_are_refused() {
    let Rig { storage, scratch } = rig("names");
    fs::write(scratch.path().join("secret"), "").unwrap();
    for vdi in ["", "sr", "sr/", "/d", "sr/none", "../secret", "sr/../../secret", "sr/./d", "./secret", "sr"] {
        assert!(attach(&storage, "vbd/1/a", vdi, 1, false).is_err(), "{vdi}");
    }
    assert_eq!(names(&storage, ""), [""; 0]);
    attach(&storage, "vbd/1/a", "sr/d", 1, true).unwrap();
    assert!(attach(&storage, "vbd/1/a", "sr/e", 1, true).is_err(), "a datapath holds one disk");
    let activate =
        |dp: &str, vdi: &str| storage.call(StorageCall::Activate { dp: dp.to_owned(), vdi: vdi.to_owned() }).is_ok();
    assert!(activate("vbd/1/a", "sr/d") && !activate("vbd/1/a", "sr/e") && !activate("vbd/1/b", "sr/d"));
}

#[test]
fn datapaths_are_found_again_and_half_written_ones_are_none() {
    let Rig { storage, scratch } = rig("crash");
    let odd = "xenopsd/boot/\u{e9} %..";
    for (dp, vdi) in [("vbd/7/xvda", "sr/d"), (odd, "sr/e")] {
        attach(&storage, dp, vdi, 7, true).unwrap();
    }
    // A daemon that died over a write.
    fs::write(scratch.path().join("dps/new"), "{\"vdi\":\"sr").unwrap();
    let next = Storage::open(&scratch.path().join("dps"), &[scratch.path().join("disks")]).unwrap();
    assert_eq!(names(&next, ""), ["vbd/7/xvda", odd]);
    assert_eq!(names(&next, "vbd/7/"), ["vbd/7/xvda"]);
    for _ in 0..2 {
        next.call(StorageCall::Destroy { dp: odd.to_owned() }).expect("an unknown one is fine");
    }
    assert_eq!(names(&next, ""), ["vbd/7/xvda"]);
}

#[test]
fn a_disk_that_does_not_keep_what_is_written_begins_each_epoch_as_it_was() {
    let Rig { storage, scratch } = rig("epoch");
    let begin = |persistent| storage.call(StorageCall::EpochBegin { vdi: "sr/d".to_owned(), persistent }).unwrap();
    let end = || storage.call(StorageCall::EpochEnd { vdi: "sr/d".to_owned() }).unwrap();
    let write = |text: &str| {
        let path = attach(&storage, "vbd/1/a", "sr/d", 1, true).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, text).unwrap();
        storage.call(StorageCall::Destroy { dp: "vbd/1/a".to_owned() }).unwrap();
        before
    };
    begin(true);
    assert_eq!(write("kept"), "pristine");
    end();
    for _ in 0..2 {
        begin(false);
        assert_eq!(write("lost"), "kept");
        assert_eq!(write("lost again"), "lost", "within one epoch it is a disk like any other");
    }
    end();
    end();
    assert_eq!(write("done"), "kept");
    let left = fs::read_dir(scratch.path().join("disks/sr")).unwrap().count();
    assert_eq!(left, 2, "no copy stays");
}
