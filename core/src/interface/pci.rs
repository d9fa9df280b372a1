//! Devices of the host that are passed through to a VM.

use std::fmt;
use std::str::FromStr;

/// The VM and the device's name, by convention its address as text.
pub type Id = super::device_id::DeviceId;

record! {
    /// The configuration of a passed-through device.
    #[derive(Eq)]
    pub struct Pci "t" {
        /// Its VM and name.
        pub id: Id,
        /// Its place among the VM's devices.
        pub position: i64,
        /// Where it is on the host.
        pub address: Address,
        /// Translate its MSIs; the VM's setting where absent.
        pub msitranslate: Option<bool>,
        /// Let the guest manage its power; the VM's setting where absent.
        pub power_mgmt: Option<bool>,
    }
}

record! {
    /// What a passed-through device is doing.
    #[derive(Copy, Eq)]
    pub struct State "state" {
        /// It is in the domain.
        pub plugged: bool,
    }
}

record! {
    /// Where a function is on the PCI buses.
    #[derive(Copy, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct Address "address" {
        /// Segment.
        pub domain: i64,
        /// Bus.
        pub bus: i64,
        /// Device.
        pub dev: i64,
        /// Function.
        pub func "fn": i64,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.dev, self.func)
    }
}

/// A text that is no PCI address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a PCI address of the form 0000:3b:00.0")
    }
}

impl std::error::Error for NoAddress {}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Address, NoAddress> {
        let hex = |digits: &str, most: usize| match digits.len() <= most && !digits.starts_with('+') {
            true => i64::from_str_radix(digits, 16).map_err(|_| NoAddress),
            false => Err(NoAddress),
        };
        let mut parts = text.split([':', '.']);
        let mut part = |most| hex(parts.next().unwrap_or_default(), most);
        let address = Address { domain: part(4)?, bus: part(2)?, dev: part(2)?, func: part(1)? };
        // Separators other than in the one form would have been taken alike.
        (address.to_string() == text.to_ascii_lowercase()).then_some(address).ok_or(NoAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_are_read_as_written(domain in 0..0x10000i64, bus in 0..256i64, dev in 0..32i64, func in 0..8i64) {
            let address = Address { domain, bus, dev, func };
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            prop_assert_eq!(address.to_string().to_uppercase().parse(), Ok(address));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0000:00:00", "0000:00:00.0.0", "0000.00:00.0", "0:0:0.0", "000g:00:00.0", "-001:00:00.0"] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text}");
        }
    }
}
