//! The storage service: datapaths, and the rules by which they share disks.

use super::lineage::Breach;
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};
use xenops_core::host::{Attached, Datapath, DomId, Fault, Reply, StorageCall};
use xenops_core::interface::Disk;

/// A disk on a datapath.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// The disk, `SR/VDI`.
    pub vdi: String,
    /// For whom.
    pub domid: DomId,
    /// Writable.
    pub read_write: bool,
    /// In use.
    pub active: bool,
}

/// All datapaths and open epochs.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    datapaths: BTreeMap<Datapath, Attachment>,
    by_vdi: BTreeMap<String, BTreeSet<Datapath>>,
    epochs: BTreeSet<String>,
    /// Disks that do not exist.
    pub missing: BTreeSet<String>,
    /// Disks that several VMs have: a request does not tell whose epoch it begins.
    pub shared: BTreeSet<String>,
}

impl Storage {
    /// Every datapath that holds a disk.
    pub fn datapaths(&self) -> impl Iterator<Item = (&Datapath, &Attachment)> {
        self.datapaths.iter()
    }

    /// Disks whose epoch is open.
    pub fn epochs(&self) -> impl Iterator<Item = &str> {
        self.epochs.iter().map(|vdi| &**vdi)
    }

    /// A disk's epoch is no longer this host's.
    pub fn epoch_moves(&mut self, disk: &Disk) {
        if let Disk::Vdi(vdi) = disk {
            self.epochs.remove(vdi);
        }
    }

    fn attach(&mut self, dp: Datapath, vdi: String, domid: DomId, read_write: bool) -> Result<Reply, Fault> {
        if self.missing.contains(&vdi) || !vdi.contains('/') {
            return Err(Fault::Storage("Vdi_does_not_exist".to_owned(), vec![vdi]));
        }
        for other in self.by_vdi.get(&vdi).into_iter().flatten() {
            let held = &self.datapaths[other];
            let own = *other == dp;
            let fine = if own { held.read_write == read_write } else { shares(held, domid, read_write) };
            if !fine {
                return Err(refusal(held, read_write, &vdi));
            }
        }
        if self.datapaths.get(&dp).is_some_and(|held| held.vdi != vdi) {
            return Err(Fault::Storage("Illegal_transition".to_owned(), vec![dp]));
        }
        let params = format!("/dev/sm/backend/{vdi}");
        let record =
            format!(r#"{{"domid":0,"attach_info":{{"implementations":[["BlockDevice",{{"path":"{params}"}}]]}}}}"#);
        self.by_vdi.entry(vdi.clone()).or_default().insert(dp.clone());
        self.datapaths.entry(dp).or_insert(Attachment { vdi, domid, read_write, active: false });
        Ok(Reply::Attached(Attached { params, backend_kind: None, record }))
    }

    /// The disk on a datapath.
    pub(super) fn behind(&self, dp: &str) -> Option<&String> {
        self.datapaths.get(dp).map(|held| &held.vdi)
    }

    fn held(&mut self, dp: &str, vdi: &str) -> Option<&mut Attachment> {
        self.datapaths.get_mut(dp).filter(|held| held.vdi == vdi)
    }

    fn detach(&mut self, dp: &str) -> Option<Attachment> {
        let held = self.datapaths.remove(dp)?;
        if let Some(users) = self.by_vdi.get_mut(&held.vdi) {
            users.remove(dp);
            if users.is_empty() {
                self.by_vdi.remove(&held.vdi);
            }
        }
        Some(held)
    }

    /// The host was started again: nothing is attached; epochs are the storage's own.
    pub(super) fn reboot(&mut self) {
        self.datapaths.clear();
        self.by_vdi.clear();
    }
}

/// One writer, or readers; a reader of the same domain may follow its writer.
fn shares(held: &Attachment, domid: DomId, read_write: bool) -> bool {
    match (held.read_write, read_write) {
        (false, false) => true,
        (true, false) => held.domid == domid,
        (_, true) => false,
    }
}

fn refusal(held: &Attachment, read_write: bool, vdi: &str) -> Fault {
    let (code, parameters) = if !held.read_write && read_write {
        ("Illegal_transition", vec!["Attached RO".to_owned(), "Attached RW".to_owned()])
    } else {
        ("SR_BACKEND_FAILURE_24", vec![String::new(), "The VDI is in use".to_owned(), vdi.to_owned()])
    };
    Fault::Storage(code.to_owned(), parameters)
}

impl World {
    /// One storage call.
    pub(super) fn storage_call(&mut self, call: StorageCall) -> Result<Reply, Fault> {
        match call {
            StorageCall::Attach { dp, vdi, domid, read_write } => self.storage.attach(dp, vdi, domid, read_write),
            StorageCall::Activate { dp, vdi } => {
                let Some(held) = self.storage.held(&dp, &vdi) else {
                    self.lineages.breach(Breach::NotAttached(dp));
                    let states = vec!["Detached".to_owned(), "Activated".to_owned()];
                    return Err(Fault::Storage("Illegal_transition".to_owned(), states));
                };
                held.active = true;
                Ok(Reply::Unit)
            }
            StorageCall::Deactivate { dp, vdi } => {
                if let Some(held) = self.storage.held(&dp, &vdi) {
                    held.active = false;
                }
                Ok(Reply::Unit)
            }
            StorageCall::Destroy { dp } => {
                self.storage.detach(&dp);
                Ok(Reply::Unit)
            }
            StorageCall::EpochBegin { vdi, .. } => {
                if !self.storage.epochs.insert(vdi.clone()) && !self.storage.shared.contains(&vdi) {
                    self.lineages.breach(Breach::EpochOpen(vdi));
                }
                Ok(Reply::Unit)
            }
            StorageCall::EpochEnd { vdi } => {
                self.storage.epochs.remove(&vdi);
                Ok(Reply::Unit)
            }
            StorageCall::List { prefix } => {
                let after = self.storage.datapaths.range(prefix.clone()..);
                Ok(Reply::Names(after.map(|(dp, _)| dp.clone()).take_while(|dp| dp.starts_with(&prefix)).collect()))
            }
        }
    }

    /// The first half of a call that has two.
    pub(super) fn storage_call_partly(&mut self, call: StorageCall) {
        match call {
            StorageCall::Destroy { dp } => {
                if let Some(held) = self.storage.datapaths.get_mut(&dp) {
                    held.active = false;
                }
            }
            StorageCall::Attach { .. } => {
                // The disk is attached; only the answer was not written down.
                let _ = self.storage_call(call);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Choices, Config};
    use super::*;
    use xenops_core::interface::Decode;
    use xenops_core::interface::disk_attachment::AttachedVdi;

    fn world() -> World {
        World::new(Config::default(), Choices::nothing())
    }

    fn attach(world: &mut World, dp: &str, vdi: &str, domid: DomId, read_write: bool) -> bool {
        let (dp, vdi) = (dp.to_owned(), vdi.to_owned());
        world.storage_call(StorageCall::Attach { dp, vdi, domid, read_write }).is_ok()
    }

    #[test]
    fn a_disk_has_one_writer_or_readers() {
        let cases = [
            ((1, true), (2, true), false),
            ((1, true), (1, true), false),
            ((1, true), (2, false), false),
            ((1, true), (1, false), true),
            ((1, false), (1, true), false),
            ((1, false), (2, false), true),
        ];
        for ((one, first), (other, second), fine) in cases {
            let mut world = world();
            assert!(attach(&mut world, "vbd/a", "sr/d", one, first));
            assert!(attach(&mut world, "vbd/a", "sr/d", one, first), "again is fine");
            assert_eq!(attach(&mut world, "vbd/b", "sr/d", other, second), fine, "{first} then {second}");
            world.storage_call(StorageCall::Destroy { dp: "vbd/a".to_owned() }).unwrap();
            assert!(attach(&mut world, "vbd/b", "sr/d", other, second), "once it is free");
        }
    }

    #[test]
    fn a_datapath_holds_one_disk_that_exists() {
        let mut world = world();
        world.storage.missing.insert("sr/none".to_owned());
        assert!(!attach(&mut world, "vbd/a", "sr/none", 1, true));
        assert!(attach(&mut world, "vbd/a", "sr/d", 1, true));
        assert!(!attach(&mut world, "vbd/a", "sr/e", 1, true));
        let list = world.storage_call(StorageCall::List { prefix: "vbd/".to_owned() });
        assert_eq!(list, Ok(Reply::Names(vec!["vbd/a".to_owned()])));
    }

    // What has another form is not kept in VmExtra: nobody asks then for what a plug that stopped half way has left.
    #[test]
    fn h07_an_attach_record_is_upstreams() {
        let mut world = World::new(Config::default(), Choices::nothing());
        let (dp, vdi) = ("vbd/1/xvda".to_owned(), "sr/disk".to_owned());
        let reply = world.storage_call(StorageCall::Attach { dp, vdi, domid: 1, read_write: true }).unwrap();
        let Reply::Attached(attached) = reply else { panic!("{reply:?}") };
        let record = serde_json::from_str(&attached.record).unwrap();
        assert_eq!(AttachedVdi::decode(&record).unwrap().attach_info.implementations.len(), 1);
    }

    #[test]
    fn what_must_not_be_is_told() {
        let mut world = world();
        world.storage.shared.insert("sr/shared".to_owned());
        for vdi in ["sr/shared", "sr/shared", "sr/own", "sr/own"] {
            world.storage_call(StorageCall::EpochBegin { vdi: vdi.to_owned(), persistent: true }).unwrap();
        }
        assert_eq!(world.breaches(), [Breach::EpochOpen("sr/own".to_owned())]);
        let activate = StorageCall::Activate { dp: "vbd/a".to_owned(), vdi: "sr/d".to_owned() };
        assert!(world.storage_call(activate).is_err());
        assert_eq!(world.breaches().last(), Some(&Breach::NotAttached("vbd/a".to_owned())));
    }
}
