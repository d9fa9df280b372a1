//! `struct xen_domctl_createdomain`.

use super::{Layout, put};
use xenops_core::host::{DomainSpec, Flavour};

/// Hardware-assisted container.
const HVM: u32 = 1 << 0;
/// Hardware-assisted paging.
const HAP: u32 = 1 << 1;
/// An IOMMU context.
const IOMMU: u32 = 1 << 5;
/// Nested virtualisation.
const NESTED: u32 = 1 << 6;
/// A performance monitoring unit.
const VPMU: u32 = 1 << 7;

/// The structure for a domain; `grants` is the most recent version of grant tables that it may use.
pub fn create(layout: Layout, spec: &DomainSpec, grants: u32) -> Vec<u8> {
    let mut bytes = vec![0; layout.create_bytes];
    let hardware = spec.flavour != Flavour::Pv;
    let flags = [
        (hardware, HVM),
        (hardware && spec.hap, HAP),
        (spec.iommu, IOMMU),
        (spec.nested_virt, NESTED),
        (spec.vpmu, VPMU),
    ];
    put(&mut bytes, 0, spec.ssidref);
    bytes[4..20].copy_from_slice(&spec.handle.0);
    put(&mut bytes, 20, flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, bit)| bit).sum());
    put(&mut bytes, 28, spec.max_vcpus);
    // The number of event channels is Xen's to limit.
    put(&mut bytes, 32, u32::MAX);
    put(&mut bytes, 36, spec.max_grant_frames);
    put(&mut bytes, 40, spec.max_maptrack_frames);
    put(&mut bytes, 44, grants);
    // What no field above names stays 0: no tracing, no altp2m, the first CPU pool.
    let x86 = layout.create_bytes - 8;
    put(&mut bytes, x86, spec.emulation_flags);
    put(&mut bytes, x86 + 4, spec.misc_flags);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::super::library::Version;
    use super::super::u32_at;
    use super::*;
    use xenops_core::host::Uuid;

    fn spec(flavour: Flavour) -> DomainSpec {
        DomainSpec {
            handle: Uuid([7; 16]),
            flavour,
            hap: true,
            iommu: false,
            nested_virt: true,
            vpmu: false,
            ssidref: 11,
            max_vcpus: 3,
            max_grant_frames: 64,
            max_maptrack_frames: 12,
            emulation_flags: 0x3ff,
            misc_flags: 1,
        }
    }

    #[test]
    fn fields_stand_where_each_release_has_them() {
        // Release, bytes, where the x86 part begins.
        for (minor, length, x86) in [(16, 60, 52), (17, 64, 56), (18, 64, 56), (19, 68, 60), (22, 68, 60)] {
            let bytes = create(Layout::of(Version::of(4, minor)), &spec(Flavour::Hvm), 2);
            assert_eq!(bytes.len(), length, "4.{minor}");
            let expected = [
                (0, 11),
                (4, 0x0707_0707),
                (16, 0x0707_0707),
                (20, 1 | 2 | 64),
                (24, 0),
                (28, 3),
                (32, u32::MAX),
                (36, 64),
                (40, 12),
                (44, 2),
                (48, 0),
                (x86 - 4, 0),
                (x86, 0x3ff),
                (x86 + 4, 1),
            ];
            for (at, value) in expected {
                assert_eq!(u32_at(&bytes, at), value, "4.{minor} at {at}");
            }
        }
        // Paging is no choice of a paravirtual container.
        let bytes = create(Layout::of(Version::of(4, 17)), &spec(Flavour::Pv), 1);
        assert_eq!(u32_at(&bytes, 20), NESTED);
    }
}
