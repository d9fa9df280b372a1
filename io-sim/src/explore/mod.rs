//! Every interleaving of a bounded scope: the production machine, its procedures and the simulated host, depth first.
//!
//! **States.** A [`State`](state::State) is the machine, the host, what is on its way between them, the durable
//! records, what the oracle remembers, and what may still go wrong. Two states with the same hash go on in the same
//! way: names that mean nothing by themselves (domain numbers, moments, equal VMs) are hashed as what they stand for
//! ([`canon`](crate::canon)), and what decides nothing is left out (`Machine::fingerprint`, `World::fingerprint`).
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
//! **Reduction.** `--unreduced` does without it; that both give the same end states is checked where both can be run.
//!
//! - *Only moves*: where nothing may go wrong any more, states in which only one thing can happen are gone through, not
//!   kept and not counted.
//! - *Equal VMs* are exchanged: a state's hash is the least of those under all of their orders.
//! - *Crashes* that find the same are made once. What a crash finds is the host without those who wait on it, the
//!   records, and what the oracle remembers (`State::remains`); of the machine nothing is left.
//! - *One VM at a time*, once nothing may go wrong any more: of all moves only those of one VM that has any, and those
//!   that are of no single VM (the list of domains). The moves of different VMs commute: each VM has its own slot,
//!   paths, domains, processes, disks and records; workers are more than are ever needed; memory is ample; numbers of
//!   domains, effects and handles are names. So what a VM can do is still there, and does the same, after any moves of
//!   the others. Moves are never put off for ever: those of a VM without time passing come to an end (else there is a
//!   circle, which is told), and time passes only when no VM has a move left. The list of domains is not put off, for
//!   it can touch every VM.
//! - *The same while the daemon may be killed*, as long as the moves that are tried leave what a crash would find as
//!   it is: then a crash before them and one after them are the same. Where one of them does not, all moves are tried.
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
