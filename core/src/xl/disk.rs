//! An element of `disk`: `source,device[:cdrom|:floppy],mode`, or `xl`'s `target, format, vdev, access`.

use super::element::{Part, parts};
use super::keys::Text;
use super::problem::{Error, Spot, Warning, excerpt};
use crate::interface::device_number::Bus;
use crate::interface::vbd::{Kind, Mode};
use crate::interface::{DeviceId, DeviceNumber, Disk, Vbd};

/// `xl`'s names, in the order of its places.
const NAMES: &[&str] = &["target", "format", "vdev", "access", "devtype"];
const FORM: &str = "a disk is 'phy:/dev/vg/name,xvda,w': source, device and mode";

/// What an element says, before it is understood.
#[derive(Default)]
struct Said<'a>([Option<Text<'a>>; 5]);

/// The disk that an element describes. A number for its device means another bus on an HVM guest.
pub(super) fn read(element: Text<'_>, vm: &str, hvm: bool, warnings: &mut Vec<Warning>) -> Result<Vbd, Error> {
    let Said([target, format, vdev, access, devtype]) = Said::of(element, warnings)?;
    let start = element.0;
    if let Some((spot, other)) = format.filter(|(_, format)| !matches!(*format, "" | "raw")) {
        return Err(Error::at(spot, format!("disk format '{}' is not raw", excerpt(other))));
    }
    let (spot, device) = vdev.ok_or_else(|| Error::at(start, FORM))?;
    let (name, suffix) = device.split_once(':').unwrap_or((device, ""));
    let position = DeviceNumber::of_string(hvm, name)
        .filter(|number| DeviceNumber::new(number.bus, number.disk, number.partition).is_some());
    let Some(position) = position else {
        return Err(Error::at(spot, format!("'{}' is no disk: call it xvda or hda:cdrom", excerpt(name))));
    };
    let ty = match (suffix, devtype.map(|(_, devtype)| devtype)) {
        ("cdrom", None) | ("", Some("cdrom")) => Kind::Cdrom,
        ("floppy", None) | ("", Some("floppy")) => Kind::Floppy,
        ("", None | Some("disk")) => Kind::Disk,
        _ => return Err(Error::at(spot, format!("'{}' is neither a disk nor :cdrom nor :floppy", excerpt(device)))),
    };
    // A drive's name is that of its device: a number has to become one.
    let name = if name.starts_with(|c: char| c.is_ascii_lowercase()) { name.to_owned() } else { position.linux_name() };
    let backend = target.map_or(Ok(None), backend)?;
    if backend.is_none() && ty == Kind::Disk {
        return Err(Error::at(start, "only a cdrom or floppy drive can be empty"));
    }
    Ok(Vbd {
        id: DeviceId::new(vm, name),
        position: Some(position),
        mode: mode(access, ty)?,
        backend,
        ty,
        ..Vbd::default()
    })
}

impl<'a> Said<'a> {
    fn of(element: Text<'a>, warnings: &mut Vec<Warning>) -> Result<Said<'a>, Error> {
        let mut said = Said::default();
        let mut placed = Vec::new();
        let mut named = false;
        for part in parts(element) {
            match part {
                Part::Placed(text) => placed.push(text),
                Part::Named((spot, key), value) => match NAMES.iter().position(|name| *name == key) {
                    Some(place) => {
                        said.put(place, value)?;
                        named = true;
                    }
                    None => warnings.push(Warning::unknown(spot, "key", key, NAMES)),
                },
            }
        }
        let places: &[usize] = match placed.len() {
            3 if !named => &[0, 2, 3],
            4 => &[0, 1, 2, 3],
            0..4 if named => &[0, 1, 2],
            _ => return Err(Error::at(element.0, FORM)),
        };
        for (place, text) in places.iter().zip(placed) {
            said.put(*place, text)?;
        }
        Ok(said)
    }

    fn put(&mut self, place: usize, text: Text<'a>) -> Result<(), Error> {
        match self.0[place].replace(text) {
            Some((spot, _)) => Err(Error::at(spot.max(text.0), format!("disk has a second {}", NAMES[place]))),
            None => Ok(()),
        }
    }
}

/// What a source stands for; none where it is empty.
pub(super) fn backend((spot, source): Text<'_>) -> Result<Option<Disk>, Error> {
    let local = |path: &str| Ok(Some(Disk::Local(path.to_owned())));
    match source.split_once(':') {
        None if source.is_empty() => Ok(None),
        None if source.starts_with('/') => local(source),
        Some(("phy", path)) if !path.is_empty() => local(path),
        Some(("sm", vdi)) if is_vdi(vdi) => Ok(Some(Disk::Vdi(vdi.to_owned()))),
        Some(("file", _)) => {
            Err(Error::at(spot, "'file:' is not understood: write 'phy:' before the path of a block device or image"))
        }
        _ => Err(Error::at(spot, format!("'{}' is no source: write phy:PATH or sm:SR/VDI", excerpt(source)))),
    }
}

fn is_vdi(name: &str) -> bool {
    name.split_once('/').is_some_and(|(sr, vdi)| !sr.is_empty() && !vdi.is_empty())
}

fn mode(access: Option<Text<'_>>, ty: Kind) -> Result<Mode, Error> {
    let Some((spot, word)) = access else {
        return Ok(if ty == Kind::Cdrom { Mode::ReadOnly } else { Mode::ReadWrite });
    };
    match word {
        "r" | "R" | "ro" => Ok(Mode::ReadOnly),
        "w" | "W" | "rw" => Ok(Mode::ReadWrite),
        _ => Err(Error::at(spot, format!("'{}' is no disk mode: write r or w", excerpt(word)))),
    }
}

/// The disk as an element.
pub(super) fn write(vbd: &Vbd) -> String {
    let source = match &vbd.backend {
        None => String::new(),
        Some(Disk::Local(path)) => format!("phy:{path}"),
        Some(Disk::Vdi(name)) => format!("sm:{name}"),
    };
    let kind = match vbd.ty {
        Kind::Disk => "",
        Kind::Cdrom => ":cdrom",
        Kind::Floppy => ":floppy",
    };
    let mode = match vbd.mode {
        Mode::ReadOnly => "r",
        Mode::ReadWrite => "w",
    };
    format!("{source},{}{kind},{mode}", device(vbd))
}

/// By its name; an IDE disk that has the name of the paravirtual one that replaces it, by its number.
fn device(vbd: &Vbd) -> String {
    match vbd.position {
        Some(position) if position.bus == Bus::Ide && position.linux_name() == vbd.id.device => {
            position.disk.to_string()
        }
        _ => vbd.id.device.clone(),
    }
}

/// Refuses a disk that another one stands in the place of.
pub(super) fn refuse_twins(disks: &[(Spot, Vbd)]) -> Result<(), Error> {
    for (i, (spot, vbd)) in disks.iter().enumerate() {
        if disks[..i].iter().any(|(_, other)| other.id == vbd.id || other.position == vbd.position) {
            return Err(Error::at(*spot, format!("disk {} is there already", vbd.id.device)));
        }
    }
    Ok(())
}
