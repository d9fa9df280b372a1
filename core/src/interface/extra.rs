//! What the classic back end keeps of a VM beside its configuration, also across hosts.

use super::disk_attachment::AttachedVdi;
use super::pairs::{Maybe, Pairs};
use super::vbd;
use super::vm::BuilderInfo;

record! {
    /// The file that holds it.
    pub struct Stored "t" {
        /// All of it outlives a suspend.
        pub persistent: VmExtra,
    }
}

record! {
    /// What the classic back end keeps of a VM from its creation on.
    pub struct VmExtra "persistent_t" {
        /// Release of the record's layout: 0, 1, or 2 today.
        pub version: i64 = 0,
        /// What its memory was built from.
        pub build_info: Option<BuildInfo>,
        /// The kind of guest that was booted.
        pub ty: Option<BuilderInfo>,
        /// Unix time in seconds.
        pub last_start_time: f64 = 0.0,
        /// The architecture's part of the domain's creation.
        pub domain_config: Option<DomainConfig>,
        /// Migration was forbidden at boot.
        pub nomigrate: bool = false,
        /// Nesting was allowed at boot.
        pub nested_virt: bool = false,
        /// The device model in use.
        pub profile: Option<Profile>,
        /// The device model at first boot.
        pub original_profile: Option<Profile>,
        /// Bytes in use at the end of the last save; not 0 means that it is suspended.
        pub suspend_memory_bytes: i64 = 0,
        /// Disks that the device model has: id, index, where from.
        pub qemu_vbds: Vec<(vbd::Id, i64, QemuFrontend)> = Vec::new(),
        /// NICs that the device model has, of old.
        pub qemu_vifs: Vec<(vbd::Id, i64, QemuFrontend)> = Vec::new(),
        /// The VM's setting at boot.
        pub pci_msitranslate: bool = false,
        /// The VM's setting at boot.
        pub pci_power_mgmt: bool = false,
        /// PV drivers have shown themselves.
        pub pv_drivers_detected: bool = false,
        /// PCI device id and revision of the platform device.
        pub xen_platform: Option<(i64, i64)>,
        /// Platform flags at boot.
        pub platformdata: Pairs = Pairs::default(),
        /// Disks between attach and activate, by device name.
        pub attached_vdis: Pairs<AttachedVdi> = Pairs::default(),
    }
}

every_field_has_a_default!(VmExtra);

record! {
    /// What a domain's memory was built from.
    pub struct BuildInfo "build_info" {
        /// KiB.
        pub memory_max: i64,
        /// KiB.
        pub memory_target: i64,
        /// KiB on the host that it migrated from.
        pub memory_total_source: Option<i64>,
        /// Path.
        pub kernel: String,
        /// vCPUs at most.
        pub vcpus: i64,
        /// By the kind of guest.
        pub builder "priv": Builder,
        /// For each vCPU the pCPUs that it is held to.
        pub hard_affinity: Vec<Vec<i64>> = Vec::new(),
    }
}

variant! {
    /// What a builder needs, by the kind of guest.
    pub enum Builder {
        /// HVM.
        Hvm "BuildHVM" {
            /// Factor on shadow memory.
            shadow_multiplier: f64,
            /// Video memory in MiB.
            video_mib: i64,
        },
        /// PV.
        Pv "BuildPV" {
            /// The kernel's command line.
            cmdline: String,
            /// Path.
            ramdisk: Option<String>,
        },
        /// PVH.
        Pvh "BuildPVH" {
            /// The kernel's command line.
            cmdline: String,
            /// A shim runs a PV guest.
            pv_shim: bool = true,
            /// Paths, each with its command line if it has one.
            modules: Pairs<Maybe<String>>,
            /// Factor on shadow memory.
            shadow_multiplier: f64,
            /// Video memory in MiB.
            video_mib: i64,
        },
    }
}

variant! {
    /// The architecture's part of a domain's creation.
    #[derive(Eq)]
    pub enum DomainConfig {
        /// x86.
        X86 {
            /// Devices that the hypervisor emulates.
            emulation_flags: Vec<EmulationFlag>,
            /// Records from before the field have the relaxed behaviour.
            misc_flags: Vec<MiscFlag> = vec![MiscFlag::MsrRelaxed],
        },
        /// ARM.
        Arm "ARM" {
            /// Interrupt controller.
            gic_version: i64,
            /// Shared interrupts.
            nr_spis: i64,
            /// Hz.
            clock_frequency: i64,
        },
    }
}

variant! {
    /// A device that the hypervisor emulates.
    #[derive(Copy, Eq, PartialOrd, Ord)]
    pub enum EmulationFlag {
        /// Local APIC.
        Lapic "X86_EMU_LAPIC",
        /// High precision event timer.
        Hpet "X86_EMU_HPET",
        /// Power management timer.
        Pm "X86_EMU_PM",
        /// Real-time clock.
        Rtc "X86_EMU_RTC",
        /// I/O APIC.
        Ioapic "X86_EMU_IOAPIC",
        /// Interrupt controllers of old.
        Pic "X86_EMU_PIC",
        /// VGA.
        Vga "X86_EMU_VGA",
        /// IOMMU.
        Iommu "X86_EMU_IOMMU",
        /// Interval timer.
        Pit "X86_EMU_PIT",
        /// Interrupts as event channels.
        UsePirq "X86_EMU_USE_PIRQ",
        /// Virtual PCI.
        Vpci "X86_EMU_VPCI",
    }
}

variant! {
    /// A deviation from hardware.
    #[derive(Copy, Eq, PartialOrd, Ord)]
    pub enum MiscFlag {
        /// Unknown MSRs read as 0 rather than fault.
        MsrRelaxed "X86_MSR_RELAXED",
    }
}

variant! {
    /// A device model.
    #[derive(Copy, Eq)]
    pub enum Profile {
        /// The traditional one; only read, from old records.
        QemuTrad "Qemu_trad",
        /// None.
        QemuNone "Qemu_none",
        /// Upstream's, shown to guests as the traditional one.
        QemuUpstreamCompat "Qemu_upstream_compat",
        /// Upstream's.
        QemuUpstream "Qemu_upstream",
        /// Upstream's with UEFI.
        QemuUpstreamUefi "Qemu_upstream_uefi",
    }
}

variant! {
    /// Where a device model has a device from.
    #[derive(Eq)]
    pub enum QemuFrontend {
        /// Nowhere: a drive without medium.
        Empty,
        /// A path or a bridge.
        Name(name: String),
        /// A network block device.
        Nbd {
            /// In qemu's words.
            uri: String,
        },
        /// A device of dom0.
        Device {
            /// Its front end.
            frontend: Endpoint,
            /// Its back end.
            backend: Endpoint,
        },
    }
}

record! {
    /// One end of a paravirtual device.
    #[derive(Eq)]
    pub struct Endpoint "endpoint" {
        /// The domain that has it.
        pub domid: i64,
        /// What it is.
        pub kind: EndpointKind,
        /// Its number.
        pub devid: i64,
    }
}

variant! {
    /// What a paravirtual device is.
    #[derive(Eq)]
    pub enum EndpointKind {
        /// Network interface.
        Vif,
        /// Network interface of an emulated card.
        Tap,
        /// Passed-through PCI devices.
        Pci,
        /// File system.
        Vfs,
        /// Frame buffer.
        Vfb,
        /// Keyboard and mouse.
        Vkbd,
        /// Block device, with the back end's name for its kind.
        Vbd(backend_kind: String),
        /// Virtual function of a network card.
        NetSriovVf,
    }
}
