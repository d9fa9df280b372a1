//! Loop devices: which file is behind one.
//!
//! Who frees one that a back end's directory names may find it free already, by a script of a daemon that was killed
//! before it could say so, and given to another back end by now. Xen's block script does not look: it would free that
//! other's, whose own script would then fail for good, and free the next one's when it is run again.

use crate::log;
use crate::xenstore::Store;
use std::fs;
use std::path::Path;
use xenops_core::host::{Role, Spawn};

/// What takes the place of a script that has nothing to do.
const NOTHING: &str = "/bin/true";

/// A block script that is to free a loop device which has not this back end's file behind it any more has nothing to do.
pub async fn spare(store: &Store, mut spawn: Spawn) -> Spawn {
    let Some(backend) = removed(&spawn) else { return spawn };
    let keys = ["node", "params"].map(|key| format!("/local/domain/0/{backend}/{key}"));
    // Where nothing can be read the script cannot read either, and says so.
    let Ok(values) = store.values(&keys).await else { return spawn };
    let [Some(node), Some(params)] = [values.get(&keys[0]), values.get(&keys[1])] else { return spawn };
    let Some(name) = node.strip_prefix("/dev/").filter(|name| name.starts_with("loop")) else { return spawn };
    let (name, params) = (name.to_owned(), params.to_owned());
    let is_behind = smol::unblock(move || {
        let file = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).ok();
        is_behind(file.as_deref(), &params)
    });
    if !is_behind.await {
        log::info("loops", format_args!("{node} is free already, or another's: nothing is to be freed for {backend}"));
        (spawn.program, spawn.args) = (NOTHING.to_owned(), Vec::new());
    }
    spawn
}

/// The back end that a script is to remove, if it is a block script.
fn removed(spawn: &Spawn) -> Option<&str> {
    let value = |key: &str| spawn.env.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let is_removal = spawn.role == Role::Hotplug && spawn.args == ["remove"] && value("XENBUS_TYPE") == Some("vbd");
    value("XENBUS_PATH").filter(|_| is_removal)
}

/// Whether what the kernel says is behind a loop device is this file.
fn is_behind(behind: Option<&str>, file: &str) -> bool {
    let Some(behind) = behind.map(str::trim_end) else { return false };
    let behind = behind.strip_suffix(" (deleted)").unwrap_or(behind);
    // The script names it without links.
    behind == file || fs::canonicalize(file).is_ok_and(|file| file == Path::new(behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use xenops_core::host::Handle;

    #[test]
    fn only_removals_of_block_scripts_are_looked_at() {
        let spawn = |role, args: &[&str], kind: &str| Spawn {
            process: Handle(1),
            role,
            domid: Some(7),
            program: "/etc/xen/scripts/block".to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: [("XENBUS_TYPE", kind), ("XENBUS_PATH", "backend/x/7/1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            scratch: None,
            stream: None,
        };
        assert_eq!(removed(&spawn(Role::Hotplug, &["remove"], "vbd")), Some("backend/x/7/1"));
        for other in [
            spawn(Role::Hotplug, &["add"], "vbd"),
            spawn(Role::Hotplug, &["remove", "type_if=tap"], "vif"),
            spawn(Role::Hook, &["remove"], "vbd"),
        ] {
            assert_eq!(removed(&other), None);
        }
    }

    // Fails when a loop device that has become another's is freed.
    #[test]
    fn a_loop_device_that_is_free_or_anothers_is_left_alone() {
        let scratch = Scratch::new("loops");
        let file = scratch.path().join("disk");
        let link = scratch.path().join("link");
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let [file, link] = [file, link].map(|path| path.to_str().unwrap().to_owned());
        assert!(is_behind(Some(&format!("{file}\n")), &file));
        assert!(is_behind(Some(&format!("{file}\n")), &link));
        assert!(is_behind(Some("/gone/disk (deleted)\n"), "/gone/disk"));
        assert!(!is_behind(Some("/gone/other\n"), &file));
        assert!(!is_behind(None, &file));
    }
}
