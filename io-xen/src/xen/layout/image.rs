//! `struct xc_dom_image`, by which a guest is built: the same offsets in every release that is known.

/// A 32-bit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub usize);

/// A 64-bit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long(pub usize);

/// Frame of the console ring, as the guest numbers it.
pub const CONSOLE_PFN: Long = Long(384);
/// Frame of the store ring, as the guest numbers it.
pub const XENSTORE_PFN: Long = Long(392);
/// A PV guest's table from its numbers of frames to Xen's.
pub const PV_P2M: Long = Long(480);
/// How many frames that table covers.
pub const P2M_SIZE: Long = Long(488);
/// Event channel of the console ring.
pub const CONSOLE_EVTCHN: Word = Word(568);
/// Event channel of the store ring.
pub const XENSTORE_EVTCHN: Word = Word(572);
/// Who serves the console ring.
pub const CONSOLE_DOMID: Word = Word(576);
/// Who serves the store ring.
pub const XENSTORE_DOMID: Word = Word(580);
/// 0 PV, 1 HVM.
pub const CONTAINER: Word = Word(1712);
/// Pages that are given at once; those beyond are given when the guest asks.
pub const TARGET_PAGES: Long = Long(1720);
/// First address of the hole for devices below 4 GiB.
pub const MMIO_START: Long = Long(1728);
/// Bytes of that hole.
pub const MMIO_SIZE: Long = Long(1736);
/// End of memory below 4 GiB.
pub const LOWMEM_END: Long = Long(1744);
/// End of memory above 4 GiB, 0 if there is none.
pub const HIGHMEM_END: Long = Long(1752);
/// Pages of the VGA hole.
pub const VGA_HOLE: Long = Long(1760);
/// One byte: whether a device model will serve the guest.
pub const DEVICE_MODEL: usize = 1768;
/// The firmware that hvmloader starts.
pub const SYSTEM_FIRMWARE: Module = Module(1776);
/// Memory map entries.
pub const E820: Long = Long(1920);
/// How many.
pub const E820_ENTRIES: Word = Word(1928);
/// vCPUs at most.
pub const MAX_VCPUS: Word = Word(1944);

/// ACPI modules that there is room for.
pub const MOST_ACPI: usize = 4;

/// Bytes put into the guest: a pointer, a 32-bit length, and the guest's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module(pub usize);

impl Module {
    /// One of the ACPI modules; the first is the RSDP.
    pub fn acpi(index: usize) -> Module {
        assert!(index < MOST_ACPI, "an image has room for {MOST_ACPI} ACPI modules");
        Module(1800 + 24 * index)
    }

    /// Where the bytes are here.
    pub fn data(self) -> Long {
        Long(self.0)
    }

    /// How many.
    pub fn length(self) -> Word {
        Word(self.0 + 8)
    }

    /// Where the guest finds them.
    pub fn address(self) -> Long {
        Long(self.0 + 16)
    }
}
