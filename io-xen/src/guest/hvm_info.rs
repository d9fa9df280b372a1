//! The page by which hvmloader learns of the guest's processors.

/// Its frame.
pub(super) const FRAME: u64 = 0x9f;

/// Where the table stands in it.
const TABLE: usize = 0x800;
/// Bytes of the table.
const LENGTH: usize = 48;
const CHECKSUM: usize = TABLE + 12;
const APIC: usize = TABLE + 13;
const VCPUS: usize = TABLE + 16;
const ONLINE: usize = TABLE + 32;

/// Completes the table that the builder began: vCPUs at most, and how many of them are there at the start.
pub(super) fn complete(page: &mut [u8; 4096], vcpus: u32, online: u32, apic: bool) {
    page[APIC] = u8::from(apic);
    page[VCPUS..VCPUS + 4].copy_from_slice(&vcpus.to_le_bytes());
    page[ONLINE..TABLE + LENGTH].fill(0);
    for vcpu in 0..online.min(vcpus).min(128) as usize {
        page[ONLINE + vcpu / 8] |= 1 << (vcpu % 8);
    }
    page[CHECKSUM] = 0;
    let sum = page[TABLE..TABLE + LENGTH].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    page[CHECKSUM] = sum.wrapping_neg();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_sums_up_to_nothing() {
        for (vcpus, online, first) in [(1, 1, 1), (4, 2, 3), (128, 200, 0xff)] {
            let mut page = [0; 4096];
            page[TABLE..TABLE + 8].copy_from_slice(b"HVM INFO");
            page[TABLE + 8] = LENGTH as u8;
            page[CHECKSUM] = 77;
            complete(&mut page, vcpus, online, true);
            let table = &page[TABLE..TABLE + LENGTH];
            assert_eq!(table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)), 0);
            assert_eq!((table[13], table[16], table[32]), (1, vcpus as u8, first));
            assert!(page[..TABLE].iter().chain(&page[TABLE + LENGTH..]).all(|byte| *byte == 0));
        }
    }
}
