//! The list of VMs.

use super::json;
use std::sync::Arc;
use xenops_core::interface::vm::State;
use xenops_core::interface::{PowerState, Vm};

/// One line per VM, below a header: upstream's.
pub fn table(vms: &[(Arc<Vm>, State)]) -> String {
    let mut text = line("Name", "ID", "Mem", "VCPUs", "State", "Time(s)");
    for (vm, state) in vms {
        let domids: Vec<_> = state.domids.iter().map(i64::to_string).collect();
        let domids = if state.power_state == PowerState::Running { domids.join(",") } else { "-".to_owned() };
        let mib = (vm.memory_static_max >> 20).to_string();
        let power_state = match state.power_state {
            PowerState::Running => "Running",
            PowerState::Suspended => "Suspend",
            PowerState::Halted => "Halted ",
            PowerState::Paused => "Paused ",
        };
        text.push_str(&line(&vm.name, &domids, &mib, &state.vcpu_target.to_string(), power_state, ""));
    }
    text
}

fn line(name: &str, id: &str, memory: &str, vcpus: &str, state: &str, time: &str) -> String {
    format!("{name:<45}{id:<5}{memory:<6}{vcpus:<5}     {state:<8}{time}\n")
}

/// For each VM its name and state, then both in full.
pub fn verbose(vms: &[(Arc<Vm>, State)]) -> String {
    let lines = vms.iter().map(|(vm, state)| {
        let power_state = format!("{:?}", state.power_state);
        format!("{:<45}{power_state}\n  {}\n  {}\n", vm.name, json(&**vm), json(state))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_table_is_upstreams() {
        let mut running = samples::running();
        running.domids = vec![7, 12];
        let mut suspended = State::halted();
        suspended.power_state = PowerState::Suspended;
        let mut paused = samples::running();
        paused.power_state = PowerState::Paused;
        let states = [running, State::halted(), suspended, paused];
        let vms: Vec<_> = states.into_iter().map(|state| (Arc::new(samples::vm()), state)).collect();
        let blanks = " ".repeat(41);
        assert_eq!(
            table(&vms),
            format!(
                "Name{blanks}ID   Mem   VCPUs     State   Time(s)\n\
                 web {blanks}7,12 256   2         Running \n\
                 web {blanks}-    256   0         Halted  \n\
                 web {blanks}-    256   0         Suspend \n\
                 web {blanks}-    256   2         Paused  \n"
            )
        );
    }

    #[test]
    fn the_long_form_has_both_records() {
        let text = verbose(&[(Arc::new(samples::vm()), State::halted())]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], format!("web{}Halted", " ".repeat(42)));
        assert!(lines[1].starts_with("  {") && lines[1].contains("\"name\":\"web\""));
        assert!(lines[2].starts_with("  {") && lines[2].contains("\"power_state\":\"Halted\""));
        assert_eq!(lines.len(), 3);
    }
}
