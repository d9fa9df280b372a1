//! `xc_domaininfo_t`, the same in every release that is known.

use super::{u32_at, u64_at};
use xenops_core::host::{DomainInfo, ShutdownCode, Uuid};

/// Bytes of one.
pub const INFO_BYTES: usize = 112;

const DYING: u32 = 1 << 0;
const HVM: u32 = 1 << 1;
const SHUTDOWN: u32 = 1 << 2;
const PAUSED: u32 = 1 << 3;
const SHUTDOWN_SHIFT: u32 = 16;

/// The first `count` domains of an array.
pub fn infos(bytes: &[u8], count: usize) -> impl Iterator<Item = DomainInfo> + '_ {
    bytes.chunks_exact(INFO_BYTES).take(count).map(info)
}

fn info(bytes: &[u8]) -> DomainInfo {
    let flags = u32_at(bytes, 4);
    let handle = bytes[76..92].try_into().expect("sixteen bytes were cut out");
    DomainInfo {
        domid: u32::from(u16::from_le_bytes([bytes[0], bytes[1]])),
        handle: Uuid(handle),
        paused: flags & PAUSED != 0,
        dying: flags & DYING != 0,
        shutdown: (flags & SHUTDOWN != 0).then(|| code((flags >> SHUTDOWN_SHIFT) as u8)),
        hvm: flags & HVM != 0,
        total_pages: u64_at(bytes, 8),
        max_pages: u64_at(bytes, 16),
        cpu_time: u64_at(bytes, 56),
        vcpus: u32_at(bytes, 64),
    }
}

/// How many vCPUs a domain, the first of an array, has room for.
pub fn most_vcpus(bytes: &[u8]) -> u32 {
    // All ones when it has none yet.
    u32_at(bytes, 68).wrapping_add(1)
}

/// The code by its number.
pub fn code(number: u8) -> ShutdownCode {
    match number {
        0 => ShutdownCode::Poweroff,
        1 => ShutdownCode::Reboot,
        2 => ShutdownCode::Suspend,
        3 => ShutdownCode::Crash,
        4 => ShutdownCode::Watchdog,
        5 => ShutdownCode::SoftReset,
        other => ShutdownCode::Other(other),
    }
}

/// The number of a code.
pub fn number(code: ShutdownCode) -> u8 {
    match code {
        ShutdownCode::Poweroff => 0,
        ShutdownCode::Reboot => 1,
        ShutdownCode::Suspend => 2,
        ShutdownCode::Crash => 3,
        ShutdownCode::Watchdog => 4,
        ShutdownCode::SoftReset => 5,
        ShutdownCode::Other(other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_read_where_it_stands() {
        let mut bytes = vec![0xaa; 2 * INFO_BYTES];
        let one = &mut bytes[INFO_BYTES..];
        one[0..2].copy_from_slice(&0x1234u16.to_le_bytes());
        one[4..8].copy_from_slice(&(HVM | SHUTDOWN | 3 << SHUTDOWN_SHIFT).to_le_bytes());
        one[8..16].copy_from_slice(&500u64.to_le_bytes());
        one[16..24].copy_from_slice(&600u64.to_le_bytes());
        one[56..64].copy_from_slice(&1_000_000_007u64.to_le_bytes());
        one[64..68].copy_from_slice(&2u32.to_le_bytes());
        one[68..72].copy_from_slice(&3u32.to_le_bytes());
        one[76..92].copy_from_slice(&[9; 16]);
        let expected = DomainInfo {
            domid: 0x1234,
            handle: Uuid([9; 16]),
            paused: false,
            dying: false,
            shutdown: Some(ShutdownCode::Crash),
            hvm: true,
            total_pages: 500,
            max_pages: 600,
            cpu_time: 1_000_000_007,
            vcpus: 2,
        };
        assert_eq!(most_vcpus(one), 4);
        assert_eq!(infos(&bytes, 2).nth(1), Some(expected));
        assert_eq!(infos(&bytes, 1).count(), 1);
    }

    #[test]
    fn codes_are_their_numbers() {
        for byte in 0..=u8::MAX {
            assert_eq!(number(code(byte)), byte);
        }
    }
}
