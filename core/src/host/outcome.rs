//! What came of an effect.

use super::{Canonical, Fault, Found, Reply};
use serde::{Deserialize, Serialize};
use std::hash::Hash;

/// Exactly one of these answers every `Do`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Applied, and this is what was seen.
    Ok(Reply),
    /// Certainly not applied.
    Refused(Fault),
    /// Certainly not applied, because an `Abort` asked so.
    Aborted,
    /// May have been applied: look before deciding. After `Unknown(TimedOut)` the request may still be at work: the
    /// driver raises the notice of its `straggler_token` when it has ended. After any other fault it has ended.
    Unknown(Fault),
}

impl Outcome {
    /// All of it in a hash, but for what is told of the host itself.
    pub fn fingerprint<H: Canonical>(&self, hash: &mut H) {
        std::mem::discriminant(self).hash(hash);
        let reply = match self {
            Outcome::Ok(reply) => reply,
            Outcome::Refused(fault) | Outcome::Unknown(fault) => return fault.hash(hash),
            Outcome::Aborted => return,
        };
        std::mem::discriminant(reply).hash(hash);
        match reply {
            Reply::Unit | Reply::GuardFailed | Reply::Host(_) => {}
            Reply::Found(found) => {
                found.len().hash(hash);
                found.iter().for_each(|found| match found {
                    Found::Tree(nodes) => nodes.fingerprint(hash),
                    found => found.hash(hash),
                });
            }
            Reply::Held(which, process) => (which, process).hash(hash),
            Reply::Domain(domid) => domid.hash(hash),
            Reply::Domains(domains) => domains.hash(hash),
            Reply::Roles(roles) => roles.hash(hash),
            Reply::Names(names) => names.hash(hash),
            Reply::Flag(flag) => flag.hash(hash),
            Reply::Number(number) => number.hash(hash),
            Reply::Text(text) => text.hash(hash),
            Reply::Memory(memory) => memory.hash(hash),
            Reply::Attached(attached) => attached.hash(hash),
            Reply::Image(record) => record.hash(hash),
        }
    }
}
