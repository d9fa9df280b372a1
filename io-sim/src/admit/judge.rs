//! One reply of the real host, offered to the model.

use super::Admission;
use super::node;
use super::table::{By, Verdict};
use crate::world::fate::refusal;
use serde_json::Value;
use std::collections::BTreeSet;
use xenops_core::host::store::Guard;
use xenops_core::host::{Batch, DomId, DomainAct, Fault, ImageRecord, Outcome, Reply, Request, Role};

pub(super) fn not(why: impl Into<String>) -> Verdict {
    Verdict::Not(why.into())
}

impl Admission {
    /// What the model makes of a real outcome; `model` is what it said when it was asked, `aborted` whether the daemon
    /// took the request back.
    pub(super) fn judge(&mut self, request: &Request, model: &Outcome, real: &Outcome, aborted: bool) -> Verdict {
        match (request, real) {
            (Request::Wait(_), Outcome::Aborted) if aborted => Verdict::Equal,
            (_, Outcome::Aborted) => not("nobody took it back, or it cannot be stopped"),
            (_, Outcome::Unknown(Fault::TimedOut | Fault::Lost(_))) => Verdict::by(By::Fault),
            // How long a domain takes to leave that somebody else destroys is his business.
            (Request::Domain(domid, _), _)
                if self.taken.contains(domid)
                    && [model, real].iter().any(|said| matches!(said, Outcome::Refused(Fault::NoDomain(_)))) =>
            {
                Verdict::by(By::Others)
            }
            (Request::Wait(wait), Outcome::Ok(Reply::Held(held, process))) => {
                self.waited(wait, *held, process.as_ref())
            }
            (Request::Read(queries), Outcome::Ok(Reply::Found(found))) => self.read(queries, model, found),
            (Request::Store(batch), Outcome::Ok(Reply::GuardFailed)) => self.guards(batch, model),
            (Request::Store(batch), Outcome::Ok(Reply::Unit)) if *model == Outcome::Ok(Reply::GuardFailed) => {
                let verdict = self.guards(batch, real);
                if !matches!(verdict, Verdict::Not(_)) {
                    self.ask(Request::Store(Batch { guards: Vec::new(), changes: batch.changes.clone() }));
                }
                verdict
            }
            (Request::CreateDomain(_), Outcome::Ok(Reply::Domain(domid))) => self.created(*domid, model),
            (Request::ListDomains | Request::FindDomains(_), Outcome::Ok(Reply::Domains(real))) => {
                self.domains(request, model, real)
            }
            (_, Outcome::Ok(reply)) => self.reply(request, model, reply),
            (_, Outcome::Refused(fault)) => match model {
                Outcome::Refused(ours) if kind(ours) == kind(fault) => Verdict::Equal,
                _ if [false, true]
                    .iter()
                    .any(|other| refusal(request, *other).is_some_and(|f| kind(&f) == kind(fault))) =>
                {
                    Verdict::by(By::Fault)
                }
                _ => not(format!("refused: {fault}; the model: {model:?}")),
            },
            (_, Outcome::Unknown(fault)) => not(format!("nobody knows: {fault}")),
        }
    }

    fn reply(&mut self, request: &Request, model: &Outcome, real: &Reply) -> Verdict {
        let Outcome::Ok(ours) = model else { return not(format!("{real:?}; the model: {model:?}")) };
        if ours == real {
            return Verdict::Equal;
        }
        match (request, real, ours) {
            (Request::Memory, Reply::Memory(memory), _) if memory.free + memory.scrub <= memory.total => {
                self.world.bring_memory(*memory);
                Verdict::by(By::Hypervisor)
            }
            (Request::HostStat, Reply::Host(_), _) => Verdict::by(By::Host),
            (Request::ConsoleRing, Reply::Text(_), Reply::Text(_)) => Verdict::by(By::Hypervisor),
            // Others have event channels of the domain as well.
            (Request::Domain(_, DomainAct::AllocUnbound), Reply::Number(n), Reply::Number(_)) if *n > 0 => {
                Verdict::by(By::Hypervisor)
            }
            // What was given to a domain that was there before is told here first, and what is left of one that goes.
            (Request::Domain(domid, DomainAct::GetShadowAllocation), Reply::Number(mib), Reply::Number(_))
                if !self.is_own(*domid) || self.taken.contains(domid) =>
            {
                self.world.bring_shadow(*domid, *mib as u32);
                Verdict::by(By::Others)
            }
            (Request::Domain(_, DomainAct::HasPvCallback), Reply::Flag(_), Reply::Flag(_)) => Verdict::by(By::Guest),
            (Request::Hooks(_), Reply::Names(_), Reply::Names(_)) => Verdict::by(By::Host),
            (Request::Processes(domid), Reply::Roles(real), Reply::Roles(ours))
                if !self.is_own(*domid) && *real == [Role::DeviceModel] && ours.is_empty() =>
            {
                self.world.bring_model(*domid);
                Verdict::by(By::Others)
            }
            (Request::Processes(_), Reply::Roles(real), Reply::Roles(ours)) => {
                // Whoever has ended in one has not yet in the other, or the other way round.
                let subset = real.iter().all(|role| ours.contains(role)) || ours.iter().all(|role| real.contains(role));
                if subset { Verdict::by(By::Time) } else { not(format!("{real:?}; the model: {ours:?}")) }
            }
            (Request::Qmp(..), Reply::Text(real), Reply::Text(ours)) => same_form(real, ours),
            // Whether the guest of an image that was there before had a device model, and who wrote it, is told in it.
            (
                Request::ReadImage(stream),
                Reply::Image(Some(ImageRecord::QemuTrad)),
                Reply::Image(Some(ImageRecord::EndOfImage)),
            ) if self.early_images > 0 => {
                self.world.bring_device_state(*stream);
                Verdict::by(By::Others)
            }
            (
                Request::ReadImage(_),
                Reply::Image(Some(ImageRecord::Xenops(_))),
                Reply::Image(Some(ImageRecord::Xenops(ours))),
            ) if ours.is_empty() && self.early_images > 0 => Verdict::by(By::Others),
            (Request::Storage(_), Reply::Attached(real), Reply::Attached(_)) => {
                let record = serde_json::from_str::<Value>(&real.record);
                if record.is_ok_and(|record| record.is_object()) {
                    Verdict::by(By::Host)
                } else {
                    not(format!("an attach record of another form: {}", real.record))
                }
            }
            _ => not(format!("{real:?}; the model: {ours:?}")),
        }
    }

    /// A guard that failed in reality fails in the model, or is about what others write.
    fn guards(&mut self, batch: &Batch, model: &Outcome) -> Verdict {
        if *model == Outcome::Ok(Reply::GuardFailed) {
            return Verdict::Equal;
        }
        let by = batch.guards.iter().filter_map(|guard| match guard {
            Guard::Exists(path) | Guard::Absent(path) | Guard::Equals(path, _) => {
                node::writer(path, None).or_else(|| self.is_early(path).then_some(By::Others))
            }
        });
        let by: BTreeSet<By> = by.collect();
        if by.is_empty() {
            not("only the daemon writes what its guards are about, and they held in one and not in the other")
        } else {
            Verdict::Explained(by)
        }
    }

    fn created(&self, domid: DomId, model: &Outcome) -> Verdict {
        match model {
            Outcome::Ok(Reply::Domain(ours)) if *ours == domid => self.number.clone(),
            _ => not(format!("domain {domid}; the model: {model:?}")),
        }
    }
}

fn kind(fault: &Fault) -> std::mem::Discriminant<Fault> {
    std::mem::discriminant(fault)
}

/// Both are JSON with the same keys.
fn same_form(real: &str, ours: &str) -> Verdict {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (parse(real), parse(ours)) {
        (Some(real), Some(ours)) if skeleton(&real) == skeleton(&ours) => Verdict::by(By::DeviceModel),
        _ => not(format!("QEMU says {real}; the model: {ours}")),
    }
}

/// What is in a value, without the values.
fn skeleton(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), skeleton(value))).collect(),
        Value::Array(items) => Value::Array(items.iter().map(skeleton).collect()),
        _ => Value::Null,
    }
}
