//! Seeds that have broken a rule, kept in a file by how fast they do: the next run tries them first.

use crate::report::Failure;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// So many are kept: those that fail after the fewest requests.
const MOST: usize = 256;

/// One of them: a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which run.
    pub seed: u64,
    /// Which kind of runs it is of.
    pub profile: String,
    /// The rule.
    pub rule: String,
    /// How it was broken.
    pub text: String,
    /// After how many inputs.
    pub inputs: u64,
    /// After how many requests to the host.
    pub requests: u64,
}

impl Kept {
    /// A failure of such a run.
    pub fn of(failure: &Failure, profile: &str) -> Kept {
        Kept {
            seed: failure.seed,
            profile: profile.to_owned(),
            rule: failure.rule.to_owned(),
            text: failure.text.clone(),
            inputs: failure.steps,
            requests: failure.requests,
        }
    }
}

/// All of them, the fastest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures(Vec<Kept>);

impl Failures {
    /// Those in a file; `None` where there is no file.
    pub fn read(path: &Path) -> Result<Option<Failures>, String> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let kept = lines.map(serde_json::from_str).collect::<Result<Vec<Kept>, _>>();
        let mut failures = Failures::default();
        for kept in kept.map_err(|error| format!("{}: {error}", path.display()))? {
            failures.add(kept);
        }
        Ok(Some(failures))
    }

    /// One more, or what became of one that is known.
    pub fn add(&mut self, kept: Kept) {
        self.0.retain(|other| (other.seed, &other.profile) != (kept.seed, &kept.profile));
        let at = self.0.partition_point(|other| other.requests <= kept.requests);
        self.0.insert(at, kept);
        self.0.truncate(MOST);
    }

    /// The fastest first.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.0.iter()
    }

    /// Writes them all.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = String::new();
        for kept in &self.0 {
            text.push_str(&serde_json::to_string(kept).map_err(|error| error.to_string())?);
            text.push('\n');
        }
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(seed: u64, requests: u64) -> Kept {
        let text = "S1: two".to_owned();
        Kept { seed, profile: "ci".to_owned(), rule: "S1".to_owned(), text, inputs: 2 * requests, requests }
    }

    #[test]
    fn the_fastest_come_first_and_each_once_and_a_file_keeps_them() {
        let mut failures = Failures::default();
        for (seed, requests) in [(1, 30), (2, 10), (3, 20), (1, 5)] {
            failures.add(kept(seed, requests));
        }
        let seeds = |failures: &Failures| failures.iter().map(|kept| kept.seed).collect::<Vec<_>>();
        assert_eq!(seeds(&failures), [1, 2, 3]);
        let path = std::env::temp_dir().join(format!("xenops-failures-{}", std::process::id()));
        failures.write(&path).unwrap();
        assert_eq!(Failures::read(&path).unwrap().as_ref(), Some(&failures));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Failures::read(&path).unwrap(), None, "no file is no error");
        (0..1000).for_each(|seed| failures.add(kept(seed, 1000 - seed)));
        assert_eq!((failures.iter().count(), seeds(&failures)[0]), (MOST, 999));
    }
}
