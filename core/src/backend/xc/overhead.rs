//! How much memory a guest takes beside its own, and what the builder is told.

use crate::interface::Vm;
use crate::interface::vm::BuilderInfo;

/// Pages of 4 KiB in one MiB.
const PAGES: u64 = 256;

/// Bytes as MiB, rounded up; negative counts as none.
pub(super) fn mib(bytes: i64) -> u64 {
    (bytes.max(0) as u64).div_ceil(1 << 20)
}

/// Bytes as KiB, rounded up; negative counts as none.
pub(super) fn kib(bytes: i64) -> u64 {
    (bytes.max(0) as u64).div_ceil(1 << 10)
}

/// MiB that a PV shim needs beside a guest of `mib`.
pub(super) fn shim(kind: &BuilderInfo, mib: u64) -> u64 {
    if matches!(kind, BuilderInfo::PvInPvh(_)) { 23 + mib / 90 } else { 0 }
}

/// MiB of the container's own pages that count against its limit.
pub(super) fn internal(kind: &BuilderInfo) -> u64 {
    if matches!(kind, BuilderInfo::Pv(_)) { 0 } else { 1 }
}

/// MiB of emulated video memory, which is taken out of the guest's.
pub(super) fn video(kind: &BuilderInfo) -> u64 {
    match kind {
        BuilderInfo::Hvm(info) => info.video_mib.max(0) as u64,
        BuilderInfo::Pv(_) => 0,
        BuilderInfo::PvInPvh(_) | BuilderInfo::Pvh(_) => 4,
    }
}

/// The factor on shadow memory that the VM asks for.
pub(super) fn multiplier(kind: &BuilderInfo) -> f64 {
    if let BuilderInfo::Hvm(info) = kind { info.shadow_multiplier } else { 1.0 }
}

/// MiB of shadow or HAP pool for a guest of at most `max` MiB.
pub(super) fn shadow(max: u64, vcpus: u64, multiplier: f64) -> u64 {
    let pages = PAGES * vcpus + 2 * max;
    ((pages.div_ceil(PAGES) as f64 * multiplier) as u64).max(1)
}

/// The factor that a pool of `mib` comes to; -1 where that makes no sense.
pub(crate) fn shadow_multiplier(vm: &Vm, mib: u64) -> f64 {
    let plain = shadow(self::mib(vm.memory_static_max), vm.vcpu_max.max(1) as u64, 1.0);
    let factor = mib as f64 / plain as f64;
    if factor <= 1000.0 { factor } else { -1.0 }
}

/// MiB that Xen needs for a guest of at most `max` MiB beside its memory.
pub(super) fn overhead(kind: &BuilderInfo, max: u64, vcpus: u64) -> u64 {
    let external = 1;
    let per_vcpu = (38 * vcpus).div_ceil(PAGES);
    internal(kind) + external + shadow(max, vcpus, multiplier(kind)) + per_vcpu + shim(kind, max)
}

/// MiB that the builder may give at most.
pub(super) fn build_max(kind: &BuilderInfo, max: u64) -> u64 {
    (max + shim(kind, max)).saturating_sub(video(kind))
}

/// MiB that the builder gives for a target.
pub(super) fn build_start(kind: &BuilderInfo, target: u64) -> u64 {
    (target + shim(kind, target)).saturating_sub(video(kind))
}

/// KiB of the target of a guest that is resumed with so many bytes and was built for a target of so many KiB. It stays
/// below or above every target by what it was built with less or more: without a device model it lacks the memory of a
/// video card that it has not, and a shim it has on top. By its own size as its target it would shrink, or grow, each time.
pub(super) fn resumed(kind: &BuilderInfo, bytes: i64, built_for: i64) -> u64 {
    if matches!(kind, BuilderInfo::Hvm(_)) || mutant!(ResumedBySize) {
        // The device model has added the video card's.
        return kib(bytes);
    }
    let built_for = built_for.max(0) as u64;
    (kib(bytes) + built_for).saturating_sub(1024 * build_start(kind, built_for.div_ceil(1024)))
}

/// MiB that a PV guest's memory map may cover.
pub(super) fn xen_max(kind: &BuilderInfo, max: u64) -> u64 {
    max + internal(kind) + shim(kind, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::vm::{HvmInfo, PvBoot, PvDirectBoot, PvInfo};

    fn pv() -> PvInfo {
        PvInfo {
            boot: PvBoot::Direct(PvDirectBoot::default()),
            framebuffer: false,
            framebuffer_ip: None,
            vncterm: false,
            vncterm_ip: None,
            pci_passthrough: false,
        }
    }

    // What was built for a target, suspended and resumed, has that target again; an HVM guest's size has QEMU's video card
    // in it.
    #[test]
    fn a_guest_keeps_its_size_when_it_is_resumed() {
        for (kind, video) in [
            (BuilderInfo::Pv(pv()), 0),
            (BuilderInfo::Pvh(pv()), 0),
            (BuilderInfo::PvInPvh(pv()), 0),
            (BuilderInfo::Hvm(HvmInfo { video_mib: 8, ..HvmInfo::default() }), 8),
        ] {
            for mib in 32..4096 {
                let built = ((build_start(&kind, mib) + video) << 20) as i64;
                let target = (mib << 10) as i64;
                assert_eq!(resumed(&kind, built, target), mib << 10, "{kind:?}");
                assert_eq!(resumed(&kind, built - (16 << 20), target), (mib - 16) << 10, "{kind:?}, ballooned");
            }
        }
    }

    // Each row worked out by hand from the manual's formulas.
    #[test]
    fn sizes_are_the_manuals() {
        let hvm = BuilderInfo::Hvm(HvmInfo { shadow_multiplier: 4.0, video_mib: 8, ..HvmInfo::default() });
        let table = [
            // kind, max, target, vcpus: build max, build start, xen max, overhead
            (BuilderInfo::Pv(pv()), 1024, 512, 2, 1024, 512, 1024, 1 + 10 + 1),
            (BuilderInfo::Pvh(pv()), 1024, 512, 2, 1020, 508, 1025, 1 + 1 + 10 + 1),
            (BuilderInfo::PvInPvh(pv()), 1024, 512, 2, 1024 + 34 - 4, 512 + 28 - 4, 1059, 1 + 1 + 10 + 1 + 34),
            (hvm, 2048, 2048, 8, 2040, 2040, 2049, 1 + 1 + 4 * 24 + 2),
        ];
        for (kind, max, target, vcpus, build, start, xen, over) in table {
            assert_eq!(build_max(&kind, max), build, "{kind:?}");
            assert_eq!(build_start(&kind, target), start, "{kind:?}");
            assert_eq!(xen_max(&kind, max), xen, "{kind:?}");
            assert_eq!(overhead(&kind, max, vcpus), over, "{kind:?}");
        }
        assert_eq!((shadow(0, 0, 0.1), mib(1), mib((1 << 20) + 1), kib(1025), mib(-1)), (1, 1, 2, 2, 0));
    }
}
