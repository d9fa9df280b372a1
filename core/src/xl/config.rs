//! From a file's keys to a VM with its devices: which keys there are, and their defaults.

use super::keys::Keys;
use super::problem::{Error, Spot, Warning, excerpt};
use super::syntax::assignments;
use super::{action, disk, nic, passthrough};
use crate::host::Uuid;
use crate::interface::vbd::Kind;
use crate::interface::vm::{
    Action, BuilderInfo, HvmInfo, PvBoot, PvDirectBoot, PvIndirectBoot, PvInfo, SchedulerParams, Tpm,
};
use crate::interface::{Metadata, Pairs, Vm};

pub(super) const MIB: i64 = 1 << 20;
/// 64 TiB, more than any host.
const MOST_MIB: i64 = 1 << 26;
/// Xen's own bound.
const MOST_VCPUS: i64 = 8192;
/// Where VNC servers listen.
const ANYWHERE: &str = "0.0.0.0";

/// The kinds of guest that a file can ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guest {
    Pv,
    PvInPvh,
    Pvh,
    Hvm,
}

impl Guest {
    fn name(self) -> &'static str {
        match self {
            Guest::Pv => "PV",
            Guest::PvInPvh => "PV-in-PVH",
            Guest::Pvh => "PVH",
            Guest::Hvm => "HVM",
        }
    }
}

/// The VM that a file describes, and what the file says in vain. A VM without `uuid` gets `fresh`.
pub fn parse(text: &str, fresh: Uuid) -> Result<(Metadata, Vec<Warning>), Error> {
    let mut keys = Keys::of(assignments(text)?);
    let guest = guest(&mut keys)?;
    let id = uuid(&mut keys, "uuid")?.unwrap_or(fresh).text();
    let vm = vm(&mut keys, &id, guest)?;
    let mut metadata = devices(&mut keys, vm, guest)?;
    let passthrough = !metadata.pcis.is_empty();
    // As in xl, a boot loader reads the first disk.
    let boots = metadata.vbds.iter().filter(|vbd| vbd.ty == Kind::Disk).find_map(|vbd| vbd.backend.clone());
    match &mut metadata.vm.ty {
        BuilderInfo::Hvm(info) => info.pci_passthrough = passthrough,
        BuilderInfo::Pv(info) | BuilderInfo::PvInPvh(info) | BuilderInfo::Pvh(info) => {
            info.pci_passthrough = passthrough;
            if let PvBoot::Indirect(boot) = &mut info.boot {
                boot.devices = boots.into_iter().collect();
            }
        }
    }
    Ok((metadata, keys.finish(guest.name())))
}

fn guest(keys: &mut Keys<'_>) -> Result<Guest, Error> {
    let shim = keys.has("pvshim") && keys.flag("pvshim", false)?;
    // As in xl, `type` outdoes `builder`.
    let by_builder = match keys.text("builder")? {
        Some((_, "linux" | "generic")) => Guest::Pv,
        None if keys.has("bootloader") || keys.has("kernel") => Guest::Pv,
        _ => Guest::Hvm,
    };
    match keys.text("type")? {
        None => Ok(by_builder),
        Some((_, "pv")) => Ok(Guest::Pv),
        Some((_, "pvh")) if shim => Ok(Guest::PvInPvh),
        Some((_, "pvh")) => Ok(Guest::Pvh),
        Some((_, "hvm")) => Ok(Guest::Hvm),
        Some((spot, other)) => Err(Error::at(spot, format!("type '{}' is none of pv, pvh and hvm", excerpt(other)))),
    }
}

fn uuid(keys: &mut Keys<'_>, key: &str) -> Result<Option<Uuid>, Error> {
    match keys.text(key)? {
        None => Ok(None),
        Some((spot, text)) => match text.parse() {
            Ok(uuid) => Ok(Some(uuid)),
            Err(_) => Err(Error::at(spot, format!("'{}' is no UUID", excerpt(text)))),
        },
    }
}

fn vm(keys: &mut Keys<'_>, id: &str, guest: Guest) -> Result<Vm, Error> {
    let (target, most) = at_most(keys, "memory", 64, "maxmem", MOST_MIB)?;
    let (vcpus, vcpu_max) = at_most(keys, "vcpus", 1, "maxvcpus", MOST_VCPUS)?;
    let mut actions = |key: &str, default| keys.text(key)?.map_or(Ok(vec![default]), action::read);
    Ok(Vm {
        id: id.to_owned(),
        on_crash: actions("on_crash", Action::Shutdown)?,
        on_shutdown: actions("on_poweroff", Action::Shutdown)?,
        on_reboot: actions("on_reboot", Action::Start)?,
        on_softreboot: actions("on_soft_reset", Action::Softreboot)?,
        name: keys.text("name")?.map_or(id, |(_, name)| name).to_owned(),
        ty: builder(keys, guest)?,
        memory_static_max: most * MIB,
        memory_dynamic_max: target * MIB,
        memory_dynamic_min: target * MIB,
        vcpu_max,
        vcpus,
        pci_msitranslate: keys.flag("pci_msitranslate", true)?,
        pci_power_mgmt: keys.flag("pci_power_mgmt", false)?,
        has_vendor_device: keys.flag("has_vendor_device", false)?,
        platformdata: Pairs::from_iter([
            ("nx", "false"),
            ("acpi", "true"),
            ("apic", "true"),
            ("pae", "true"),
            ("viridian", "true"),
        ]),
        ssidref: 0,
        xsdata: Pairs::default(),
        bios_strings: Pairs::default(),
        suppress_spurious_page_faults: false,
        machine_address_size: None,
        scheduler_params: SchedulerParams { priority: None, affinity: Vec::new() },
        generation_id: None,
    })
}

/// A number, and the most that it may become, which is the number itself where the file does not say.
fn at_most(keys: &mut Keys<'_>, key: &str, default: i64, most_key: &str, most: i64) -> Result<(i64, i64), Error> {
    let number = keys.integer(key, 1..=most)?.map_or(default, |(_, number)| number);
    match keys.integer(most_key, 1..=most)? {
        Some((spot, most)) if most < number => {
            Err(Error::at(spot, format!("'{most_key}' is less than '{key}', which is {number}")))
        }
        Some((_, most)) => Ok((number, most)),
        None => Ok((number, number)),
    }
}

fn builder(keys: &mut Keys<'_>, guest: Guest) -> Result<BuilderInfo, Error> {
    if guest == Guest::Hvm {
        let boot_order = keys.text("boot")?.map_or("cd", |(_, order)| order).to_owned();
        let tpm = uuid(keys, "vtpm")?.map(Tpm::Vtpm);
        return Ok(BuilderInfo::Hvm(HvmInfo { boot_order, tpm, vnc_ip: Some(ANYWHERE.into()), ..HvmInfo::default() }));
    }
    let info = PvInfo {
        boot: pv_boot(keys, guest)?,
        framebuffer: false,
        framebuffer_ip: None,
        vncterm: true,
        vncterm_ip: Some(ANYWHERE.into()),
        pci_passthrough: false,
    };
    Ok(match guest {
        Guest::PvInPvh => BuilderInfo::PvInPvh(info),
        Guest::Pvh => BuilderInfo::Pvh(info),
        _ => BuilderInfo::Pv(info),
    })
}

fn pv_boot(keys: &mut Keys<'_>, guest: Guest) -> Result<PvBoot, Error> {
    if let Some(bootloader) = keys.word("bootloader")? {
        return Ok(PvBoot::Indirect(PvIndirectBoot {
            bootloader,
            extra_args: line(keys, &["extra"])?,
            legacy_args: line(keys, &["cmdline", "root"])?,
            bootloader_args: line(keys, &["bootloader_args"])?,
            devices: Vec::new(),
        }));
    }
    let Some(kernel) = keys.word("kernel")? else {
        let text = format!("a {} guest needs a 'kernel', and mostly a 'ramdisk', or a 'bootloader'", guest.name());
        return Err(Error::at(Spot::START, text));
    };
    let cmdline = line(keys, &["cmdline", "root", "extra"])?;
    Ok(PvBoot::Direct(PvDirectBoot { kernel, cmdline, ramdisk: keys.word("ramdisk")? }))
}

/// The values of those keys that are there, with blanks between.
fn line(keys: &mut Keys<'_>, names: &[&str]) -> Result<String, Error> {
    let mut line = String::new();
    for name in names {
        if let Some((_, text)) = keys.text(name)? {
            line.push_str(if line.is_empty() || text.is_empty() { "" } else { " " });
            line.push_str(text);
        }
    }
    Ok(line)
}

fn devices(keys: &mut Keys<'_>, vm: Vm, guest: Guest) -> Result<Metadata, Error> {
    let (id, hvm) = (&vm.id, guest == Guest::Hvm);
    let (disks, nics, pcis) = (keys.texts("disk")?, keys.texts("vif")?, keys.texts("pci")?);
    let warnings = &mut keys.warnings;
    let mut vbds = Vec::new();
    for element in disks {
        vbds.push((element.0, disk::read(element, id, hvm, warnings)?));
    }
    disk::refuse_twins(&vbds)?;
    let vifs = nics.into_iter().enumerate().map(|(i, element)| nic::read(element, id, i, warnings));
    let vifs = vifs.collect::<Result<_, _>>()?;
    let pcis = pcis.into_iter().enumerate().map(|(i, element)| passthrough::read(element, id, i, warnings));
    let pcis = pcis.collect::<Result<_, _>>()?;
    let vbds = vbds.into_iter().map(|(_, vbd)| vbd).collect();
    Ok(Metadata { vm, vbds, vifs, pcis, vgpus: Vec::new(), vusbs: Vec::new(), domains: None })
}
