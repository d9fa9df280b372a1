//! The name of a device: its VM's id and its own name there.

use std::fmt;

tuple! {
    /// The name of a device of a VM.
    #[derive(Eq, PartialOrd, Ord, Hash, Default)]
    pub struct DeviceId(
        /// The VM's id.
        pub vm: String,
        /// The device's name within the VM, such as `xvda` or `0`.
        pub device: String,
    )
}

impl DeviceId {
    /// The device of that name in that VM.
    pub fn new(vm: impl Into<String>, device: impl Into<String>) -> DeviceId {
        DeviceId { vm: vm.into(), device: device.into() }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.vm, self.device)
    }
}
