//! One device, described as in a file's lists. Places in errors and warnings are within the description.

use super::problem::{Error, Spot, Warning};
use crate::interface::{Disk, Vbd, Vif};

/// The disk of that VM that an element of `disk` describes. A number for its device means another bus on an
/// HVM guest.
pub fn disk(element: &str, vm: &str, hvm: bool) -> Result<(Vbd, Vec<Warning>), Error> {
    let mut warnings = Vec::new();
    let vbd = super::disk::read((Spot::START, bounded(element)?), vm, hvm, &mut warnings)?;
    Ok((vbd, warnings))
}

/// The `position`-th network interface of that VM, that an element of `vif` describes.
pub fn nic(element: &str, vm: &str, position: usize) -> Result<(Vif, Vec<Warning>), Error> {
    let mut warnings = Vec::new();
    let vif = super::nic::read((Spot::START, bounded(element)?), vm, position, &mut warnings)?;
    Ok((vif, warnings))
}

/// What can be put into a drive: the source of a disk, such as `phy:/srv/debian.iso`.
pub fn medium(source: &str) -> Result<Disk, Error> {
    super::disk::backend((Spot::START, bounded(source)?))?.ok_or_else(|| Error::at(Spot::START, "no medium is named"))
}

/// Files hold no control characters, and no more than this on a line.
fn bounded(text: &str) -> Result<&str, Error> {
    match text.find(|c: char| c.is_control()) {
        Some(before) => {
            let spot = Spot::START.right(text[..before].chars().count());
            Err(Error::at(spot, "description holds a control character"))
        }
        None if text.len() > super::lexer::TOKEN_BYTES => Err(Error::at(Spot::START, "description is too long")),
        None => Ok(text),
    }
}
