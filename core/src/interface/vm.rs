//! A VM as its client configures it.

mod builder;
mod state;

pub use builder::{
    BuilderInfo, Firmware, HvmInfo, IgdPassthrough, OnBoot, PvBoot, PvDirectBoot, PvIndirectBoot, PvInfo, Tpm, Uefi,
    VideoCard,
};
pub use state::{Console, ConsoleProtocol, DomainType, PowerState, State};

use super::pairs::Pairs;

record! {
    /// The configuration of a VM.
    pub struct Vm "t" {
        /// UUID, in lower case.
        pub id: String,
        /// What its owner calls it.
        pub name: String = "unnamed".into(),
        /// XSM label.
        pub ssidref: i32,
        /// Keys that the guest finds below its own xenstore directory.
        pub xsdata: Pairs,
        /// Platform flags and texts.
        pub platformdata: Pairs,
        /// SMBIOS texts.
        pub bios_strings: Pairs,
        /// How its domain is built.
        pub ty: BuilderInfo,
        /// Obsolete.
        pub suppress_spurious_page_faults: bool,
        /// Obsolete; bits.
        pub machine_address_size: Option<i64>,
        /// Bytes.
        pub memory_static_max: i64,
        /// Bytes.
        pub memory_dynamic_max: i64,
        /// Bytes.
        pub memory_dynamic_min: i64,
        /// vCPUs that the domain is built with.
        pub vcpu_max: i64,
        /// vCPUs wanted online.
        pub vcpus: i64,
        /// Weight, cap and affinity.
        pub scheduler_params: SchedulerParams,
        /// What to do, in order, when the guest crashes.
        pub on_crash: Vec<Action>,
        /// What to do, in order, when the guest shuts itself down.
        pub on_shutdown: Vec<Action>,
        /// What to do, in order, when the guest reboots itself.
        pub on_reboot: Vec<Action>,
        /// What to do, in order, when the guest asks for a soft reboot.
        pub on_softreboot: Vec<Action> = vec![Action::Softreboot],
        /// Translate MSIs of passed-through devices.
        pub pci_msitranslate: bool,
        /// Let the guest manage power of passed-through devices.
        pub pci_power_mgmt: bool,
        /// Offer the vendor's device to Windows' update service.
        pub has_vendor_device: bool = false,
        /// Two decimal 64-bit numbers, `low:high`, shown to the guest.
        pub generation_id: Option<String>,
    }
}

record! {
    /// How the hypervisor schedules a VM's vCPUs.
    pub struct SchedulerParams "scheduler_params" {
        /// Weight and cap; the scheduler's own where absent.
        pub priority: Option<Priority>,
        /// For each vCPU the pCPUs that it may run on; vCPUs without an entry may run on all.
        pub affinity: Vec<Vec<i64>>,
    }
}

tuple! {
    /// Share of CPU time.
    #[derive(Copy, Eq)]
    pub struct Priority(
        /// Relative to other domains.
        pub weight: i64,
        /// Per cent of one pCPU; 0 is no cap.
        pub cap: i64,
    )
}

variant! {
    /// What to do when a domain has ended by itself.
    #[derive(Copy, Eq)]
    pub enum Action {
        /// Keep an image of its memory.
        Coredump,
        /// Clean up and leave it halted.
        Shutdown,
        /// Clean up and start it again.
        Start,
        /// Leave it as it is.
        Pause,
        /// Start it anew in the same domain.
        Softreboot,
    }
}
