//! Small things about files of this host: hooks, and what helpers leave behind.

use super::faults::fault;
use rustix::fs::{Access, access};
use std::fs;
use std::io::ErrorKind;
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

/// Removes files; missing ones are fine. All are tried, the first failure is told.
pub fn remove(paths: &[String]) -> Result<(), Fault> {
    let remove = |path: &String| match fs::remove_file(path) {
        _ if !path.starts_with('/') => Err(Fault::Other(format!("{path} is not absolute"))),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(fault(path, &error))
        }
        _ => Ok(()),
    };
    paths.iter().map(remove).fold(Ok(()), Result::and)
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
    fn all_files_are_removed_even_if_one_cannot_be() {
        let scratch = Scratch::new("remove");
        let path = |name: &str| scratch.path().join(name).display().to_string();
        fs::create_dir(path("directory")).unwrap();
        fs::write(path("file"), "").unwrap();
        remove(&[path("none"), path("none/below")]).unwrap();
        remove(&[path("directory"), "relative".to_owned(), path("file")]).unwrap_err();
        assert!(!Path::new(&path("file")).exists() && Path::new(&path("directory")).exists());
    }
}
