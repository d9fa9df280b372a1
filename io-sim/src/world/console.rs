//! A simulated guest's console: lines out, lines in.

use std::collections::VecDeque;

/// Lines kept; older ones are gone, as in a terminal.
const KEPT: usize = 500;

/// What a guest has said on its console.
#[derive(Clone, Debug, Default)]
pub struct Console {
    lines: VecDeque<String>,
    said: u64,
}

impl Console {
    /// Lines from number `from` on, or from the oldest that is kept; and the number of the next to come.
    pub fn since(&self, from: u64) -> (impl Iterator<Item = &str>, u64) {
        let oldest = self.said - self.lines.len() as u64;
        let skip = from.saturating_sub(oldest) as usize;
        (self.lines.iter().skip(skip).map(|line| line.as_str()), self.said)
    }

    pub(super) fn say(&mut self, line: impl Into<String>) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.into());
        self.said += 1;
    }
}

/// What a command typed at a guest's prompt comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Only these lines.
    Says(Vec<String>),
    /// It switches itself off.
    Poweroff,
    /// It starts again.
    Reboot,
    /// Its kernel panics.
    Crash,
}

/// The shell of every simulated guest. `up` is in nanoseconds.
pub(super) fn typed(line: &str, up: u64) -> Typed {
    let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    match command {
        "" => Typed::Says(Vec::new()),
        "poweroff" | "halt" => Typed::Poweroff,
        "reboot" => Typed::Reboot,
        "crash" => Typed::Crash,
        "echo" => Typed::Says(vec![rest.to_owned()]),
        "uptime" => Typed::Says(vec![format!("up {}.{:03} s", up / 1_000_000_000, up / 1_000_000 % 1000)]),
        "help" => Typed::Says(vec!["echo, uptime, poweroff, reboot, crash, help".to_owned()]),
        other => Typed::Says(vec![format!("{other}: command not found (try help)")]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_from_where_one_was() {
        let mut console = Console::default();
        for i in 0..KEPT + 10 {
            console.say(i.to_string());
        }
        let (lines, next) = console.since(0);
        assert_eq!(lines.count(), KEPT);
        console.say("last");
        assert_eq!(console.since(next).0.collect::<Vec<_>>(), ["last"]);
        assert_eq!(console.since(next + 5).0.count(), 0);
    }

    #[test]
    fn commands() {
        for (line, expected) in [
            ("  poweroff ", Typed::Poweroff),
            ("reboot", Typed::Reboot),
            ("crash", Typed::Crash),
            ("echo a b", Typed::Says(vec!["a b".to_owned()])),
            ("", Typed::Says(Vec::new())),
            ("uptime", Typed::Says(vec!["up 1.500 s".to_owned()])),
        ] {
            assert_eq!(typed(line, 1_500_000_000), expected, "{line:?}");
        }
    }
}
