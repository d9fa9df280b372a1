//! Stepping a procedure: what it asks is answered here, by the journal or by the host.

use super::budget::{Purse, Turn};
use super::flight::{Flight, Owner, Parked};
use super::rows::Row;
use super::run::NodeId;
use super::slot::{Job, Seat};
use super::{EffectId, Effects, Machine, slab};
use crate::backend::{Ask, Change, Failure, Procedure, Product, Said, Stepped};
use crate::host::{Fault, Handle, Outcome, Reply, Request};
use crate::operation::Operation;
use crate::recovery::Repair;

impl Machine {
    /// Go on with a procedure until it asks for something that takes time, or is over.
    pub(super) fn advance(&mut self, vm: u64, seat: Seat, mut stepped: Stepped, effects: &mut Effects) {
        loop {
            let (ask, shielded) = match stepped {
                Stepped::Over(result) => return self.over(vm, seat, result, effects),
                Stepped::Asks(ask, shielded) => (ask, shielded),
            };
            let Some(outcome) = self.ask(vm, seat, ask, shielded, effects) else { return };
            stepped = self.step(vm, seat, outcome);
        }
    }

    /// Answer at once, or not yet.
    fn ask(&mut self, vm: u64, seat: Seat, ask: Ask, shielded: bool, effects: &mut Effects) -> Option<Outcome> {
        if (!shielded || mutant!(CancelReachesCleanup))
            && self.is_cancelling(vm, seat)
            && !matches!(ask, Ask::Progress(_))
        {
            return Some(Outcome::Refused(Fault::Cancelled));
        }
        match ask {
            Ask::Progress(thousandths) => {
                self.progress(vm, seat, thousandths);
                Some(Outcome::Ok(Reply::Unit))
            }
            Ask::Handle => {
                let slot = self.slot_mut(vm);
                slot.handles += 1;
                let handle = Handle::of(slab::place(vm), slot.handles);
                Some(Outcome::Ok(Reply::Number(handle.0)))
            }
            Ask::Uuid => Some(Outcome::Ok(Reply::Text(self.entropy.uuid().text()))),
            Ask::Become(op) => {
                let domid = self.slot(vm).active().and_then(|active| active.domid);
                let context = self.context(vm, domid).expect("a plan has its subject");
                let mut next = Box::new(Procedure::new(*op, context, self.now));
                let stepped = next.begin();
                self.put(vm, seat, next);
                self.advance(vm, seat, stepped, effects);
                None
            }
            Ask::Commit => {
                self.commit(vm, node_of(seat), effects);
                None
            }
            Ask::Record(change) => {
                let node = node_of(seat);
                let active = self.slot_mut(vm).active_mut().expect("its plan runs");
                active.changes.push_back((node, change));
                if active.changes.len() == 1 {
                    self.next_change(vm, effects);
                }
                None
            }
            Ask::Host(request) => {
                self.issue(vm, seat, request, shielded, effects);
                None
            }
        }
    }

    pub(super) fn step(&mut self, vm: u64, seat: Seat, outcome: Outcome) -> Stepped {
        let mut procedure = self.take(vm, seat);
        let stepped = procedure.answer(Said { outcome, now: self.now });
        self.put(vm, seat, procedure);
        stepped
    }

    fn take(&mut self, vm: u64, seat: Seat) -> Box<Procedure> {
        let slot = self.slot_mut(vm);
        let taken = match seat {
            Seat::Leaf(node) => slot.active_mut().and_then(|active| active.run.take(node)),
            Seat::Look => match &mut slot.job {
                Job::Look { procedure, .. } => procedure.take(),
                _ => None,
            },
            Seat::Glance => slot.glance.as_mut().and_then(|glance| glance.procedure.take()),
        };
        taken.expect("a seat with a question open has its procedure")
    }

    fn put(&mut self, vm: u64, seat: Seat, procedure: Box<Procedure>) {
        let slot = self.slot_mut(vm);
        match seat {
            Seat::Leaf(node) => {
                slot.active_mut().expect("its plan runs until all leaves have ended").run.put(node, procedure)
            }
            Seat::Look => match &mut slot.job {
                Job::Look { procedure: place, .. } => *place = Some(procedure),
                _ => unreachable!("a look is the vm's job until it is over"),
            },
            Seat::Glance => slot.glance.as_mut().expect("a glance lasts until it is over").procedure = Some(procedure),
        }
    }

    fn is_cancelling(&self, vm: u64, seat: Seat) -> bool {
        matches!(seat, Seat::Leaf(_)) && self.slot(vm).active().is_some_and(|active| active.cancelling)
    }

    /// To the host, when there is a worker for it.
    fn issue(&mut self, vm: u64, seat: Seat, request: Request, shielded: bool, effects: &mut Effects) {
        let is_free = request.is_wait() && !mutant!(WaitsTakeWorkers);
        let parked = Parked { vm, seat, request, shielded };
        if is_free {
            return self.fly(parked, None, effects);
        }
        let purse = self.purse(vm, seat, shielded);
        let turn = if self.is_under_way(vm, seat) { Turn::UnderWay } else { Turn::New };
        if let Some(parked) = self.budget.draw(purse, turn, parked) {
            self.fly(parked, Some(purse), effects);
        }
    }

    fn fly(&mut self, parked: Parked, purse: Option<Purse>, effects: &mut Effects) {
        let Parked { vm, seat, request, shielded } = parked;
        let effect = self.send(request, Owner::Seat(vm, seat), purse, effects);
        if let Seat::Leaf(node) = seat
            && let Some(active) = self.slot_mut(vm).active_mut()
        {
            active.flights.push((node, effect, shielded));
        }
    }

    /// A host has been asked something for it before.
    fn is_under_way(&self, vm: u64, seat: Seat) -> bool {
        let slot = self.slot(vm);
        let asked = |procedure: &Option<Box<Procedure>>| procedure.as_ref().is_some_and(|asks| asks.replies() > 0);
        match (seat, &slot.job) {
            (Seat::Leaf(node), _) => slot.active().is_some_and(|active| active.run.is_under_way(node)),
            (Seat::Look, Job::Look { procedure, .. }) => asked(procedure),
            (Seat::Look, _) => false,
            (Seat::Glance, _) => slot.glance.as_ref().is_some_and(|glance| asked(&glance.procedure)),
        }
    }

    /// Looks, clean-up and hard power-offs do not wait behind ordinary work.
    fn purse(&self, vm: u64, seat: Seat, shielded: bool) -> Purse {
        let ordinary = match (seat, self.slot(vm).active()) {
            (Seat::Leaf(_), Some(active)) => match &active.op {
                Operation::Repair(Repair::Restart { .. }) => true,
                Operation::Repair(_) => false,
                op => !op.is_hard_poweroff(),
            },
            _ => false,
        };
        if ordinary && !shielded || mutant!(NoReserve) { Purse::Pool } else { Purse::Reserve }
    }

    /// Those who waited for a worker.
    pub(super) fn pump(&mut self, effects: &mut Effects) {
        while let Some((purse, parked)) = self.budget.next_turn() {
            self.fly(parked, Some(purse), effects);
        }
    }

    /// An effect has come to its outcome.
    pub(super) fn done(&mut self, effect: EffectId, outcome: Outcome, effects: &mut Effects) {
        let flight = self.flights.remove(effect.0);
        let Flight { owner, purse } = flight.expect("every effect has exactly one outcome");
        if let Some(purse) = purse.filter(|_| !mutant!(WorkerLeaked) || matches!(outcome, Outcome::Ok(_))) {
            self.budget.give_back(purse);
        }
        match owner {
            Owner::Seat(vm, seat) => self.answered(vm, seat, effect, outcome, effects),
            Owner::Record(vm, node, row) => self.recorded(vm, node, row, outcome, effects),
            Owner::Commit(vm, node) => self.committed(vm, node, outcome, effects),
            Owner::Intent(vm, before) => self.intended(vm, before, outcome, effects),
            Owner::Settle(vm) => self.settled(vm, outcome, effects),
            Owner::Abandon(vm) => self.abandoned(vm, &outcome, effects),
            Owner::Restate(vm) => self.restated(vm, &outcome, effects),
            Owner::Rows(vm, rows) => self.rows_changed(vm, rows, outcome, effects),
            Owner::Client { vm, row, call, answer } => self.client_row(vm, row, call, answer, outcome, effects),
            Owner::Watch(vm) => self.watching(vm, outcome, effects),
            Owner::WatchDomains => self.watching_domains(outcome, effects),
            Owner::Domains => self.domains_listed(outcome, effects),
            Owner::Call(call, kind) => self.host_answered(call, kind, outcome, effects),
            Owner::Nobody => {}
        }
        self.pump(effects);
    }

    fn answered(&mut self, vm: u64, seat: Seat, effect: EffectId, outcome: Outcome, effects: &mut Effects) {
        let slot = self.slot_mut(vm);
        if matches!(outcome, Outcome::Unknown(Fault::TimedOut)) && !mutant!(StragglerForgotten) {
            slot.stragglers.insert(effect);
        }
        if let Some(active) = slot.active_mut() {
            active.flights.retain(|(_, flying, _)| *flying != effect);
        }
        let stepped = self.step(vm, seat, outcome);
        self.advance(vm, seat, stepped, effects);
    }

    /// A procedure is over.
    fn over(&mut self, vm: u64, seat: Seat, result: Result<Product, Failure>, effects: &mut Effects) {
        match seat {
            Seat::Leaf(node) => self.leaf_over(vm, node, result, effects),
            Seat::Look => {
                let Job::Look { started, .. } = self.slot(vm).job else { unreachable!("a look is the vm's job") };
                self.looked(vm, started, seen(result), effects);
            }
            Seat::Glance => self.glanced(vm, seen(result), effects),
        }
    }

    /// The first record change of a VM goes to the journal.
    fn next_change(&mut self, vm: u64, effects: &mut Effects) {
        loop {
            let slot = self.slot(vm);
            let Some((node, change)) = slot.active().and_then(|active| active.changes.front()) else { return };
            let node = *node;
            if let Some(row) = slot.rows.change(change) {
                let entries = slot.rows.entries(&slot.text, &row);
                self.send(Request::Append(entries), Owner::Record(vm, node, row), None, effects);
                return;
            }
            let missing = Fault::NotFound(format!("record to change ({})", what(change)));
            self.change_ended(vm);
            let stepped = self.step(vm, Seat::Leaf(node), Outcome::Refused(missing));
            self.advance(vm, Seat::Leaf(node), stepped, effects);
        }
    }

    fn change_ended(&mut self, vm: u64) {
        self.slot_mut(vm).active_mut().expect("records are changed by a plan").changes.pop_front();
    }

    fn recorded(&mut self, vm: u64, node: NodeId, row: Row, outcome: Outcome, effects: &mut Effects) {
        self.change_ended(vm);
        match &outcome {
            Outcome::Ok(_) => self.apply(vm, row),
            Outcome::Unknown(_) if mutant!(UnsureForgotten) => {}
            Outcome::Unknown(_) => self.slot_mut(vm).unsure.push(row),
            Outcome::Refused(_) | Outcome::Aborted => {}
        }
        self.next_change(vm, effects);
        let stepped = self.step(vm, Seat::Leaf(node), outcome);
        self.advance(vm, Seat::Leaf(node), stepped, effects);
    }

    /// A row is durable. Clients are told where a VM shows another state by it.
    fn apply(&mut self, vm: u64, row: Row) {
        let before = self.power_state(vm);
        let slot = self.slot_mut(vm);
        slot.written(&row);
        slot.rows.apply(row);
        if self.power_state(vm) != before {
            self.signal_vm(vm);
        }
    }

    /// The point of no return: durably, then the task can no longer be cancelled.
    pub(super) fn commit(&mut self, vm: u64, node: NodeId, effects: &mut Effects) {
        let slot = self.slot(vm);
        let Some(mut intent) = slot.rows.intent.clone() else {
            // An operation without an intent of its own has nothing to mark.
            return self.pass(vm, node, Outcome::Ok(Reply::Unit), effects);
        };
        intent.committed = true;
        let entries =
            slot.rows.entries(&slot.text, &Row::Intent(Some(intent).filter(|_| !mutant!(IntentDeletedAtCommit))));
        self.send(Request::Append(entries), Owner::Commit(vm, node), None, effects);
    }

    fn committed(&mut self, vm: u64, node: NodeId, outcome: Outcome, effects: &mut Effects) {
        if matches!(outcome, Outcome::Unknown(_)) {
            self.slot_mut(vm).unsure.push(Row::Intent(None));
        }
        if matches!(outcome, Outcome::Ok(_)) {
            let slot = self.slot_mut(vm);
            if let Some(intent) = &mut slot.rows.intent {
                intent.committed = true;
            }
            // A cancellation that came while this was on its way has lost; a hard power-off has not.
            let active = slot.active_mut().expect("its plan runs");
            active.cancelling = active.forced || mutant!(CommitLosesToCancel) && active.cancelling;
            let task = active.task;
            if !mutant!(CommitCancellable) {
                self.no_longer_cancellable(task);
            }
        }
        self.pass(vm, node, outcome, effects);
    }

    /// A commit that is a step of its own ends; one that a procedure asked for is answered.
    fn pass(&mut self, vm: u64, node: NodeId, outcome: Outcome, effects: &mut Effects) {
        let in_procedure = self.slot_mut(vm).active_mut().is_some_and(|active| active.run.is_leaf(node));
        if in_procedure {
            let stepped = self.step(vm, Seat::Leaf(node), outcome);
            return self.advance(vm, Seat::Leaf(node), stepped, effects);
        }
        self.end_node(vm, node, Failure::of(outcome).map(|_| ()), effects);
    }
}

fn node_of(seat: Seat) -> NodeId {
    match seat {
        Seat::Leaf(node) => node,
        Seat::Look | Seat::Glance => unreachable!("a look changes nothing"),
    }
}

fn seen(result: Result<Product, Failure>) -> Result<Box<crate::backend::Observation>, Failure> {
    match result? {
        Product::Seen(seen) => Ok(seen),
        other => unreachable!("a look ends in what it saw, not {other:?}"),
    }
}

fn what(change: &Change) -> &'static str {
    match change {
        Change::Extra(_) => "extra",
        Change::Vif(_) => "vif",
    }
}
