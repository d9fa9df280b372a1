//! Small things about files of this host: hooks, and what helpers leave behind.

use super::faults::fault;
use rustix::fs::{Access, access};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use xenops_core::host::Fault;

/// Files of a hook directory that may be run, sorted; none where there is no such directory.
pub fn hooks(hooks: &Path, directory: &str) -> Result<Vec<String>, Fault> {
    let path = hooks.join(directory);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fault(path.display(), &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| fault(path.display(), &error))?.path();
        let runs = path.is_file() && access(&path, Access::EXEC_OK).is_ok();
        names.extend(path.file_name().and_then(|name| name.to_str()).filter(|_| runs).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Removes files, and directories with all that is in them; missing ones are fine. All are tried, the first failure
/// is told.
pub fn remove(paths: &[String]) -> Result<(), Fault> {
    paths.iter().map(|path| remove_one(path)).fold(Ok(()), Result::and)
}

fn remove_one(path: &str) -> Result<(), Fault> {
    if !path.starts_with('/') {
        return Err(Fault::Other(format!("{path} is not absolute")));
    }
    // A link is removed, not what it leads to.
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(fault(path, &error))
        }
        _ => Ok(()),
    }
}

/// Makes a directory empty, for nobody else's eyes: a guest's kernel may come to lie in it.
pub fn make_empty(path: &str) -> Result<(), Fault> {
    remove_one(path)?;
    let mut directory = fs::DirBuilder::new();
    directory.recursive(true).mode(0o700).create(path).map_err(|error| fault(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn hooks_are_what_can_be_run_in_order() {
        let scratch = Scratch::new("hooks");
        let directory = scratch.path().join("vm-pre-start");
        fs::create_dir_all(directory.join("10-directory")).unwrap();
        for (name, mode) in [("20-b", 0o755), ("03-a", 0o700), ("05-notes", 0o644)] {
            fs::write(directory.join(name), "").unwrap();
            fs::set_permissions(directory.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("none", directory.join("00-broken")).unwrap();
        assert_eq!(hooks(scratch.path(), "vm-pre-start").unwrap(), ["03-a", "20-b"]);
        assert_eq!(hooks(scratch.path(), "vm-post-start").unwrap(), [""; 0]);
    }

    #[test]
    fn all_is_removed_even_if_one_cannot_be_and_links_lead_nowhere() {
        let scratch = Scratch::new("remove");
        let path = |name: &str| scratch.path().join(name).display().to_string();
        fs::create_dir_all(path("directory/below")).unwrap();
        fs::create_dir(path("kept")).unwrap();
        fs::write(path("kept/file"), "").unwrap();
        std::os::unix::fs::symlink(path("kept"), path("directory/link")).unwrap();
        std::os::unix::fs::symlink(path("kept"), path("link")).unwrap();
        remove(&[path("none"), path("kept/file/below")]).unwrap();
        remove(&["relative".to_owned(), path("directory"), path("link")]).unwrap_err();
        let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
        make_empty(&path("kept")).unwrap();
        make_empty(&path("new/below")).unwrap();
        assert_eq!(fs::read_dir(path("kept")).unwrap().count(), 0);
        assert_eq!(fs::metadata(path("new/below")).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
