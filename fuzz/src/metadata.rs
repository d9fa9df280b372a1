//! Records as a directory or a journal gives them back, and metadata as another host sends it.

use std::fmt::Debug;
use xenops_core::interface::extra::Stored;
use xenops_core::interface::{
    Answer, Call, Decode, Error, Metadata, PowerState, Value, Vbd, Vif, Vm, VmExtra, vbd, vif, vm,
};
use xenops_core::recovery::Intent;
use xenops_io_sim::local::Local;
use xenops_io_sim::world::{Choices, Config, World};

/// Bytes beyond which an input only repeats itself.
const LONGEST: usize = 16 << 10;

/// A VM that no input can name otherwise than whole, and whose records are good.
const GOOD: &str = "00000000-600d-4000-8000-000000000001";

/// Records, one on each line, as `key text`; a line that begins with `import` is metadata to be imported.
///
/// Whatever they hold, the daemon starts, answers every call, does as it is told with a VM whose records are
/// good, and tells after a restart what it told before. What can be decoded is written as the same.
pub fn metadata(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if text.len() > LONGEST || text.contains(GOOD) {
        return;
    }
    let lines = || text.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
    lines().for_each(|(_, text)| decode_as_any(text));

    let mut local = Local::new(World::new(Config::default(), Choices::nothing()), 4);
    for (key, text) in lines().filter(|(key, _)| *key != "import") {
        local.records.insert(key.to_owned(), text.to_owned());
    }
    for (key, text) in good_records() {
        local.records.insert(key, text);
    }
    local.restart();
    local.machine.check_all();
    for (_, text) in lines().filter(|(key, _)| *key == "import") {
        let _ = local.ask(Call::VmImportMetadata { metadata: text.to_owned() });
    }
    good_life(&mut local);
    let before = listed(&mut local);
    local.restart();
    assert_eq!(listed(&mut local), before);
    for (vm, state) in before.into_iter().filter(|(vm, _)| vm != GOOD) {
        exercise(&mut local, &vm, state);
    }
    let text = local.ask(Call::GetDiagnostics);
    assert!(matches!(text, Ok(Answer::Text(text)) if serde_json::from_str::<Value>(&text).is_ok()));
    local.machine.check_all();
}

fn decode_as_any(text: &str) {
    decode::<Vm>(text);
    decode::<Vbd>(text);
    decode::<Vif>(text);
    decode::<Stored>(text);
    decode::<VmExtra>(text);
    decode::<Metadata>(text);
    if let Ok(intent) = serde_json::from_str::<Intent>(text) {
        assert_eq!(serde_json::from_str::<Intent>(&written(&intent)).ok(), Some(intent));
    }
}

fn decode<T: Decode + serde::Serialize + Debug + PartialEq>(text: &str) {
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && let Ok(typed) = T::decode(&value)
    {
        let again = serde_json::from_str(&written(&typed)).expect("what was written can be read");
        assert_eq!(T::decode(&again).as_ref(), Ok(&typed));
    }
}

fn written(typed: &impl serde::Serialize) -> String {
    serde_json::to_string(typed).expect("a record has a JSON text")
}

fn good_records() -> [(String, String); 3] {
    let vm = format!(
        r#"{{"id":"{GOOD}","name":"good","ssidref":0,"xsdata":{{}},"platformdata":{{}},"bios_strings":{{}},
        "ty":["PV",{{"boot":["Direct",{{"kernel":"/boot/vmlinuz","cmdline":""}}]}}],
        "suppress_spurious_page_faults":false,"memory_static_max":268435456,"memory_dynamic_max":268435456,
        "memory_dynamic_min":268435456,"vcpu_max":1,"vcpus":1,"scheduler_params":{{"affinity":[]}},
        "on_crash":["Start"],"on_shutdown":["Shutdown"],"on_reboot":["Start"],"pci_msitranslate":false,
        "pci_power_mgmt":false}}"#
    );
    let vbd = format!(r#"{{"id":["{GOOD}","xvda"],"position":["Xen",0,0],"backend":["Local","/images/good.img"]}}"#);
    let vif = format!(r#"{{"id":["{GOOD}","0"],"mac":"00:16:3e:00:00:02"}}"#);
    [(format!("VM/{GOOD}/config"), vm), (format!("VM/{GOOD}/vbd.xvda"), vbd), (format!("VM/{GOOD}/vif.0"), vif)]
}

/// The VM with the good records starts and stops.
fn good_life(local: &mut Local) {
    let id = || GOOD.to_owned();
    let power = |local: &mut Local| match local.ask(Call::VmStat { id: id() }) {
        Ok(Answer::Vm(_, state)) => state.power_state,
        other => panic!("{other:?}"),
    };
    assert_eq!(power(local), PowerState::Halted);
    local.do_task(Call::VmStart { id: id(), paused: false }).expect("a start");
    assert_eq!(power(local), PowerState::Paused);
    local.do_task(Call::VmShutdown { id: id(), delay: None }).expect("a power-off");
    assert_eq!(power(local), PowerState::Halted);
}

fn listed(local: &mut Local) -> Vec<(String, vm::State)> {
    match local.ask(Call::VmList) {
        Ok(Answer::Vms(vms)) => vms.into_iter().map(|(vm, state)| (vm.id.clone(), state)).collect(),
        other => panic!("{other:?}"),
    }
}

/// Every call about a VM with records from outside is answered, and a removed VM is gone.
fn exercise(local: &mut Local, vm: &str, state: vm::State) {
    let id = || vm.to_owned();
    assert_eq!(
        state.power_state == PowerState::Suspended,
        state.power_state != PowerState::Halted,
        "no domain is there"
    );
    let exported = local.ask(Call::VmExportMetadata { id: id() });
    let Ok(Answer::Text(metadata)) = exported else { panic!("{exported:?}") };
    let _ = local.ask(Call::VmGenerateStateString {
        vm: serde_json::from_str(&metadata).map_or_else(|why| panic!("{why}"), |metadata: Metadata| metadata.vm.into()),
    });
    let _ = local.do_task(Call::VmStart { id: id(), paused: false });
    let (vbds, vifs) = devices(local, vm);
    for vbd in vbds {
        let _ = local.do_task(Call::VbdUnplug { id: vbd.id.clone(), force: false });
        let _ = local.do_task(Call::VbdPlug { id: vbd.id.clone() });
    }
    for vif in vifs {
        let _ = local.do_task(Call::VifSetCarrier { id: vif.id.clone(), carrier: false });
        let _ = local.do_task(Call::VifUnplug { id: vif.id.clone(), force: false });
    }
    let _ = local.do_task(Call::VmSetVcpus { id: id(), vcpus: 1 });
    let _ = local.do_task(Call::VmUnpause { id: id() });
    let _ = local.do_task(Call::VmReboot { id: id(), delay: None });
    let _ = local.do_task(Call::VmShutdown { id: id(), delay: None });
    local.machine.check_all();
    if local.ask(Call::VmRemove { id: id() }).is_ok() {
        let gone = local.ask(Call::VmStat { id: id() });
        assert!(matches!(gone, Err(Error::DoesNotExist(..))), "{gone:?}");
        let own = |key: &String| {
            let rest = key.strip_prefix("VM/").and_then(|key| key.strip_prefix(vm)?.strip_prefix('/'));
            let row = |name: &str| name == "config" || name.starts_with("vbd.") || name.starts_with("vif.");
            // Records of other programs stay.
            rest.is_some_and(|name| row(name) && !name.contains('/'))
                || *key == format!("extra/{vm}")
                || *key == format!("intent/{vm}")
        };
        assert!(!local.records.keys().any(own), "records of {vm} stay: {:?}", local.records);
    }
}

type Devices = (Vec<std::sync::Arc<Vbd>>, Vec<std::sync::Arc<Vif>>);

fn devices(local: &mut Local, vm: &str) -> Devices {
    let (vbds, vifs) = (local.ask(Call::VbdList { id: vm.to_owned() }), local.ask(Call::VifList { id: vm.to_owned() }));
    let (Ok(Answer::Vbds(vbds)), Ok(Answer::Vifs(vifs))) = (vbds, vifs) else { return (vec![], vec![]) };
    let vbds = vbds.into_iter().map(|(vbd, _): (_, vbd::State)| vbd);
    let vifs = vifs.into_iter().map(|(vif, _): (_, vif::State)| vif);
    (vbds.collect(), vifs.collect())
}
