//! One daemon for each database and for each directory of sockets: locks held for life.

use crate::failure::Failure;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// A directory that is this process's alone. The kernel takes the lock back when the process ends, however it does.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it. `option` names the directory in error texts, `name` this instance to whoever comes second.
    pub fn take(directory: &Path, file: &str, option: &str, name: &str) -> Result<Lock, Failure> {
        let path = directory.join(file);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|error| Failure::path("open lock file", &path, option, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Only to name it: one that has just begun has not written its number yet.
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another xenopsd" } else { holder.trim_end() };
                let place = directory.display();
                return Err(Failure::new(format!(
                    "{place} is in use by {holder}; stop it, or choose another directory with --{option}"
                )));
            }
            Err(error) => return Err(Failure::path("lock", &path, option, &error.into())),
        }
        let line = format!("xenopsd {name}, process {}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(line.as_bytes()))
            .map_err(|error| Failure::path("write lock file", &path, option, &error))?;
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_second_is_refused_by_name_until_the_first_ends() {
        let scratch = Scratch::new("lock");
        let take = |name| Lock::take(scratch.path(), "lock", "database-path", name);
        let first = take("first").unwrap();
        let text = take("second").unwrap_err().text;
        let holder =
            format!("{} is in use by xenopsd first, process {};", scratch.path().display(), std::process::id());
        assert!(text.starts_with(&holder) && text.ends_with("--database-path"), "{text}");
        drop(first);
        take("a").unwrap();
    }
}
