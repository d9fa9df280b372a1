//! What an administrator sees of the machine: all of it, once.

use super::rig::{A, B, Rig};
use crate::interface::{Answer, Call, Pairs};
use serde_json::{Value, json};

fn diagnostics(rig: &mut Rig) -> Value {
    let Answer::Text(text) = rig.ask(Call::GetDiagnostics) else { panic!("a text") };
    serde_json::from_str(&text).unwrap()
}

#[test]
fn diagnostics_tell_what_runs_what_waits_and_who_is_told() {
    let mut rig = Rig::new(4, &[A, B]);
    let observer = Call::ObserverCreate {
        uuid: "one".to_owned(),
        name_label: "traces".to_owned(),
        dict: Pairs::default(),
        endpoints: vec!["bugtool".to_owned()],
        bool: true,
    };
    rig.ask(observer);
    rig.ask(Call::UpdatesInjectBarrier { vm_id: B.to_owned(), id: 7 });
    let delay = rig.delay(A);
    rig.task(Call::VmStart { id: A.to_owned(), paused: false });
    let mut told = diagnostics(&mut rig);
    let tasks = told.as_object_mut().unwrap().remove("tasks").unwrap();
    assert_eq!([&tasks[0]["id"], &tasks[1]["id"]], ["0", "1"]);
    let vm = |number: u64, id: &str| json!({"id": number, "v": ["Vm", id]});
    let observer = json!({"name": "traces", "attributes": {}, "endpoints": ["bugtool"], "enabled": true});
    let expected = json!({
        "queues": [{"tag": A, "works": ["VM_start"]}, {"tag": B, "works": []}],
        "workers": [{"state": "Processing VM_delay", "task": delay.to_string()}],
        "scheduler": [{"time": 1201, "thing": "Expire(0)"}],
        "budget": {"limit": 4, "drawn": 0, "reserve_drawn": 0, "waiting": 0},
        "updates": {"updates": [vm(3, A), vm(4, B)], "barriers": [[7, 5, [vm(4, B)]]]},
        "observers": {"observers": {"one": observer}, "settings": {}},
        "vm_actions": {A: ["Needs_poweroff"], B: []},
        "verdicts": {A: "VM_delay is at VM_delay; when last seen: sensible: halted", B: "sensible: halted"},
        "set_aside": {},
    });
    assert_eq!(told, expected, "{told:#}");
}
