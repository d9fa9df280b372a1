//! A VM's state, and what runs now beside what its next start will use.

use super::disk::source;
use super::json;
use super::table::columns;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use xenops_core::interface::vm::{BuilderInfo, DomainType, State};
use xenops_core::interface::{Value, Vbd, Vif, Vm, vbd, vif};

/// Every field of a state on a line: upstream's.
pub fn fields(state: &State) -> String {
    // Unlike a JSON library's objects this one keeps the order of the fields.
    let value = serde_json::from_str(&json(state)).expect("what was just written can be read");
    let Value::Dict(fields) = value else { return String::new() };
    fields.iter().map(|(name, value)| format!("{name:>30}: {}\n", json(value))).collect()
}

/// One thing as it is now, and as the next start will make it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What.
    pub what: String,
    /// Now; none where nothing runs.
    pub now: Option<String>,
    /// At the next start; none where that is not for the configuration to say.
    pub next_start: Option<String>,
    /// Whether the next start changes it.
    pub changes: bool,
}

/// Both sides, row by row.
pub fn compare(vm: &Vm, state: &State, vbds: &[(Arc<Vbd>, vbd::State)], vifs: &[(Arc<Vif>, vif::State)]) -> Vec<Row> {
    let mut sides = Sides { alive: !state.domids.is_empty(), rows: Vec::new() };
    sides.differ("domain type", domain_type(state.domain_type).into(), builder(&vm.ty).into());
    memory(&mut sides, vm, state);
    sides.push("vcpus", state.vcpu_target.to_string(), Some(of(vm.vcpus, vm.vcpu_max)), state.vcpu_target != vm.vcpus);
    if let BuilderInfo::Hvm(info) = &vm.ty {
        let now = state.shadow_multiplier_target;
        sides.differ("shadow multiplier", now.to_string(), info.shadow_multiplier.to_string());
        sides.differ("clock offset", state.rtc_timeoffset.clone(), info.timeoffset.clone());
    }
    let data = |pairs: &[(String, String)]| json(&pairs.iter().cloned().collect::<BTreeMap<_, _>>());
    sides.differ("xsdata", data(&state.xsdata_state), data(&vm.xsdata));
    for (vbd, now) in vbds {
        let present = if now.plugged { source(now.backend_present.as_ref()) } else { UNPLUGGED.to_owned() };
        sides.differ(&format!("disk {}", vbd.id.device), present, source(vbd.backend.as_ref()));
    }
    for (vif, now) in vifs {
        let link = |up: bool| format!("{}{}", vif.backend, if up { "" } else { ", link down" });
        // What a plugged interface is connected to changes with its row.
        let present = if now.plugged { link(now.media_present) } else { UNPLUGGED.to_owned() };
        sides.differ(&format!("interface {}", vif.id.device), present, link(vif.carrier));
    }
    sides.rows
}

const UNPLUGGED: &str = "not plugged";

fn memory(sides: &mut Sides, vm: &Vm, state: &State) {
    let (least, most) = (vm.memory_dynamic_min, vm.memory_dynamic_max);
    let range = if least == most { mib(most) } else { format!("{} to {}", mib(least), mib(most)) };
    let outside = !(least..=most).contains(&state.memory_target);
    sides.push("memory target", mib(state.memory_target), Some(range), outside);
    // What runs may be allowed more than its maximum, for what the hypervisor adds.
    let grows = state.memory_limit < vm.memory_static_max;
    sides.push("memory limit", mib(state.memory_limit), Some(mib(vm.memory_static_max)), grows);
    sides.push("memory in use", mib(state.memory_actual), None, false);
}

struct Sides {
    alive: bool,
    rows: Vec<Row>,
}

impl Sides {
    fn push(&mut self, what: &str, now: String, next_start: Option<String>, changes: bool) {
        let now = self.alive.then_some(now);
        self.rows.push(Row { what: what.to_owned(), now, next_start, changes: changes && self.alive });
    }

    fn differ(&mut self, what: &str, now: String, next_start: String) {
        let changes = now != next_start;
        self.push(what, now, Some(next_start), changes);
    }
}

/// Both sides in columns, a star where they differ.
pub fn table(rows: &[Row]) -> String {
    let header = ["", "now", "next start", ""].map(str::to_owned);
    let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let lines = rows.iter().map(|row| {
        let star = if row.changes { "*" } else { "" };
        [row.what.clone(), cell(&row.now), cell(&row.next_start), star.to_owned()]
    });
    columns(&std::iter::once(header).chain(lines).collect::<Vec<_>>())
}

fn of(count: i64, most: i64) -> String {
    if count == most { count.to_string() } else { format!("{count} of {most}") }
}

fn mib(bytes: i64) -> String {
    match bytes % (1 << 20) {
        0 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

fn domain_type(ty: DomainType) -> &'static str {
    match ty {
        DomainType::Hvm => "HVM",
        DomainType::Pv => "PV",
        DomainType::PvInPvh => "PV in PVH",
        DomainType::Pvh => "PVH",
        DomainType::Undefined => "undefined",
    }
}

fn builder(ty: &BuilderInfo) -> &'static str {
    match ty {
        BuilderInfo::Hvm(_) => "HVM",
        BuilderInfo::Pv(_) => "PV",
        BuilderInfo::PvInPvh(_) => "PV in PVH",
        BuilderInfo::Pvh(_) => "PVH",
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn every_field_has_its_line() {
        let text = fields(&samples::running());
        assert_eq!(text.lines().count(), 22);
        assert!(text.starts_with("                   power_state: \"Running\"\n"), "{text}");
        assert!(text.contains("\n                 memory_target: 268435456\n"), "{text}");
    }

    #[test]
    fn what_differs_is_starred() {
        let mut vm = samples::vm();
        (vm.memory_static_max, vm.vcpu_max) = (512 << 20, 4);
        let text = table(&compare(&vm, &samples::running(), &samples::vbds(), &samples::vifs()));
        assert_eq!(
            text,
            "               now              next start\n\
             domain type    PV               PV\n\
             memory target  256 MiB          256 MiB\n\
             memory limit   257 MiB          512 MiB          *\n\
             memory in use  256 MiB          -\n\
             vcpus          2                2 of 4\n\
             xsdata         {}               {}\n\
             disk xvda      phy:/dev/vg/web  phy:/dev/vg/web\n\
             disk xvdb      not plugged      sm:sr/vdi        *\n\
             disk xvdc      (empty)          (empty)\n\
             interface 0    xenbr1           xenbr1\n"
        );
    }

    #[test]
    fn of_a_halted_vm_nothing_is_now() {
        let rows = compare(&samples::vm(), &State::halted(), &samples::vbds(), &samples::vifs());
        assert!(rows.iter().all(|row| row.now.is_none()), "{rows:?}");
        assert!(!table(&rows).contains('*'));
    }
}
