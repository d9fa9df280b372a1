//! The assignments of a file by their keys, each to be taken once by whoever knows what it means.

use super::problem::{Error, Spot, Warning, excerpt};
use super::syntax::{Assignment, Item, Scalar, Value};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The keys that have a meaning.
const KNOWN: &[&str] = &[
    "boot",
    "bootloader",
    "bootloader_args",
    "builder",
    "cmdline",
    "disk",
    "extra",
    "has_vendor_device",
    "kernel",
    "maxmem",
    "maxvcpus",
    "memory",
    "name",
    "on_crash",
    "on_poweroff",
    "on_reboot",
    "on_soft_reset",
    "pci",
    "pci_msitranslate",
    "pci_power_mgmt",
    "pvshim",
    "ramdisk",
    "root",
    "type",
    "uuid",
    "vcpus",
    "vif",
    "vtpm",
];

/// A text from a file: where it begins, and what it says.
pub(super) type Text<'a> = (Spot, &'a str);

pub(super) struct Keys<'a> {
    left: BTreeMap<&'a str, Assignment<'a>>,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Keys<'a> {
    /// Of equal keys the last counts, as in `xl`.
    pub(super) fn of(assignments: Vec<Assignment<'a>>) -> Keys<'a> {
        let mut keys = Keys { left: BTreeMap::new(), warnings: Vec::new() };
        for assignment in assignments {
            let spot = assignment.spot;
            if let Some(earlier) = keys.left.insert(assignment.key, assignment) {
                let text = format!("key '{}' has no effect: {spot} gives it again", excerpt(earlier.key));
                keys.warnings.push(Warning::at(earlier.spot, text));
            }
        }
        keys
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<Text<'a>>, Error> {
        match self.one(key)? {
            Some(Item { spot, scalar: Scalar::Text(text) }) => Ok(Some((spot, text))),
            Some(Item { spot, .. }) => Err(Error::at(spot, format!("'{key}' is no string: put it in quotes"))),
            None => Ok(None),
        }
    }

    /// A string that may not be empty.
    pub(super) fn word(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.text(key)? {
            Some((spot, "")) => Err(Error::at(spot, format!("'{key}' is empty"))),
            other => Ok(other.map(|(_, text)| text.to_owned())),
        }
    }

    /// An integer, or a string that spells one.
    pub(super) fn integer(&mut self, key: &str, range: RangeInclusive<i64>) -> Result<Option<(Spot, i64)>, Error> {
        let Some(Item { spot, scalar }) = self.one(key)? else { return Ok(None) };
        let number = match scalar {
            Scalar::Number(number) => Some(number),
            Scalar::Text(text) => text.parse().ok(),
        };
        match number {
            Some(number) if range.contains(&number) => Ok(Some((spot, number))),
            _ => Err(Error::at(spot, format!("'{key}' must be a number from {} to {}", range.start(), range.end()))),
        }
    }

    pub(super) fn flag(&mut self, key: &str, default: bool) -> Result<bool, Error> {
        Ok(self.integer(key, 0..=1)?.map_or(default, |(_, number)| number == 1))
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<Text<'a>>, Error> {
        let items = match self.left.remove(key).map(|assignment| assignment.value) {
            Some(Value::List(_, items)) => items,
            Some(Value::One(Item { spot, .. })) => {
                return Err(Error::at(spot, format!("'{key}' is no list: put its elements between [ and ]")));
            }
            None => return Ok(Vec::new()),
        };
        items
            .into_iter()
            .map(|item| match item.scalar {
                Scalar::Text(text) => Ok((item.spot, text)),
                Scalar::Number(_) => {
                    Err(Error::at(item.spot, format!("an element of '{key}' is no string: put it in quotes")))
                }
            })
            .collect()
    }

    fn one(&mut self, key: &str) -> Result<Option<Item<'a>>, Error> {
        match self.left.remove(key).map(|assignment| assignment.value) {
            Some(Value::One(item)) => Ok(Some(item)),
            Some(Value::List(spot, _)) => Err(Error::at(spot, format!("'{key}' is a list, and should be one value"))),
            None => Ok(None),
        }
    }

    /// All warnings, of which keys that nobody took are some, in the order of the file.
    pub(super) fn finish(mut self, guest: &str) -> Vec<Warning> {
        for Assignment { spot, key, .. } in self.left.into_values() {
            self.warnings.push(match KNOWN.contains(&key) {
                true => Warning::at(spot, format!("key '{key}' has no effect on a {guest} guest")),
                false => Warning::unknown(spot, "key", key, KNOWN),
            });
        }
        self.warnings.sort_by_key(|warning| warning.spot);
        self.warnings
    }
}
