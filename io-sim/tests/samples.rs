//! Every request of the samples, sent to a machine on a simulated host after the objects that it names were made,
//! gets its method's kind of answer or an error that the interface names for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use xenops_core::interface::{Answer, Call, Error, Request, Value};
use xenops_core::wire::{Connection, Limits};
use xenops_io_sim::local::Local;
use xenops_io_sim::world::{Choices, Config, World};

const JSON: &str = include_str!("../../core/tests/data/rpc-samples.jsonl");
const XML: &str = include_str!("../../core/tests/data/rpc-samples-xml.jsonl");

/// Methods of later issues: nothing else may answer `Unimplemented`.
const LATER: [&str; 7] = [
    "VM.migrate",
    "PCI.",
    "VGPU.",
    "VUSB.",
    "HOST.set_numa_affinity_policy",
    "VIF.set_pvs_proxy",
    // What a plain host cannot: the guest's own features decide, or the kind of guest.
    "VM.run_script",
];

/// A request as its bytes would come in.
fn decode(body: &str) -> Option<Request> {
    let mut connection = Connection::new(Limits::default());
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.receive(head.as_bytes());
    connection.receive(body.as_bytes());
    connection.next().map(|incoming| incoming.request)
}

/// Requests to this daemon, in the order of the samples, by their names.
fn requests() -> Vec<(String, Request)> {
    let mut all = Vec::new();
    for line in JSON.lines().chain(XML.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        let name = line.get("name").unwrap().as_str().unwrap().to_owned();
        let ours = !name.starts_with("peer ") && !name.starts_with("transport: ");
        if line.get("direction").unwrap().as_str() != Some("request") || !ours {
            continue;
        }
        let body = match line.get("body").unwrap() {
            Value::String(xml) => xml.clone(),
            json => serde_json::to_string(json).unwrap(),
        };
        let request = decode(&body).unwrap_or_else(|| panic!("{name} decodes"));
        all.push((name, request));
    }
    assert!(all.len() > 120, "the samples are there: {}", all.len());
    all
}

/// A host with the VM and the devices that the samples name, made as PV so that it can start.
fn furnished(all: &[(String, Request)], running: bool) -> Local {
    let mut local = Local::new(World::new(Config::default(), Choices::nothing()), 4);
    let pv = all.iter().find(|(name, _)| name == "VM.add (PV, direct boot)").unwrap();
    local.ask(pv.1.call.clone()).unwrap();
    let mut plain = 0;
    for (_, request) in all {
        if matches!(request.call, Call::VbdAdd { .. } | Call::VifAdd { .. }) {
            local.ask(request.call.clone()).unwrap();
            plain += 1;
        }
    }
    assert!(plain > 4, "devices are there");
    if running {
        let Call::VmAdd { vm } = &pv.1.call else { unreachable!("an add") };
        // Some sample devices are not for a plain host (SR-IOV): then the VM stays halted, which is a state too.
        let started = local.do_task(Call::VmStart { id: vm.id.clone(), paused: false });
        assert!(!matches!(started, Err(Error::InternalError(_))), "{started:?}");
    }
    local
}

fn is_named(method: &str, error: &Error) -> bool {
    match error {
        Error::InternalError(_) | Error::UnknownError => false,
        Error::Unimplemented(_) => LATER.iter().any(|later| method.starts_with(later)),
        _ => true,
    }
}

fn each_request_is_answered(running: bool) {
    let all = requests();
    for (name, request) in &all {
        if matches!(request.call, Call::DebugShutdown) {
            continue;
        }
        let mut local = furnished(&all, running);
        let method = request.call.method();
        let reply = match &request.call {
            // It waits for an event that no sample brings.
            Call::UpdatesGet { timeout: None, .. } => continue,
            call => local.ask(call.clone()),
        };
        match reply {
            Ok(answer) => assert_eq!(answer.kind(), request.call.kind(), "{name}"),
            Err(error) => assert!(is_named(method, &error), "{name} (running: {running}): {error:?}"),
        }
        local.pass(10_000_000_000);
        local.machine.check_all();
    }
}

#[test]
fn each_request_is_answered_on_a_halted_vm() {
    each_request_is_answered(false);
}

#[test]
fn each_request_is_answered_on_a_running_vm() {
    each_request_is_answered(true);
}

#[test]
fn an_answer_is_told_from_an_error() {
    let mut local = Local::new(World::new(Config::default(), Choices::nothing()), 4);
    assert!(matches!(local.ask(Call::VmList), Ok(Answer::Vms(vms)) if vms.is_empty()));
    let gone = local.ask(Call::VmStat { id: "04efbb51-2bce-495f-9d86-75fc70ba01e0".into() });
    assert!(matches!(gone, Err(Error::DoesNotExist(kind, _)) if kind == "VM"));
}
