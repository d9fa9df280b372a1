//! What came of each kind of request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Who in the model may do what makes a difference: all of it happens outside of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// A guest: its front ends, its agent, what it does of its own accord.
    Guest,
    /// The kernel's back ends.
    BackEnd,
    /// Hotplug scripts.
    Script,
    /// QEMU.
    DeviceModel,
    /// The guest helper.
    Helper,
    /// The console daemon.
    Console,
    /// Xen: sizes, times, numbers.
    Hypervisor,
    /// What the machine is, and what is on its disk.
    Host,
    /// Other domains and whoever looks after them, and earlier daemons.
    Others,
    /// When things happen: two requests that were under way at once, something that took longer.
    Time,
    /// A fault that the model draws as well.
    Fault,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Guest => "guest",
            By::BackEnd => "back end",
            By::Script => "script",
            By::DeviceModel => "device model",
            By::Helper => "helper",
            By::Console => "console daemon",
            By::Hypervisor => "hypervisor",
            By::Host => "host",
            By::Others => "others",
            By::Time => "time",
            By::Fault => "fault",
        })
    }
}

/// What the model makes of a real reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It gives the same.
    Equal,
    /// It might, if these did what they may do.
    Explained(BTreeSet<By>),
    /// It never does, and this is why.
    Not(String),
}

impl Verdict {
    /// One explanation.
    pub fn by(by: By) -> Verdict {
        Verdict::Explained(BTreeSet::from([by]))
    }

    /// Both hold.
    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Equal, other) => other,
            (this, Verdict::Equal) => this,
            (Verdict::Not(why), _) | (_, Verdict::Not(why)) => Verdict::Not(why),
            (Verdict::Explained(mut these), Verdict::Explained(those)) => {
                these.extend(those);
                Verdict::Explained(these)
            }
        }
    }
}

/// One kind of request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Replies of the real host.
    pub asked: u64,
    /// Those that the model gave.
    pub equal: u64,
    /// Those that it might give, by who does what it takes.
    pub explained: BTreeMap<By, u64>,
    /// Those that it never gives.
    pub not: u64,
}

/// All kinds.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: BTreeMap<String, Row>,
}

impl Table {
    /// One more reply.
    pub fn count(&mut self, kind: &str, verdict: &Verdict) {
        let row = self.rows.entry(kind.to_owned()).or_default();
        row.asked += 1;
        match verdict {
            Verdict::Equal => row.equal += 1,
            Verdict::Explained(by) => by.iter().for_each(|by| *row.explained.entry(*by).or_default() += 1),
            Verdict::Not(_) => row.not += 1,
        }
    }

    /// Another's.
    pub fn add(&mut self, other: &Table) {
        for (kind, row) in &other.rows {
            let sum = self.rows.entry(kind.clone()).or_default();
            (sum.asked, sum.equal, sum.not) = (sum.asked + row.asked, sum.equal + row.equal, sum.not + row.not);
            row.explained.iter().for_each(|(by, n)| *sum.explained.entry(*by).or_default() += n);
        }
    }

    /// Sums: replies, equal ones, those that are not admitted.
    pub fn total(&self) -> (u64, u64, u64) {
        self.rows
            .values()
            .fold((0, 0, 0), |(asked, equal, not), row| (asked + row.asked, equal + row.equal, not + row.not))
    }

    /// Per cent that is not admitted.
    pub fn share(&self) -> f64 {
        let (asked, _, not) = self.total();
        if asked == 0 { 0.0 } else { not as f64 * 100.0 / asked as f64 }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:>7}{:>7}{:>11}{:>5}  explained by", "request", "asked", "equal", "explained", "not")?;
        for (kind, row) in &self.rows {
            let explained = row.asked - row.equal - row.not;
            let by: Vec<String> = row.explained.iter().map(|(by, n)| format!("{by} {n}")).collect();
            let by = by.join(", ");
            writeln!(f, "{kind:<24}{:>7}{:>7}{explained:>11}{:>5}  {by}", row.asked, row.equal, row.not)?;
        }
        let (asked, equal, not) = self.total();
        let explained = asked - equal - not;
        writeln!(f, "{:<24}{asked:>7}{equal:>7}{explained:>11}{not:>5}  {:.2} % not admitted", "all", self.share())
    }
}
