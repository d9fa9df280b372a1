//! The daemon's log: upstream's lines, on standard error.

use crate::clock;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// How grave a line is; the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The daemon ends.
    Critical,
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warning,
    /// Worth knowing.
    Info,
    /// Detail.
    Debug,
}

impl Level {
    /// Reads a `loglevel`, in syslog's names; those that no line of ours has mean the nearest graver one.
    pub fn parse(name: &str) -> Option<Level> {
        Some(match name.to_ascii_lowercase().as_str() {
            "emergency" | "alert" | "critical" => Level::Critical,
            "error" | "err" => Level::Error,
            "warning" | "warn" => Level::Warning,
            "notice" | "info" => Level::Info,
            "debug" => Level::Debug,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Level::Critical => "critical",
            Level::Error => "error",
            Level::Warning => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

struct Filter {
    least: Level,
    silent: Vec<String>,
}

static FILTER: OnceLock<Filter> = OnceLock::new();

/// Chooses, once, what is logged: nothing less grave than `least`, nothing of the `silent` modules.
pub fn filter(least: Level, silent: Vec<String>) {
    // A second call would be from a second daemon in one process, whose choice then is the first one's.
    let _ = FILTER.set(Filter { least, silent });
}

/// Logs the end of the daemon.
pub fn critical(module: &str, text: impl Display) {
    write(Level::Critical, module, &text);
}

/// Logs a failure.
pub fn error(module: &str, text: impl Display) {
    write(Level::Error, module, &text);
}

/// Logs something that is not as it should be.
pub fn warning(module: &str, text: impl Display) {
    write(Level::Warning, module, &text);
}

/// Logs something worth knowing.
pub fn info(module: &str, text: impl Display) {
    write(Level::Info, module, &text);
}

/// Logs a detail.
pub fn debug(module: &str, text: impl Display) {
    write(Level::Debug, module, &text);
}

fn write(level: Level, module: &str, text: &dyn Display) {
    if let Some(filter) = FILTER.get()
        && (level > filter.least || filter.silent.iter().any(|silent| silent == module))
    {
        return;
    }
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = line(wall.as_nanos() as u64, level, module, text);
    // Whoever read standard error may be gone; the daemon goes on without.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn line(wall_ns: u64, level: Level, module: &str, text: &dyn Display) -> String {
    let mut line = format!("[{}|{:<5}||0 |main|{module}] ", clock::stamp(wall_ns), level.name());
    let text = text.to_string();
    for c in text.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            c if c.is_control() => write!(line, "\\x{:02x}", u32::from(c)).expect("a string takes any text"),
            c => line.push(c),
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_in_upstreams_form() {
        assert_eq!(
            line(0, Level::Info, "journal", &"a\\b\nc\u{1b}[1m"),
            "[19700101T00:00:00.000Z|info ||0 |main|journal] a\\\\b\\nc\\x1b[1m\n"
        );
    }

    #[test]
    fn levels_have_syslogs_names() {
        for (name, level) in [
            ("emergency", Some(Level::Critical)),
            ("err", Some(Level::Error)),
            ("WARN", Some(Level::Warning)),
            ("notice", Some(Level::Info)),
            ("debug", Some(Level::Debug)),
            ("loud", None),
        ] {
            assert_eq!(Level::parse(name), level, "{name}");
        }
    }
}
