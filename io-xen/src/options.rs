//! The daemon's options: defaults, then command line, then configuration file, then fragments; later wins.

pub mod key;

use crate::failure::{Failure, plain};
use key::{KEYS, Key, Kind, Role};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To run the daemon.
    Run(Box<Options>),
    /// To run a simulated host in this process, behind a socket in this directory, at this pace.
    #[cfg(feature = "simulated")]
    HostProcess(PathBuf, String),
    /// To print this and end.
    Print(String),
}

/// A value for every key.
#[derive(Clone, Debug)]
pub struct Options {
    // One for each of `KEYS`.
    values: Vec<Value>,
    remarks: Vec<String>,
}

#[derive(Clone, Debug)]
struct Value {
    text: String,
    given: bool,
}

impl Options {
    /// Upstream's defaults.
    pub fn new() -> Options {
        let value = |key: &Key| Value { text: key.default.to_owned(), given: false };
        Options { values: KEYS.iter().map(value).collect(), remarks: Vec::new() }
    }

    /// Reads a command line, without the program's name, and the files that it or the defaults name.
    pub fn read(args: impl IntoIterator<Item = String>) -> Result<Asked, Failure> {
        let mut options = Options::new();
        if let Some(other) = options.apply_arguments(args)? {
            return Ok(other);
        }
        // The files that are read are those of the command line: no file names further files.
        let (file, fragments) = (options.path("config"), options.path("config-dir"));
        if let Some(text) = read_file(&file)? {
            options.apply_file(&text, &file)?;
        }
        for fragment in list_fragments(&fragments)? {
            if let Some(text) = read_file(&fragment)? {
                options.apply_file(&text, &fragment)?;
            }
        }
        Ok(Asked::Run(Box::new(options)))
    }

    fn apply_arguments(&mut self, args: impl IntoIterator<Item = String>) -> Result<Option<Asked>, Failure> {
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(option) = arg.strip_prefix("--") else {
                return Err(Failure::usage(format!("unexpected argument {arg:?}; xenopsd --help lists the options")));
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            match name {
                "help" => return Ok(Some(Asked::Print(help()))),
                "version" => return Ok(Some(Asked::Print(format!("{}\n", env!("CARGO_PKG_VERSION"))))),
                _ => {}
            }
            let value = value.or_else(|| args.next());
            let value = value.ok_or_else(|| Failure::usage(format!("option --{name} needs a value")))?;
            #[cfg(feature = "simulated")]
            if name == "host-process" {
                return Ok(Some(Asked::HostProcess(value.into(), self.text("simulated-pace").to_owned())));
            }
            let Some(at) = find(name) else {
                return Err(Failure::usage(format!("unknown option --{name}; xenopsd --help lists the options")));
            };
            self.set(at, &value).map_err(|why| Failure::usage(format!("option --{name}: {why}")))?;
        }
        Ok(None)
    }

    fn apply_file(&mut self, text: &str, path: &Path) -> Result<(), Failure> {
        for (number, line) in text.lines().enumerate() {
            let Some((name, value)) = parse_line(line) else { continue };
            let place = format!("{} line {}", path.display(), number + 1);
            let Some(at) = find(name) else {
                self.remarks.push(format!("{place}: unknown key {name} is ignored"));
                continue;
            };
            self.set(at, value).map_err(|why| Failure::configuration(format!("{place}: {name}: {why}")))?;
        }
        Ok(())
    }

    fn set(&mut self, at: usize, text: &str) -> Result<(), String> {
        let key = &KEYS[at];
        if !key.kind.admits(text) {
            return Err(format!("{text:?} is not {}", key.kind.expects()));
        }
        self.values[at] = Value { text: text.to_owned(), given: true };
        Ok(())
    }

    /// Sets what takes the place of a default, where nobody gave a value.
    pub fn set_default(&mut self, name: &str, text: &str) {
        let value = &mut self.values[known(name)];
        if !value.given {
            text.clone_into(&mut value.text);
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> &str {
        &self.values[known(name)].text
    }

    /// A path.
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.text(name))
    }

    /// A flag.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).parse().expect("a value is set only if its kind admits it")
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> i64 {
        self.text(name).parse().expect("a value is set only if its kind admits it")
    }

    /// Seconds.
    pub fn seconds(&self, name: &str) -> f64 {
        self.text(name).parse().expect("a value is set only if its kind admits it")
    }

    /// Every key, its value and what it is, as upstream logs them.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        KEYS.iter().zip(&self.values).map(|(key, value)| format!("{} = {} ({})", key.name, value.text, key.text))
    }

    /// What an administrator should know of what was given: keys that nobody knows, and those without effect.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        let idle = KEYS.iter().zip(&self.values).filter(|(key, value)| key.role == Role::Accepted && value.given);
        let idle = idle.map(|(key, _)| format!("{} is accepted and has no effect in this version", key.name));
        self.remarks.iter().cloned().chain(idle)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

fn find(name: &str) -> Option<usize> {
    KEYS.iter().position(|key| key.name == name)
}

fn known(name: &str) -> usize {
    find(name).expect("the daemon asks for keys of its own table")
}

// `key = value`; `#` begins a comment anywhere; matching quotes around a value are taken off.
fn parse_line(line: &str) -> Option<(&str, &str)> {
    let line = line.split('#').next().unwrap_or_default();
    let (name, value) = line.split_once('=')?;
    let value = value.trim();
    let unquoted =
        ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)));
    Some((name.trim(), unquoted.unwrap_or(value)))
}

fn read_file(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let place = path.display();
            let text = format!("cannot read configuration file {place}: {}; see --config", plain(&error));
            Err(Failure::configuration(text))
        }
    }
}

fn list_fragments(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let entries = entries.map_err(|error| {
        let place = directory.display();
        Failure::configuration(format!(
            "cannot list configuration directory {place}: {}; see --config-dir",
            plain(&error)
        ))
    })?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

fn help() -> String {
    let mut text = String::from(
        "xenopsd: the VM manager of a Xen host\n\n\
         usage: xenopsd [--KEY=VALUE | --KEY VALUE]...\n\n\
         Values of the configuration file win over those of the command line, fragments over both.\n\n",
    );
    for role in [Role::Acts, Role::Accepted] {
        if role == Role::Accepted {
            text.push_str("\nAccepted, as upstream's files have them, and without effect in this version:\n\n");
        }
        for key in KEYS.iter().filter(|key| key.role == role) {
            let default = if key.default.is_empty() { "\"\"" } else { key.default };
            writeln!(text, "  --{}={}\n        {} (default {default})", key.name, placeholder(key.kind), key.text)
                .expect("a string takes any text");
        }
    }
    text
}

fn placeholder(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "BOOL",
        Kind::Int => "N",
        Kind::Seconds => "SECONDS",
        Kind::Text => "TEXT",
        Kind::Path => "PATH",
    }
}

#[cfg(test)]
mod tests;
