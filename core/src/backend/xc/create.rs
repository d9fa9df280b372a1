//! VM.create: the record, the empty domain, its xenstore trees.

use super::process::internal;
use super::{guest, overhead, paths, platform};
use crate::backend::{Change, Context, ExtraChange, Failure, Host, Product};
use crate::host::{Batch, DomId, DomainAct, DomainSpec, Flavour, Guard, Now, Perms, Reply, Request};
use crate::interface::extra::{DomainConfig, EmulationFlag, MiscFlag, Profile};
use crate::interface::vm::{BuilderInfo, Firmware, PvInfo};
use crate::interface::{Error, Vm, VmExtra};
use std::sync::Arc;

/// Xen's own limit.
const MOST_VCPUS: u32 = 8192;

/// Domain numbers that are tried.
const MOST_NUMBERS: usize = 8;

/// Make the domain, paused and without memory.
///
/// The record is there before the domain is, so that the domain is ours from its first moment; the mark that it is
/// not complete is in the same transaction as its tree, so that there is no tree without it. A domain without a
/// tree is not complete either.
pub(super) async fn create(host: &Host) -> Result<Product, Failure> {
    let context = host.context();
    if context.domid.is_some() {
        return Err(Error::AlreadyExists("domain".to_owned(), context.text.to_string()).into());
    }
    let suspended = context.extra.as_ref().filter(|extra| extra.suspend_memory_bytes != 0);
    let extra = match suspended {
        Some(extra) => extra.clone(),
        // What an earlier life of the VM left says nothing about this one.
        None => Arc::new(fresh_extra(&context.vm, host.started())),
    };
    let kind = extra.ty.as_ref().unwrap_or(&context.vm.ty);
    let spec = spec(context, &extra, kind)?;
    if suspended.is_none() && !mutant!(RecordAfterDomain) {
        host.change(Change::Extra(ExtraChange::Create(extra.clone()))).await?;
    }
    let identity = host.uuid().await?;
    let size = Size::of(context, &extra, kind);
    for _ in 0..MOST_NUMBERS {
        let domid = match host.request(Request::CreateDomain(spec.clone())).await? {
            Reply::Domain(domid) => domid,
            other => return Err(internal(format!("host answered create with {other:?}"))),
        };
        if suspended.is_none() && mutant!(RecordAfterDomain) {
            host.change(Change::Extra(ExtraChange::Create(extra.clone()))).await?;
        }
        host.domain(domid, DomainAct::SetMaxMem(size.reserved)).await?;
        let mut batch = Batch::new();
        untouched(&mut batch, domid);
        domain_tree(&mut batch, context, domid, &extra, kind)?;
        vm_tree(&mut batch, context, domid, host.started().mono);
        let domain = paths::domain(domid);
        batch.write(paths::below(&domain, "memory/initial-target"), size.target.to_string());
        batch.write(paths::below(&domain, "unique-domain-id"), &identity);
        if host.store(batch).await? {
            return Ok(Product::Domain(domid));
        }
        host.domain(domid, DomainAct::Destroy).await?;
    }
    Err(internal(format!("back ends of earlier domains still have the {MOST_NUMBERS} domain numbers that xen gave")))
}

/// A number that comes again while back ends of its last domain stand is passed over: only those say what is still to be
/// released for that one.
fn untouched(batch: &mut Batch, domid: DomId) {
    for kind in super::device::KINDS.into_iter().filter(|_| !mutant!(NumberTakenOver)) {
        batch.guard(Guard::Absent(paths::backends(kind, domid)));
    }
}

/// KiB that the domain gets.
struct Size {
    /// Of its own.
    target: u64,
    /// With what Xen needs beside it.
    reserved: u64,
}

impl Size {
    // No service shares out memory here: the least that the VM asks for is what it gets.
    fn of(context: &Context, extra: &VmExtra, kind: &BuilderInfo) -> Size {
        let vm = &context.vm;
        let wanted = match extra.suspend_memory_bytes {
            0 => overhead::kib(vm.memory_dynamic_min),
            bytes => {
                let built_for = extra.build_info.as_ref().map_or(bytes >> 10, |info| info.memory_target);
                overhead::resumed(kind, bytes, built_for)
            }
        };
        let vcpus = vm.vcpu_max.max(1) as u64;
        let over = 1024 * overhead::overhead(kind, overhead::mib(vm.memory_static_max), vcpus);
        Size { target: wanted.min(overhead::kib(vm.memory_dynamic_max)), reserved: wanted + over }
    }
}

/// The record of a VM that starts anew.
pub(crate) fn fresh_extra(vm: &Vm, now: Now) -> VmExtra {
    let profile = matches!(vm.ty, BuilderInfo::Hvm(_)).then(|| match vm.platformdata.get("device-model") {
        Some(model) if model == "qemu-none" => Profile::QemuNone,
        Some(model) if model == "qemu-upstream-uefi" => Profile::QemuUpstreamUefi,
        _ => Profile::QemuUpstreamCompat,
    });
    let emulation_flags = match &vm.ty {
        BuilderInfo::Pv(_) => Vec::new(),
        BuilderInfo::PvInPvh(_) | BuilderInfo::Pvh(_) => vec![EmulationFlag::Lapic],
        BuilderInfo::Hvm(_) => {
            use EmulationFlag::*;
            vec![Lapic, Hpet, Pm, Rtc, Ioapic, Pic, Vga, Iommu, Pit, UsePirq]
        }
    };
    let is_set = |key| guest::flag(&vm.platformdata, key, false).unwrap_or(false);
    let misc_flags = if is_set("msr-relaxed") { vec![MiscFlag::MsrRelaxed] } else { Vec::new() };
    VmExtra {
        version: 2,
        ty: Some(vm.ty.clone()),
        last_start_time: now.unix_seconds(),
        domain_config: Some(DomainConfig::X86 { emulation_flags, misc_flags }),
        nomigrate: is_set("nomigrate"),
        nested_virt: is_set("nested-virt"),
        profile,
        original_profile: profile,
        pci_msitranslate: vm.pci_msitranslate,
        pci_power_mgmt: vm.pci_power_mgmt,
        platformdata: vm.platformdata.clone(),
        ..VmExtra::default()
    }
}

/// What the hypervisor is told of the domain to be.
fn spec(context: &Context, extra: &VmExtra, kind: &BuilderInfo) -> Result<DomainSpec, Failure> {
    let (vm, facts, platform) = (&context.vm, &context.facts, &extra.platformdata);
    let refuse = |what: &str| Err(internal(format!("this host cannot run {what}")));
    let flavour = guest::flavour(kind);
    let container = flavour != Flavour::Pv;
    if container && !facts.hvm {
        return refuse("HVM and PVH guests");
    }
    if !container && !facts.pv {
        return refuse("PV guests");
    }
    let hap = container && guest::flag(platform, "hap", facts.hap)?;
    if container && !(if hap { facts.hap } else { facts.shadow }) {
        return refuse(if hap { "guests with hardware-assisted paging" } else { "guests with shadow paging" });
    }
    let iommu = match kind {
        BuilderInfo::Hvm(info) => info.pci_passthrough,
        BuilderInfo::Pv(PvInfo { pci_passthrough, .. }) => *pci_passthrough,
        _ => false,
    };
    if iommu && !facts.iommu {
        return refuse("guests with passed-through devices");
    }
    let nested_virt = guest::flag(platform, "nested-virt", false)?;
    if nested_virt && !container {
        return refuse("PV guests with nested virtualisation");
    }
    let devices = 8 * (context.vifs.len() as u32 + 1) + (context.vbds.len() as u32 + 1);
    let (emulation_flags, misc_flags) = flags(extra.domain_config.as_ref());
    Ok(DomainSpec {
        handle: context.id,
        flavour,
        hap,
        iommu,
        nested_virt,
        vpmu: guest::flag(platform, "vpmu", false)?,
        ssidref: vm.ssidref as u32,
        max_vcpus: match u32::try_from(vm.vcpu_max) {
            Ok(vcpus @ 1..=MOST_VCPUS) => vcpus,
            _ => return Err(Error::InvalidVcpus(i64::from(MOST_VCPUS)).into()),
        },
        max_grant_frames: guest::number(platform, "max_grant_frames")?.unwrap_or(devices.max(64)),
        max_maptrack_frames: guest::number(platform, "max_maptrack_frames")?.unwrap_or(0),
        emulation_flags,
        misc_flags,
    })
}

/// Bits as Xen's interface numbers them.
fn flags(config: Option<&DomainConfig>) -> (u32, u32) {
    let Some(DomainConfig::X86 { emulation_flags, misc_flags }) = config else { return (0, 0) };
    let bit = |flag: &EmulationFlag| match flag {
        EmulationFlag::Lapic => 0,
        EmulationFlag::Hpet => 1,
        EmulationFlag::Pm => 2,
        EmulationFlag::Rtc => 3,
        EmulationFlag::Ioapic => 4,
        EmulationFlag::Pic => 5,
        EmulationFlag::Vga => 6,
        EmulationFlag::Iommu => 7,
        EmulationFlag::Pit => 8,
        EmulationFlag::UsePirq => 9,
        EmulationFlag::Vpci => 10,
    };
    let emulation = emulation_flags.iter().fold(0, |bits, flag| bits | 1 << bit(flag));
    (emulation, u32::from(misc_flags.contains(&MiscFlag::MsrRelaxed)))
}

/// `/local/domain/<d>`, `/xenops/domain/<d>`, `/libxl/<d>`.
fn domain_tree(
    batch: &mut Batch,
    context: &Context,
    domid: DomId,
    extra: &VmExtra,
    kind: &BuilderInfo,
) -> Result<(), Failure> {
    let vm = &context.vm;
    let (domain, hidden, libxl) = (paths::domain(domid), paths::hidden(domid), paths::libxl(domid));
    batch.remove(&domain).remove(&hidden).remove(&libxl);
    batch.mkdir(&domain, Perms::readable(0, domid));
    batch.mkdir(&hidden, Perms::dom0()).mkdir(&libxl, Perms::dom0());
    batch.write(paths::instance(domid), &context.settings.instance);
    if !mutant!(NoMark) {
        batch.write(paths::action_request(domid), "poweroff");
    }
    batch.write(paths::owner(domid), paths::vm(&context.text));
    batch.write(paths::below(&domain, "name"), name(&vm.name, domid));
    for readable in ["cpu", "memory"] {
        batch.mkdir(paths::below(&domain, readable), Perms::readable(0, domid));
    }
    let devices = ["device", "device/vbd", "device/9pfs", "device/vif"];
    if extra.platformdata.get("netscaler").is_none_or(|model| model != "XSI-254") {
        for owned in devices {
            batch.mkdir(paths::below(&domain, owned), Perms::owned(domid));
        }
    }
    for owned in OWNED {
        batch.mkdir(paths::below(&domain, owned), Perms::owned(domid));
    }
    for listed in devices {
        batch.mkdir(paths::below(&hidden, listed), Perms::dom0());
    }
    for (key, value) in vm.xsdata.iter().filter(|(key, _)| super::tuning::is_xsdata(key)) {
        batch.write(paths::below(&domain, key), value);
    }
    for (key, value) in &platform::of(vm, extra, kind) {
        batch.write([&domain, "/platform/", key].concat(), value);
    }
    for (key, value) in &vm.bios_strings {
        batch.write([&domain, "/bios-strings/", key].concat(), value);
    }
    if let BuilderInfo::Hvm(info) = kind {
        let uefi = matches!(info.firmware, Firmware::Uefi(_));
        batch.write(paths::below(&domain, "hvmloader/bios"), if uefi { "ovmf" } else { "seabios" });
        batch.write(paths::below(&domain, "hvmloader/allow-memory-relocate"), "0");
        batch.write(paths::below(&libxl, "dm-version"), "qemu_xen");
    }
    let uncached = if context.settings.xen_platform_pci_bar_uc { "1" } else { "0" };
    batch.write(paths::below(&domain, "hvmloader/pci/xen-platform-pci-bar-uc"), uncached);
    batch.write(paths::below(&domain, "control/platform-feature-multiprocessor-suspend"), "1");
    batch.write(paths::below(&domain, "control/platform-feature-xs_reset_watches"), "1");
    batch.write(paths::below(&domain, "control/has-vendor-device"), if vm.has_vendor_device { "1" } else { "0" });
    for vcpu in 0..vm.vcpu_max.max(0) as u32 {
        let online = i64::from(vcpu) < vm.vcpus;
        batch.write(paths::vcpu(domid, vcpu), if online { "online" } else { "offline" });
    }
    batch.write(paths::below(&domain, "domain-type"), type_word(kind));
    Ok(())
}

/// Directories that the guest owns, beside those of its devices.
const OWNED: [&str; 11] = [
    "feature",
    "error",
    "drivers",
    "control",
    "attr",
    "xenserver/attr",
    "data",
    "messages",
    "vm-data",
    "hvmloader",
    "rrd",
];

/// `/vm/<uuid>`, and in `/xapi/<uuid>` the domain's name. It may be there already: active flags and the clock outlive a
/// domain. Each domain may read it.
fn vm_tree(batch: &mut Batch, context: &Context, domid: DomId, now: u64) {
    let vm = paths::vm(&context.text);
    let readable = || Perms::readable(0, domid);
    batch.mkdir(&vm, readable());
    for (key, value) in [("uuid", context.text.to_string()), ("name", name(&context.vm.name, domid))] {
        let path = paths::below(&vm, key);
        batch.remove(&path).write(path, value);
    }
    batch.mkdir(paths::below(&vm, "domains"), readable());
    batch.write(paths::vm_domain(&context.text, domid), paths::domain(domid));
    batch.write(paths::below(&paths::vm_domain(&context.text, domid), "create-time"), now.to_string());
    batch.mkdir(paths::hotplugs(&context.text, domid), Perms::dom0());
}

fn name(name: &str, domid: DomId) -> String {
    if name.is_empty() { format!("Domain-{domid}") } else { name.to_owned() }
}

/// The word in `domain-type`.
fn type_word(kind: &BuilderInfo) -> &'static str {
    match kind {
        BuilderInfo::Hvm(_) => "hvm",
        BuilderInfo::Pv(_) => "pv",
        BuilderInfo::PvInPvh(_) => "pv-in-pvh",
        BuilderInfo::Pvh(_) => "pvh",
    }
}
