//! Every xenstore path that this back end uses, in one place.

use crate::host::DomId;

/// `/local/domain/<d>`: what the guest sees of itself.
pub(super) fn domain(domid: DomId) -> String {
    format!("/local/domain/{domid}")
}

/// `/xenops/domain/<d>`: what only dom0 sees of it.
pub(super) fn hidden(domid: DomId) -> String {
    format!("/xenops/domain/{domid}")
}

/// `/libxl/<d>`: what tools of libxl look for.
pub(super) fn libxl(domid: DomId) -> String {
    format!("/libxl/{domid}")
}

/// `/vm/<uuid>`: outlives the VM's domains.
pub(super) fn vm(uuid: &str) -> String {
    format!("/vm/{uuid}")
}

/// `/vm/<uuid>/domains/<d>`: a domain of this VM has not been cleaned up altogether.
pub(super) fn vm_domain(uuid: &str, domid: DomId) -> String {
    format!("/vm/{uuid}/domains/{domid}")
}

/// `/vm/<uuid>/devices/<class>/<device>`: the flag that a client sees as `active`; class `vbd` or `vif`.
pub(super) fn active(uuid: &str, class: &str, device: &str) -> String {
    format!("/vm/{uuid}/devices/{class}/{device}")
}

/// `/vm/<uuid>/rtc/timeoffset`
pub(super) fn time_offset(uuid: &str) -> String {
    format!("/vm/{uuid}/rtc/timeoffset")
}

/// `/xapi/<uuid>`: dom0's scratch tree.
pub(super) fn scratch(uuid: &str) -> String {
    format!("/xapi/{uuid}")
}

/// `/xapi/<uuid>/private/<kind>/<devid>`: what only dom0 knows of a device.
pub(super) fn private(uuid: &str, kind: &str, devid: u32) -> String {
    format!("/xapi/{uuid}/private/{kind}/{devid}")
}

/// `/xapi/<uuid>/private/vdis/<device>`: how the storage attached it.
pub(super) fn attachment(uuid: &str, device: &str) -> String {
    format!("/xapi/{uuid}/private/vdis/{device}")
}

/// `/xapi/<uuid>/hotplug/<d>`: what hotplug scripts leave behind.
pub(super) fn hotplugs(uuid: &str, domid: DomId) -> String {
    format!("/xapi/{uuid}/hotplug/{domid}")
}

/// `/local/domain/0/backend/<kind>/<d>`: all back ends of a kind for one domain.
pub(super) fn backends(kind: &str, domid: DomId) -> String {
    format!("/local/domain/0/backend/{kind}/{domid}")
}

/// `/local/domain/0/backend/<kind>/<d>/<devid>`
pub(super) fn backend(kind: &str, domid: DomId, devid: u32) -> String {
    format!("/local/domain/0/backend/{kind}/{domid}/{devid}")
}

/// `/local/domain/<d>/device/<class>/<devid>`: the guest's end; class is the front end's kind.
pub(super) fn frontend(domid: DomId, class: &str, devid: u32) -> String {
    format!("/local/domain/{domid}/device/{class}/{devid}")
}

/// `/xenops/domain/<d>/device/<class>/<devid>`: the copy of it that the guest cannot write; the list of devices.
pub(super) fn trusted(domid: DomId, class: &str, devid: u32) -> String {
    format!("/xenops/domain/{domid}/device/{class}/{devid}")
}

/// `/local/domain/<d>/error/device/<class>/<devid>`: where the front end says why it will not.
pub(super) fn frontend_error(domid: DomId, class: &str, devid: u32) -> String {
    format!("/local/domain/{domid}/error/device/{class}/{devid}")
}

/// `/local/domain/0/error/backend/<kind>/<d>`: where back ends say what is wrong.
pub(super) fn backend_errors(kind: &str, domid: DomId) -> String {
    format!("/local/domain/0/error/backend/{kind}/{domid}")
}

/// `/local/domain/<d>/xenserver/device/<kind>/<devid>`: further settings that the guest reads.
pub(super) fn extras(domid: DomId, kind: &str, devid: u32) -> String {
    format!("/local/domain/{domid}/xenserver/device/{kind}/{devid}")
}

/// `/local/domain/0/device-model/<d>`: exists from before QEMU's start until after its end.
pub(super) fn device_model(domid: DomId) -> String {
    format!("/local/domain/0/device-model/{domid}")
}

/// `/local/domain/0/device-model/<d>/state`: `running` once QEMU is ready.
pub(super) fn device_model_state(domid: DomId) -> String {
    format!("/local/domain/0/device-model/{domid}/state")
}

/// `/xenops/tasks/<d>`: cancel keys of upstream's daemon; only removed here.
pub(super) fn tasks(domid: DomId) -> String {
    format!("/xenops/tasks/{domid}")
}

/// `/local/domain/<d>/action-request`: `poweroff` from creation until the domain is complete.
pub(super) fn action_request(domid: DomId) -> String {
    format!("/local/domain/{domid}/action-request")
}

/// `/local/domain/<d>/control/shutdown`: what the guest is asked to do; it empties the node to acknowledge.
pub(super) fn shutdown_request(domid: DomId) -> String {
    format!("/local/domain/{domid}/control/shutdown")
}

/// `/local/domain/<d>/control/balloon-active`: 1 while the guest gives up or takes memory.
pub(super) fn balloon_active(domid: DomId) -> String {
    format!("/local/domain/{domid}/control/balloon-active")
}

/// `/local/domain/<d>/cpu/<n>/availability`: `online` or `offline`.
pub(super) fn vcpu(domid: DomId, vcpu: u32) -> String {
    format!("/local/domain/{domid}/cpu/{vcpu}/availability")
}
