//! How the memory of a hardware guest lies.

use super::acpi;

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;
/// 4 GiB: what lies beyond is high.
const HIGH: u64 = 1 << 32;
/// The hole for devices that a device model has, from there to 4 GiB.
const DEVICES: u64 = 0xf000_0000;
/// Pages that Xen and the builder use: rings, the store's, a page table.
const SPECIAL: (u64, u64) = (0xfeff_8000, 0x8000);
/// Below it a device model has the BIOS.
const LOW_START: u64 = 0x10_0000;
/// Pages of a VGA adapter's window.
const VGA_HOLE: u64 = 0x20;

const RAM: u32 = 1;
const RESERVED: u32 = 2;
const NVS: u32 = 4;

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// MiB of memory that it may have.
    pub(super) mib: u32,
    /// Pages that it has at the start.
    pub(super) target_pages: u64,
    /// End of what lies below 4 GiB.
    pub(super) lowmem_end: u64,
    /// End of what lies above, 0 if there is none.
    pub(super) highmem_end: u64,
    /// First address of the hole.
    pub(super) mmio_start: u64,
    /// Bytes of the hole.
    pub(super) mmio_size: u64,
    /// Pages of the VGA hole.
    pub(super) vga_hole: u64,
}

impl Plan {
    /// For so many MiB at most and at the start, with or without a device model.
    pub(super) fn new(max_mib: u32, start_mib: u32, device_model: bool) -> Plan {
        // Without one the hole has the tables, the special pages and the interrupt controllers.
        let mmio_start = if device_model { DEVICES } else { acpi::TABLES_ADDRESS };
        let bytes = u64::from(max_mib) * MIB;
        Plan {
            mib: max_mib,
            target_pages: u64::from(start_mib.min(max_mib)) * (MIB / 4096),
            lowmem_end: bytes.min(mmio_start),
            highmem_end: if bytes > mmio_start { HIGH + (bytes - mmio_start) } else { 0 },
            mmio_start,
            mmio_size: HIGH - mmio_start,
            vga_hole: if device_model { VGA_HOLE } else { 0 },
        }
    }

    /// The memory map: 20 bytes an entry, address, size, kind. `tables` are bytes of ACPI tables, for a guest
    /// without a device model.
    pub(super) fn map(&self, tables: Option<usize>) -> Vec<u8> {
        let low = if tables.is_some() { 0 } else { LOW_START };
        let mut entries = vec![(low, self.lowmem_end.saturating_sub(low), RAM)];
        if let Some(bytes) = tables {
            entries.push((SPECIAL.0, SPECIAL.1, RESERVED));
            let page = acpi::RSDP_ADDRESS & !0xfff;
            entries.push((page, LOW_START - page, NVS));
            entries.push((acpi::TABLES_ADDRESS, bytes as u64, NVS));
        }
        if self.highmem_end > HIGH {
            entries.push((HIGH, self.highmem_end - HIGH, RAM));
        }
        let bytes = |(address, size, kind): (u64, u64, u32)| {
            let [address, size] = [address, size].map(u64::to_le_bytes);
            [&address[..], &size[..], &kind.to_le_bytes()[..]].concat()
        };
        entries.into_iter().flat_map(bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(map: &[u8]) -> Vec<(u64, u64, u32)> {
        map.chunks_exact(20)
            .map(|entry| {
                let long = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().unwrap());
                (long(0), long(8), u32::from_le_bytes(entry[16..].try_into().unwrap()))
            })
            .collect()
    }

    #[test]
    fn memory_goes_around_the_hole() {
        let table = [
            (1024, true, 0x4000_0000, 0, 0xf000_0000),
            (4096, true, 0xf000_0000, 0x1_1000_0000, 0xf000_0000),
            (4096, false, 0xfc00_0000, 0x1_0400_0000, 0xfc00_0000),
        ];
        for (mib, device_model, low, high, hole) in table {
            let plan = Plan::new(mib, mib / 2, device_model);
            assert_eq!((plan.lowmem_end, plan.highmem_end, plan.mmio_start), (low, high, hole));
            assert_eq!(plan.mmio_start + plan.mmio_size, HIGH);
            assert_eq!(plan.target_pages, u64::from(mib) * 128);
            // All of it is there, once, whatever the hole.
            let tables = (!device_model).then_some(8192);
            let ram = entries(&plan.map(tables)).into_iter().filter(|entry| entry.2 == RAM);
            let bios = if device_model { LOW_START } else { 0 };
            assert_eq!(ram.map(|entry| entry.1).sum::<u64>() + bios, u64::from(mib) * MIB);
        }
        assert_eq!(Plan::new(64, 128, true).target_pages, 64 * 256);
    }

    #[test]
    fn the_map_of_a_guest_with_tables() {
        let map = entries(&Plan::new(128, 128, false).map(Some(4096)));
        let expected =
            [(0, 128 * MIB, RAM), (0xfeff_8000, 0x8000, RESERVED), (0xf_f000, 0x1000, NVS), (0xfc00_0000, 4096, NVS)];
        assert_eq!(map, expected);
        assert_eq!(entries(&Plan::new(128, 128, true).map(None)), [(LOW_START, 127 * MIB, RAM)]);
    }
}
