//! Every interleaving of a bounded scope: the production machine, its procedures and the simulated host, depth first.
//!
//! **States.** A [`State`](state::State) is the machine, the host, what is on its way between them, the durable
//! records, what the oracle remembers, and what may still go wrong. Two states with the same hash go on in the same
//! way: names that mean nothing by themselves (domain numbers, handles, moments, equal VMs) are hashed as what they
//! stand for ([`canon`](crate::canon)), and what decides nothing, such as drawn identities, is left out
//! (`Machine::fingerprint`, `World::fingerprint`).
//!
//! **Moves.** The machine hears of an outcome or a notice; the host does one of the requests that it was asked, which
//! is applied in one go and answered when the machine hears of it; a request that was to be stopped is stopped. All of
//! these in every order, but that appends become durable in the order of their requests. A wait, and what is the
//! daemon's own, is begun when it is asked. When none of these is left, time passes until the host's next event of its
//! own, a deadline or an alarm: what guests, drivers, scripts and helpers do takes as long as it naturally does, and
//! requests take no time. What goes wrong: a request is refused, or its outcome is unknown and it was applied, in part
//! or not, or is late; the client cancels; the daemon is killed; the host is reset; a guest stops. The daemon may be
//! killed in every state, so each request in flight is, independently, not applied, or applied and not reported; and
//! of what was reported, the record that would tell of it may be lost. Where a crash leaves the host a choice, each is
//! tried. A daemon that was killed is started again at once.
//!
//! **At rest** the whole list of rules is checked, and from each different state at rest all VMs are taken away, after
//! which the host must be as it was at first. A state that comes again on its own way is a circle, and breaks L3.
//!
//! **Reduction.** `--unreduced` does without it; that both give the same end states is checked where both can be run,
//! and `--check` tries, each time a move is put off, both orders of it and of what is tried in its place: they must
//! lead to the same state, but for the numbers of handles, which are names (a notice may instead be one that is raised
//! anew). The least scopes are searched so in CI; start, shutdown, suspend and resume with any one have been.
//!
//! - *Equal VMs* are exchanged: a state's hash is the least of those under all of their orders. The state is gone
//!   through once, leaving open which VM is which ([`Tape`](crate::canon::Tape)); what is read in each order is that.
//! - *Crashes* that find the same, equal VMs exchanged, are made once. What a crash finds is the host without those who
//!   wait on it, the records, and what the oracle remembers (`State::remains`); of the machine nothing is left. Of what
//!   is on its way to the records it is lost, and only a mark that gives up a reboot tells by that what is to come
//!   (`Ledger::reboots_stay`). A reset finds less: records, images, epochs, and nothing that was asked.
//! - *One VM at a time*, once nothing may go wrong any more: of all moves only those of one VM that has any, and those
//!   that are of no single VM (the list of domains). The moves of different VMs commute: each VM has its own slot,
//!   paths, domains, processes, disks and records; workers are more than are ever needed; memory is ample; numbers of
//!   domains, effects and handles are names. So what a VM can do is still there, and does the same, after any moves of
//!   the others. Moves are never put off for ever: those of a VM without time passing come to an end (else there is a
//!   circle, which is told), and time passes only when no VM has a move left. The list of domains is not put off so,
//!   for it can touch every VM.
//! - *The same while the daemon may be killed*, as long as the moves that are tried leave what a crash would find as
//!   it is, and ask for no append: then a crash before them and one after them are the same, and so are those after
//!   what comes later. Where one of them does not, all moves are tried. (An append that is asked for comes before all
//!   that are asked for later: what another VM writes could not be durable without it any more.)
//!   A VM of which the host is only looked at goes before those for which it acts: which VM is first is free.
//! - *Light moves* are put off: a notice, the list of all domains (asked for, or its answer heard), the answer of a
//!   watch. While a VM is in a look or in a plan (`Machine::stretch`) they can only set the bit that asks for a look
//!   after it; a plan has set that bit itself when it began. So they commute with all that the VM does before its look
//!   or plan ends, whatever comes of its requests, and with a cancellation; they leave alone what a crash finds; and
//!   they bring about none but light ones. What shows that a move does not commute with them: the VM's look or plan is
//!   over after it, or a task is; it changes what the list of domains tells while somebody may ask for that; it raises
//!   the notice of domains while that is raised; it sends a watch. Then the light ones are tried as well. A notice of a
//!   VM that is put off and raised anew is one notice, as it is if it had been given before, for that changes nothing.
//! - *Steps inside*, once nothing may go wrong any more: the machine hears of a request of a look or of a plan, or the
//!   host does one while that is all that the VM has under way, and its look or plan goes on (or the mark of a failure
//!   becomes durable, which nothing reads but the next daemon): nothing else is tried.
//!   Beside the light moves it commutes with those of other VMs, and what the machine hears with what the other
//!   branches of its plan do: each is a procedure of its own, and they are joined at its end. It is not so where
//!   the host's doing may be seen by a watch that is being set. What the machine hears goes before all else, too, while
//!   there may be faults or a crash, as long as a crash would find the same and no append is asked for: all of those
//!   are still there after it.
//! - *What means nothing*: that a watch has been given up, or that the mark of a failure is durable, the machine hears
//!   at once.
//!
//! States after which one move alone is tried are gone through, not kept and not counted, 8 in a row at most.
//!
//! **Bounds.** What is `complete` is so within these: the moves above, times as they naturally are, a guest that obeys,
//! one client that asks at the beginning; hashes of 64 bits (for ten million states the odds that any two of them
//! fall together are one to three hundred thousand); ages of what has passed in steps of ten seconds.

pub mod ci;
pub mod cli;
pub mod moves;
pub mod replay;
pub mod scope;
pub mod search;
pub mod state;
pub mod windows;

mod enough;
mod prints;
mod talk;

#[cfg(test)]
mod tests;
