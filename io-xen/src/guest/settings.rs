//! What a domain's platform keys say of its hardware.

use super::store::Store;
use std::io;

/// Bits of the other vendor's interface, by key.
const VIRIDIAN: [(&str, u64); 6] = [
    ("viridian_time_ref_count", 1 << 2),
    ("viridian_reference_tsc", 1 << 3),
    ("viridian_hcall_remote_tlb_flush", 1 << 4),
    ("viridian_apic_assist", 1 << 5),
    ("viridian_crash_ctl", 1 << 6),
    ("viridian_stimer", 1 << 8 | 1 << 7),
];

/// The part that every guest of that interface has.
const VIRIDIAN_BASE: u64 = 1;

/// Read from `platform/`, with defaults where a key is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// vCPUs that are online when it starts; `None` is all.
    pub online: Option<u32>,
    /// Its processor's features.
    pub features: Option<Vec<u32>>,
    /// Virtualisation of its own.
    pub nested: bool,
    /// Never migrated: its time stamp counter may be the hardware's.
    pub stays: bool,
    /// Physical address extension.
    pub pae: bool,
    /// An advanced interrupt controller.
    pub apic: bool,
    /// A high precision event timer.
    pub hpet: bool,
    /// What it sees of the other vendor's interface.
    pub viridian: u64,
    /// How its time stamp counter is emulated.
    pub tsc_mode: u32,
    /// Seconds that its clock differs.
    pub time_offset: i32,
    /// How much is kept of the floating point unit's instruction pointer.
    pub fip_width: Option<u64>,
    /// Its generation id.
    pub generation: Option<[u64; 2]>,
    /// UEFI in place of a BIOS.
    pub uefi: bool,
}

impl Settings {
    /// Reads a domain's.
    pub fn read(store: &mut Store, domid: u32) -> io::Result<Settings> {
        let mut failure = None;
        let settings = Settings::of(&mut |key| {
            store.read(&format!("/local/domain/{domid}/{key}")).unwrap_or_else(|error| {
                failure.get_or_insert(error);
                None
            })
        });
        match failure {
            Some(error) => Err(error),
            None => settings.map_err(io::Error::other),
        }
    }

    /// From values by key.
    fn of(value: &mut dyn FnMut(&str) -> Option<String>) -> Result<Settings, String> {
        let mut platform = |key: &str| value(&format!("platform/{key}"));
        let viridian = flag("viridian", platform("viridian"), false)?;
        let mut mask = if viridian { VIRIDIAN_BASE } else { 0 };
        for (key, bits) in VIRIDIAN {
            if viridian && flag(key, platform(key), false)? {
                mask |= bits;
            }
        }
        Ok(Settings {
            online: number("vcpu/current", platform("vcpu/current"))?,
            features: platform("featureset").map(|text| words(&text)).transpose()?,
            nested: flag("nested-virt", platform("nested-virt"), false)?,
            stays: flag("nomigrate", platform("nomigrate"), false)?,
            pae: flag("pae", platform("pae"), true)?,
            apic: flag("apic", platform("apic"), true)?,
            hpet: flag("hpet", platform("hpet"), true)?,
            viridian: mask,
            tsc_mode: number("tsc_mode", platform("tsc_mode"))?.unwrap_or(0),
            time_offset: number("timeoffset", platform("timeoffset").filter(|text| !text.is_empty()))?.unwrap_or(0),
            fip_width: number("x87-fip-width", platform("x87-fip-width"))?,
            generation: platform("generation-id").map(|text| generation(&text)).transpose()?,
            uefi: value("hvmloader/bios").as_deref() == Some("ovmf"),
        })
    }
}

fn number<N: std::str::FromStr>(key: &str, text: Option<String>) -> Result<Option<N>, String> {
    let Some(text) = text else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| format!("platform key {key} is {text}, not a number"))
}

fn flag(key: &str, text: Option<String>, default: bool) -> Result<bool, String> {
    match text.as_deref().map(str::trim) {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(digits) => match digits.parse::<u32>() {
            Ok(number) => Ok(number != 0),
            Err(_) => Err(format!("platform key {key} is {digits}, not true or false")),
        },
    }
}

/// A feature set's text.
fn words(text: &str) -> Result<Vec<u32>, String> {
    let word = |word: &str| {
        u32::from_str_radix(word, 16).map_err(|_| format!("platform key featureset has {word}, not a hexadecimal word"))
    };
    text.trim().split(['-', ':']).map(word).collect()
}

/// Two numbers with a colon between, decimal or with `0x` before them.
fn generation(text: &str) -> Result<[u64; 2], String> {
    let number = |text: &str| match text.trim().strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.trim().parse().ok(),
    };
    let halves = text.split_once(':').and_then(|(low, high)| Some([number(low)?, number(high)?]));
    halves.ok_or_else(|| format!("platform key generation-id is {text}, not two numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let find = |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_string());
        Settings::of(&mut |key| find(key))
    }

    #[test]
    fn keys_have_defaults() {
        let settings = of(&[]).unwrap();
        assert!(settings.pae && settings.apic && settings.hpet && !settings.nested && !settings.uefi);
        assert_eq!((settings.online, settings.viridian, settings.time_offset), (None, 0, 0));
        let settings = of(&[
            ("platform/vcpu/current", "2"),
            ("platform/viridian", "true"),
            ("platform/viridian_stimer", "1"),
            ("platform/hpet", "0"),
            ("platform/timeoffset", "-3600"),
            ("platform/featureset", "1fc3-0:10"),
            ("platform/generation-id", "0x10:7"),
            ("hvmloader/bios", "ovmf"),
        ]);
        let settings = settings.unwrap();
        assert_eq!((settings.online, settings.viridian, settings.hpet), (Some(2), 0x181, false));
        assert_eq!((settings.time_offset, settings.uefi), (-3600, true));
        assert_eq!(settings.features, Some(vec![0x1fc3, 0, 0x10]));
        assert_eq!(settings.generation, Some([16, 7]));
        assert_eq!(of(&[("platform/timeoffset", "")]).unwrap().time_offset, 0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (key, value, text) in [
            ("platform/hpet", "maybe", "platform key hpet is maybe, not true or false"),
            ("platform/vcpu/current", "-1", "platform key vcpu/current is -1, not a number"),
            ("platform/featureset", "xyz", "platform key featureset has xyz, not a hexadecimal word"),
            ("platform/generation-id", "1", "platform key generation-id is 1, not two numbers"),
        ] {
            assert_eq!(of(&[(key, value)]), Err(text.to_owned()));
        }
    }
}
