//! Looking: what this VM's world is like, all of it in one read but what only Xen and the host know.

use super::{device, paths};
use crate::backend::{DeviceSeen, DomainSeen, Failure, Host, Observation};
use crate::host::{DomId, DomainAct, DomainInfo, Found, Listing, Nodes, Query, Reply, Request, Role, StorageCall};
use crate::interface::Disk;
use crate::interface::vbd::Kind;

/// What a client sees as the guest agent's map: where, and how many levels. Upstream's depths count from 0.
const AGENT: [(&str, u32); 8] = [
    ("control", 1),
    ("feature/hotplug", 1),
    ("xenserver/attr", 4),
    ("attr", 4),
    ("drivers", 1),
    ("data", 1),
    ("data/service", 2),
    ("data/pvs_target", 1),
];

/// Trees of which clients see everything, and the root itself.
const XSDATA: [&str; 2] = ["vm-data", "FIST"];

/// Left out of the agent's map, below `attr`: it is large, and nobody reads it.
const EXCLUDED: &str = "os/hotfixes";

/// Levels of a guest's own tree that are read at most.
const DEEPEST: u32 = 32;

/// Look. Asks nothing that changes anything.
///
/// The guest agent's keys and the VM's own data count against one quota; when it is used up the rest is left out.
pub(super) async fn look(host: &Host) -> Result<Observation, Failure> {
    let context = host.context();
    let mut infos = host.find_domains(context.id).await?;
    if let (Some(other), true) = (context.becomes, infos.is_empty()) {
        infos = host.find_domains(other).await?;
    }
    let mut queries = vec![
        Query::Tree { path: paths::vm(&context.text), depth: 3, limit: device::MOST_NODES },
        Query::Children(paths::hotplug_domains(&context.text)),
    ];
    for info in &infos {
        queries.extend(domain_queries(&context.text, info.domid));
    }
    let mut found = host.read(queries).await?.into_iter();
    let mut seen = of_vm(&tree(&mut found));
    if let Some(Found::Children(Some(names))) = found.next() {
        seen.leftovers.extend(names.iter().filter_map(|name| name.parse::<DomId>().ok()));
    }
    seen.leftovers.sort_unstable();
    seen.leftovers.dedup();
    seen.leftovers.retain(|domid| !infos.iter().any(|info| info.domid == *domid));
    // Kept as long as the VM stays as it is.
    seen.domains.reserve_exact(infos.len());
    for info in infos {
        let mut domain = of_domain(info, &mut found, context.settings.guest_agent_quota_bytes);
        ask_the_host(host, &mut domain).await?;
        seen.domains.push(domain);
    }
    // What is in a drive need not be what its row names.
    let stored = context.vbds.iter().any(|vbd| vbd.ty == Kind::Cdrom || matches!(vbd.backend, Some(Disk::Vdi(_))))
        || context.extra.as_ref().is_some_and(|extra| !extra.attached_vdis.is_empty());
    let living = seen.domains.iter().map(|domain| domain.info.domid).filter(|_| stored);
    let domids: Vec<_> = living.chain(seen.leftovers.iter().copied()).collect();
    for domid in domids {
        let prefix = format!("vbd/{domid}/");
        if let Reply::Names(names) = host.request(Request::Storage(StorageCall::List { prefix })).await? {
            seen.datapaths.extend(names);
        }
    }
    Ok(seen)
}

fn tree(found: &mut impl Iterator<Item = Found>) -> Nodes {
    match found.next() {
        Some(Found::Tree(nodes)) => nodes,
        _ => Nodes::default(),
    }
}

fn value(found: &mut impl Iterator<Item = Found>) -> Option<String> {
    match found.next() {
        Some(Found::Value(value)) => value,
        _ => None,
    }
}

/// `/vm/<uuid>`: flags, domains, clock.
fn of_vm(nodes: &Nodes) -> Observation {
    let mut seen = Observation::default();
    for (path, value) in nodes.iter() {
        if let Some(device) = path.strip_prefix("devices/vbd/") {
            seen.active_vbds.extend((value == "1").then(|| device.to_owned()));
        } else if let Some(device) = path.strip_prefix("devices/vif/") {
            seen.active_vifs.extend((value == "1").then(|| device.to_owned()));
        } else if path == "rtc/timeoffset" {
            seen.rtc_timeoffset = Some(value.to_owned());
        } else if let Some(domid) = path.strip_prefix("domains/").and_then(|name| name.parse::<DomId>().ok()) {
            seen.leftovers.push(domid);
        }
    }
    seen
}

fn domain_queries(uuid: &str, domid: DomId) -> Vec<Query> {
    let domain = paths::domain(domid);
    let below = |name: &str, depth| Query::Tree { path: paths::below(&domain, name), depth, limit: device::MOST_NODES };
    let one = |name: &str| Query::Value(paths::below(&domain, name));
    let mut queries = vec![
        Query::Value(domain.clone()),
        Query::Value(paths::instance(domid)),
        Query::Value(paths::suspending(domid)),
        one("action-request"),
        one("console/tty"),
        one("console/vnc-port"),
        one("serial/0/tty"),
        Query::Value(paths::device_model(domid)),
        one("memory/target"),
        one("memory/uncooperative"),
        below("device", 3),
    ];
    queries.extend(AGENT.map(|(name, depth)| below(name, depth)));
    queries.extend(XSDATA.iter().flat_map(|name| [one(name), below(name, DEEPEST)]));
    queries.extend(device::queries(uuid, domid));
    queries
}

/// One domain from the answers to its questions.
fn of_domain(info: DomainInfo, found: &mut impl Iterator<Item = Found>, quota: u64) -> DomainSeen {
    let domid = info.domid;
    let introduced = value(found).is_some();
    let (instance, suspending) = (value(found), value(found).is_some());
    let action_request = value(found);
    let (tty, vnc_port, serial) = (value(found), value(found), value(found));
    let device_model = value(found).is_some();
    let (memory_target, uncooperative) = (value(found), value(found).is_some());
    let frontends = tree(found);
    let mut left = quota;
    let mut guest_agent = Listing::default();
    let mut pending_shutdown = None;
    for (root, _) in AGENT {
        for (path, value) in tree(found).iter() {
            if root == "control" && path == "shutdown" && !value.is_empty() {
                pending_shutdown = Some(value.to_owned());
            }
            if (root != "attr" || !path.starts_with(EXCLUDED)) && fits(&mut left, root.len() + 1 + path.len(), value) {
                guest_agent.push_below(root, path, value);
            }
        }
    }
    let mut xsdata = Listing::default();
    for root in XSDATA {
        if let Some(value) = value(found).filter(|value| fits(&mut left, root.len(), value)) {
            xsdata.push(root, &value);
        }
        for (path, value) in tree(found).iter() {
            if fits(&mut left, root.len() + 1 + path.len(), value) {
                xsdata.push_below(root, path, value);
            }
        }
    }
    let devices = device::list(domid, found);
    DomainSeen {
        introduced,
        instance,
        suspending,
        action_request,
        pending_shutdown,
        devices: devices.iter().map(|device| of_device(device, &frontends)).collect(),
        roles: if device_model { vec![Role::DeviceModel] } else { Vec::new() },
        memory_target: memory_target.and_then(|kib| kib.parse().ok()),
        uncooperative,
        guest_agent: guest_agent.into(),
        xsdata: xsdata.into(),
        console_tty: serial.or(tty),
        vnc_port: vnc_port.and_then(|port| port.parse().ok()),
        shadow_mib: None,
        info,
    }
}

/// Whether a key is within what is left of the quota.
fn fits(left: &mut u64, path: usize, value: &str) -> bool {
    let rest = left.checked_sub((path + value.len()) as u64);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

fn of_device(device: &device::Device, frontends: &Nodes) -> DeviceSeen {
    let front = paths::of_device(device.class(), device.devid) + "state";
    DeviceSeen {
        kind: device.kind.into(),
        devid: device.devid,
        name: device.name().map(str::to_owned),
        backend_state: if device.backend.is_empty() { None } else { Some(device.state().unwrap_or(0)) },
        online: device.online(),
        kthread_pid: device.backend_value("kthread-pid").and_then(|pid| pid.parse().ok()),
        half_inserted: device.kind == "qdisk"
            && device.private.get("dp-id").is_some()
            && device.backend_value("vdi").is_none(),
        vdi: device.backend_value("vdi").map(str::to_owned),
        qos: device.private.get("qos").map(str::to_owned),
        frontend_state: frontends.get(&front).map(|state| state.parse().unwrap_or(0)),
        unplug_asked: device.backend_value("online") == Some("0"),
    }
}

/// What xenstore does not know. A domain that goes meanwhile is seen as it was.
async fn ask_the_host(host: &Host, domain: &mut DomainSeen) -> Result<(), Failure> {
    let domid = domain.info.domid;
    if !domain.roles.is_empty()
        && let Reply::Roles(roles) = host.request(Request::Processes(domid)).await?
    {
        domain.roles = roles;
    }
    if domain.info.hvm && !domain.info.dying && domain.info.total_pages > 0 {
        match host.request(Request::Domain(domid, DomainAct::GetShadowAllocation)).await {
            Ok(Reply::Number(mib)) => domain.shadow_mib = Some(mib),
            Err(failure) if failure.is_cancelled() || matches!(failure, Failure::InDoubt(_)) => return Err(failure),
            // It is gone, or this Xen does not tell.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}
