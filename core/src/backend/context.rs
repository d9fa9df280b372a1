//! What a micro-op is about: shared snapshots taken when its plan was made.

use super::Settings;
use crate::host::{DomId, HostFacts, Uuid};
use crate::interface::{Vbd, Vif, Vm, VmExtra};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Configuration inside a micro-op. Rows that change later do not change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The VM.
    pub id: Uuid,
    /// Its text, which stands in most paths.
    pub text: Arc<str>,
    /// What it is about to be known by, which its domain may be already.
    pub becomes: Option<Uuid>,
    /// Its row.
    pub vm: Arc<Vm>,
    /// Its disks, in table order.
    pub vbds: Arc<[Arc<Vbd>]>,
    /// Its network interfaces, in table order.
    pub vifs: Arc<[Arc<Vif>]>,
    /// Its run-time record as of the micro-op's start.
    pub extra: Option<Arc<VmExtra>>,
    /// It has such a record, and that cannot be read.
    pub unreadable: bool,
    /// Its domain as of the micro-op's start: from the last look, or made by this plan.
    pub domid: Option<DomId>,
    /// A request of before has not ended: a domain may still come of it.
    pub straggles: bool,
    /// What the host is.
    pub facts: Arc<HostFacts>,
    /// Time-outs and switches of this daemon.
    pub settings: Arc<Settings>,
}

impl Context {
    /// Whether there is a run-time record of it.
    pub fn is_on_record(&self) -> bool {
        self.extra.is_some() || self.unreadable
    }

    /// A disk by its device name.
    pub fn vbd(&self, device: &str) -> Option<&Arc<Vbd>> {
        self.vbds.iter().find(|vbd| vbd.id.device == device)
    }

    /// A network interface by its device name.
    pub fn vif(&self, device: &str) -> Option<&Arc<Vif>> {
        self.vifs.iter().find(|vif| vif.id.device == device)
    }
}
