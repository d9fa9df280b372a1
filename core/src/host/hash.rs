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

/// What is left after whole words of 8, as one word.
fn tail(bytes: &[u8], rest: &[u8]) -> u64 {
    match bytes.last_chunk() {
        // What belongs to the word before is shifted out: one load is cheaper than up to seven.
        Some(last) => u64::from_le_bytes(*last).checked_shr(64 - 8 * rest.len() as u32).unwrap_or(0),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
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
        self.mix(tail(bytes, chunks.remainder()) ^ ((bytes.len() as u64) << 56));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_words_and_a_last_one_with_the_length() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..=bytes.len() {
            let (mut whole, mut by_hand) = (Fingerprint::new(), Fingerprint::new());
            whole.write(&bytes[..length]);
            let mut words: Vec<u64> = bytes[..length].chunks(8).map(word).collect();
            if length.is_multiple_of(8) {
                words.push(0);
            }
            *words.last_mut().unwrap() ^= (length as u64) << 56;
            words.into_iter().for_each(|word| by_hand.mix(word));
            assert_eq!(whole, by_hand, "{length}");
        }
    }

    fn word(bytes: &[u8]) -> u64 {
        bytes.iter().enumerate().map(|(at, byte)| u64::from(*byte) << (8 * at)).sum()
    }
}
