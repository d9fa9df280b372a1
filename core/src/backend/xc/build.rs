//! VM.build: memory and first state, rings and channels, and the words that guests look for.

use super::kernel::{self, Image};
use super::process::{self, Program, internal};
use super::{guest, helper, overhead, paths};
use crate::backend::{Change, Context, ExtraChange, Failure, Host};
use crate::host::time::SECOND;
use crate::host::{Batch, Condition, DomId, DomainAct, Flavour, Perms, Reply, Request, Role};
use crate::interface::extra::{BuildInfo, Builder};
use crate::interface::vm::{BuilderInfo, Priority};
use crate::interface::{Error, Vm};

/// How long the helper may work on one guest.
pub(super) const HELPER_PATIENCE: u64 = 3600 * SECOND;

/// How long scrubbed memory is waited for.
const SCRUB_PATIENCE: u64 = 64 * SECOND;

/// Xen's own scheduling of a domain about which nothing was said.
const EVEN: Priority = Priority { weight: 256, cap: 0 };

/// Event channels that dom0 will bind.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    /// Of the store ring.
    pub(super) store: u64,
    /// Of the console ring.
    pub(super) console: u64,
}

/// Build the domain that `create` made.
pub(super) async fn build(host: &Host, force: bool) -> Result<(), Failure> {
    let context = host.context();
    let domid = guest::domid(context)?;
    if guest::extra(context)?.build_info.is_some() {
        return Err(internal(format!("domain {domid} is built already")));
    }
    let kind = guest::kind(context);
    let mut image = kernel::find(host, kind).await?;
    let files = std::mem::take(&mut image.files);
    let body = build_from(host, domid, kind, &image, force);
    host.then_always(body, async |host: Host| match files.is_empty() {
        true => Ok(()),
        false => host.act(Request::RemoveFiles(files.clone())).await,
    })
    .await
}

async fn build_from(host: &Host, domid: DomId, kind: &BuilderInfo, image: &Image, force: bool) -> Result<(), Failure> {
    let context = host.context();
    let vm = &context.vm;
    // What create reserved: without a memory service, the least.
    let target = overhead::kib(vm.memory_dynamic_min.min(vm.memory_dynamic_max));
    let required = prepare_memory(host, kind, target).await?;
    let ports = prepare(host, domid, kind).await?;
    let mut args = helper::args(image.mode, domid);
    helper::push(&mut args, "-store_port", ports.store.to_string());
    helper::push(&mut args, "-store_domid", "0");
    helper::push(&mut args, "-console_port", ports.console.to_string());
    helper::push(&mut args, "-console_domid", "0");
    let max = overhead::mib(vm.memory_static_max);
    helper::push(&mut args, "-mem_max_mib", overhead::build_max(kind, max).to_string());
    helper::push(&mut args, "-mem_start_mib", overhead::build_start(kind, target.div_ceil(1024)).to_string());
    if force {
        args.push("--force".to_owned());
    }
    image_args(&mut args, image);
    let program = context.facts.guest_helper.clone();
    let program = Program { role: Role::Builder, domid: Some(domid), program, args, env: Vec::new(), scratch: None };
    let (lines, exit) = process::run(host, program, HELPER_PATIENCE).await?;
    let rings = match helper::last_word(&lines) {
        _ if exit.is_none() => return Err(internal("guest builder did not end in time")),
        Ok(body) => helper::rings(body).ok_or_else(|| internal(format!("guest builder said result {body}")))?,
        Err(text) if helper::errno(text) == Some(helper::ENOMEM) => {
            return Err(Error::NotEnoughMemory((required * 1024) as i64).into());
        }
        Err(text) => return Err(internal(format!("guest builder: {text}"))),
    };
    let info = BuildInfo {
        memory_max: overhead::kib(vm.memory_static_max) as i64,
        memory_target: target as i64,
        memory_total_source: None,
        kernel: image.path.clone(),
        vcpus: vm.vcpu_max,
        builder: image.builder.clone(),
        hard_affinity: vm.scheduler_params.affinity.clone(),
    };
    introduce(host, domid, kind, &info, ports, rings).await?;
    if mutant!(BuildNotRecorded) {
        return Ok(());
    }
    host.change(Change::Extra(ExtraChange::Built(Box::new(info), Box::new(kind.clone())))).await
}

fn image_args(args: &mut Vec<String>, image: &Image) {
    helper::push(args, "-image", &image.path);
    match &image.builder {
        Builder::Hvm { .. } => {}
        Builder::Pv { cmdline, ramdisk } => {
            helper::push(args, "-cmdline", cmdline);
            helper::push(args, "-ramdisk", ramdisk.clone().unwrap_or_default());
            helper::push(args, "-features", "");
            helper::push(args, "-flags", "0");
        }
        Builder::Pvh { cmdline, modules, .. } => {
            helper::push(args, "-cmdline", cmdline);
            helper::push(args, "-features", "");
            helper::push(args, "-flags", "0");
            for (module, cmdline) in modules {
                helper::push(args, "-module", module);
                if let Some(cmdline) = &cmdline.0 {
                    helper::push(args, "-cmdline", cmdline);
                }
            }
        }
    }
}

/// Wait until the host has what the guest needs; KiB.
pub(super) async fn prepare_memory(host: &Host, kind: &BuilderInfo, target: u64) -> Result<u64, Failure> {
    let vm = &host.context().vm;
    let max = overhead::mib(vm.memory_static_max);
    let required = target + 1024 * overhead::overhead(kind, max, vm.vcpu_max.max(1) as u64);
    await_memory(host, required).await.map(|()| required)
}

/// Wait until that many KiB are free; give up at once when nothing is being scrubbed.
pub(super) async fn await_memory(host: &Host, required: u64) -> Result<(), Failure> {
    let enough = match host.request(Request::Memory).await? {
        Reply::Memory(memory) if memory.free >= required => true,
        Reply::Memory(memory) if memory.scrub == 0 => false,
        _ => host.wait(vec![Condition::FreeMemory(required)], SCRUB_PATIENCE).await?.0.is_some(),
    };
    if enough { Ok(()) } else { Err(Error::NotEnoughMemory((required * 1024) as i64).into()) }
}

/// What both build and restore need before memory comes.
pub(super) async fn prepare(host: &Host, domid: DomId, kind: &BuilderInfo) -> Result<Ports, Failure> {
    let context = host.context();
    let vm = &context.vm;
    let max = overhead::mib(vm.memory_static_max);
    let vcpus = vm.vcpu_max.max(1) as u32;
    let container = guest::flavour(kind) != Flavour::Pv;
    if let Some(mode) = timer_mode(context).filter(|_| container) {
        host.domain(domid, DomainAct::TimerMode(mode)).await?;
    }
    host.domain(domid, DomainAct::MaxVcpus(vcpus)).await?;
    // The shadow call fails on a PV domain where Xen has no shadow paging, and comes after the vCPUs elsewhere.
    if !container {
        host.domain(domid, DomainAct::MemmapLimit(1024 * overhead::xen_max(kind, max))).await?;
    } else {
        let mib = overhead::shadow(max, u64::from(vcpus), overhead::multiplier(kind));
        host.domain(domid, DomainAct::ShadowAllocation(u32::try_from(mib).unwrap_or(u32::MAX))).await?;
    }
    if let Some(priority) = vm.scheduler_params.priority.filter(|priority| *priority != EVEN) {
        let (weight, cap) = (priority.weight.clamp(1, 65535) as u32, priority.cap.max(0) as u32);
        host.domain(domid, DomainAct::Schedule { weight, cap }).await?;
    }
    if let Some(masks) = affinity(vm, vcpus) {
        host.domain(domid, DomainAct::HardAffinity(masks)).await?;
    }
    Ok(Ports { store: channel(host, domid).await?, console: channel(host, domid).await? })
}

fn timer_mode(context: &Context) -> Option<u32> {
    context.extra.as_ref()?.platformdata.get("timer_mode")?.parse().ok()
}

/// The pCPUs of each vCPU: those without a mask have the first one's.
fn affinity(vm: &Vm, vcpus: u32) -> Option<Vec<Vec<u32>>> {
    let masks = &vm.scheduler_params.affinity;
    let template = masks.first()?;
    let mask = |vcpu: u32| masks.get(vcpu as usize).unwrap_or(template);
    let numbers = |mask: &Vec<i64>| mask.iter().filter_map(|cpu| u32::try_from(*cpu).ok()).collect();
    Some((0..vcpus).map(|vcpu| numbers(mask(vcpu))).collect())
}

/// A fresh event channel for dom0 to bind.
pub(super) async fn channel(host: &Host, domid: DomId) -> Result<u64, Failure> {
    match host.request(Request::Domain(domid, DomainAct::AllocUnbound)).await? {
        Reply::Number(port) => Ok(port),
        other => Err(internal(format!("host answered a new event channel with {other:?}"))),
    }
}

/// Tell the guest, xenstored and the console daemon of the rings.
pub(super) async fn introduce(
    host: &Host,
    domid: DomId,
    kind: &BuilderInfo,
    info: &BuildInfo,
    ports: Ports,
    (store_ring, console_ring): (u64, u64),
) -> Result<(), Failure> {
    let context = host.context();
    let vm = &context.vm;
    let domain = paths::domain(domid);
    let mut batch = Batch::new();
    let keys = [
        ("memory/static-max", info.memory_max.to_string()),
        ("memory/target", info.memory_target.to_string()),
        ("memory/dynamic-min", overhead::kib(vm.memory_dynamic_min).to_string()),
        ("memory/dynamic-max", overhead::kib(vm.memory_dynamic_max).to_string()),
        ("domid", domid.to_string()),
        ("store/port", ports.store.to_string()),
        ("store/ring-ref", store_ring.to_string()),
        ("serial/0/limit", "65536".to_owned()),
        ("console/port", ports.console.to_string()),
        ("console/ring-ref", console_ring.to_string()),
        ("console/limit", "65536".to_owned()),
    ];
    for (key, value) in keys {
        batch.write(paths::below(&domain, key), value);
    }
    let flavour = guest::flavour(kind);
    if flavour != Flavour::Pv {
        let offset = if let BuilderInfo::Hvm(hvm) = kind { hvm.timeoffset.as_str() } else { "" };
        batch.mkdir(paths::below(&paths::vm(&context.text), "rtc"), Perms::readable(0, domid));
        batch.write(paths::time_offset(&context.text), offset);
    }
    let word = match flavour {
        Flavour::Pv => "PV",
        Flavour::Hvm => "HVM",
        Flavour::Pvh => "PVH",
    };
    batch.write(paths::below(&paths::libxl(domid), "type"), word);
    host.store(batch).await?;
    host.act(Request::Introduce(domid, store_ring, ports.store)).await
}
