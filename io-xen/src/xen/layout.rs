//! How structures of Xen's libraries lie in memory, release by release.
//!
//! They change with every release and no header is there when this is built, so they are written and read at offsets,
//! as plain bytes. The offsets were taken from the headers of each release on x86-64.

mod create;
pub mod image;
pub mod info;
mod physical;

pub use create::create;
pub use info::{INFO_BYTES, infos};
pub use physical::Physical;

use super::library::Version;

/// The part of the interface that differs between releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a `xen_domctl_createdomain`.
    pub create_bytes: usize,
    /// Where its `vmtrace_size` stands; `cpupool_id`, if there is one, and the x86 part follow.
    pub vmtrace: usize,
    /// Whether it has a `cpupool_id`.
    pub cpupool: bool,
    /// Bytes of an `xc_physinfo_t`.
    pub physical_bytes: usize,
    /// Where the 64-bit part of that begins.
    pub pages: usize,
}

impl Layout {
    /// The layout of a known release.
    pub fn of(version: Version) -> Layout {
        match version.minor {
            ..=16 => Layout { create_bytes: 60, vmtrace: 48, cpupool: false, physical_bytes: 104, pages: 32 },
            17..=18 => Layout { create_bytes: 64, vmtrace: 48, cpupool: true, physical_bytes: 112, pages: 40 },
            _ => Layout { create_bytes: 68, vmtrace: 52, cpupool: true, physical_bytes: 112, pages: 40 },
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes[at..at + 4].try_into().expect("four bytes were cut out");
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let word = bytes[at..at + 8].try_into().expect("eight bytes were cut out");
    u64::from_le_bytes(word)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::library::KNOWN;
    use super::*;

    #[test]
    fn parts_fit_into_their_structures() {
        for version in KNOWN {
            let layout = Layout::of(version);
            let x86 = layout.vmtrace + 4 + if layout.cpupool { 4 } else { 0 };
            assert_eq!(x86 + 8, layout.create_bytes, "{version}");
            assert!(
                layout.pages.is_multiple_of(8) && layout.pages + 5 * 8 + 8 * 4 == layout.physical_bytes,
                "{version}"
            );
        }
    }
}
