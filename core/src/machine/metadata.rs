//! Export and import of a VM with its devices and its run-time record.

use super::device::{check_name, check_vm};
use super::rows::Row;
use super::{Machine, policy};
use crate::backend::xc;
use crate::host::Uuid;
use crate::interface::extra::Profile;
use crate::interface::vm::BuilderInfo;
use crate::interface::{Decode, Error, Metadata, Value, Vbd, Vif, Vm, VmExtra, device_number};
use crate::operation::{Operation, Subject};
use std::sync::Arc;

impl Machine {
    /// The VM with its disks, network interfaces and run-time record, as JSON text.
    pub(super) fn export_metadata(&self, vm: u64) -> Result<String, Error> {
        let rows = &self.slot(vm).rows;
        let metadata = Metadata {
            vm: (**rows.vm.as_ref().expect("found by its row")).clone(),
            vbds: rows.vbds.iter().map(|vbd| (**vbd).clone()).collect(),
            vifs: rows.vifs.iter().map(|vif| (**vif).clone()).collect(),
            pcis: Vec::new(),
            vgpus: Vec::new(),
            vusbs: Vec::new(),
            domains: rows.extra.as_ref().map(|extra| text(&**extra)),
        };
        Ok(text(&metadata))
    }

    /// The run-time record that a VM would begin with, as JSON text.
    pub(super) fn generate_state(&self, vm: &Vm) -> Result<String, Error> {
        Ok(text(&xc::create::fresh_extra(vm, self.now)))
    }

    /// An import as an operation, and the place of its VM.
    pub(super) fn import(&mut self, json: &str) -> Result<(u64, Operation), Error> {
        let bad = |why: String| Error::InternalError(format!("Unable to unmarshal metadata: {why}"));
        let value: Value = serde_json::from_str(json).map_err(|error| bad(error.to_string()))?;
        let mut metadata = Metadata::decode(&value).map_err(|why| bad(why.to_string()))?;
        let id: Uuid = metadata.vm.id.parse().map_err(|error| bad(format!("vm id {error}")))?;
        check_vm(&metadata.vm)?;
        for kind in [metadata.pcis.len(), metadata.vgpus.len(), metadata.vusbs.len()] {
            if kind > 0 {
                return Err(Error::Unimplemented("PCI, VGPU and VUSB devices in metadata".to_owned()));
            }
        }
        let bounds = &self.config.bounds;
        if metadata.vbds.len() > bounds.devices || metadata.vifs.len() > bounds.devices {
            return Err(bad(format!("more than {} devices of a kind", bounds.devices)));
        }
        if !self.by_id.contains_key(&id) && self.vms.len() >= bounds.vms {
            return Err(Error::InternalError(format!("this daemon manages {} vms already", bounds.vms)));
        }
        if self.is_rename_target(id) {
            return Err(Error::InternalError(format!("another vm is being renamed to {id}")));
        }
        self.rehome(&mut metadata, &id.text())?;
        if let Some(domains) = &metadata.domains {
            self.revise(domains, &metadata.vm)?;
        }
        Ok((self.slot_of(id), Operation::ImportMetadata(Box::new(metadata))))
    }

    fn rehome(&self, metadata: &mut Metadata, id: &str) -> Result<(), Error> {
        metadata.vm.id = id.to_owned();
        if metadata.vm.platformdata.get("featureset").is_none() {
            let features = self.features(&metadata.vm).to_owned();
            metadata.vm.platformdata.0.insert(0, ("featureset".to_owned(), features));
        }
        for vbd in &mut metadata.vbds {
            vbd.id.vm = id.to_owned();
            vbd.id.device = device_number::upgrade_linux_name(&vbd.id.device);
            check_name(&vbd.id.device)?;
        }
        for vif in &mut metadata.vifs {
            vif.id.vm = id.to_owned();
            check_name(&vif.id.device)?;
        }
        Ok(())
    }

    fn features(&self, vm: &Vm) -> &str {
        match vm.ty {
            BuilderInfo::Pv(_) => &self.config.facts.features_pv,
            _ => &self.config.facts.features_hvm,
        }
    }

    /// A run-time record from elsewhere, brought up to date.
    fn revise(&self, domains: &str, vm: &Vm) -> Result<VmExtra, Error> {
        let bad = |why: String| Error::InternalError(format!("Unable to unmarshal internal state: {why}"));
        let value: Value = serde_json::from_str(domains).map_err(|error| bad(error.to_string()))?;
        let mut extra = VmExtra::decode(&value).map_err(|why| bad(why.to_string()))?;
        if let (Some(BuilderInfo::Hvm(booted)), BuilderInfo::Hvm(row)) = (&mut extra.ty, &vm.ty) {
            booted.timeoffset.clone_from(&row.timeoffset);
        }
        if matches!(vm.ty, BuilderInfo::Hvm(_)) {
            let before = extra.profile.unwrap_or(Profile::QemuTrad);
            extra.original_profile.get_or_insert(before);
            extra.profile = Some(if before == Profile::QemuTrad { Profile::QemuUpstreamCompat } else { before });
        }
        if extra.platformdata.is_empty() {
            extra.platformdata = vm.platformdata.clone();
        }
        if let Some(features) = extra.platformdata.get("featureset").cloned() {
            extra.platformdata.set("featureset", policy::extend(&features, self.features(vm)));
        }
        Ok(extra)
    }

    /// What an import makes of the VM's rows: all of it becomes durable at once.
    pub(super) fn import_rows(&self, vm: u64, metadata: &Metadata) -> Result<Vec<Row>, Error> {
        let before = &self.slot(vm).rows;
        let mut rows = vec![Row::Vm(Arc::new(metadata.vm.clone()))];
        for vbd in before.vbds.iter().filter(|old| !metadata.vbds.iter().any(|new| new.id.device == old.id.device)) {
            let op = Operation::RemoveVbd(vbd.id.device.clone());
            self.check_devices(vm, &op)?;
            rows.push(Row::NoVbd(vbd.id.device.clone()));
        }
        for vif in before.vifs.iter().filter(|old| !metadata.vifs.iter().any(|new| new.id.device == old.id.device)) {
            let op = Operation::RemoveVif(vif.id.device.clone());
            self.check_devices(vm, &op)?;
            rows.push(Row::NoVif(vif.id.device.clone()));
        }
        rows.extend(metadata.vbds.iter().cloned().map(|vbd| Row::Vbd(Arc::new(vbd))));
        rows.extend(metadata.vifs.iter().cloned().map(|vif| Row::Vif(Arc::new(vif))));
        // What this host knows of a domain or an image that it has is newer than any export.
        if let Some(domains) = &metadata.domains
            && before.extra.is_none()
        {
            rows.push(Row::Extra(Some(Arc::new(self.revise(domains, &metadata.vm)?))));
        }
        Ok(rows)
    }
}

/// The rows that an import brings, for a VM that has none yet.
pub(super) fn subject(metadata: &Metadata) -> Subject {
    let arcs = |vbd: &Vbd| Arc::new(vbd.clone());
    let arcs_vif = |vif: &Vif| Arc::new(vif.clone());
    Subject {
        vm: Arc::new(metadata.vm.clone()),
        vbds: metadata.vbds.iter().map(arcs).collect(),
        vifs: metadata.vifs.iter().map(arcs_vif).collect(),
    }
}

fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records are plain data")
}
