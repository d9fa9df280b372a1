//! What each thing that may happen belongs to: a VM, and a chain of causes.

use std::collections::BTreeMap;
use xenops_core::host::{Request, Token};
use xenops_core::machine::EffectId;

/// One thing that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The host does what it was asked.
    Do(EffectId),
    /// The machine hears what came of it.
    Hear(EffectId),
    /// The machine is given a notice.
    Notice(Token),
    /// None of these: clients act, or time passes.
    Wait,
}

/// What a move is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// xenstore.
    Store,
    /// Domains.
    Domain,
    /// Processes.
    Process,
    /// Disks and images.
    Disk,
    /// Anything else that a host is asked.
    Other,
    /// A notice.
    Notice,
    /// Time.
    Time,
}

impl Sort {
    fn of(request: &Request) -> Sort {
        match request {
            Request::Store(_)
            | Request::Read(_)
            | Request::Watch(..)
            | Request::Unwatch(_)
            | Request::Introduce(..)
            | Request::Wait(_) => Sort::Store,
            Request::CreateDomain(_) | Request::Domain(..) | Request::ListDomains | Request::FindDomains(_) => {
                Sort::Domain
            }
            Request::Spawn(_)
            | Request::Tell(..)
            | Request::Kill(..)
            | Request::Forget(_)
            | Request::Processes(_)
            | Request::Hooks(_)
            | Request::Qmp(..) => Sort::Process,
            Request::Storage(_)
            | Request::OpenImage { .. }
            | Request::AppendImage(..)
            | Request::ReadImage(_)
            | Request::SyncImage(_)
            | Request::CloseStream(_)
            | Request::RemoveFiles(_) => Sort::Disk,
            _ => Sort::Other,
        }
    }
}

/// A move, and what it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// What.
    pub what: Move,
    /// The chain of causes: what is asked because something ended goes on with its chain; of several things asked
    /// at once the first does, and each other begins one.
    pub lane: u32,
    /// The VM, where it is one's.
    pub place: Option<usize>,
    /// What it is about.
    pub sort: Sort,
    /// Since when it is ready, in monotonic nanoseconds.
    pub since: u64,
    /// When it must have happened.
    pub deadline: u64,
}

impl Ready {
    /// The outcome of what outlasted its deadline.
    pub fn late(effect: EffectId, mono: u64) -> Ready {
        let what = Move::Hear(effect);
        Ready { what, lane: 0, place: None, sort: Sort::Other, since: mono, deadline: u64::MAX }
    }

    /// Clients act, or time passes.
    pub fn wait() -> Ready {
        Ready { what: Move::Wait, lane: 0, place: None, sort: Sort::Time, since: 0, deadline: u64::MAX }
    }
}

#[derive(Clone, Debug)]
struct Asked {
    effect: EffectId,
    ready: Ready,
    /// Its outcome is there.
    heard: bool,
}

/// The chains.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    asked: Vec<Asked>,
    notices: BTreeMap<Token, u32>,
    given: BTreeMap<Token, u64>,
    /// The chain that goes on with what the machine asks next, and whose it is.
    goes_on: Option<(u32, Option<usize>)>,
    last: u32,
}

impl Lanes {
    pub(super) fn told(&mut self, ended: Option<EffectId>) {
        self.goes_on = None;
        let Some(at) = ended.and_then(|ended| self.asked.iter().position(|asked| asked.effect == ended)) else {
            return;
        };
        let Asked { ready, .. } = self.asked.remove(at);
        self.goes_on = Some((ready.lane, ready.place));
    }

    fn next_lane(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    pub(super) fn asked(
        &mut self,
        effect: EffectId,
        place: Option<usize>,
        request: &Request,
        mono: u64,
        deadline: u64,
    ) {
        let lane = match self.goes_on {
            Some((lane, of)) if of == place => {
                self.goes_on = None;
                lane
            }
            _ => self.next_lane(),
        };
        let what = Move::Do(effect);
        let ready = Ready { what, lane, place, sort: Sort::of(request), since: mono, deadline };
        self.asked.push(Asked { effect, ready, heard: false });
    }

    pub(super) fn hastened(&mut self, effect: EffectId, deadline: u64) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.effect == effect) {
            asked.ready.deadline = asked.ready.deadline.min(deadline);
        }
    }

    pub(super) fn of_effect(&mut self, what: Move, effect: EffectId, mono: u64) -> Option<Ready> {
        let asked = self.asked.iter_mut().find(|asked| asked.effect == effect)?;
        if matches!(what, Move::Hear(_)) && !std::mem::replace(&mut asked.heard, true) {
            asked.ready.since = mono;
        }
        asked.ready.what = what;
        Some(asked.ready)
    }

    pub(super) fn of_notice(&mut self, token: Token, place: Option<usize>, mono: u64) -> Ready {
        let lane = match self.notices.get(&token) {
            Some(lane) => *lane,
            None => {
                let lane = self.next_lane();
                self.notices.insert(token, lane);
                lane
            }
        };
        let since = *self.given.entry(token).or_insert(mono);
        Ready { what: Move::Notice(token), lane, place, sort: Sort::Notice, since, deadline: u64::MAX }
    }

    pub(super) fn given(&mut self, token: Token) {
        self.given.remove(&token);
    }
}
