//! What the journal says of each VM, read as it changes, and what must hold of every record.

use super::domains::{Event, What};
use super::{Checked, Violation};
use crate::fleet::Shape;
use crate::world::World;
use std::collections::BTreeMap;
use xenops_core::host::Uuid;
use xenops_core::recovery::{Goal, Intent};

/// A VM's records, as far as rules are about them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// It has a row.
    pub row: bool,
    /// Bytes of memory in its image; none without a run-time record.
    pub image: Option<u64>,
    /// When it was last started, as its run-time record says.
    pub started: Option<String>,
    /// Rows of its devices, `vbd.xvda`.
    pub devices: Vec<String>,
    /// What is wanted of it.
    pub intent: Option<Intent>,
    /// It had an image when its removal began.
    removed_suspended: bool,
}

/// All records by VM.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    vms: BTreeMap<Uuid, Records>,
    parsed: u32,
    moved: Vec<Uuid>,
}

impl Shelf {
    /// One VM's.
    pub fn of(&self, vm: Uuid) -> Option<&Records> {
        self.vms.get(&vm)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &Records)> {
        self.vms.iter().map(|(vm, records)| (*vm, records))
    }

    /// VMs that were removed with their image are to be resumed elsewhere, and their epochs go with them.
    pub fn move_epochs(&mut self, world: &mut World, shapes: &[Shape]) {
        for vm in std::mem::take(&mut self.moved) {
            let disks = shapes.iter().filter(|shape| shape.is(vm)).flat_map(|shape| &shape.disks);
            disks.filter_map(|disk| disk.backend.as_ref()).for_each(|disk| world.storage_mut().epoch_moves(disk));
        }
    }

    /// A domain of ours has its row and its record as long as it has its name.
    pub fn owns(&self, event: &Event, shapes: &[Shape]) -> Checked {
        let has = |id: &Uuid| self.of(*id).is_some_and(|records| records.row && records.image.is_some());
        if event.what != What::Made || shapes[event.place].ids.iter().any(has) {
            return Ok(());
        }
        let text =
            format!("domain {} of vm {} was made before its row and record were durable", event.domid, event.place);
        Err(Violation::new("S19", text))
    }

    /// What a domain is made for is on record.
    pub fn wants(&self, event: &Event, shapes: &[Shape]) -> Checked {
        let wanted = |id: &Uuid| self.of(*id).is_some_and(|records| records.intent.is_some());
        if event.what != What::Made || shapes[event.place].ids.iter().any(wanted) {
            return Ok(());
        }
        let text = format!("domain {} of vm {} was made and no intent is durable", event.domid, event.place);
        Err(Violation::new("H69", text))
    }

    /// A record has changed.
    pub fn changed(&mut self, key: &str, all: &BTreeMap<String, String>) -> Checked {
        let value = all.get(key);
        if let Some(text) = value {
            self.parsed += 1;
            if self.parsed.is_multiple_of(8) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
                return Err(Violation::new("S24", format!("record {key} is no JSON: {text}")));
            }
        }
        let mut parts = key.split('/');
        let (table, id, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
        let Ok(vm) = id.parse::<Uuid>() else {
            return Err(Violation::new("S22", format!("record {key} is of no vm")));
        };
        let records = self.vms.entry(vm).or_default();
        match (table, rest) {
            ("VM", Some("config")) => {
                records.row = value.is_some();
                if !records.row && std::mem::take(&mut records.removed_suspended) {
                    self.moved.push(vm);
                }
                let named = value.is_none_or(|text| text.contains(&format!("\"id\":\"{vm}\"")));
                if !named {
                    return Err(Violation::new("S22", format!("record {key} does not name its vm")));
                }
            }
            ("VM", Some(device)) => {
                let prefix = format!("VM/{vm}/v");
                let devices = all.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
                records.devices = devices.filter_map(|(key, _)| key.rsplit('/').next()).map(str::to_owned).collect();
                let (_, name) = device.split_once('.').unwrap_or_default();
                let named = value.is_none_or(|text| text.contains(&format!("[\"{vm}\",\"{name}\"]")));
                if !named {
                    return Err(Violation::new("S22", format!("record {key} does not name its vm and device")));
                }
            }
            ("extra", None) => {
                records.image = value.map(|text| field(text, "\"suspend_memory_bytes\":").parse().unwrap_or(0));
                records.started = value.map(|text| field(text, "\"last_start_time\":").to_owned());
            }
            ("intent", None) => {
                records.intent = value.and_then(|text| serde_json::from_str(text).ok());
                if records.intent.as_ref().is_some_and(|intent| intent.goal == Goal::Remove) {
                    records.removed_suspended = records.image.is_some_and(|bytes| bytes > 0);
                }
                if value.is_some() && records.intent.is_none() {
                    return Err(Violation::new("S24", format!("record {key} is no intent: {value:?}")));
                }
            }
            _ => return Err(Violation::new("S22", format!("record {key} is none of the layout"))),
        }
        if *records == Records::default() {
            self.vms.remove(&vm);
        }
        Ok(())
    }

    /// At rest a device's row has its VM's, and so has a run-time record.
    pub fn at_rest(&self) -> Checked {
        for (vm, records) in self.iter().filter(|(_, records)| !records.row) {
            if !records.devices.is_empty() {
                return Err(Violation::new("S21", format!("vm {vm} has no row, its devices have")));
            }
            if records.image.is_some() || records.intent.is_some() {
                return Err(Violation::new("L4", format!("vm {vm} has no row and {records:?}")));
            }
        }
        Ok(())
    }
}

/// The text of a number in a JSON object.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let Some(at) = text.find(name) else { return "" };
    let value = &text[at + name.len()..];
    &value[..value.find([',', '}']).unwrap_or(value.len())]
}
