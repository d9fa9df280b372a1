//! Upstream's directory of files, one per record: read at start, brought level with the journal later.

use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Longest name of a file or directory of ours: with `.tmp` it still is one.
const LONGEST_NAME: usize = 250;

/// Directories within each other under the root, at most, and bytes of a file.
const DEPTH: usize = 4;
const LARGEST: u64 = 16 << 20;

/// Texts by key; nothing where the record is to go.
pub type Changes = BTreeMap<String, Option<String>>;

/// The files of a database root.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

/// What the files held.
#[derive(Debug, Default)]
pub struct Files {
    /// Key and text of each good one.
    pub records: BTreeMap<String, String>,
    /// The others, and what is wrong with them.
    pub faulty: Vec<(PathBuf, String)>,
}

/// Whether a key names a file below the root, and nothing else.
pub fn is_key(key: &str) -> bool {
    let names = key.split('/');
    names.clone().count() >= 2
        && names.clone().count() <= DEPTH
        && names.into_iter().all(|name| {
            let odd = name.is_empty() || name.starts_with('.') || name.ends_with(".tmp") || name.len() > LONGEST_NAME;
            !odd && !name.chars().any(char::is_control)
        })
}

impl Directory {
    /// The files under this root.
    pub fn new(root: &Path) -> Directory {
        Directory { root: root.to_owned() }
    }

    /// Reads all. What is not a record, or not a good one, is reported and left alone.
    pub fn read(&self) -> io::Result<Files> {
        let mut files = Files::default();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            // Files beside the namespaces are no records: lock, journal, what others keep there.
            if entry.file_type()?.is_dir() {
                walk(&mut files, &entry.path(), entry.file_name(), 1);
            }
        }
        Ok(files)
    }

    /// Brings these keys to these texts, or out of the world; answers those that it could not.
    pub fn level(&self, changes: &Changes) -> Vec<(String, io::Error)> {
        let mut touched = BTreeSet::new();
        let mut failed = Vec::new();
        let mut note = |key: &String, done: io::Result<()>| failed.extend(done.err().map(|error| (key.clone(), error)));
        // Files come before they go: a directory that is to hold one is not taken away between.
        for (key, text) in changes {
            if let Some(text) = text {
                note(key, self.write(key, text, &mut touched));
            }
        }
        for (key, text) in changes {
            if text.is_none() {
                note(key, self.remove(key, &mut touched));
            }
        }
        for directory in touched {
            match File::open(&directory).and_then(|directory| directory.sync_all()) {
                Ok(()) => {}
                // Gone with its last file; its parent was touched as well.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let within = |key: &&String| self.root.join(key).starts_with(&directory);
                    let copy = |key: &String| (key.clone(), io::Error::new(error.kind(), error.to_string()));
                    failed.extend(changes.keys().filter(within).map(copy));
                }
            }
        }
        failed
    }

    fn write(&self, key: &str, text: &str, touched: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let path = self.root.join(key);
        let directory = path.parent().expect("a key has two names at least");
        if !touched.contains(directory) {
            DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
            let up_to_root = directory.ancestors().take_while(|ancestor| ancestor.starts_with(&self.root));
            touched.extend(up_to_root.map(Path::to_owned));
        }
        let mut temporary = OsString::from(&path);
        temporary.push(".tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&temporary, &path)
    }

    fn remove(&self, key: &str, touched: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let path = self.root.join(key);
        match fs::remove_file(&path) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(error);
            }
            _ => {}
        }
        // The namespace itself stays, as upstream leaves it.
        let namespace = key.split('/').next().map(|name| self.root.join(name)).expect("a key has a first name");
        let ancestors = path.ancestors().skip(1).take_while(|ancestor| *ancestor != self.root);
        for ancestor in ancestors {
            touched.insert(ancestor.to_owned());
            if ancestor == namespace || fs::remove_dir(ancestor).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn walk(files: &mut Files, directory: &Path, key: OsString, depth: usize) {
    let entries = match fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return files.faulty.push((directory.to_owned(), error.to_string())),
    };
    for entry in entries {
        let path = entry.path();
        let mut key = key.clone();
        key.push("/");
        key.push(entry.file_name());
        if path.extension().is_some_and(|extension| extension == "tmp") {
            continue;
        }
        if path.is_dir() {
            if depth + 1 < DEPTH {
                walk(files, &path, key, depth + 1);
            } else {
                files.faulty.push((path, "too deep for a record".to_owned()));
            }
            continue;
        }
        match read_record(&path).and_then(|text| Ok((utf8_key(key)?, text))) {
            Ok((key, text)) => {
                files.records.insert(key, text);
            }
            Err(why) => files.faulty.push((path, why)),
        }
    }
}

fn utf8_key(key: OsString) -> Result<String, String> {
    key.into_string().ok().filter(|key| is_key(key)).ok_or_else(|| "not a record's name".to_owned())
}

fn read_record(path: &Path) -> Result<String, String> {
    // A pipe or a device would be waited for.
    if !path.is_file() {
        return Err("not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("larger than {LARGEST} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    serde_json::from_str::<IgnoredAny>(&text).map_err(|error| format!("not JSON: {error}"))?;
    Ok(text)
}

#[cfg(test)]
mod tests;
