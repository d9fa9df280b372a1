//! Every xenstore path that this back end uses, in one place.

use crate::host::DomId;

/// Joins what follows each other in a path: most of a look's time would else go into formatting.
macro_rules! path {
    ($($part:expr),+) => {{
        let mut path = String::with_capacity(USUAL);
        $(
            path.push('/');
            $part.add_to(&mut path);
        )+
        path
    }};
}

/// Bytes that most paths do not exceed.
const USUAL: usize = 72;

/// What can stand between two slashes.
trait Part {
    fn add_to(self, path: &mut String);
}

impl Part for &str {
    fn add_to(self, path: &mut String) {
        path.push_str(self);
    }
}

impl Part for DomId {
    fn add_to(self, path: &mut String) {
        let (mut digits, mut at, mut rest) = ([0; 10], 10, self);
        while at == 10 || rest > 0 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        digits[at..].iter().for_each(|digit| path.push(char::from(*digit)));
    }
}

/// A node below another.
pub(super) fn below(path: &str, name: &str) -> String {
    [path, "/", name].concat()
}

/// `/local/domain/<d>`: what the guest sees of itself.
pub(super) fn domain(domid: DomId) -> String {
    path!("local/domain", domid)
}

/// `/local/domain/<d>/vm`: whose domain it is.
pub(super) fn owner(domid: DomId) -> String {
    path!("local/domain", domid, "vm")
}

/// `/xenops/domain/<d>`: what only dom0 sees of it.
pub(super) fn hidden(domid: DomId) -> String {
    path!("xenops/domain", domid)
}

/// Which instance made a domain: another one leaves it alone.
pub(super) fn instance(domid: DomId) -> String {
    path!("xenops/domain", domid, "instance")
}

/// There from when a guest is first asked to suspend until it has, and runs on: one that has taken a request may still do
/// it when nobody waits for it any more.
pub(super) fn suspending(domid: DomId) -> String {
    path!("xenops/domain", domid, "suspending")
}

/// `/libxl/<d>`: what tools of libxl look for.
pub(super) fn libxl(domid: DomId) -> String {
    path!("libxl", domid)
}

/// `/vm/<uuid>`: outlives the VM's domains.
pub(super) fn vm(uuid: &str) -> String {
    path!("vm", uuid)
}

/// `/vm/<uuid>/domains/<d>`: a domain of this VM has not been cleaned up altogether; libxl takes `/vm/<uuid>` along with
/// a domain that it destroys.
pub(super) fn vm_domain(uuid: &str, domid: DomId) -> String {
    path!("vm", uuid, "domains", domid)
}

/// `/vm/<uuid>/devices/<class>/<device>`: the flag that a client sees as `active`; class `vbd` or `vif`.
pub(super) fn active(uuid: &str, class: &str, device: &str) -> String {
    path!("vm", uuid, "devices", class, device)
}

/// `/vm/<uuid>/rtc/timeoffset`
pub(super) fn time_offset(uuid: &str) -> String {
    path!("vm", uuid, "rtc/timeoffset")
}

/// `/xapi/<uuid>`: dom0's scratch tree.
pub(super) fn scratch(uuid: &str) -> String {
    path!("xapi", uuid)
}

/// `/xapi/<uuid>/private/<kind>/<devid>`: what only dom0 knows of a device.
pub(super) fn private(uuid: &str, kind: &str, devid: u32) -> String {
    path!("xapi", uuid, "private", kind, devid)
}

/// `/xapi/<uuid>/private/vdis/<device>`: how the storage attached it.
pub(super) fn attachment(uuid: &str, device: &str) -> String {
    path!("xapi", uuid, "private/vdis", device)
}

/// `/xapi/<uuid>/hotplug`: has each domain of this VM that has not been cleaned up altogether.
pub(super) fn hotplug_domains(uuid: &str) -> String {
    path!("xapi", uuid, "hotplug")
}

/// `/xapi/<uuid>/hotplug/<d>`: what hotplug scripts leave behind.
pub(super) fn hotplugs(uuid: &str, domid: DomId) -> String {
    path!("xapi", uuid, "hotplug", domid)
}

/// `/xapi/<uuid>/hotplug/<d>/<kind>/<devid>`
pub(super) fn hotplug(uuid: &str, domid: DomId, kind: &str, devid: u32) -> String {
    path!("xapi", uuid, "hotplug", domid, kind, devid)
}

/// `/local/domain/0/backend/<kind>/<d>`: all back ends of a kind for one domain.
pub(super) fn backends(kind: &str, domid: DomId) -> String {
    path!("local/domain/0/backend", kind, domid)
}

/// `/local/domain/0/backend/<kind>/<d>/<devid>`
pub(super) fn backend(kind: &str, domid: DomId, devid: u32) -> String {
    path!("local/domain/0/backend", kind, domid, devid)
}

/// `/local/domain/<d>/device/<class>/<devid>`: the guest's end; class is the front end's kind.
pub(super) fn frontend(domid: DomId, class: &str, devid: u32) -> String {
    path!("local/domain", domid, "device", class, devid)
}

/// `/xenops/domain/<d>/device/<class>/<devid>`: the copy of it that the guest cannot write; the list of devices.
pub(super) fn trusted(domid: DomId, class: &str, devid: u32) -> String {
    path!("xenops/domain", domid, "device", class, devid)
}

/// `/local/domain/<d>/error/device/<class>/<devid>`: where the front end says why it will not.
pub(super) fn frontend_error(domid: DomId, class: &str, devid: u32) -> String {
    path!("local/domain", domid, "error/device", class, devid)
}

/// `/local/domain/0/error/backend/<kind>/<d>`: where back ends say what is wrong.
pub(super) fn backend_errors(kind: &str, domid: DomId) -> String {
    path!("local/domain/0/error/backend", kind, domid)
}

/// `/local/domain/<d>/xenserver/device/<kind>/<devid>`: further settings that the guest reads.
pub(super) fn extras(domid: DomId, kind: &str, devid: u32) -> String {
    path!("local/domain", domid, "xenserver/device", kind, devid)
}

/// `/local/domain/0/device-model/<d>`: exists from before QEMU's start until after its end.
pub(super) fn device_model(domid: DomId) -> String {
    path!("local/domain/0/device-model", domid)
}

/// `/local/domain/0/device-model/<d>/state`: `running` once QEMU is ready.
pub(super) fn device_model_state(domid: DomId) -> String {
    path!("local/domain/0/device-model", domid, "state")
}

/// `<kind>/<devid>/`: with this begins what belongs to a device below a directory of all devices.
pub(super) fn of_device(kind: &str, devid: u32) -> String {
    let mut path = String::with_capacity(USUAL);
    kind.add_to(&mut path);
    path.push('/');
    devid.add_to(&mut path);
    path.push('/');
    path
}

/// `/xenops/tasks/<d>`: cancel keys of upstream's daemon; only removed here.
pub(super) fn tasks(domid: DomId) -> String {
    path!("xenops/tasks", domid)
}

/// `/local/domain/<d>/action-request`: `poweroff` from creation until the domain is complete.
pub(super) fn action_request(domid: DomId) -> String {
    path!("local/domain", domid, "action-request")
}

/// `/local/domain/<d>/control/shutdown`: what the guest is asked to do; it empties the node to acknowledge.
pub(super) fn shutdown_request(domid: DomId) -> String {
    path!("local/domain", domid, "control/shutdown")
}

/// `/local/domain/<d>/control/balloon-active`: 1 while the guest gives up or takes memory.
pub(super) fn balloon_active(domid: DomId) -> String {
    path!("local/domain", domid, "control/balloon-active")
}

/// `/local/domain/<d>/cpu/<n>/availability`: `online` or `offline`.
pub(super) fn vcpu(domid: DomId, vcpu: u32) -> String {
    path!("local/domain", domid, "cpu", vcpu, "availability")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_paths_as_they_are_written() {
        for n in [0, 1, 9, 10, 42, 32_752, u32::MAX] {
            assert_eq!(backend("vbd", n, n), format!("/local/domain/0/backend/vbd/{n}/{n}"));
        }
    }
}
