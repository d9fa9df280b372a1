//! Where a guest sees a disk: as bus, disk and partition, as a xenstore key, as a Linux name.

use super::number;
use std::fmt;

tuple! {
    /// Where a guest sees a disk. Nothing but [`DeviceNumber::new`] checks ranges, as upstream.
    #[derive(Copy, Eq, PartialOrd, Ord, Hash)]
    pub struct DeviceNumber(
        /// The bus.
        pub bus: Bus,
        /// The disk on its bus, from 0.
        pub disk: u32,
        /// The partition, from 1; 0 is the whole disk.
        pub partition: u32,
    )
}

variant! {
    /// A bus that a guest sees disks on.
    #[derive(Copy, Eq, PartialOrd, Ord, Hash)]
    pub enum Bus {
        /// Paravirtual.
        Xen,
        /// Emulated SCSI.
        Scsi,
        /// Emulated floppy controller.
        Floppy,
        /// Emulated IDE.
        Ide,
    }
}

/// Linux's major numbers for IDE controllers, two disks each.
const IDE_MAJORS: [u32; 10] = [3, 22, 33, 34, 56, 57, 88, 89, 90, 91];
const XEN_MAJOR: u32 = 202;
const SCSI_MAJOR: u32 = 8;
const FLOPPY_MAJOR: u32 = 203;
/// Marks keys of paravirtual disks from the seventeenth on.
const EXTENDED: u32 = 1 << 28;

impl DeviceNumber {
    /// A disk that exists on that bus, or none.
    pub fn new(bus: Bus, disk: u32, partition: u32) -> Option<DeviceNumber> {
        let (disks, partitions) = match bus {
            Bus::Xen => (1 << 20, 16),
            Bus::Scsi => (16, 16),
            Bus::Floppy => (3, 1),
            Bus::Ide => (2 * IDE_MAJORS.len() as u32, 64),
        };
        (disk < disks && partition < partitions).then_some(DeviceNumber { bus, disk, partition })
    }

    /// The name of its directory in xenstore. Numbers out of range bleed into each other, as upstream;
    /// none where there is no key at all.
    pub fn xenstore_key(&self) -> Option<u32> {
        let minor = |disk_bit: u32| self.disk.checked_mul(1 << disk_bit).map(|disk| disk | self.partition);
        match self.bus {
            Bus::Xen if self.disk < 16 => Some(XEN_MAJOR << 8 | minor(4)?),
            Bus::Xen => Some(EXTENDED | minor(8)?),
            Bus::Scsi => Some(SCSI_MAJOR << 8 | minor(4)?),
            Bus::Floppy => Some(FLOPPY_MAJOR << 8 | minor(4)?),
            Bus::Ide => {
                let major = IDE_MAJORS.get(self.disk as usize / 2)?;
                Some(major << 8 | (self.disk % 2) << 6 | self.partition)
            }
        }
    }

    /// What a directory of that name in xenstore stands for.
    pub fn of_xenstore_key(key: u32) -> Option<DeviceNumber> {
        let number = |bus, disk, partition| Some(DeviceNumber { bus, disk, partition });
        if key & EXTENDED != 0 {
            return number(Bus::Xen, key >> 8 & 0xfffff, key & 0xff);
        }
        let (sixteenth, partition) = (key >> 4 & 15, key & 15);
        match key >> 8 {
            XEN_MAJOR => number(Bus::Xen, sixteenth, partition),
            SCSI_MAJOR => number(Bus::Scsi, sixteenth, partition),
            FLOPPY_MAJOR => number(Bus::Floppy, sixteenth, partition),
            major => {
                let controller = IDE_MAJORS.iter().position(|m| *m == major)? as u32;
                number(Bus::Ide, 2 * controller + (key >> 6 & 3), key & 63)
            }
        }
    }

    /// The name that Linux gives it. IDE disks are named as the paravirtual ones that replace them.
    pub fn linux_name(&self) -> String {
        let mut letters = Vec::new();
        let mut rest = u64::from(self.disk) + 1;
        while rest > 0 {
            rest -= 1;
            letters.push(char::from(b'a' + (rest % 26) as u8));
            rest /= 26;
        }
        let prefix = match self.bus {
            Bus::Xen | Bus::Ide => "xvd",
            Bus::Scsi => "sd",
            Bus::Floppy => "fd",
        };
        let partition = if self.partition > 0 { self.partition.to_string() } else { String::new() };
        prefix.chars().chain(letters.into_iter().rev()).chain(partition.chars()).collect()
    }

    /// What a Linux name stands for: `xvda1`, `sda`, `fda`, `hda`, or `d0p1`.
    pub fn of_linux_name(name: &str) -> Option<DeviceNumber> {
        let prefixes = [("xvd", Bus::Xen), ("sd", Bus::Scsi), ("fd", Bus::Floppy), ("hd", Bus::Ide)];
        if let Some((bus, rest)) = prefixes.iter().find_map(|(p, bus)| Some((*bus, name.strip_prefix(p)?))) {
            let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
            let partition = &rest[letters.len()..];
            return Some(DeviceNumber {
                bus,
                disk: disk_of_letters(letters)?,
                partition: if partition.is_empty() { 0 } else { decimal(partition)? },
            });
        }
        let rest = name.strip_prefix('d')?;
        let (disk, partition) = rest.split_once('p').unwrap_or((rest, "0"));
        Some(DeviceNumber { bus: Bus::Xen, disk: decimal(disk)?, partition: decimal(partition)? })
    }

    /// What a client may call it: a number, which an HVM guest sees as IDE below 4, or a Linux name.
    pub fn of_string(hvm: bool, text: &str) -> Option<DeviceNumber> {
        number::integer(text)
            .and_then(|n| u32::try_from(n).ok())
            .and_then(|n| DeviceNumber::new(if hvm && n < 4 { Bus::Ide } else { Bus::Xen }, n, 0))
            .or_else(|| DeviceNumber::of_linux_name(text))
    }
}

/// An old Linux name of a disk as today's: `hda` is `xvda`.
pub fn upgrade_linux_name(name: &str) -> String {
    match name.strip_prefix("hd") {
        Some(rest) => format!("xvd{rest}"),
        None => name.to_owned(),
    }
}

/// Bijective base 26: a is 0, z 25, aa 26.
fn disk_of_letters(letters: &str) -> Option<u32> {
    let count = letters.bytes().try_fold(0u32, |count, letter| match letter {
        b'a'..=b'z' => count.checked_mul(26)?.checked_add(u32::from(letter - b'a') + 1),
        _ => None,
    });
    count?.checked_sub(1)
}

/// Decimal digits and nothing else.
fn decimal(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({}, {})", self.bus, self.disk, self.partition)
    }
}

#[cfg(test)]
mod tests;
