#![allow(missing_docs)]
use std::sync::Arc;
use xenops_core::interface::*;
use xenops_io_sim::local::Local;
use xenops_io_sim::world::{Choices, Config, World};
fn main() {
    let n = 1000;
    let mut local = Local::new(World::new(Config::default(), Choices::nothing()), 4);
    let ids: Vec<String> = (0..n).map(|i| format!("04efbb51-2bce-495f-9d86-{i:012x}")).collect();
    for id in &ids {
        let ty = r#"["PV",{"boot":["Direct",{"kernel":"/boot/vmlinuz","cmdline":"root=/dev/xvda"}]}]"#;
        let text = format!(
            r#"{{"id":"{id}","name":"guest","ssidref":0,"xsdata":{{}},"platformdata":{{}},"bios_strings":{{}},"ty":{ty},
        "suppress_spurious_page_faults":false,"memory_static_max":16777216,"memory_dynamic_max":16777216,
        "memory_dynamic_min":16777216,"vcpu_max":1,"vcpus":1,"scheduler_params":{{"affinity":[]}},
        "on_crash":["Start"],"on_shutdown":["Shutdown"],"on_reboot":["Start"],"pci_msitranslate":false,
        "pci_power_mgmt":false}}"#
        );
        local.ask(Call::VmAdd { vm: Arc::new(serde_json::from_str(&text).unwrap()) }).unwrap();
        for d in ["xvda", "xvdb"] {
            let i = if d == "xvda" { 0 } else { 1 };
            let text = format!(
                r#"{{"id":["{id}","{d}"],"position":["Xen",{i},0],"backend":["Local","/images/{id}{d}.img"]}}"#
            );
            local.ask(Call::VbdAdd { vbd: Arc::new(serde_json::from_str(&text).unwrap()) }).unwrap();
        }
        let text = format!(r#"{{"id":["{id}","0"],"mac":"00:16:3e:00:00:02"}}"#);
        local.ask(Call::VifAdd { vif: Arc::new(serde_json::from_str(&text).unwrap()) }).unwrap();
    }
    for round in 0..5 {
        let before = local.requests;
        let t = std::time::Instant::now();
        for id in &ids {
            local.call(Call::VmStart { id: id.clone(), paused: false });
        }
        while !local.machine.is_at_rest() {
            if !local.wait() {
                break;
            }
        }
        let e = t.elapsed();
        println!(
            "round {round}: {} starts in {e:?}, {:.1} us each, {} requests each, {:.2} us a request",
            n,
            e.as_secs_f64() * 1e6 / n as f64,
            (local.requests - before) / n as u64,
            e.as_secs_f64() * 1e6 / (local.requests - before) as f64
        );
        let t = std::time::Instant::now();
        let Answer::Vms(v) = local.ask(Call::VmList).unwrap() else { panic!() };
        let l = t.elapsed();
        let s = serde_json::to_string(&Answer::Vms(v)).unwrap();
        println!("list {l:?} {:?} {} bytes", t.elapsed(), s.len());
        let before = local.requests;
        let t = std::time::Instant::now();
        for id in &ids {
            local.call(Call::VmShutdown { id: id.clone(), delay: None });
        }
        while !local.machine.is_at_rest() {
            if !local.wait() {
                break;
            }
        }
        let e = t.elapsed();
        println!(
            "  stops {:.1} us each, {} requests each",
            e.as_secs_f64() * 1e6 / n as f64,
            (local.requests - before) / n as u64
        );
    }
}
