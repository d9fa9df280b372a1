//! A VM's records in memory, and their keys and texts in the journal.

use super::device::{check_name, check_vm};
use crate::backend::{Change, ExtraChange};
use crate::host::{Canonical, Entry, Uuid};
use crate::interface::extra::{QemuFrontend, Stored};
use crate::interface::{DeviceId, Value, Vbd, Vif, Vm, VmExtra, decode::Decode};
use crate::recovery::Intent;
use serde::{Deserialize, Serialize};
use std::hash::Hash;
use std::sync::Arc;

/// Records of one VM. Devices are ordered by name, as a directory lists them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rows {
    pub(crate) vm: Option<Arc<Vm>>,
    pub(crate) vbds: Arc<[Arc<Vbd>]>,
    pub(crate) vifs: Arc<[Arc<Vif>]>,
    pub(crate) extra: Option<Arc<VmExtra>>,
    pub(crate) intent: Option<Intent>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Row {
    Vm(Arc<Vm>),
    Vbd(Arc<Vbd>),
    NoVbd(String),
    Vif(Arc<Vif>),
    NoVif(String),
    Extra(Option<Arc<VmExtra>>),
    Intent(Option<Intent>),
    /// All records of the VM are gone.
    None,
}

/// A record's key: which VM, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Vm(Uuid),
    Vbd(Uuid, String),
    Vif(Uuid, String),
    Extra(Uuid),
    Intent(Uuid),
}

impl Key {
    /// Read a key; `None` if it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Key> {
        let mut parts = text.split('/');
        let (table, name, rest) = (parts.next()?, parts.next()?, parts.next());
        let id: Uuid = name.parse().ok()?;
        // A second spelling of a key would be a second record, which no change of ours reaches.
        if parts.next().is_some() || id.text() != name {
            return None;
        }
        Some(match (table, rest) {
            ("extra", None) => Key::Extra(id),
            ("intent", None) => Key::Intent(id),
            ("VM", Some("config")) => Key::Vm(id),
            ("VM", Some(device)) => match device.split_once('.')? {
                ("vbd", name) => Key::Vbd(id, name.to_owned()),
                ("vif", name) => Key::Vif(id, name.to_owned()),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// The VM it is of.
    pub(crate) fn vm(&self) -> Uuid {
        match self {
            Key::Vm(id) | Key::Vbd(id, _) | Key::Vif(id, _) | Key::Extra(id) | Key::Intent(id) => *id,
        }
    }
}

fn text<T: Serialize>(value: &T) -> Option<String> {
    Some(serde_json::to_string(value).expect("records are plain data"))
}

/// Read a record's text. What is wrong with it is for the log and the diagnostics.
fn read<T: Decode>(text: &str) -> Result<T, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    T::decode(&value).map_err(|malformed| malformed.to_string())
}

impl Rows {
    /// Its state in a hash.
    pub(crate) fn fingerprint<H: Canonical>(&self, hash: &mut H) {
        let Rows { vm, vbds, vifs, extra, intent } = self;
        vm.iter().for_each(|vm| hash.shared(vm));
        vbds.iter().for_each(|vbd| hash.shared(vbd));
        vifs.iter().for_each(|vif| hash.shared(vif));
        extra.iter().for_each(|extra| hash.shared(extra));
        (vbds.len(), vifs.len(), extra.is_some(), intent).hash(hash);
    }

    /// Take in one record read from the journal or the directory.
    pub(crate) fn load(&mut self, key: &Key, value: &str) -> Result<(), String> {
        let row = match key {
            Key::Vm(id) => {
                let mut vm: Vm = read(value)?;
                if vm.id.parse() != Ok(*id) {
                    return Err(format!("record names vm {:?}", vm.id));
                }
                check_vm(&vm).map_err(|error| error.to_string())?;
                vm.id = id.text();
                Row::Vm(Arc::new(vm))
            }
            Key::Vbd(id, name) => {
                let mut vbd: Vbd = read(value)?;
                own(&mut vbd.id, *id, name)?;
                Row::Vbd(Arc::new(vbd))
            }
            Key::Vif(id, name) => {
                let mut vif: Vif = read(value)?;
                own(&mut vif.id, *id, name)?;
                Row::Vif(Arc::new(vif))
            }
            Key::Extra(_) => Row::Extra(Some(Arc::new(read::<Stored>(value)?.persistent))),
            Key::Intent(_) => Row::Intent(Some(serde_json::from_str(value).map_err(|error| error.to_string())?)),
        };
        self.apply(row);
        Ok(())
    }

    /// The journal's entries that one row needs.
    pub(crate) fn entries(&self, vm: &str, row: &Row) -> Vec<Entry> {
        let one = |key: String, value| vec![Entry { key, value }];
        match row {
            Row::Vm(config) => {
                assert_eq!(config.id.parse().ok(), vm.parse::<Uuid>().ok(), "a row is stored under its own id");
                one(format!("VM/{vm}/config"), text(&**config))
            }
            Row::Vbd(vbd) => {
                assert_eq!(vbd.id.vm, vm, "a device is stored under its own vm");
                one(format!("VM/{vm}/vbd.{}", vbd.id.device), text(&**vbd))
            }
            Row::NoVbd(name) => one(format!("VM/{vm}/vbd.{name}"), None),
            Row::Vif(vif) => {
                assert_eq!(vif.id.vm, vm, "a device is stored under its own vm");
                one(format!("VM/{vm}/vif.{}", vif.id.device), text(&**vif))
            }
            Row::NoVif(name) => one(format!("VM/{vm}/vif.{name}"), None),
            Row::Extra(extra) => {
                let stored = extra.as_ref().map(|extra| Stored { persistent: (**extra).clone() });
                one(format!("extra/{vm}"), stored.and_then(|stored| text(&stored)))
            }
            Row::Intent(intent) => one(format!("intent/{vm}"), intent.as_ref().and_then(text)),
            Row::None => self.all_keys(vm).into_iter().map(|key| Entry { key, value: None }).collect(),
        }
    }

    /// The entries that make the records of a row on disk what they are in memory.
    pub(crate) fn restated(&self, vm: &str, row: &Row) -> Vec<Entry> {
        let as_it_is = match row {
            Row::Vm(_) => match &self.vm {
                Some(config) => Row::Vm(config.clone()),
                None => return vec![Entry { key: format!("VM/{vm}/config"), value: None }],
            },
            Row::Vbd(vbd) => self.vbd(&vbd.id.device),
            Row::NoVbd(name) => self.vbd(name),
            Row::Vif(vif) => self.vif(&vif.id.device),
            Row::NoVif(name) => self.vif(name),
            Row::Extra(_) => Row::Extra(self.extra.clone()),
            Row::Intent(_) => Row::Intent(self.intent.clone()),
            Row::None => unreachable!("a removal is gone on with, not taken back"),
        };
        self.entries(vm, &as_it_is)
    }

    fn vbd(&self, name: &str) -> Row {
        let row = self.vbds.iter().find(|vbd| vbd.id.device == name);
        row.map_or_else(|| Row::NoVbd(name.to_owned()), |vbd| Row::Vbd(vbd.clone()))
    }

    fn vif(&self, name: &str) -> Row {
        let row = self.vifs.iter().find(|vif| vif.id.device == name);
        row.map_or_else(|| Row::NoVif(name.to_owned()), |vif| Row::Vif(vif.clone()))
    }

    fn all_keys(&self, vm: &str) -> Vec<String> {
        let vbds = self.vbds.iter().map(|vbd| format!("VM/{vm}/vbd.{}", vbd.id.device));
        let vifs = self.vifs.iter().map(|vif| format!("VM/{vm}/vif.{}", vif.id.device));
        let fixed = [format!("extra/{vm}"), format!("intent/{vm}"), format!("VM/{vm}/config")];
        vbds.chain(vifs).chain(fixed).collect()
    }

    /// Change a row in memory, once it is durable.
    pub(crate) fn apply(&mut self, row: Row) {
        match row {
            Row::Vm(vm) => self.vm = Some(vm),
            Row::Vbd(vbd) => self.vbds = with(&self.vbds, vbd, |vbd| &vbd.id.device),
            Row::NoVbd(name) => self.vbds = self.vbds.iter().filter(|vbd| vbd.id.device != name).cloned().collect(),
            Row::Vif(vif) => self.vifs = with(&self.vifs, vif, |vif| &vif.id.device),
            Row::NoVif(name) => self.vifs = self.vifs.iter().filter(|vif| vif.id.device != name).cloned().collect(),
            Row::Extra(extra) => self.extra = extra,
            Row::Intent(intent) => self.intent = intent,
            Row::None => *self = Rows::default(),
        }
    }

    /// What a micro-op's small change makes of its record; `None` if there is no record to change.
    pub(crate) fn change(&self, change: &Change) -> Option<Row> {
        let change = match change {
            Change::Vif(vif) => return Some(Row::Vif(vif.clone())),
            Change::Extra(ExtraChange::Create(extra)) => return Some(Row::Extra(Some(extra.clone()))),
            Change::Extra(ExtraChange::Drop) => return Some(Row::Extra(None)),
            Change::Extra(change) => change,
        };
        let mut extra = (**self.extra.as_ref()?).clone();
        self.change_extra(&mut extra, change);
        Some(Row::Extra(Some(Arc::new(extra))))
    }

    fn change_extra(&self, extra: &mut VmExtra, change: &ExtraChange) {
        let vm = self.vm.as_ref().map_or_else(String::new, |vm| vm.id.clone());
        match change {
            ExtraChange::Create(_) | ExtraChange::Drop => unreachable!("these replace the record"),
            ExtraChange::Built(build_info, ty) => {
                extra.build_info = Some((**build_info).clone());
                extra.ty = Some((**ty).clone());
            }
            ExtraChange::SuspendMemory(bytes) => extra.suspend_memory_bytes = *bytes,
            ExtraChange::QemuDisk(device, index, path) => {
                extra.qemu_vbds.retain(|(id, ..)| id.device != *device);
                let frontend = path.clone().map_or(QemuFrontend::Empty, QemuFrontend::Name);
                extra.qemu_vbds.push((DeviceId::new(vm, device.clone()), *index, frontend));
            }
            ExtraChange::NoQemuDisk(device) => extra.qemu_vbds.retain(|(id, ..)| id.device != *device),
            ExtraChange::Attached(device, record) => {
                // The storage service's answer is outside: one that does not parse is simply not kept.
                if let Ok(attached) = read(record) {
                    extra.attached_vdis.set(device, attached);
                }
            }
            ExtraChange::NotAttached(device) => extra.attached_vdis.0.retain(|(name, _)| name != device),
            ExtraChange::XenPlatform(id, revision) => extra.xen_platform = Some((*id, *revision)),
            ExtraChange::TimeOffset(offset) => extra.platformdata.set("timeoffset", offset.clone()),
            ExtraChange::PvDrivers(detected) => extra.pv_drivers_detected = *detected,
        }
    }
}

fn with<T>(devices: &[Arc<T>], device: Arc<T>, name: impl Fn(&T) -> &String) -> Arc<[Arc<T>]> {
    let mut all: Vec<_> = devices.iter().filter(|other| name(other) != name(&device)).cloned().collect();
    let place = all.partition_point(|other| name(other) < name(&device));
    all.insert(place, device);
    all.into()
}

/// Holds a device's record to its key. A VM's id has one spelling in memory, whatever the record's.
fn own(device: &mut DeviceId, vm: Uuid, name: &str) -> Result<(), String> {
    if device.vm.parse() != Ok(vm) || device.device != name {
        return Err(format!("record names device {device}"));
    }
    check_name(name).map_err(|error| error.to_string())?;
    device.vm = vm.text();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_upstreams_paths() {
        let id: Uuid = "04efbb51-2bce-495f-9d86-75fc70ba01e0".parse().unwrap();
        for (text, key) in [
            ("VM/04efbb51-2bce-495f-9d86-75fc70ba01e0/config", Some(Key::Vm(id))),
            ("VM/04efbb51-2bce-495f-9d86-75fc70ba01e0/vbd.xvda", Some(Key::Vbd(id, "xvda".to_owned()))),
            ("VM/04efbb51-2bce-495f-9d86-75fc70ba01e0/vif.0", Some(Key::Vif(id, "0".to_owned()))),
            ("extra/04efbb51-2bce-495f-9d86-75fc70ba01e0", Some(Key::Extra(id))),
            ("intent/04efbb51-2bce-495f-9d86-75fc70ba01e0", Some(Key::Intent(id))),
            ("VM/nonsense/config", None),
            ("interface/vif1.0", None),
            ("VM/04efbb51-2bce-495f-9d86-75fc70ba01e0/vbd", None),
            ("extra/04efbb51-2bce-495f-9d86-75fc70ba01e0/x", None),
            ("extra/04EFBB51-2BCE-495F-9D86-75FC70BA01E0", None),
        ] {
            assert_eq!(Key::parse(text), key, "{text}");
        }
    }

    #[test]
    fn devices_stand_in_the_order_of_their_names() {
        let (vm, none): (Uuid, Arc<[Arc<Vif>]>) = (Uuid::default(), Arc::default());
        let vif = |name: &str, mtu| Arc::new(Vif { id: DeviceId::new(vm.text(), name), mtu, ..Vif::default() });
        let all = [("1", 1), ("0", 2), ("3", 3), ("2", 4), ("0", 5)];
        let rows = all.into_iter().fold(none, |rows, (name, mtu)| with(&rows, vif(name, mtu), |vif| &vif.id.device));
        let told: Vec<_> = rows.iter().map(|vif| (vif.id.device.as_str(), vif.mtu)).collect();
        assert_eq!(told, [("0", 5), ("1", 1), ("2", 4), ("3", 3)], "and the newer takes the place of the older");
    }

    #[test]
    fn a_record_is_held_to_its_key() {
        let id: Uuid = "04efbb51-2bce-495f-9d86-75fc70ba01e0".parse().unwrap();
        let load = |name: &str, vm: &str, device: &str| {
            let mut rows = Rows::default();
            let text = format!(r#"{{"id":["{vm}","{device}"]}}"#);
            rows.load(&Key::Vif(id, name.to_owned()), &text).map(|()| rows.vifs[0].id.clone())
        };
        let canonical = DeviceId::new(id.text(), "0");
        assert_eq!(load("0", &id.text(), "0"), Ok(canonical.clone()));
        assert_eq!(load("0", &id.text().to_uppercase(), "0"), Ok(canonical), "one spelling in memory");
        assert!(load("1", &id.text(), "0").is_err(), "another device's");
        assert!(load("0", &Uuid::default().text(), "0").is_err(), "another vm's");
        assert!(load("a b", &id.text(), "a b").is_err(), "no name that a client could have given");
    }
}
