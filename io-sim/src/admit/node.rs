//! Nodes of xenstore: who beside the daemon writes which, and what.

use super::table::By;
use crate::world::backend::{BLOCK, BLOCK_CONNECTED, NETWORK};
use xenops_core::host::DomId;

/// Who writes a node, and whether a value is one of those that they write there. None: only the daemon does.
pub(super) fn writer(path: &str, value: Option<&str>) -> Option<By> {
    let names: Vec<&str> = path.split('/').skip(1).collect();
    match names.as_slice() {
        ["local", "domain", "0", rest @ ..] => of_dom0(rest, value),
        ["local", "domain", _, rest @ ..] => of_guest(rest, value),
        ["vm", _, "rtc", "timeoffset"] => number(value).then_some(By::DeviceModel),
        ["tool", ..] => Some(By::Others),
        _ => None,
    }
}

fn of_dom0(names: &[&str], value: Option<&str>) -> Option<By> {
    match names {
        ["backend", kind @ ("vbd" | "vif" | "qdisk"), _, _, leaf, ..] => {
            let kernels = if *kind == "qdisk" { By::DeviceModel } else { By::BackEnd };
            of_back_end(leaf, value, kernels)
        }
        ["backend", "console" | "vkbd" | "vfb", ..] => Some(By::Console),
        ["device-model", _, "state"] => one_of(value, &["running"]).then_some(By::DeviceModel),
        // What QEMU keeps there of its own.
        ["device-model", _, _, ..] => Some(By::DeviceModel),
        ["error", "backend", ..] => Some(By::BackEnd),
        _ => None,
    }
}

fn of_back_end(leaf: &str, value: Option<&str>, kernels: By) -> Option<By> {
    // A script is QEMU's business where QEMU serves.
    let scripts = if kernels == By::BackEnd { By::Script } else { kernels };
    match leaf {
        "state" => xenbus(value).then_some(kernels),
        "hotplug-status" => one_of(value, &["connected", "error", "busy"]).then_some(scripts),
        "hotplug-error" | "physical-device" | "physical-device-path" | "node" => Some(scripts),
        leaf if tells(leaf) => number(value).then_some(kernels),
        _ => None,
    }
}

/// Whether the model's back ends have this key.
fn tells(leaf: &str) -> bool {
    BLOCK.iter().chain(&BLOCK_CONNECTED).chain(&NETWORK).any(|(key, _)| *key == leaf)
}

fn of_guest(names: &[&str], value: Option<&str>) -> Option<By> {
    match names {
        ["device", _, _, leaf, rest @ ..] => match *leaf {
            "state" => xenbus(value).then_some(By::Guest),
            "backend" | "backend-id" | "virtual-device" | "device-type" | "mac" | "handle" | "trusted" | "mtu"
            | "disconnect" => None,
            _ => (rest.is_empty() || leaf.starts_with("queue-")).then_some(By::Guest),
        },
        ["console", "tty"] => Some(By::Console),
        ["console", "vnc-port"] => None,
        // The guest takes up what it is asked.
        ["control", "shutdown"] => one_of(value, &[""]).then_some(By::Guest),
        ["control", leaf] if leaf.starts_with("feature-") => Some(By::Guest),
        ["control", "balloon-active" | "sysrq"] => Some(By::Guest),
        ["data" | "attr" | "error" | "drivers" | "feature" | "messages", ..] => Some(By::Guest),
        ["memory", "meminfo"] => Some(By::Guest),
        _ => None,
    }
}

/// The domain whose front end a node is in, which is its guest's to remove.
pub(super) fn front_end_of(path: &str) -> Option<DomId> {
    match path.split('/').skip(1).collect::<Vec<_>>().as_slice() {
        ["local", "domain", domid, "device", _, _, ..] => domid.parse().ok(),
        _ => None,
    }
}

fn xenbus(value: Option<&str>) -> bool {
    one_of(value, &["1", "2", "3", "4", "5", "6"])
}

/// Whoever may write a value may not have written it yet.
fn one_of(value: Option<&str>, words: &[&str]) -> bool {
    value.is_none_or(|value| words.contains(&value))
}

fn number(value: Option<&str>) -> bool {
    value.is_none_or(|value| value.parse::<i64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_what() {
        for (path, value, by) in [
            ("/local/domain/0/backend/vbd/3/51712/state", "4", Some(By::BackEnd)),
            ("/local/domain/0/backend/vbd/3/51712/state", "9", None),
            ("/local/domain/0/backend/vbd/3/51712/feature-flush-cache", "1", Some(By::BackEnd)),
            ("/local/domain/0/backend/vbd/3/51712/params", "/a.img", None),
            ("/local/domain/0/backend/vbd/3/51712/online", "0", None),
            ("/local/domain/0/backend/qdisk/3/51712/hotplug-status", "connected", Some(By::DeviceModel)),
            ("/local/domain/0/backend/vif/3/0/hotplug-status", "done", None),
            ("/local/domain/3/device/vif/0/state", "4", Some(By::Guest)),
            ("/local/domain/3/device/vif/0/mac", "00:16:3e:00:00:02", None),
            ("/local/domain/3/control/shutdown", "", Some(By::Guest)),
            ("/local/domain/3/control/shutdown", "reboot", None),
            ("/local/domain/3/data/updated", "1", Some(By::Guest)),
            ("/local/domain/3/name", "x", None),
            ("/xenops/domain/3/instance", "x", None),
        ] {
            assert_eq!(writer(path, Some(value)), by, "{path} {value}");
        }
    }
}
