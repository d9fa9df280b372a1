//! USB devices of the host that are passed through to a VM.

/// The VM and the device's name, such as `vusb1-2`.
pub type Id = super::device_id::DeviceId;

record! {
    /// The configuration of a passed-through USB device.
    pub struct Vusb "t" {
        /// Its VM and name.
        pub id: Id,
        /// Bus on the host.
        pub hostbus: String,
        /// Port on the host.
        pub hostport: String,
        /// USB version, such as `2.00`.
        pub version: String,
        /// Path on the host, such as `1-2`.
        pub path: String,
        /// Megabits per second.
        pub speed: f64,
    }
}

record! {
    /// What a passed-through USB device is doing.
    #[derive(Copy, Eq)]
    pub struct State "state" {
        /// It is in the domain.
        pub plugged: bool,
    }
}
