//! A hash that is the same on every machine, in every build.

use std::hash::{Hash, Hasher};

/// Mixes 8 bytes at a time; for comparing and tracing, not against adversaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Fingerprint {
    /// A fresh one.
    pub fn new() -> Fingerprint {
        Fingerprint(0x5851_f42d_4c95_7f2d)
    }

    /// The hash of one value.
    pub fn of<T: Hash + ?Sized>(value: &T) -> u64 {
        let mut hasher = Fingerprint::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Default for Fingerprint {
    fn default() -> Fingerprint {
        Fingerprint::new()
    }
}

// `usize` and `isize` widths differ between machines, and so do the bytes of integers written natively:
// each integer is mixed as one 64-bit word.
impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        let mut word = self.0;
        word ^= word >> 32;
        word = word.wrapping_mul(MULTIPLIER);
        word ^ word >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.mix(u64::from_le_bytes(chunk.try_into().expect("chunks of 8 are 8 long")));
        }
        let rest = chunks.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }

    fn write_u16(&mut self, n: u16) {
        self.mix(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.mix(n as u64);
    }
}
