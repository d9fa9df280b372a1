//! Requests, outcomes, calls and changes in words that need no knowledge of the code.

use super::Tone;
use super::scene::{Difference, Group};
use crate::world::Fate;
use std::fmt::Write;
use xenops_core::host::time::SECOND;
use xenops_core::host::{
    Change, Condition, DomainAct, Entry, Guard, ImageMode, Outcome, Query, Reply, Request, StorageCall,
};

/// Longest text that is shown of a value.
const SHOWN: usize = 120;

/// A text with its end cut off where it is long.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A request, and all of it where that says more.
pub fn request(request: &Request, now: u64) -> (String, String) {
    let text = match request {
        Request::Store(batch) => return (store(&batch.changes, &batch.guards), changes(&batch.changes, &batch.guards)),
        Request::Read(queries) => {
            let path = |query: &Query| match query {
                Query::Value(path) | Query::Children(path) | Query::Tree { path, .. } => path.clone(),
            };
            format!("read xenstore {}", some(queries.iter().map(path)))
        }
        Request::Watch(_, paths) if paths.is_empty() => "watch for domains that come and go".to_owned(),
        Request::Watch(_, paths) => format!("watch xenstore {}", some(paths.iter().cloned())),
        Request::Unwatch(_) => "stop watching".to_owned(),
        Request::Introduce(domid, ..) => format!("introduce domain {domid} to xenstore"),
        Request::Wait(wait) => {
            let after = wait.until.saturating_sub(now) / SECOND;
            let any = wait.any.iter().map(condition).collect::<Vec<_>>().join(", or ");
            if any.is_empty() { format!("wait {after} s") } else { format!("wait, {after} s at most, until {any}") }
        }
        Request::CreateDomain(spec) => format!("create a domain for {}", spec.handle),
        Request::Domain(domid, act) => self::act(*domid, act),
        Request::ListDomains => "list all domains".to_owned(),
        Request::FindDomains(vm) => format!("find the domains of {vm}"),
        Request::Memory => "ask how much memory is free".to_owned(),
        Request::Spawn(spawn) => {
            let of = spawn.domid.map_or_else(String::new, |domid| format!(" for domain {domid}"));
            return (format!("start {:?}{of}", spawn.role), format!("{} {}", spawn.program, spawn.args.join(" ")));
        }
        Request::Tell(process, line) => format!("tell process {}: {}", process.0, cut(line, SHOWN)),
        Request::Kill(domid, role) => format!("end {role:?} of domain {domid}"),
        Request::Forget(process) => format!("forget process {}", process.0),
        Request::Processes(domid) => format!("ask which processes serve domain {domid}"),
        Request::Hooks(name) => format!("list hooks {name}"),
        Request::Qmp(domid, command, _) => format!("tell QEMU of domain {domid}: {command}"),
        Request::Storage(call) => storage(call),
        Request::OpenImage { disk, mode, .. } => {
            let what = if *mode == ImageMode::Save { "to write" } else { "to read" };
            format!("open the suspend image {disk:?} {what}")
        }
        Request::AppendImage(_, record) => format!("append {record:?} to the suspend image"),
        Request::ReadImage(_) => "read from the suspend image".to_owned(),
        Request::SyncImage(_) => "make the suspend image durable".to_owned(),
        Request::CloseStream(_) => "close the suspend image".to_owned(),
        Request::Append(entries) => return (append(entries), entries.iter().map(entry).collect::<Vec<_>>().join("\n")),
        other => format!("{other:?}"),
    };
    (cut(&text, SHOWN), if text.chars().count() > SHOWN { text } else { String::new() })
}

fn some(items: impl ExactSizeIterator<Item = String>) -> String {
    let count = items.len();
    let first: Vec<String> = items.take(3).collect();
    if count > first.len() {
        format!("{} and {} more", first.join(", "), count - first.len())
    } else {
        first.join(", ")
    }
}

fn store(changes: &[Change], guards: &[Guard]) -> String {
    let path = |change: &Change| match change {
        Change::Write(path, value) => format!("{path} = {:?}", cut(value, 24)),
        Change::Mkdir(path) => format!("{path}/"),
        Change::Remove(path) => format!("no {path}"),
        Change::SetPerms(path, _) => format!("rights of {path}"),
    };
    let real: Vec<&Change> = changes.iter().filter(|change| !matches!(change, Change::SetPerms(..))).collect();
    let shown = if real.is_empty() { changes.iter().collect() } else { real };
    let guarded = if guards.is_empty() { "" } else { ", if its guards hold" };
    cut(&format!("write xenstore: {}{guarded}", some(shown.into_iter().map(path))), SHOWN)
}

fn changes(changes: &[Change], guards: &[Guard]) -> String {
    let mut text = String::new();
    for guard in guards {
        let _ = match guard {
            Guard::Exists(path) => writeln!(text, "if there is {path}"),
            Guard::Absent(path) => writeln!(text, "if there is no {path}"),
            Guard::Equals(path, value) => writeln!(text, "if {path} = {value:?}"),
        };
    }
    for change in changes {
        let _ = match change {
            Change::Write(path, value) => writeln!(text, "write {path} = {value:?}"),
            Change::Mkdir(path) => writeln!(text, "make {path}"),
            Change::Remove(path) => writeln!(text, "remove {path}"),
            Change::SetPerms(..) => Ok(()),
        };
    }
    text.trim_end().to_owned()
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Present(path) => format!("{path} is there"),
        Condition::Absent(path) => format!("{path} is gone"),
        Condition::Equals(path, value) => format!("{path} = {value:?}"),
        Condition::Differs(path, value) => format!("{path} is not {value:?}"),
        Condition::Exited(process) => format!("process {} has ended", process.0),
        Condition::Said(process, _) => format!("process {} says something", process.0),
        Condition::Stopped(domid) => format!("domain {domid} has stopped"),
        Condition::FreeMemory(kib) => format!("{} MiB are free", kib / 1024),
    }
}

fn act(domid: u32, act: &DomainAct) -> String {
    match act {
        DomainAct::Pause => format!("pause domain {domid}"),
        DomainAct::Unpause => format!("let domain {domid} run"),
        DomainAct::Destroy => format!("destroy domain {domid}"),
        DomainAct::Shutdown(code) => format!("declare domain {domid} shut down: {code:?}"),
        DomainAct::Resume => format!("let domain {domid} run on after its suspend"),
        DomainAct::SetHandle(vm) if vm.is_tombstone() => format!("mark domain {domid} as no vm's any more"),
        DomainAct::SetHandle(vm) => format!("name {vm} as the owner of domain {domid}"),
        DomainAct::SetMaxMem(kib) => format!("limit domain {domid} to {} MiB", kib / 1024),
        DomainAct::MaxVcpus(vcpus) => format!("give domain {domid} up to {vcpus} vCPUs"),
        DomainAct::MemmapLimit(kib) => format!("limit the memory map of domain {domid} to {} MiB", kib / 1024),
        DomainAct::AllocUnbound => format!("open an event channel of domain {domid}"),
        DomainAct::HardAffinity(_) => format!("bind the vCPUs of domain {domid}"),
        other => format!("domain {domid}: {other:?}"),
    }
}

fn storage(call: &StorageCall) -> String {
    match call {
        StorageCall::Attach { dp, vdi, read_write, .. } => {
            format!("attach disk {vdi} as {dp}, {}", if *read_write { "to write" } else { "to read" })
        }
        StorageCall::Activate { dp, .. } => format!("activate disk {dp}"),
        StorageCall::Deactivate { dp, .. } => format!("deactivate disk {dp}"),
        StorageCall::Destroy { dp } => format!("detach disk {dp}"),
        StorageCall::EpochBegin { vdi, .. } => format!("begin an epoch of disk {vdi}"),
        StorageCall::EpochEnd { vdi } => format!("end the epoch of disk {vdi}"),
        StorageCall::List { prefix } => format!("list attached disks {prefix}"),
    }
}

fn append(entries: &[Entry]) -> String {
    let what = |entry: &Entry| match &entry.value {
        None => format!("no {}", entry.key),
        Some(value) if entry.key.starts_with("intent/") => format!("{} = {}", entry.key, cut(value, 60)),
        Some(_) => entry.key.clone(),
    };
    cut(&format!("make durable: {}", some(entries.iter().map(what))), SHOWN)
}

fn entry(entry: &Entry) -> String {
    match &entry.value {
        None => format!("remove {}", entry.key),
        Some(value) => format!("write {} = {value}", entry.key),
    }
}

/// What came of a request, and how that is.
pub fn outcome(outcome: &Outcome) -> (String, Tone) {
    let text = match outcome {
        Outcome::Refused(fault) => return (format!("refused: {}", cut(&fault.to_string(), SHOWN)), Tone::Badly),
        Outcome::Unknown(fault) => {
            return (format!("unknown, may have happened: {}", cut(&fault.to_string(), SHOWN)), Tone::Unsure);
        }
        Outcome::Aborted => return ("stopped before it was done".to_owned(), Tone::Badly),
        Outcome::Ok(reply) => match reply {
            Reply::Unit => "done".to_owned(),
            Reply::GuardFailed => "nothing done: a guard did not hold".to_owned(),
            Reply::Held(None, _) => "waited in vain".to_owned(),
            Reply::Held(Some(_), _) => "it came true".to_owned(),
            Reply::Domain(domid) => format!("done: domain {domid}"),
            Reply::Domains(domains) if domains.is_empty() => "none".to_owned(),
            Reply::Domains(domains) => some(domains.iter().map(|info| format!("domain {}", info.domid))),
            Reply::Found(found) => cut(&format!("{found:?}"), SHOWN),
            Reply::Attached(_) | Reply::Host(_) => "done".to_owned(),
            Reply::Names(names) if names.is_empty() => "none".to_owned(),
            Reply::Names(names) => some(names.iter().cloned()),
            Reply::Number(number) => number.to_string(),
            Reply::Memory(memory) => format!("{} MiB", memory.free / 1024),
            Reply::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            other => cut(&format!("{other:?}"), SHOWN),
        },
    };
    (text, Tone::Well)
}

/// What becomes of a request other than what was hoped for.
pub fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Plain => "the host does it".to_owned(),
        Fate::Refused(fault) => format!("the host refuses it: {fault}"),
        Fate::Unapplied => "the host does not do it, and nobody is told".to_owned(),
        Fate::Unanswered => "the host does it, and its answer is lost".to_owned(),
        Fate::Partly => "the host does a part of it, and its answer is lost".to_owned(),
        Fate::AppliedLate(by) => format!("the host does it {} s late", by / SECOND),
        Fate::AnsweredLate(by) => format!("the host does it, and answers {} s late", by / SECOND),
    }
}

/// A difference in one line.
pub fn difference(difference: &Difference) -> String {
    let Difference { group, name, was, is, .. } = difference;
    let most = if *group == Group::Record { 200 } else { SHOWN };
    let name = if *group == Group::Record { format!("record {name}") } else { name.clone() };
    match (was, is) {
        (Some(was), Some(is)) => format!("~ {name}: {} (was {})", cut(is, most), cut(was, most / 2)),
        (None, Some(is)) => format!("+ {name}: {}", cut(is, most)),
        (_, None) => format!("- {name}"),
    }
}
