//! What becomes of a request other than what was hoped for.

use super::choice::Concern;
use super::world::World;
use xenops_core::host::time::SECOND;
use xenops_core::host::{DomainAct, Fault, Request};

/// A request's fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is applied and answered.
    Plain,
    /// It is refused, and not applied.
    Refused(Fault),
    /// It is not applied, and nobody knows.
    Unapplied,
    /// It is applied, and nobody knows.
    Unanswered,
    /// A part of it is applied, and nobody knows. What has no parts is applied.
    Partly,
    /// It is applied late, after this many nanoseconds more.
    AppliedLate(u64),
    /// It is answered late, after this many nanoseconds more.
    AnsweredLate(u64),
}

/// Longer than some deadlines, and longer than most.
const LATE: [u64; 3] = [40 * SECOND, 400 * SECOND, 2000 * SECOND];

impl Fate {
    /// All that may become of a request other than what was hoped for, each kind once.
    pub fn others(request: &Request) -> Vec<Fate> {
        if request.is_own() {
            return Vec::new();
        }
        let late = LATE[LATE.len() - 1];
        let [one, other] = [false, true].map(|other| refusal(request, other).map(Fate::Refused));
        let mut fates: Vec<Fate> = one.into_iter().chain(other).collect();
        fates.dedup();
        if request.is_wait() {
            return fates;
        }
        fates.push(Fate::Unapplied);
        if !request.is_read_only() {
            fates.extend([Fate::Unanswered, Fate::AnsweredLate(late)]);
            if !prompt(request) {
                fates.extend([Fate::Partly, Fate::AppliedLate(late)]);
            }
        }
        fates
    }
}

impl World {
    pub(super) fn draw_fate(&mut self, request: &Request) -> Fate {
        if self.config.odd_requests == 0
            || request.is_own()
            || !self.choices.odds(Concern::Fault, self.config.odd_requests)
        {
            return Fate::Plain;
        }
        let late = |world: &mut World| LATE[world.choices.choose(Concern::Fault, 3) as usize];
        let (kind, fate) = match self.choices.choose(Concern::Fault, 8) {
            0 | 1 => match self.drawn_refusal(request) {
                Some(fault) => ("refused", Fate::Refused(fault)),
                None => return Fate::Plain,
            },
            2 => ("unapplied", Fate::Unapplied),
            3 => ("unanswered", Fate::Unanswered),
            4 => ("partly", Fate::Partly),
            5 | 6 if !prompt(request) => ("applied late", Fate::AppliedLate(late(self))),
            _ => ("answered late", Fate::AnsweredLate(late(self))),
        };
        self.tally.count(kind);
        fate
    }

    fn drawn_refusal(&mut self, request: &Request) -> Option<Fault> {
        let other = self.choices.choose(Concern::Fault, 2) == 1;
        refusal(request, other)
    }
}

/// A reason for which a host may refuse a request, or another one.
pub fn refusal(request: &Request, other: bool) -> Option<Fault> {
    let io = || Fault::Io("simulated".to_owned());
    let xen = |call: &str| Fault::Other(format!("{call}: 16 device or resource busy"));
    Some(match request {
        Request::Store(_) if !other => Fault::Conflict,
        Request::Store(_) | Request::Read(_) | Request::Watch(..) | Request::Introduce(..) => {
            Fault::Lost("xenstore".to_owned())
        }
        Request::CreateDomain(_) if !other => Fault::NoMemory(4096),
        Request::CreateDomain(_) => xen("xc_domain_create"),
        Request::Domain(_, DomainAct::Destroy) => xen("xc_domain_destroy"),
        Request::Domain(_, DomainAct::ShadowAllocation(mib)) => Fault::NoMemory(u64::from(*mib) * 1024),
        Request::Domain(..) => xen("xc_domain"),
        Request::Spawn(_) => Fault::Other("fork: 11 resource temporarily unavailable".to_owned()),
        Request::Qmp(domid, ..) if !other => Fault::NotFound(format!("device model of domain {domid}")),
        Request::Storage(_) => {
            Fault::Storage("SR_BACKEND_FAILURE_46".to_owned(), vec![String::new(), "simulated".to_owned()])
        }
        Request::OpenImage { .. } | Request::AppendImage(..) | Request::Append(_) if !other => {
            Fault::NoSpace("simulated disk".to_owned())
        }
        Request::Wait(_) => return None,
        _ => io(),
    })
}

/// What is answered late at most. xenstored takes the requests of a connection in order, the storage those of a
/// datapath; who has stopped waiting for a transaction does not try it again; a process is the daemon's own to start.
fn prompt(request: &Request) -> bool {
    matches!(
        request,
        Request::Store(_)
            | Request::Read(_)
            | Request::Watch(..)
            | Request::Introduce(..)
            | Request::Spawn(_)
            | Request::Storage(_)
    )
}
