//! Notices: something may have changed. They set bits; looks find out what it was.

use super::effect::straggler_of;
use super::flight::Owner;
use super::slot::Job;
use super::stat::{vbd_state, vif_state};
use super::timers::{Alarm, AlarmKey, Timers};
use super::updates::Object;
use super::{Effects, Machine};
use crate::backend::{Observation, xc};
use crate::host::time::MILLISECOND;
use crate::host::{Canonical, DomId, DomainInfo, Outcome, Reply, Request, ShutdownCode, Token, Uuid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::Hash;

/// The list of all domains is asked for at most this often: every domain that appears or stops raises the notice.
const LIST_PACE: u64 = 20 * MILLISECOND;

/// What was last known of all domains, to tell which one a notice was about.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Domains {
    known: BTreeMap<DomId, (Uuid, Option<ShutdownCode>, bool)>,
    /// The level bit.
    wanted: bool,
    asked: bool,
    after: u64,
    alarm: Option<AlarmKey>,
    /// The watch stands: looks may begin.
    pub(crate) watching: bool,
}

impl Domains {
    /// Whether something may have changed since the list was last asked for.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Its state in a hash, at this moment.
    pub(super) fn fingerprint<H: Canonical>(&self, mono: u64, hash: &mut H) {
        let Domains { known, wanted, asked, after, alarm, watching } = self;
        hash.unordered(known, |hash, domain| domain.hash(hash));
        (wanted, asked, (*after).max(mono), alarm.is_some(), watching).hash(hash);
    }

    /// Ring when the list may be asked for again; once is enough.
    fn alarm(&mut self, timers: &mut Timers, after: u64) {
        if self.alarm.is_none_or(|(at, _)| at != after) {
            timers.cancel(self.alarm);
            self.alarm = Some(timers.set(after, Alarm::Domains));
        }
    }
}

impl Machine {
    pub(super) fn noticed(&mut self, token: Token, effects: &mut Effects) {
        if let Some(effect) = straggler_of(token) {
            let vms: Vec<_> =
                self.vms.iter().filter(|(_, slot)| slot.stragglers.contains(&effect)).map(|(vm, _)| vm).collect();
            for vm in vms {
                let slot = self.slot_mut(vm);
                if !mutant!(StragglerForEver) {
                    slot.stragglers.remove(&effect);
                }
                slot.look_after = 0;
                self.want_look(vm, effects);
            }
        } else if token == Token::DOMAINS {
            self.domains.wanted = true;
            self.list_domains(effects);
        } else if self.vms.get(token.0).is_some() {
            self.want_look(token.0, effects);
        }
    }

    /// Notices may have been lost.
    pub(super) fn everything(&mut self, effects: &mut Effects) {
        let vms: Vec<_> = self.vms.iter().map(|(vm, _)| vm).collect();
        for vm in vms {
            self.slot_mut(vm).watched = None;
            if !mutant!(LostNoticesForgotten) {
                self.want_look(vm, effects);
            }
        }
        self.send(Request::Watch(Token::DOMAINS, Vec::new()), Owner::WatchDomains, None, effects);
    }

    fn want_look(&mut self, vm: u64, effects: &mut Effects) {
        let slot = self.slot_mut(vm);
        slot.look_wanted = true;
        slot.verdict = None;
        self.drive(vm, effects);
    }

    pub(super) fn list_domains(&mut self, effects: &mut Effects) {
        if !self.domains.wanted || self.domains.asked {
            return;
        }
        if self.now.mono < self.domains.after {
            let after = self.domains.after;
            self.domains.alarm(&mut self.timers, after);
            return;
        }
        self.domains.wanted = false;
        self.domains.asked = true;
        self.domains.after = self.now.mono + LIST_PACE;
        self.send(Request::ListDomains, Owner::Domains, None, effects);
    }

    pub(super) fn domains_listed(&mut self, outcome: Outcome, effects: &mut Effects) {
        self.domains.asked = false;
        let Outcome::Ok(Reply::Domains(list)) = outcome else {
            self.domains.wanted = true;
            let after = self.domains.after + 50 * LIST_PACE;
            self.domains.after = after;
            return self.domains.alarm(&mut self.timers, after);
        };
        let listed: BTreeMap<_, _> = list.iter().map(|info| (info.domid, known(info))).collect();
        let before = std::mem::replace(&mut self.domains.known, listed);
        let mut changed: Vec<Uuid> = Vec::new();
        for (domid, now) in &self.domains.known {
            if before.get(domid) != Some(now) {
                changed.extend([now.0].into_iter().chain(before.get(domid).map(|then| then.0)));
            }
        }
        changed
            .extend(before.iter().filter(|(domid, _)| !self.domains.known.contains_key(domid)).map(|(_, then)| then.0));
        // A look may have seen one that came and went between two lists, or before a daemon's first.
        let unlisted = |domid: &DomId| !self.domains.known.contains_key(domid);
        let seen = self.vms.iter().filter(|(_, slot)| slot.domain().is_some_and(|seen| unlisted(&seen.info.domid)));
        changed.extend(seen.map(|(_, slot)| slot.id));
        changed.retain(|id| !mutant!(GoneNotNoticed) || self.domains.known.values().any(|known| known.0 == *id));
        changed.sort_unstable();
        changed.dedup();
        for id in changed {
            if let Some(vm) = self.by_id.get(&id) {
                self.want_look(*vm, effects);
            }
        }
        self.list_domains(effects);
    }

    /// The watch on all domains stands, or must be tried again.
    pub(super) fn watching_domains(&mut self, outcome: Outcome, effects: &mut Effects) {
        if !matches!(outcome, Outcome::Ok(_)) {
            self.send(Request::Watch(Token::DOMAINS, Vec::new()), Owner::WatchDomains, None, effects);
        }
        if !self.domains.watching {
            self.domains.watching = true;
            let vms: Vec<_> = self.vms.iter().map(|(vm, _)| vm).collect();
            for vm in vms {
                self.drive(vm, effects);
            }
        }
    }

    /// Watch the domain that was seen, or none.
    pub(super) fn watch(&mut self, vm: u64, effects: &mut Effects) {
        let slot = self.slot(vm);
        let domid = slot.domain().map(|domain| domain.info.domid);
        match domid {
            Some(domid) if slot.watched != Some(domid) => self.watch_domain(vm, domid, effects),
            None if slot.watched.is_some() && matches!(slot.job, Job::Rest) => self.unwatch(vm, effects),
            _ => {}
        }
    }

    pub(super) fn watch_domain(&mut self, vm: u64, domid: DomId, effects: &mut Effects) {
        let slot = self.slot_mut(vm);
        slot.watched = Some(domid);
        let paths = xc::watch::watched(&slot.text, domid);
        self.send(Request::Watch(Token(vm), paths), Owner::Watch(vm), None, effects);
    }

    pub(super) fn unwatch(&mut self, vm: u64, effects: &mut Effects) {
        if self.slot_mut(vm).watched.take().is_some() {
            self.send(Request::Unwatch(Token(vm)), Owner::Nobody, None, effects);
        }
    }

    /// What changed between the look and the watch would be missed: look once more.
    pub(super) fn watching(&mut self, vm: u64, outcome: Outcome, effects: &mut Effects) {
        let Some(slot) = self.vms.get_mut(vm) else { return };
        if !matches!(outcome, Outcome::Ok(_)) {
            slot.watched = None;
        }
        self.want_look(vm, effects);
    }

    /// Tell clients which objects look different.
    pub(super) fn signal_difference(&mut self, vm: u64, before: Option<&Observation>, after: &Observation) {
        let Some(before) = before else { return self.signal_all(vm) };
        if before.shows_as(after) {
            return;
        }
        self.signal_vm(vm);
        let slot = self.slot(vm);
        let mut changed = Vec::new();
        for vbd in slot.rows.vbds.iter() {
            if vbd_state(Some(before), vbd) != vbd_state(Some(after), vbd) {
                changed.push(Object::Vbd(slot.id, vbd.id.device.as_str().into()));
            }
        }
        for vif in slot.rows.vifs.iter() {
            if vif_state(Some(before), vif) != vif_state(Some(after), vif) {
                changed.push(Object::Vif(slot.id, vif.id.device.as_str().into()));
            }
        }
        if !mutant!(DeviceChangeUntold) {
            changed.into_iter().for_each(|id| self.updates.add(id));
        }
    }
}

fn known(info: &DomainInfo) -> (Uuid, Option<ShutdownCode>, bool) {
    (info.handle, info.shutdown, info.dying)
}
