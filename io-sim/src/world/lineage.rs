//! Who ran when: each built guest is a lineage, and a lineage is executed once, in one domain at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use xenops_core::host::{Canonical, DomId};

/// A guest from its build on, through all images and domains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage(pub u64);

/// A stretch of a lineage's execution: from a build, a resume or a cancelled suspend to the next stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where.
    pub domid: DomId,
    /// Which stretch this is, from 1.
    pub generation: u32,
    /// Nanoseconds of this boot.
    pub from: u64,
    /// When it stopped for good or was suspended.
    pub until: Option<u64>,
}

/// Something that must never happen, and that no daemon can undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// A lineage ran in two domains at once.
    RanTwice(Lineage, DomId, DomId),
    /// A state of a lineage was run that had been run before: a stale image, or one used twice.
    RanAgain(Lineage, DomId),
    /// A disk was activated that was not attached.
    NotAttached(String),
    /// A disk's epoch was begun while it was open.
    EpochOpen(String),
    /// A script freed a loop device that was another's: which, and the file behind it.
    LoopFreed(u32, String),
    /// A medium was ejected of which a domain's QEMU had opened the file once more.
    MediumHeld(DomId, String),
    /// A guest that was resumed does not keep its memory: how many pages it was suspended with, and how many it has.
    Resized(DomId, u64, u64),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breach::RanTwice(guest, one, other) => {
                write!(f, "guest {} ran in domains {one} and {other} at once", guest.0)
            }
            Breach::RanAgain(guest, domid) => {
                write!(f, "domain {domid} runs a state of guest {} that had been run before", guest.0)
            }
            Breach::NotAttached(disk) => write!(f, "disk {disk} was activated and not attached"),
            Breach::EpochOpen(disk) => write!(f, "an epoch of disk {disk} was begun while the last one was open"),
            Breach::LoopFreed(number, file) => {
                write!(f, "a script freed /dev/loop{number}, which was another's by then: {file}")
            }
            other => write!(f, "{other:?}"),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Line {
    runs: Vec<Run>,
    /// Domains and images that have a state of it.
    holders: u32,
}

/// All lineages of which a domain or an image holds a state.
#[derive(Clone, Debug, Default)]
pub struct Lineages {
    born: u64,
    lines: BTreeMap<Lineage, Line>,
    breaches: Vec<Breach>,
}

impl Lineages {
    /// What went wrong for good, so far.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// The stretches of one lineage; none once nobody holds a state of it.
    pub fn runs(&self, lineage: Lineage) -> &[Run] {
        self.lines.get(&lineage).map_or(&[], |line| &line.runs)
    }

    /// Every lineage that somebody holds.
    pub fn iter(&self) -> impl Iterator<Item = (Lineage, &[Run])> {
        self.lines.iter().map(|(lineage, line)| (*lineage, &*line.runs))
    }

    /// What decides how a state of a lineage would run: whether it is the last one, and where the lineage runs.
    pub(super) fn fingerprint<H: Canonical>(&self, lineage: Lineage, generation: u32, hash: &mut H) {
        let runs = self.runs(lineage);
        let latest = runs.last().map_or(0, |run| run.generation);
        (latest == generation).hash(hash);
        hash.unordered(runs.iter().filter(|run| run.until.is_none()), |hash, run| run.domid.hash(hash));
    }

    pub(super) fn breach(&mut self, breach: Breach) {
        self.breaches.push(breach);
    }

    /// A guest was built.
    pub(super) fn born(&mut self) -> Lineage {
        self.born += 1;
        let lineage = Lineage(self.born);
        self.lines.insert(lineage, Line { runs: Vec::new(), holders: 1 });
        lineage
    }

    /// One more domain or image has a state of it.
    pub(super) fn held(&mut self, lineage: Lineage) {
        if let Some(line) = self.lines.get_mut(&lineage) {
            line.holders += 1;
        }
    }

    /// One less.
    pub(super) fn dropped(&mut self, lineage: Lineage) {
        if let Some(line) = self.lines.get_mut(&lineage) {
            line.holders -= 1;
            if line.holders == 0 {
                self.lines.remove(&lineage);
            }
        }
    }

    /// The state after stretch `generation` begins to run; which stretch it runs now.
    pub(super) fn begins(&mut self, lineage: Lineage, generation: u32, domid: DomId, now: u64) -> u32 {
        let Some(line) = self.lines.get_mut(&lineage) else { return generation };
        let latest = line.runs.last().map_or(0, |run| run.generation);
        if let Some(other) = line.runs.iter().find(|run| run.until.is_none() && run.domid != domid) {
            self.breaches.push(Breach::RanTwice(lineage, other.domid, domid));
        } else if generation != latest {
            self.breaches.push(Breach::RanAgain(lineage, domid));
        }
        line.runs.push(Run { domid, generation: latest + 1, from: now, until: None });
        latest + 1
    }

    /// The stretch in this domain is over.
    pub(super) fn ends(&mut self, lineage: Lineage, domid: DomId, now: u64) {
        let Some(line) = self.lines.get_mut(&lineage) else { return };
        for run in line.runs.iter_mut().filter(|run| run.domid == domid && run.until.is_none()) {
            run.until = Some(now);
        }
    }

    /// All stopped: the host went down.
    pub(super) fn end_all(&mut self, now: u64) {
        for run in self.lines.values_mut().flat_map(|line| &mut line.runs).filter(|run| run.until.is_none()) {
            run.until = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_run_once() {
        let mut lineages = Lineages::default();
        let guest = lineages.born();
        let first = lineages.begins(guest, 0, 1, 10);
        lineages.ends(guest, 1, 20);
        lineages.held(guest);
        assert_eq!(lineages.begins(guest, first, 1, 30), 2, "a cancelled suspend runs on");
        assert!(lineages.breaches().is_empty());
        lineages.begins(guest, first, 2, 40);
        assert_eq!(lineages.breaches(), [Breach::RanTwice(guest, 1, 2)]);
        lineages.end_all(50);
        lineages.begins(guest, first, 3, 60);
        assert_eq!(lineages.breaches()[1], Breach::RanAgain(guest, 3));
        lineages.dropped(guest);
        assert_eq!(lineages.runs(guest).len(), 4);
        lineages.dropped(guest);
        assert!(lineages.runs(guest).is_empty());
    }
}
