//! What an update names: anything that has a state.

use super::device_id::DeviceId;

variant! {
    /// Something that has a state.
    #[derive(Eq, PartialOrd, Ord, Hash)]
    pub enum Id {
        /// A VM.
        Vm(id: String),
        /// A block device.
        Vbd(id: DeviceId),
        /// A network interface.
        Vif(id: DeviceId),
        /// A passed-through device.
        Pci(id: DeviceId),
        /// A virtual GPU.
        Vgpu(id: DeviceId),
        /// A passed-through USB device.
        Vusb(id: DeviceId),
        /// A task.
        Task(id: String),
    }
}

impl Id {
    /// The VM that it is or belongs to; tasks belong to none.
    pub fn vm(&self) -> Option<&str> {
        match self {
            Id::Vm(id) => Some(id),
            Id::Vbd(id) | Id::Vif(id) | Id::Pci(id) | Id::Vgpu(id) | Id::Vusb(id) => Some(&id.vm),
            Id::Task(_) => None,
        }
    }
}

tuple! {
    /// A client's mark in the stream of updates.
    #[derive(Eq)]
    pub struct Barrier(
        /// The client's own number for it.
        pub token: i64,
        /// What had changed of its VM when it was set.
        pub ids: Vec<Id>,
    )
}
