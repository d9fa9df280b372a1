//! Xen's domains as they were told, offered to the model.

use super::Admission;
use super::judge::not;
use super::table::{By, Verdict};
use std::collections::BTreeSet;
use xenops_core::host::{DomainInfo, Outcome, Reply, Request};

impl Admission {
    pub(super) fn domains(&mut self, request: &Request, before: &Outcome, real: &[DomainInfo]) -> Verdict {
        let list = |outcome: &Outcome| match outcome {
            Outcome::Ok(Reply::Domains(domains)) => domains.clone(),
            _ => Vec::new(),
        };
        let ours = list(&self.ask(request.clone()));
        let before = list(before);
        if !real.is_sorted_by_key(|info| info.domid) {
            return not("domains are not in the order of their numbers");
        }
        let mut verdict = Verdict::Equal;
        for info in real {
            let known = ours.iter().find(|ours| ours.domid == info.domid);
            let earlier = before.iter().find(|ours| ours.domid == info.domid);
            let one = match known {
                Some(known) => self.domain(info, known, earlier),
                // Its destruction was under way, or its making.
                None if self.is_own(info.domid) => Verdict::by(By::Time),
                None => {
                    self.world.bring_domain(info);
                    Verdict::by(By::Others)
                }
            };
            verdict = verdict.and(one);
        }
        for info in ours.iter().filter(|ours| !real.iter().any(|info| info.domid == ours.domid)) {
            let one = match () {
                () if self.acts_on(info.domid) => Verdict::by(By::Time),
                () if before.iter().any(|ours| ours.domid == info.domid) => {
                    self.taken.insert(info.domid);
                    self.world.bring_end(info.domid);
                    Verdict::by(By::Others)
                }
                () => Verdict::by(By::Time),
            };
            verdict = verdict.and(one);
        }
        verdict
    }

    /// One domain as Xen tells of it, against the model's.
    fn domain(&mut self, real: &DomainInfo, ours: &DomainInfo, before: Option<&DomainInfo>) -> Verdict {
        let mut by = BTreeSet::new();
        let acted = self.acts_on(real.domid);
        let foreign = !self.is_own(real.domid);
        let as_before = |same: fn(&DomainInfo, &DomainInfo) -> bool| before.is_some_and(|before| same(before, real));
        let mut why = Vec::new();
        let mut check = |same: bool, early: bool, who: Option<By>, what: String| match (same, early || acted, who) {
            (true, ..) => {}
            (false, _, Some(who)) => drop(by.insert(who)),
            (false, true, None) => drop(by.insert(By::Time)),
            (false, false, None) if foreign => drop(by.insert(By::Others)),
            (false, false, None) => why.push(what),
        };
        let show = |name: &str| format!("domain {}'s {name} differs: {real:?}; the model: {ours:?}", real.domid);
        check(real.handle == ours.handle, as_before(|a, b| a.handle == b.handle), None, show("handle"));
        // Whoever takes a domain away pauses it first, and may think better of it.
        let others = real.paused || self.taken.contains(&real.domid);
        let thief = (real.paused != ours.paused && others && !acted).then_some(By::Others);
        check(real.paused == ours.paused, as_before(|a, b| a.paused == b.paused), thief, show("paused"));
        check(real.hvm == ours.hvm, false, None, show("hvm"));
        let killer = (real.dying && !ours.dying && !acted).then_some(By::Others);
        check(real.dying == ours.dying, as_before(|a, b| a.dying == b.dying), killer, show("dying"));
        // A guest stops, or does not though it was asked to.
        check(real.shutdown == ours.shutdown, false, Some(By::Guest), String::new());
        let memory = Some(By::Hypervisor);
        check(real.total_pages == ours.total_pages, false, memory, String::new());
        check(real.max_pages == ours.max_pages, false, memory, String::new());
        check(real.cpu_time == ours.cpu_time, false, memory, String::new());
        check(real.vcpus == ours.vcpus, false, Some(By::Guest), String::new());
        if let Some(why) = why.into_iter().next() {
            return not(why);
        }
        if by.is_empty() {
            return Verdict::Equal;
        }
        if thief.or(killer).is_some() {
            self.taken.insert(real.domid);
            self.world.bring_hold(real.domid, real.paused, real.dying);
        }
        match foreign {
            true => self.world.bring_domain(real),
            // A list may be older than what was done meanwhile: only what grows by itself is taken from it.
            false => self.world.bring_guest(real),
        }
        Verdict::Explained(by)
    }
}
