//! What clients ask about the host itself: what the host is asked for it, and what they are told.

use super::rig::Rig;
use crate::host::{Batch, Change, Fault, Memory, Outcome, Perms, Reply, Request};
use crate::interface::host::GuestAgentFeature;
use crate::interface::{Answer, Call, Error};

/// What the host is asked for this call, and what the client is told when that is the outcome.
fn asked(call: Call, outcome: Outcome) -> (Request, Result<Answer, Error>) {
    let mut rig = Rig::new(4, &[]);
    rig.holds = |_| true;
    let call = rig.call(call);
    assert_eq!(rig.reply(call), None, "before the host has answered");
    let [open] = &rig.open[..] else { panic!("one request, not {:?}", rig.open) };
    let (effect, request) = (open.effect, open.request.clone());
    rig.done(effect, outcome);
    (request, rig.reply(call).expect("the host has answered"))
}

#[test]
fn each_call_asks_the_host_for_one_thing_and_tells_what_it_says() {
    let keys = || Call::HostSendDebugKeys { debug_keys: "q".to_owned() };
    let memory = Memory { total: 3 * 1024 + 5, ..Memory::default() };
    let said = Reply::Text("Xen\u{1b}[2J 4.17\r\n\u{e9}".to_owned());
    let table = [
        (Call::HostGetTotalMemoryMib, Reply::Memory(memory), Request::Memory, Answer::Int(3)),
        (Call::HostGetConsoleData, said, Request::ConsoleRing, Answer::Text("Xen [2J 4.17\r\n ".to_owned())),
        (keys(), Reply::Unit, Request::DebugKeys("q".to_owned()), Answer::Unit),
    ];
    for (call, reply, request, answer) in table {
        assert_eq!(asked(call, Outcome::Ok(reply)), (request, Ok(answer)));
    }
    let refused = Outcome::Refused(Fault::Lost("the hypervisor".to_owned()));
    let told = Error::InternalError(Fault::Lost("the hypervisor".to_owned()).to_string());
    assert_eq!(asked(keys(), refused).1, Err(told));
}

#[test]
fn features_of_guest_agents_are_written_anew_and_every_guest_may_read_them() {
    let feature = |name: &str, licensed, parameters: &[(&str, &str)]| GuestAgentFeature {
        name: name.to_owned(),
        licensed,
        parameters: parameters.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
    };
    let features = vec![feature("Auto_update", true, &[("enabled", "1")]), feature("Other", false, &[])];
    let (request, told) = asked(Call::HostUpdateGuestAgentFeatures { features }, Outcome::Ok(Reply::Unit));
    let directory = |path: &str| {
        let path = format!("/guest_agent_features{path}");
        [Change::Mkdir(path.clone()), Change::SetPerms(path, Perms::world_readable())]
    };
    let value = |path: &str, value: &str| Change::Write(format!("/guest_agent_features{path}"), value.to_owned());
    let mut changes = vec![Change::Remove("/guest_agent_features".to_owned())];
    changes.extend(directory(""));
    changes.extend(directory("/Auto_update"));
    changes.push(value("/Auto_update/licensed", "1"));
    changes.extend(directory("/Auto_update/parameters"));
    changes.push(value("/Auto_update/parameters/enabled", "1"));
    changes.extend(directory("/Other"));
    changes.push(value("/Other/licensed", "0"));
    changes.extend(directory("/Other/parameters"));
    assert_eq!(request, Request::Store(Batch { guards: Vec::new(), changes }));
    assert_eq!(told, Ok(Answer::Unit));
}
