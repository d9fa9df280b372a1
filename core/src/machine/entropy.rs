//! Fresh identities from the bytes drawn at the daemon's start.

use crate::host::Uuid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// A stream of numbers that only the 32 bytes and the count of draws decide.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Drawn", into = "Drawn")]
pub(crate) struct Entropy(ChaCha8Rng);

/// All that there is to a stream: its bytes, and how many words of it have been drawn.
#[derive(Serialize, Deserialize)]
struct Drawn {
    seed: [u8; 32],
    words: u64,
}

impl From<Entropy> for Drawn {
    fn from(Entropy(stream): Entropy) -> Drawn {
        let words = u64::try_from(stream.get_word_pos()).expect("a daemon draws four words at a time");
        Drawn { seed: stream.get_seed(), words }
    }
}

impl From<Drawn> for Entropy {
    fn from(Drawn { seed, words }: Drawn) -> Entropy {
        let mut entropy = Entropy::new(seed);
        entropy.0.set_word_pos(words.into());
        entropy
    }
}

impl Entropy {
    pub(crate) fn new(seed: [u8; 32]) -> Entropy {
        Entropy(ChaCha8Rng::from_seed(seed))
    }

    /// A random UUID, version 4.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        if mutant!(UuidFromAddress) {
            let page = (std::ptr::from_ref(self).addr() >> 12).to_le_bytes();
            bytes.iter_mut().zip(page).for_each(|(byte, of)| *byte ^= of);
        }
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }

    /// A locally administered unicast MAC address.
    pub(crate) fn mac(&mut self) -> String {
        let mut bytes = [0; 6];
        self.0.fill_bytes(&mut bytes);
        mac_text(bytes)
    }
}

/// A MAC address that a VM's interface keeps: a chain of hashes from its position and its VM's id.
pub(crate) fn derived_mac(position: i64, vm: &str) -> String {
    let hash = crate::host::hash::Fingerprint::of(&(position, vm));
    let bytes = hash.to_le_bytes();
    mac_text([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
}

fn mac_text(mut bytes: [u8; 6]) -> String {
    bytes[0] = bytes[0] & 0xfc | 0x02;
    let [a, b, c, d, e, f] = bytes;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_give_the_same_identities() {
        let (mut a, mut b) = (Entropy::new([7; 32]), Entropy::new([7; 32]));
        assert_eq!((a.uuid(), a.mac()), (b.uuid(), b.mac()));
        assert_ne!(a.uuid(), Entropy::new([8; 32]).uuid());
        let first = u8::from_str_radix(&derived_mac(0, "x")[..2], 16).unwrap();
        assert_eq!(first & 3, 2, "locally administered, unicast");
        assert_ne!(derived_mac(0, "x"), derived_mac(1, "x"));
    }

    #[test]
    fn identities_are_random_but_for_version_and_variant() {
        let mut entropy = Entropy::new([7; 32]);
        let drawn: Vec<u128> = (0..200).map(|_| u128::from_be_bytes(entropy.uuid().0)).collect();
        let (ever, always) = drawn.iter().fold((0, u128::MAX), |(ever, always), one| (ever | one, always & one));
        let (version, variant) = (0xf << 76, 0b11 << 62);
        assert_eq!(always, 4 << 76 | 0b10 << 62, "what all have set");
        assert_eq!(!ever, (version | variant) & !always, "what none has set");
    }

    #[test]
    fn a_stream_that_is_read_back_goes_on() {
        let mut entropy = Entropy::new([7; 32]);
        for n in 0..200 {
            let mut copy: Entropy = serde_json::from_str(&serde_json::to_string(&entropy).unwrap()).unwrap();
            if n % 3 == 0 {
                assert_eq!(copy.mac(), entropy.mac(), "{n}");
            } else {
                assert_eq!(copy.uuid(), entropy.uuid(), "{n}");
            }
        }
    }
}
