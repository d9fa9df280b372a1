//! xenstore paths as kernels, scripts and guests build them, and what they read out of one.

use super::device::{DeviceKey, Kind};
use xenops_core::host::DomId;

const DOMAIN: &str = "/local/domain/";

fn number(path: &mut String, n: u32) {
    let (mut digits, mut at, mut n) = ([0; 10], 10, n);
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    path.push_str(std::str::from_utf8(&digits[at..]).expect("digits are text"));
}

fn below(mut path: String, leaf: &str) -> String {
    if !leaf.is_empty() {
        path.push('/');
        path.push_str(leaf);
    }
    path
}

/// `/local/domain/<d>/<leaf>`
pub(super) fn domain(domid: DomId, leaf: &str) -> String {
    let mut path = String::with_capacity(64);
    path.push_str(DOMAIN);
    number(&mut path, domid);
    below(path, leaf)
}

/// `/local/domain/0/backend/<kind>/<d>/<devid>/<leaf>`
pub(super) fn backend(key: DeviceKey, leaf: &str) -> String {
    let mut path = String::with_capacity(80);
    path.push_str("/local/domain/0/backend/");
    path.push_str(key.kind.name());
    path.push('/');
    number(&mut path, key.domid);
    path.push('/');
    number(&mut path, key.devid);
    below(path, leaf)
}

/// `/local/domain/<d>/device/<class>/<devid>/<leaf>`
pub(super) fn frontend(key: DeviceKey, leaf: &str) -> String {
    let mut path = String::with_capacity(80);
    path.push_str(DOMAIN);
    number(&mut path, key.domid);
    path.push_str("/device/");
    path.push_str(key.kind.class());
    path.push('/');
    number(&mut path, key.devid);
    below(path, leaf)
}

/// `/local/domain/0/device-model/<d>/state`
pub(super) fn device_model(domid: DomId) -> String {
    let mut path = String::with_capacity(48);
    path.push_str("/local/domain/0/device-model/");
    number(&mut path, domid);
    below(path, "state")
}

/// Something in the tree that somebody other than the toolstack reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A back end's directory or something in it.
    Backend(DeviceKey),
    /// All back ends of a domain.
    Backends(DomId),
    /// A front end's directory or something in it; its back end may be of any kind of that class.
    Frontend(DomId, bool, u32),
    /// A domain's directory, or all of its devices.
    Domain(DomId),
    /// `control/shutdown`
    Shutdown(DomId),
    /// `control/batcmd/state`
    Script(DomId),
    /// `memory/target`
    Target(DomId),
    /// `cpu/<n>/availability`
    Vcpus(DomId),
    /// `console/port` or `console/ring-ref`
    Console(DomId),
}

/// What stands at a path that was written: only leaves that somebody reacts to count.
pub(super) fn written(path: &str) -> Option<Place> {
    match path.as_bytes().rsplit(is_slash).next()? {
        b"state" | b"online" | b"physical-device" | b"shutdown" | b"target" | b"availability" | b"port"
        | b"ring-ref" => place(path),
        _ => None,
    }
}

/// What stands at a path, or above what stands below it.
pub(super) fn place(path: &str) -> Option<Place> {
    let mut names = path.strip_prefix(DOMAIN)?.as_bytes().split(is_slash);
    let domid = parsed(names.next()?)?;
    let Some(directory) = names.next() else { return Some(Place::Domain(domid)) };
    match (directory, names.next()) {
        (b"backend", kind) if domid == 0 => {
            let kind = kind.and_then(Kind::named)?;
            let domid = parsed(names.next()?)?;
            match names.next() {
                Some(devid) => Some(Place::Backend(DeviceKey { domid, kind, devid: parsed(devid)? })),
                None => Some(Place::Backends(domid)),
            }
        }
        (b"device", None) => Some(Place::Domain(domid)),
        (b"device", Some(class)) => match names.next() {
            Some(devid) => Some(Place::Frontend(domid, class == b"vbd", parsed(devid)?)),
            None => Some(Place::Domain(domid)),
        },
        (b"control", Some(b"shutdown")) => Some(Place::Shutdown(domid)),
        (b"control", Some(b"batcmd")) => Some(Place::Script(domid)),
        (b"memory", Some(b"target")) => Some(Place::Target(domid)),
        (b"cpu", Some(_)) => Some(Place::Vcpus(domid)),
        (b"console", Some(b"port" | b"ring-ref")) => Some(Place::Console(domid)),
        _ => None,
    }
}

/// Names are short: a plain loop over bytes finds their ends sooner than a search built for long texts.
fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

fn parsed(number: &[u8]) -> Option<u32> {
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let vbd = DeviceKey { domid: 7, kind: Kind::Vbd, devid: 51712 };
        for (path, expected) in [
            (backend(vbd, "state"), Some(Place::Backend(vbd))),
            (backend(vbd, ""), Some(Place::Backend(vbd))),
            (frontend(vbd, "state"), Some(Place::Frontend(7, true, 51712))),
            ("/local/domain/0/backend/vif/12".to_owned(), Some(Place::Backends(12))),
            ("/local/domain/0/backend/console/1/0/state".to_owned(), None),
            (domain(7, ""), Some(Place::Domain(7))),
            (domain(7, "control/shutdown"), Some(Place::Shutdown(7))),
            (domain(7, "data/state"), None),
            (device_model(7), None),
            ("/vm/x/state".to_owned(), None),
            ("/local/domain/x/control/shutdown".to_owned(), None),
        ] {
            assert_eq!(place(&path), expected, "{path}");
        }
        assert_eq!(written(&backend(vbd, "params")), None);
        assert_eq!(written(&domain(4_294_967_295, "memory/target")), Some(Place::Target(4_294_967_295)));
    }
}
