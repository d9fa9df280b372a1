//! Small changes of a running domain: its own data, vCPUs, shadow pool, memory, remote desktop.

use super::process::internal;
use super::{build, device_model, guest, overhead, paths, run_state};
use crate::backend::{Failure, Host, MicroOp, Product};
use crate::host::{Batch, DomId, DomainAct, Flavour, Found, Guard, Query, Reply, Request};
use crate::interface::{Error, Pairs};
use serde_json::{Value, json};

/// QEMU's name for a vCPU that is added while the guest runs.
const CPU_DRIVER: &str = "qemu32-i386-cpu";

/// Keys that a VM may have of its own.
pub(super) fn is_xsdata(key: &str) -> bool {
    key.starts_with("vm-data/") || key.starts_with("FIST/")
}

/// A batch that only the VM's own domain gets.
fn batch_for(host: &Host, domid: DomId) -> Batch {
    let mut batch = Batch::new();
    batch.guard(Guard::Equals(paths::owner(domid), paths::vm(&host.context().text)));
    batch
}

async fn store(host: &Host, batch: Batch) -> Result<(), Failure> {
    match host.store(batch).await? {
        true => Ok(()),
        false => Err(Error::does_not_exist("domain", &*host.context().text).into()),
    }
}

/// Replace the VM's own data.
pub(super) async fn set_xsdata(host: &Host, xsdata: &Pairs) -> Result<(), Failure> {
    let domid = guest::domid(host.context())?;
    let domain = paths::domain(domid);
    let mut batch = batch_for(host, domid);
    batch.remove(paths::below(&domain, "FIST"));
    // The guest owns `vm-data`: it is made anew for it.
    batch.remove(paths::below(&domain, "vm-data"));
    batch.mkdir(paths::below(&domain, "vm-data"), crate::host::Perms::owned(domid));
    for (key, value) in xsdata.iter().filter(|(key, _)| is_xsdata(key)) {
        batch.write(paths::below(&domain, key), value);
    }
    store(host, batch).await
}

/// Allow remote desktop in the guest.
pub(super) async fn request_rdp(host: &Host, enabled: bool) -> Result<(), Failure> {
    let domid = guest::domid(host.context())?;
    let mut batch = batch_for(host, domid);
    batch.write(paths::below(&paths::domain(domid), "control/ts"), if enabled { "1" } else { "0" });
    store(host, batch).await
}

/// Bring this many vCPUs online. QEMU has to be told of each in turn; others see xenstore.
pub(super) async fn set_vcpus(host: &Host, wanted: u32) -> Result<Product, Failure> {
    let context = host.context();
    let most = context.vm.vcpu_max;
    if wanted < 1 || i64::from(wanted) > most {
        return Err(Error::InvalidVcpus(most).into());
    }
    let domid = guest::domid(context)?;
    let now = online(host, domid).await?;
    if now == wanted {
        return Ok(Product::Nothing);
    }
    let hvm = guest::is_hvm(context);
    // One a turn where QEMU has to be asked.
    let steps: Vec<u32> = match (wanted > now, hvm) {
        (true, true) => vec![now],
        (true, false) => (now..wanted).collect(),
        (false, true) => vec![now - 1],
        (false, false) => (wanted..now).rev().collect(),
    };
    let mut batch = batch_for(host, domid);
    for vcpu in &steps {
        batch.write(paths::vcpu(domid, *vcpu), if wanted > now { "online" } else { "offline" });
    }
    store(host, batch).await?;
    if !hvm {
        return Ok(Product::Nothing);
    }
    plug_in_qemu(host, domid, steps[0], wanted > now).await?;
    host.become_op(MicroOp::VmSetVcpus(wanted)).await
}

/// One more than the highest vCPU that is online.
async fn online(host: &Host, domid: DomId) -> Result<u32, Failure> {
    let cpus =
        Query::Tree { path: paths::below(&paths::domain(domid), "cpu"), depth: 2, limit: super::device::MOST_NODES };
    let Some(Found::Tree(nodes)) = host.read(vec![cpus]).await?.pop() else { return Ok(0) };
    let online = nodes.iter().filter(|(_, value)| *value == "online");
    let numbers = online.filter_map(|(path, _)| path.strip_suffix("/availability")?.parse::<u32>().ok());
    Ok(numbers.max().map_or(0, |vcpu| vcpu + 1))
}

async fn plug_in_qemu(host: &Host, domid: DomId, vcpu: u32, add: bool) -> Result<(), Failure> {
    if add {
        let id = format!("cpu-{vcpu}");
        let cpu = json!({"driver": CPU_DRIVER, "id": id, "socket-id": vcpu, "core-id": 0, "thread-id": 0});
        device_model::ask(host, domid, "device_add", cpu).await?;
        return Ok(());
    }
    let cpus = device_model::ask(host, domid, "query-hotpluggable-cpus", json!({})).await?;
    let is_it = |cpu: &&Value| cpu["props"]["socket-id"] == json!(vcpu);
    let path = cpus.as_array().into_iter().flatten().find(is_it).and_then(|cpu| cpu["qom-path"].as_str());
    match path {
        Some(path) => device_model::ask(host, domid, "device_del", json!({"id": path})).await.map(|_| ()),
        None => Ok(()),
    }
}

/// Give the guest's page tables more or less room.
pub(super) async fn set_shadow_multiplier(host: &Host, multiplier: f64) -> Result<(), Failure> {
    let context = host.context();
    if guest::flavour(guest::kind(context)) == Flavour::Pv {
        return Err(Error::Unimplemented("shadow_multiplier for PV domains".to_owned()).into());
    }
    let domid = run_state::built(host)?;
    let max = overhead::mib(context.vm.memory_static_max);
    let wanted = overhead::shadow(max, context.vm.vcpu_max.max(1) as u64, multiplier);
    let now = match host.request(Request::Domain(domid, DomainAct::GetShadowAllocation)).await? {
        Reply::Number(mib) => mib,
        other => return Err(internal(format!("host answered a shadow pool with {other:?}"))),
    };
    if wanted > now {
        build::await_memory(host, 1024 * (wanted - now)).await?;
    }
    let wanted = u32::try_from(wanted).map_err(|_| internal(format!("shadow multiplier {multiplier} is too large")))?;
    host.domain(domid, DomainAct::ShadowAllocation(wanted)).await
}

/// Let the guest have between this many bytes and that many. No service shares out memory here: the balloon's
/// target is moved into the range, and the domain's limit with it when it grows.
pub(super) async fn set_memory_dynamic_range(host: &Host, least: i64, most: i64) -> Result<(), Failure> {
    let context = host.context();
    let domid = run_state::built(host)?;
    let (least, most) = (overhead::kib(least), overhead::kib(most.max(least)));
    let target = paths::below(&paths::domain(domid), "memory/target");
    let now = host.value(target.clone()).await?.and_then(|text| text.parse::<u64>().ok());
    let wanted = now.map(|now| now.clamp(least, most).min(overhead::kib(context.vm.memory_static_max)));
    if let Some(wanted) = wanted.filter(|wanted| Some(*wanted) > now) {
        let kind = guest::kind(context);
        let max = overhead::mib(context.vm.memory_static_max);
        let over = overhead::overhead(kind, max, context.vm.vcpu_max.max(1) as u64);
        host.domain(domid, DomainAct::SetMaxMem(wanted + 1024 * over)).await?;
    }
    let mut batch = batch_for(host, domid);
    let domain = paths::domain(domid);
    batch.write(paths::below(&domain, "memory/dynamic-min"), least.to_string());
    batch.write(paths::below(&domain, "memory/dynamic-max"), most.to_string());
    if let Some(wanted) = wanted.filter(|wanted| Some(*wanted) != now) {
        batch.write(target, wanted.to_string());
    }
    store(host, batch).await
}
