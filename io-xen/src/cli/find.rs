//! From what a user calls a VM or a device to its id.

use super::client::{Client, ask};
use super::failure::Failure;
use std::sync::Arc;
use xenops_core::interface::vm::State;
use xenops_core::interface::{Answer, Call, DeviceId, Vbd, Vif, Vm, vbd, vif};
use xenops_core::xl::nearest;

/// All VMs.
pub fn vms(client: &Client) -> Result<Vec<(Arc<Vm>, State)>, Failure> {
    Ok(ask!(client, Call::VmList, Answer::Vms(vms) => vms))
}

/// The VM of that name or UUID.
pub fn vm(client: &Client, name: &str) -> Result<(Arc<Vm>, State), Failure> {
    choose(vms(client)?, name)
}

fn choose(vms: Vec<(Arc<Vm>, State)>, name: &str) -> Result<(Arc<Vm>, State), Failure> {
    let is_it = |vm: &Vm| vm.id.eq_ignore_ascii_case(name);
    if let Some(at) = vms.iter().position(|(vm, _)| is_it(vm)) {
        return Ok(vms.into_iter().nth(at).expect("its position was found"));
    }
    let (mut named, others): (Vec<_>, Vec<_>) = vms.into_iter().partition(|(vm, _)| vm.name == name);
    match named.len() {
        1 => Ok(named.remove(0)),
        0 => {
            let near = nearest(name, others.iter().map(|(vm, _)| vm.name.as_str()));
            Err(Failure::NoSuchVm { name: name.to_owned(), near: near.into_iter().map(str::to_owned).collect() })
        }
        _ => {
            let candidates = named.iter().map(|(vm, state)| (vm.id.clone(), state.power_state.to_string())).collect();
            Err(Failure::Ambiguous { name: name.to_owned(), candidates })
        }
    }
}

/// A VM's disks.
pub fn vbds(client: &Client, vm: &str) -> Result<Vec<(Arc<Vbd>, vbd::State)>, Failure> {
    Ok(ask!(client, Call::VbdList { id: vm.to_owned() }, Answer::Vbds(vbds) => vbds))
}

/// A VM's network interfaces.
pub fn vifs(client: &Client, vm: &str) -> Result<Vec<(Arc<Vif>, vif::State)>, Failure> {
    Ok(ask!(client, Call::VifList { id: vm.to_owned() }, Answer::Vifs(vifs) => vifs))
}

/// The disk called `VM.DEVICE`.
pub fn vbd(client: &Client, name: &str) -> Result<(Arc<Vbd>, vbd::State), Failure> {
    let (vm, device) = split(name)?;
    let mut there = vbds(client, &self::vm(client, vm)?.0.id)?;
    match there.iter().position(|(vbd, _)| vbd.id.device == device) {
        Some(at) => Ok(there.swap_remove(at)),
        None => Err(missing(name, there.iter().map(|(vbd, _)| &vbd.id))),
    }
}

/// The network interface called `VM.DEVICE`.
pub fn vif(client: &Client, name: &str) -> Result<(Arc<Vif>, vif::State), Failure> {
    let (vm, device) = split(name)?;
    let mut there = vifs(client, &self::vm(client, vm)?.0.id)?;
    match there.iter().position(|(vif, _)| vif.id.device == device) {
        Some(at) => Ok(there.swap_remove(at)),
        None => Err(missing(name, there.iter().map(|(vif, _)| &vif.id))),
    }
}

/// A path as the daemon will find it, whose working directory is another.
pub fn absolute(path: &str) -> Result<String, Failure> {
    let found = std::path::absolute(path).map_err(Failure::local(format!("find {path}")))?;
    // It came from a string and from our directory, whose name may be no text.
    found.into_os_string().into_string().map_err(|_| Failure::Usage(format!("the path of {path} is not UTF-8")))
}

/// A VM's name may have dots in it, a device's has none.
fn split(name: &str) -> Result<(&str, &str), Failure> {
    name.rsplit_once('.')
        .filter(|(vm, device)| !vm.is_empty() && !device.is_empty())
        .ok_or_else(|| Failure::Usage(format!("'{name}' is not of the form VM.DEVICE, such as web.xvda or web.0")))
}

fn missing<'a>(name: &str, there: impl Iterator<Item = &'a DeviceId>) -> Failure {
    Failure::NoSuchDevice { name: name.to_owned(), devices: there.map(|id| id.device.clone()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenops_core::xl;

    fn vm(id: u8, name: &str) -> (Arc<Vm>, State) {
        let text = format!("name='{name}'; uuid='04efbb51-2bce-495f-9d86-75fc70ba01{id:02x}'");
        let (metadata, _) = xl::parse(&text, Default::default()).unwrap();
        (Arc::new(metadata.vm), State::halted())
    }

    #[test]
    fn vms_are_found_by_id_and_by_name() {
        let vms = || vec![vm(1, "web"), vm(2, "db"), vm(3, "db"), vm(4, "04efbb51-2bce-495f-9d86-75fc70ba0101")];
        let id = |name: &str| choose(vms(), name).map(|(vm, _)| vm.id.clone());
        assert!(id("web").unwrap().ends_with("01"));
        // An id outdoes another VM's name.
        assert!(id("04EFBB51-2BCE-495F-9D86-75FC70BA0101").unwrap().ends_with("01"));
        assert!(id("04efbb51-2bce-495f-9d86-75fc70ba0101").unwrap().ends_with("01"));
        assert!(matches!(id("db"), Err(Failure::Ambiguous { candidates, .. }) if candidates.len() == 2));
        assert!(matches!(id("wbe"), Err(Failure::NoSuchVm { near, .. }) if near == ["web"]));
        assert_eq!(id("x").unwrap_err().message(), "Failed to find VM: x");
    }

    #[test]
    fn a_device_is_named_after_the_last_dot() {
        assert_eq!(split("a.b.xvda").unwrap(), ("a.b", "xvda"));
        for name in ["a", "a.", ".a", ""] {
            assert_eq!(split(name).unwrap_err().status(), 2, "{name}");
        }
    }
}
