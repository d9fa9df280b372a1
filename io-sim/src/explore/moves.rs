//! What can happen next in a state, in a fixed order: the first is always what happens when nothing goes wrong.

use super::state::State;
use crate::ledger::Key;
use crate::oracle::{Checked, Violation, state};
use crate::timeline::Kind as Happens;
use crate::world::Fate;
use xenops_core::host::time::SECOND;
use xenops_core::host::{DomainAct, Request, ShutdownCode};
use xenops_core::machine::EffectId;

/// Steps in which everything must come to rest.
const MOST_STEPS: u32 = 20_000;

/// Nanoseconds by which what is late is later than the machine waits.
const LATE: u64 = 5 * SECOND;

/// Numbers from here on are requests that somebody else than the machine made of the host.
const EXTERNAL: u64 = 1 << 62;

/// One thing that can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// The machine is told what came of a request.
    Hear(usize),
    /// The machine is given a notice.
    Notice(usize),
    /// The host does what it was asked, or what becomes of it.
    Do(usize, Fate),
    /// The host stops what was to be stopped.
    Stop(usize),
    /// Time passes until something happens by itself.
    Time(u64),
    /// The client cancels.
    Cancel(usize),
    /// The daemon is killed; choices of the host's.
    Crash(Vec<u32>),
    /// The host is reset; choices of the host's.
    Reboot(Vec<u32>),
    /// A guest stops.
    Guest(usize, ShutdownCode),
}

impl Move {
    /// Whether it takes from what may go wrong.
    pub fn is_injection(&self) -> bool {
        match self {
            Move::Do(_, fate) => *fate != Fate::Plain,
            Move::Cancel(_) | Move::Crash(_) | Move::Reboot(_) | Move::Guest(..) => true,
            _ => false,
        }
    }

    /// The same crash with what else the host could choose in it, each choice in turn after the same ones before it;
    /// it was among so many things each time.
    pub fn others(&self, among: &[u32]) -> Vec<Move> {
        let (Move::Crash(script) | Move::Reboot(script)) = self else { return Vec::new() };
        let mut others = Vec::new();
        for (at, among) in among.iter().enumerate().skip(script.len()) {
            for choice in 1..*among {
                let mut other = script.clone();
                other.resize(at, 0);
                other.push(choice);
                others.push(if matches!(self, Move::Crash(_)) { Move::Crash(other) } else { Move::Reboot(other) });
            }
        }
        others
    }
}

impl State {
    /// What happens if nothing goes wrong.
    pub fn ordinary_moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        moves.extend((0..self.answered.len()).map(Move::Hear));
        moves.extend((0..self.notices.len()).map(Move::Notice));
        let mut appends = false;
        for (at, waiting) in self.asked.iter().enumerate() {
            let append = matches!(waiting.request, Request::Append(_));
            // Appends become durable in their order.
            if !(append && appends) {
                moves.push(Move::Do(at, Fate::Plain));
            }
            appends |= append;
            if waiting.aborted && !append {
                moves.push(Move::Stop(at));
            }
        }
        // Time passes when there is nothing else to do.
        if moves.is_empty() && !self.is_at_rest() {
            moves.extend(self.next_moment().map(Move::Time));
        }
        moves
    }

    /// What may go wrong.
    pub fn injections(&self, reboots: bool, moves: &mut Vec<Move>) {
        let left = self.left;
        if left.is_spent() {
            return;
        }
        if left.crashes > 0 {
            moves.push(Move::Crash(Vec::new()));
            moves.extend(reboots.then(|| Move::Reboot(Vec::new())));
        }
        if left.cancels > 0 {
            let can = |key: Key| matches!(key, Key::Task(_)) && !self.is_cancelled(key);
            moves.extend((0..self.pending.len()).filter(|at| can(self.pending[*at].0)).map(Move::Cancel));
        }
        if left.faults > 0 {
            let mut appends = false;
            for (at, waiting) in self.asked.iter().enumerate() {
                let append = matches!(waiting.request, Request::Append(_));
                if !(append && appends) {
                    moves.extend(
                        fates(&waiting.request, self.time_left(waiting.effect))
                            .into_iter()
                            .map(|fate| Move::Do(at, fate)),
                    );
                }
                appends |= append;
            }
        }
        if left.guests > 0 {
            for (place, shape) in self.swarm.shapes.iter().enumerate() {
                let mut living = shape.ids.iter().flat_map(|id| state::living(&self.world, *id));
                if living.any(|(_, domain)| domain.info.runnable() && domain.guest.exists()) {
                    use ShutdownCode::{Crash, Poweroff, Reboot};
                    moves.extend([Poweroff, Reboot, Crash].map(|code| Move::Guest(place, code)));
                }
            }
        }
    }

    /// Something happens. Where a crash left the host choices: among how many things each time.
    pub fn make(&mut self, what: &Move) -> Result<Vec<u32>, Violation> {
        self.steps += 1;
        self.raised.clear();
        if self.steps > MOST_STEPS {
            return Err(Violation::new("L3", format!("{MOST_STEPS} steps and no rest")));
        }
        if what.is_injection() {
            self.spend(what);
        }
        let made = self.happens(what);
        self.show(None);
        made
    }

    fn happens(&mut self, what: &Move) -> Result<Vec<u32>, Violation> {
        match what {
            Move::Hear(at) => self.machine_hears(*at)?,
            Move::Notice(at) => self.machine_notices(*at)?,
            Move::Do(at, fate) => self.host_does(*at, fate.clone())?,
            Move::Stop(at) => self.host_stops(*at),
            Move::Time(until) => self.time_passes(*until)?,
            Move::Cancel(at) => self.client_cancels(*at)?,
            Move::Crash(script) => return self.daemon_dies(script),
            Move::Reboot(script) => return self.host_dies(script),
            Move::Guest(place, code) => self.guest_stops(*place, *code)?,
        }
        Ok(Vec::new())
    }

    fn spend(&mut self, what: &Move) {
        let left = &mut self.left;
        let kind = match what {
            Move::Crash(_) | Move::Reboot(_) => &mut left.crashes,
            Move::Cancel(_) => &mut left.cancels,
            Move::Guest(..) => &mut left.guests,
            _ => &mut left.faults,
        };
        *kind -= 1;
        left.all -= 1;
        *left = left.settled();
    }

    fn guest_stops(&mut self, place: usize, code: ShutdownCode) -> Checked {
        let ids = self.swarm.shapes[place].ids;
        let domid = ids.iter().find_map(|id| state::living(&self.world, *id).next()).map(|(domid, _)| domid);
        let Some(domid) = domid else { return Ok(()) };
        self.disturbed(place);
        self.mark(Happens::Fault, Some(place), || format!("its guest stops by itself: {code:?}"));
        let effect = EffectId(EXTERNAL + u64::from(self.steps));
        self.world.start_with(effect, Request::Domain(domid, DomainAct::Shutdown(code)), Fate::Plain);
        self.drain();
        self.answered.retain(|(other, _)| *other != effect);
        self.look()
    }

    /// Goes on without anything going wrong until all is at rest.
    pub fn run_straight(&mut self) -> Checked {
        loop {
            let Some(what) = self.ordinary_moves().into_iter().next() else {
                return if self.is_at_rest() { Ok(()) } else { Err(self.restless()) };
            };
            self.make(&what)?;
        }
    }

    /// Nothing will ever happen, and not all is at rest.
    pub fn restless(&self) -> Violation {
        let text = format!(
            "nothing will happen any more: machine at rest {}, host at rest {}, pending {:?}",
            self.machine.is_at_rest(),
            self.world.at_rest(),
            self.pending
        );
        Violation::new("L3", text)
    }
}

/// What may become of a request, of which so much time is left; an append is not seen to come late.
fn fates(request: &Request, left: u64) -> Vec<Fate> {
    let mut fates = Fate::others(request);
    if matches!(request, Request::Append(_)) {
        fates.retain(|fate| matches!(fate, Fate::Refused(_) | Fate::Unapplied | Fate::Unanswered));
    }
    for fate in &mut fates {
        if let Fate::AppliedLate(by) | Fate::AnsweredLate(by) = fate {
            *by = left + LATE;
        }
    }
    fates
}
