//! How a wait ended, offered to the model, and what a process that was waited for has shown.

use super::Admission;
use super::judge::not;
use super::node;
use super::table::{By, Verdict};
use xenops_core::host::{Condition, Exit, Handle, Process, ShutdownCode, View, Wait};

impl Admission {
    pub(super) fn waited(&mut self, wait: &Wait, held: Option<u32>, process: Option<&Process>) -> Verdict {
        let ours = wait.held(&self.world);
        let Some(held) = held.map(|held| held as usize) else {
            return match ours {
                None => Verdict::Equal,
                Some(ours) => moved_by(&wait.any[ours]).map_or_else(
                    || not(format!("nothing held in time; in the model {:?} does", wait.any[ours])),
                    |by| Verdict::by(by).and(Verdict::by(By::Time)),
                ),
            };
        };
        let Some(condition) = wait.any.get(held) else { return not("a condition that was not asked for held") };
        let mut verdict = match ours {
            Some(ours) if ours == held => Verdict::Equal,
            // In the model one before it holds, since somebody was quicker.
            Some(ours) if ours < held => match moved_by(&wait.any[ours]) {
                Some(by) => Verdict::by(by),
                None => return not(format!("{condition:?} held; in the model {:?} does", wait.any[ours])),
            },
            _ => Verdict::Equal,
        };
        if !condition.holds(&self.world) {
            verdict = verdict.and(self.comes_true(condition));
        }
        match (condition.process(), process) {
            (Some((handle, from)), Some(shown)) => verdict.and(self.showed(handle, from as usize, shown)),
            (None, None) => verdict,
            // Nobody knows of a process that was forgotten, or is of a daemon before.
            (Some((handle, _)), None) if self.world.process(handle).is_none() => verdict,
            _ => not("a process was shown that was not asked for, or the other way round"),
        }
    }

    /// Somebody has made a condition true in reality: in the model they do so now.
    fn comes_true(&mut self, condition: &Condition) -> Verdict {
        match condition {
            Condition::Present(path) => self.differs(path, Some(""), None),
            Condition::Absent(path) => self.differs(path, None, Some("")),
            Condition::Equals(path, value) => {
                let ours = self.world.store().value(path).map(str::to_owned);
                self.differs(path, Some(value), ours.as_deref())
            }
            // Which other value is not said; a driver that has taken a device up waits for its other end.
            Condition::Differs(path, _) => match node::writer(path, None) {
                Some(by) => {
                    if path.ends_with("/state") {
                        self.world.bring_node(path, Some("2"));
                    }
                    Verdict::by(by)
                }
                None => not(format!("{path} has changed, and only the daemon writes it")),
            },
            Condition::Stopped(domid) => {
                self.world.bring_stop(*domid, ShutdownCode::Poweroff);
                Verdict::by(By::Guest)
            }
            Condition::FreeMemory(_) => Verdict::by(By::Hypervisor),
            // What it has said is looked at next.
            Condition::Exited(_) | Condition::Said(..) => Verdict::by(By::Time),
        }
    }

    /// A process shows these lines and this end; the model's shows the same but for numbers, or will.
    fn showed(&mut self, handle: Handle, from: usize, real: &Process) -> Verdict {
        let failed = real.lines.iter().any(|line| line.starts_with("error:"));
        let ended = self.world.process(handle).and_then(|process| process.exit);
        if real.exit.is_some_and(|exit| ended != Some(exit) && (exit != Exit::Code(0) || failed)) || failed {
            // Any process may be killed, and any may fail: what was to come of it does not.
            self.world.bring_lines(handle, from, &real.lines, &[], real.exit);
            return Verdict::by(By::Fault);
        }
        let Some(ours) = self.world.process(handle).cloned() else { return not("the model has no such process") };
        let lines = ours.lines.get(from..).unwrap_or_default();
        let mut rest: Vec<String> = lines.iter().filter(|line| !is_chatter(line)).cloned().collect();
        let mut verdict = if lines == real.lines { Verdict::Equal } else { Verdict::by(By::Helper) };
        for line in real.lines.iter().filter(|line| !is_chatter(line)) {
            if rest.first().is_some_and(|next| form(next) == form(line)) {
                rest.remove(0);
            } else {
                return not(format!("it says {line:?}; in the model what comes is {rest:?}"));
            }
        }
        match (real.exit, ours.exit) {
            (Some(real), Some(ours)) if real != ours => {
                return not(format!("it ended with {real:?}; in the model with {ours:?}"));
            }
            (Some(_), None) | (None, Some(_)) => verdict = verdict.and(Verdict::by(By::Time)),
            _ => {}
        }
        if real.exit.is_some() && !rest.is_empty() {
            return not(format!("it ended before it said {rest:?}"));
        }
        self.world.bring_lines(handle, from, &real.lines, &rest, real.exit);
        verdict
    }
}

/// Who, beside the daemon, makes a condition come true.
fn moved_by(condition: &Condition) -> Option<By> {
    match condition {
        Condition::Present(path)
        | Condition::Absent(path)
        | Condition::Equals(path, _)
        | Condition::Differs(path, _) => node::writer(path, None),
        Condition::Exited(_) | Condition::Said(..) => Some(By::Time),
        Condition::Stopped(_) => Some(By::Guest),
        Condition::FreeMemory(_) => Some(By::Hypervisor),
    }
}

/// What a helper says of its progress, which nobody need hear.
fn is_chatter(line: &str) -> bool {
    line.is_empty() || ["info:", "stdout:", "stderr:"].iter().any(|prefix| line.starts_with(prefix))
}

/// A line without its numbers, without the random end of a file's name, and without what the guest's disk says that its
/// kernel is to be told.
fn form(line: &str) -> String {
    let known = match line.split_once(' ') {
        Some(("kernel" | "ramdisk", _)) => line.rsplit_once('.').map_or(line, |(name, _)| name),
        Some(("args", _)) => "args",
        _ => line,
    };
    let mut form = String::new();
    for c in known.chars() {
        match c.is_ascii_digit() {
            true if form.ends_with('0') => {}
            true => form.push('0'),
            false => form.push(c),
        }
    }
    form
}
