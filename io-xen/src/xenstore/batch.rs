//! Guards, then changes, in one transaction.

use super::connection::Request;
use super::error::Error;
use super::link::Link;
use super::permissions;
use super::transaction::{Transaction, retried};
use super::wire::{self, Op};
use smol::lock::Mutex;
use std::rc::Rc;
use xenops_core::host::{Batch, Change, Fault, Guard, Outcome, Reply};

/// Applies a batch. Our own batches take turns: they would only make each other begin again.
pub(super) async fn apply(link: &Rc<Link>, turn: &Mutex<()>, batch: &Batch) -> Outcome {
    let mut changes = Vec::with_capacity(batch.changes.len());
    for change in &batch.changes {
        match Step::new(change) {
            Ok(step) => changes.push(step),
            Err(error) => return Outcome::Refused(error.fault(of(change))),
        }
    }
    let applied = match (&batch.guards[..], &changes[..]) {
        ([], []) => Ok(Ending::Applied),
        // One request is a transaction by itself.
        ([], [step]) => alone(link, step).await,
        (guards, steps) => {
            retried(async || {
                let _turn = turn.lock().await;
                together(link, guards, steps).await
            })
            .await
        }
    };
    match applied {
        Ok(Ending::Applied) => Outcome::Ok(Reply::Unit),
        Ok(Ending::GuardFailed) => Outcome::Ok(Reply::GuardFailed),
        Ok(Ending::Refused(fault)) => Outcome::Refused(fault),
        Ok(Ending::Unknown(fault)) => Outcome::Unknown(fault),
        Err(error) => Outcome::Refused(error.fault("transaction")),
    }
}

enum Ending {
    Applied,
    GuardFailed,
    Refused(Fault),
    Unknown(Fault),
}

impl Ending {
    fn failed(error: Error, what: String) -> Ending {
        match error {
            Error::Lost(_) => Ending::Unknown(error.fault(what)),
            _ => Ending::Refused(error.fault(what)),
        }
    }
}

/// One change as a request.
struct Step {
    request: Request,
    what: String,
    // A node that is not there is as it should be.
    may_miss: bool,
}

impl Step {
    fn new(change: &Change) -> Result<Step, Error> {
        let request = match change {
            Change::Write(path, value) => Request::with(Op::Write, path, value.as_bytes()),
            Change::Mkdir(path) => Request::at(Op::Mkdir, path),
            // C xenstored refuses it, oxenstored does not.
            Change::Remove(path) if path == "/" => Err(Error::Path(path.clone())),
            Change::Remove(path) => Request::at(Op::Rm, path),
            Change::SetPerms(path, perms) => {
                let texts = permissions::write(perms);
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                Request::with(Op::SetPerms, path, &wire::payload(&texts))
            }
        }?;
        // Who owns what is gone does not matter, and nobody can have meant to set it: it has gone meanwhile.
        let may_miss = matches!(change, Change::Remove(_) | Change::SetPerms(..));
        Ok(Step { request, what: of(change), may_miss })
    }

    fn judge(&self, answer: Result<Vec<u8>, Error>) -> Result<(), Error> {
        match answer {
            Err(error) if self.may_miss && error.is_missing() => Ok(()),
            answer => answer.map(drop),
        }
    }
}

fn of(change: &Change) -> String {
    match change {
        Change::Write(path, _) => format!("write {path}"),
        Change::Mkdir(path) => format!("mkdir {path}"),
        Change::Remove(path) => format!("rm {path}"),
        Change::SetPerms(path, _) => format!("set-perms {path}"),
    }
}

async fn alone(link: &Rc<Link>, step: &Step) -> Result<Ending, Error> {
    match step.judge(link.call(step.request.clone()).await) {
        Ok(()) => Ok(Ending::Applied),
        Err(error) => Ok(Ending::failed(error, step.what.clone())),
    }
}

/// One attempt. Before the commit nothing has happened, whatever is lost.
async fn together(link: &Rc<Link>, guards: &[Guard], steps: &[Step]) -> Result<Ending, Error> {
    let transaction = Transaction::begin(link).await?;
    if !hold(&transaction, guards).await? {
        return Ok(Ending::GuardFailed);
    }
    let calls: Vec<_> = steps.iter().map(|step| transaction.call(step.request.clone())).collect();
    for (step, call) in steps.iter().zip(calls) {
        match step.judge(call.await) {
            Ok(()) => {}
            Err(error) if error.is_conflict() => return Err(error),
            Err(error) => return Ok(Ending::Refused(error.fault(&step.what))),
        }
    }
    match transaction.commit().await {
        Ok(()) => Ok(Ending::Applied),
        Err(error) if error.is_conflict() => Err(error),
        Err(error) => Ok(Ending::failed(error, "commit".to_owned())),
    }
}

async fn hold(transaction: &Transaction, guards: &[Guard]) -> Result<bool, Error> {
    let mut calls = Vec::with_capacity(guards.len());
    for guard in guards {
        let (Guard::Exists(path) | Guard::Absent(path) | Guard::Equals(path, _)) = guard;
        // What cannot be is not there.
        calls.push(Request::at(Op::Read, path).ok().map(|request| transaction.call(request)));
    }
    let mut all = true;
    for (guard, call) in guards.iter().zip(calls) {
        let value = match call {
            None => None,
            Some(call) => match call.await {
                Ok(value) => Some(value),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error),
            },
        };
        all &= match guard {
            Guard::Exists(_) => value.is_some(),
            Guard::Absent(path) => value.is_none() && read_above(transaction, path).await?,
            Guard::Equals(_, wanted) => value.as_deref() == Some(wanted.as_bytes()),
        };
    }
    Ok(all)
}

/// Reads the nearest node above one that is not there. oxenstored forgets what a transaction did not find, and would
/// commit it although somebody has made the node meanwhile; then, what was read above it is another, and conflicts.
async fn read_above(transaction: &Transaction, path: &str) -> Result<bool, Error> {
    let mut above = path;
    while let Some(end) = above.rfind('/').filter(|_| above != "/") {
        above = if end == 0 { "/" } else { &above[..end] };
        let Ok(request) = Request::at(Op::Read, above) else { continue };
        match transaction.call(request).await {
            Err(error) if error.is_missing() => {}
            answer => return answer.map(|_| true),
        }
    }
    Ok(true)
}
