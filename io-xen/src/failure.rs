//! Why the daemon does not start or cannot go on: a text for its administrator and an exit status.

use std::fmt;
use std::io;
use std::path::Path;

/// Ends the daemon.
#[derive(Debug)]
pub struct Failure {
    /// Exit status of the process.
    pub status: u8,
    /// Names the thing and the remedy.
    pub text: String,
}

impl Failure {
    /// The command line does not parse: upstream's status for it.
    pub const USAGE: u8 = 123;
    /// A value cannot be applied, or a configuration file cannot be read.
    pub const CONFIGURATION: u8 = 125;

    /// The ordinary failure, status 1.
    pub fn new(text: impl Into<String>) -> Failure {
        Failure { status: 1, text: text.into() }
    }

    /// What is wrong with the command line.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure { status: Failure::USAGE, text: text.into() }
    }

    /// What is wrong with a configured value.
    pub fn configuration(text: impl Into<String>) -> Failure {
        Failure { status: Failure::CONFIGURATION, text: text.into() }
    }

    /// A file or directory named by an option that could not be used.
    pub fn path(doing: &str, path: &Path, option: &str, error: &io::Error) -> Failure {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => format!("run as root, or choose another place with --{option}"),
            io::ErrorKind::NotFound => format!("make it, or choose another place with --{option}"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free space there, then start again".to_owned()
            }
            io::ErrorKind::ReadOnlyFilesystem => format!("choose a writable place with --{option}"),
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                format!("remove the file that stands in its way, or choose another place with --{option}")
            }
            _ => format!("see --{option}"),
        };
        Failure::new(format!("cannot {doing} {}: {}; {remedy}", path.display(), plain(error)))
    }
}

/// An error's text in the house's style, without the number that the standard library adds.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.to_lowercase()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
