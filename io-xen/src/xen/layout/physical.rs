//! `xc_physinfo_t`.

use super::{Layout, u32_at, u64_at};
use xenops_core::host::Memory;

/// KiB of a page.
const PAGE: u64 = 4;

/// The host's hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Physical {
    /// Logical processors of a core.
    pub threads_per_core: u32,
    /// Cores of a package.
    pub cores_per_socket: u32,
    /// Logical processors online.
    pub cpus: u32,
    /// The largest number that a logical processor may have.
    pub max_cpu: u32,
    /// NUMA nodes.
    pub nodes: u32,
    /// Memory; what was promised to somebody is not free.
    pub memory: Memory,
    /// HVM guests are possible.
    pub hvm: bool,
    /// PV guests are possible.
    pub pv: bool,
    /// Hardware-assisted paging.
    pub hap: bool,
    /// Shadow paging.
    pub shadow: bool,
    /// Devices can be passed through.
    pub iommu: bool,
    /// The newest grant tables that guests can have.
    pub grants: u32,
}

impl Physical {
    /// From the structure's bytes.
    pub fn read(layout: Layout, bytes: &[u8]) -> Physical {
        let capabilities = u32_at(bytes, 28);
        let has = |bit: u32| capabilities & (1 << bit) != 0;
        let kib = |at: usize| u64_at(bytes, layout.pages + 8 * at).saturating_mul(PAGE);
        let (total, free, scrub, promised) = (kib(0), kib(1), kib(2), kib(3));
        Physical {
            threads_per_core: u32_at(bytes, 0),
            cores_per_socket: u32_at(bytes, 4),
            cpus: u32_at(bytes, 8),
            max_cpu: u32_at(bytes, 12),
            nodes: u32_at(bytes, 16),
            memory: Memory { total, free: free.saturating_sub(promised), scrub },
            hvm: has(0),
            pv: has(1),
            iommu: has(2),
            hap: has(3),
            shadow: has(4),
            // Releases that do not tell have version 2.
            grants: if has(9) || !has(8) { 2 } else { 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::library::Version;
    use super::*;

    #[test]
    fn memory_stands_where_each_release_has_it() {
        for (minor, length, pages) in [(16, 104, 32), (17, 112, 40), (22, 112, 40)] {
            let layout = Layout::of(Version::of(4, minor));
            let mut bytes = vec![0; length];
            assert_eq!(bytes.len(), layout.physical_bytes);
            for (index, word) in [2u32, 4, 8, 7, 1, 0, 2_000_000, 0b1000_1011].into_iter().enumerate() {
                bytes[4 * index..4 * index + 4].copy_from_slice(&word.to_le_bytes());
            }
            for (index, word) in [1000u64, 300, 20, 100].into_iter().enumerate() {
                let at = pages + 8 * index;
                bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
            let physical = Physical::read(layout, &bytes);
            assert_eq!((physical.threads_per_core, physical.cores_per_socket, physical.cpus), (2, 4, 8));
            assert_eq!(physical.memory, Memory { total: 4000, free: 800, scrub: 80 }, "4.{minor}");
            assert_eq!(
                (physical.hvm, physical.pv, physical.iommu, physical.hap, physical.shadow, physical.grants),
                (true, true, false, true, false, 2)
            );
        }
    }
}
