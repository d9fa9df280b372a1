//! A VM with its devices, as it travels between hosts.

use super::{Pci, Vbd, Vgpu, Vif, Vm, Vusb};

record! {
    /// What export writes and import reads, as JSON text.
    pub struct Metadata "t" {
        /// The VM.
        pub vm: Vm,
        /// Its block devices.
        pub vbds: Vec<Vbd> = Vec::new(),
        /// Its network interfaces.
        pub vifs: Vec<Vif> = Vec::new(),
        /// Its passed-through devices.
        pub pcis: Vec<Pci> = Vec::new(),
        /// Its virtual GPUs.
        pub vgpus: Vec<Vgpu> = Vec::new(),
        /// Its passed-through USB devices.
        pub vusbs: Vec<Vusb> = Vec::new(),
        /// The back end's own record, as JSON text.
        pub domains: Option<String> = None,
    }
}
