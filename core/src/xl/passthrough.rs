//! An element of `pci`: `[DDDD:]BB:DD.F[,msitranslate=0|1][,power_mgmt=0|1]`.

use super::element::{Part, parts};
use super::keys::Text;
use super::problem::{Error, Warning, excerpt};
use crate::interface::{DeviceId, Pci};

const NAMES: &[&str] = &["msitranslate", "power_mgmt"];

/// The device that an element describes, the `position`-th of its VM.
pub(super) fn read(element: Text<'_>, vm: &str, position: usize, warnings: &mut Vec<Warning>) -> Result<Pci, Error> {
    let (mut address, mut msitranslate, mut power_mgmt) = (None, None, None);
    for part in parts(element) {
        match part {
            Part::Placed((spot, text)) if address.is_none() => {
                let whole = if text.matches(':').count() == 1 { format!("0000:{text}") } else { text.to_owned() };
                let parsed = whole.parse().map_err(|_| {
                    Error::at(spot, format!("'{}' is no PCI address: write 0000:3b:00.0", excerpt(text)))
                })?;
                address = Some(parsed);
            }
            Part::Placed((spot, other)) => {
                return Err(Error::at(spot, format!("expected key=value, found '{}'", excerpt(other))));
            }
            Part::Named((_, "msitranslate"), value) => msitranslate = Some(flag(value)?),
            Part::Named((_, "power_mgmt"), value) => power_mgmt = Some(flag(value)?),
            Part::Named((spot, key), _) => warnings.push(Warning::unknown(spot, "key", key, NAMES)),
        }
    }
    let address = address.ok_or_else(|| Error::at(element.0, "a device needs its PCI address"))?;
    let id = DeviceId::new(vm, position.to_string());
    Ok(Pci { id, position: position as i64, address, msitranslate, power_mgmt })
}

fn flag((spot, text): Text<'_>) -> Result<bool, Error> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(Error::at(spot, format!("'{}' is neither 0 nor 1", excerpt(text)))),
    }
}

/// The device as an element.
pub(super) fn write(pci: &Pci) -> String {
    let option =
        |key: &str, flag: Option<bool>| flag.map_or(String::new(), |flag| format!(",{key}={}", u8::from(flag)));
    format!("{}{}{}", pci.address, option("msitranslate", pci.msitranslate), option("power_mgmt", pci.power_mgmt))
}
