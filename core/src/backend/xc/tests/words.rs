//! Requests in words, one line each, for tests to compare.

use crate::host::*;

/// A request in one line. Values of xenstore keys are left out: tests look at the tree.
pub(super) fn request(request: &Request) -> String {
    match request {
        Request::Store(batch) => store(batch),
        Request::Read(queries) => format!("read {}", queries.len()),
        Request::Wait(wait) => {
            let any: Vec<_> = wait.any.iter().map(condition).collect();
            format!("wait {}", any.join(" | "))
        }
        Request::CreateDomain(spec) => format!("create {:?} domain", spec.flavour),
        Request::Domain(domid, DomainAct::SetHandle(handle)) if handle.is_tombstone() => {
            format!("domain {domid} tombstone")
        }
        Request::Domain(domid, act) => format!("domain {domid} {act:?}"),
        Request::FindDomains(_) => "find domains".to_owned(),
        Request::Spawn(spawn) => format!("spawn {:?} {} {}", spawn.role, base(&spawn.program), spawn.args.join(" ")),
        Request::Tell(_, word) => format!("tell {word}"),
        Request::Kill(domid, role) => format!("kill {role:?} of {domid}"),
        Request::Forget(_) => "forget process".to_owned(),
        Request::Introduce(domid, ring, port) => format!("introduce {domid} ring {ring} port {port}"),
        Request::IsBehind { file, device } => format!("is {file} behind {device}"),
        Request::Storage(call) => storage(call),
        Request::OpenImage { mode, .. } => format!("open image {mode:?}"),
        Request::AppendImage(_, ImageRecord::Xenops(_)) => "append Xenops".to_owned(),
        Request::AppendImage(_, record) => format!("append {record:?}"),
        Request::ReadImage(_) => "read image".to_owned(),
        Request::SyncImage(_) => "sync image".to_owned(),
        Request::CloseStream(_) => "close stream".to_owned(),
        other => format!("{other:?}"),
    }
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Few changes one by one; of many, the areas they are in.
fn store(batch: &Batch) -> String {
    let few = batch.changes.len() <= 4;
    let mut words: Vec<String> = Vec::new();
    for change in &batch.changes {
        let word = match change {
            store::Change::Write(path, value) if few => format!("{}={value}", short(path)),
            store::Change::Write(path, _) | store::Change::Mkdir(path) => format!("+{}", area(path, few)),
            store::Change::Remove(path) => format!("-{}", area(path, few)),
            store::Change::SetPerms(..) => continue,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let many = if few { String::new() } else { format!(" ({})", batch.changes.len()) };
    format!("store {}{many}", words.join(" "))
}

fn short(path: &str) -> String {
    let (uuid, scratch) = (format!("/vm/{}", super::UUID), format!("/xapi/{}", super::UUID));
    path.replace("/local/domain/0/backend/", "back/")
        .replace("/local/domain/", "")
        .replace("/xenops/domain/", "hidden/")
        .replace(&uuid, "vm")
        .replace(&scratch, "scratch")
}

fn area(path: &str, whole: bool) -> String {
    let short = short(path);
    let parts = if whole { 9 } else { 2 };
    short.split('/').take(parts).collect::<Vec<_>>().join("/")
}

fn condition(condition: &Condition) -> String {
    let tail = |path: &str| {
        let parts: Vec<_> = path.rsplit('/').take(2).collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    };
    match condition {
        Condition::Present(path) => format!("{} there", tail(path)),
        Condition::Absent(path) => format!("{} gone", tail(path)),
        Condition::Equals(path, value) => format!("{}={value:?}", tail(path)),
        Condition::Differs(path, value) => format!("{}!={value:?}", tail(path)),
        Condition::Exited(_) => "exited".to_owned(),
        Condition::Said(_, lines) => format!("said more than {lines}"),
        Condition::Stopped(domid) => format!("domain {domid} stopped"),
        Condition::FreeMemory(kib) => format!("{kib} KiB free"),
    }
}

fn storage(call: &StorageCall) -> String {
    match call {
        StorageCall::Attach { dp, vdi, read_write, .. } => {
            format!("attach {dp} {vdi} {}", if *read_write { "rw" } else { "ro" })
        }
        StorageCall::Activate { dp, .. } => format!("activate {dp}"),
        StorageCall::Deactivate { dp, .. } => format!("deactivate {dp}"),
        StorageCall::Destroy { dp } => format!("destroy {dp}"),
        StorageCall::EpochBegin { vdi, .. } => format!("begin epoch {vdi}"),
        StorageCall::EpochEnd { vdi } => format!("end epoch {vdi}"),
        StorageCall::List { prefix } => format!("list {prefix}"),
    }
}
