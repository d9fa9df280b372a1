//! The rows of a VM that a plan is made from.

use crate::interface::{Vbd, Vif, Vm};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A snapshot; rows that change later do not change the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The VM's row.
    pub vm: Arc<Vm>,
    /// Its disks, in table order.
    pub vbds: Arc<[Arc<Vbd>]>,
    /// Its network interfaces, in table order.
    pub vifs: Arc<[Arc<Vif>]>,
}
