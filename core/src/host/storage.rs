//! Calls to the storage service, or to the embedded default where there is none.

use super::DomId;
use serde::{Deserialize, Serialize};

/// A storage datapath's name: `vbd/<domid>/<device>` for a guest's disk.
pub type Datapath = String;

/// One storage call. `vdi` is `SR/VDI`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StorageCall {
    /// VDI.attach3; answers `Reply::Attached`.
    Attach {
        /// Datapath.
        dp: Datapath,
        /// Disk.
        vdi: String,
        /// Guest.
        domid: DomId,
        /// Writable.
        read_write: bool,
    },
    /// VDI.activate3.
    Activate {
        /// Datapath.
        dp: Datapath,
        /// Disk.
        vdi: String,
    },
    /// VDI.deactivate.
    Deactivate {
        /// Datapath.
        dp: Datapath,
        /// Disk.
        vdi: String,
    },
    /// DP.destroy: deactivates and detaches whatever the datapath holds; an unknown one is fine.
    Destroy {
        /// Datapath.
        dp: Datapath,
    },
    /// VDI.epoch_begin: a disk that is not persistent is reset.
    EpochBegin {
        /// Disk.
        vdi: String,
        /// Whether it keeps what is written.
        persistent: bool,
    },
    /// VDI.epoch_end; ending one that is not open is fine.
    EpochEnd {
        /// Disk.
        vdi: String,
    },
    /// DP.list of those whose name begins so; answers `Reply::Names`.
    List {
        /// Prefix, such as `vbd/7/`.
        prefix: String,
    },
}

/// What an attached disk is reached by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attached {
    /// Path for the back end's `params`.
    pub params: String,
    /// Back end kind if the storage prefers one.
    pub backend_kind: Option<String>,
    /// Upstream's attach record as JSON text, kept in VmExtra's `attached_vdis`.
    pub record: String,
}
