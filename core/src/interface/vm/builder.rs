//! How a VM's domain is built: the kinds of guest and what each needs.

use crate::host::Uuid;
use crate::interface::disk::Disk;

variant! {
    /// The kind of guest, with what its builder needs.
    pub enum BuilderInfo {
        /// Fully virtualised, with a device model.
        Hvm "HVM" (info: HvmInfo),
        /// Paravirtualised.
        Pv "PV" (info: PvInfo),
        /// Paravirtualised inside a PVH container.
        PvInPvh "PVinPVH" (info: PvInfo),
        /// Paravirtualised on hardware page tables, without device model.
        Pvh "PVH" (info: PvInfo),
    }
}

record! {
    /// What an HVM guest needs.
    pub struct HvmInfo "hvm_info" {
        /// Hardware-assisted paging.
        pub hap: bool = true,
        /// Factor on the memory set aside for shadow page tables.
        pub shadow_multiplier: f64 = 1.0,
        /// Seconds from UTC, decimal.
        pub timeoffset: String = String::new(),
        /// Video memory in MiB.
        pub video_mib: i64 = 4,
        /// The emulated adapter.
        pub video: VideoCard = VideoCard::Cirrus,
        /// Offer ACPI.
        pub acpi: bool = true,
        /// Where the emulated serial port goes, in qemu's words.
        pub serial: Option<String> = None,
        /// VNC keyboard map.
        pub keymap: Option<String> = None,
        /// Address to serve VNC on, rather than a socket.
        pub vnc_ip: Option<String> = None,
        /// Extra devices to emulate.
        pub pci_emulations: Vec<String> = Vec::new(),
        /// Whether devices will be passed through.
        pub pci_passthrough: bool = false,
        /// Letters: `c` disk, `d` CD, `n` network.
        pub boot_order: String = String::new(),
        /// Give disks on qemu's command line.
        pub qemu_disk_cmdline: bool = false,
        /// Run the device model in a domain of its own.
        pub qemu_stubdom: bool = false,
        /// What boots.
        pub firmware: Firmware = Firmware::Bios,
        /// Its virtual TPM.
        pub tpm: Option<Tpm> = None,
    }
}

every_field_has_a_default!(HvmInfo);

variant! {
    /// The emulated display adapter.
    #[derive(Copy, Eq)]
    pub enum VideoCard default Cirrus {
        /// Cirrus Logic 5446.
        Cirrus,
        /// VESA VGA.
        StandardVga "Standard_VGA",
        /// A virtual GPU is the display.
        Vgpu,
        /// An Intel GPU, passed through whole.
        IgdPassthrough "IGD_passthrough" (kind: IgdPassthrough),
    }
}

variant! {
    /// The way to pass through an Intel GPU.
    #[derive(Copy, Eq)]
    pub enum IgdPassthrough {
        /// The whole device.
        GvtD "GVT_d",
    }
}

variant! {
    /// What boots an HVM guest.
    #[derive(Eq)]
    pub enum Firmware default Bios {
        /// SeaBIOS or ROMBIOS.
        Bios,
        /// OVMF with variables kept by a daemon.
        Uefi(info: Uefi),
    }
}

record! {
    /// UEFI's variable store.
    #[derive(Eq)]
    pub struct Uefi "uefi_params" {
        /// What becomes of the variables at boot.
        pub on_boot: OnBoot = OnBoot::Persist,
        /// Who keeps them.
        pub backend: String = "xapidb".into(),
    }
}

every_field_has_a_default!(Uefi);

variant! {
    /// What becomes of UEFI variables at boot.
    #[derive(Copy, Eq)]
    pub enum OnBoot {
        /// They stay.
        Persist,
        /// They are forgotten.
        Reset,
    }
}

variant! {
    /// A virtual TPM.
    #[derive(Eq)]
    pub enum Tpm {
        /// Emulated by swtpm, its state kept under that UUID.
        Vtpm(id: Uuid),
    }
}

record! {
    /// What a PV or PVH guest needs.
    pub struct PvInfo "pv_info" {
        /// Where its kernel comes from.
        pub boot: PvBoot,
        /// Whether it has a virtual frame buffer.
        pub framebuffer: bool = true,
        /// Address to serve the frame buffer on.
        pub framebuffer_ip: Option<String> = None,
        /// Whether its text console is served over VNC.
        pub vncterm: bool = true,
        /// Address to serve the text console on.
        pub vncterm_ip: Option<String> = None,
        /// Whether devices will be passed through.
        pub pci_passthrough: bool = false,
    }
}

variant! {
    /// Where a PV kernel comes from.
    pub enum PvBoot {
        /// From a file of the host.
        Direct(boot: PvDirectBoot),
        /// From one of the guest's disks, taken out by a boot loader.
        Indirect(boot: PvIndirectBoot),
    }
}

record! {
    /// A kernel in the host's file system.
    #[derive(Eq)]
    pub struct PvDirectBoot "pv_direct_boot" {
        /// Path.
        pub kernel: String = String::new(),
        /// Its command line.
        pub cmdline: String = String::new(),
        /// Path of an initial RAM disk.
        pub ramdisk: Option<String> = None,
    }
}

every_field_has_a_default!(PvDirectBoot);

record! {
    /// A kernel on a guest's disk.
    pub struct PvIndirectBoot "pv_indirect_boot" {
        /// The program that takes it out.
        pub bootloader: String = String::new(),
        /// Added to the kernel's command line.
        pub extra_args: String = String::new(),
        /// The kernel's command line where the boot loader finds none.
        pub legacy_args: String = String::new(),
        /// Arguments of the boot loader.
        pub bootloader_args: String = String::new(),
        /// Where to look, in order.
        pub devices: Vec<Disk> = Vec::new(),
    }
}

every_field_has_a_default!(PvIndirectBoot);
