//! A guest's memory and first state, in the library's steps.

use super::acpi::{self, Tables};
use super::arguments::{Build, Kind, Ports};
use super::plan::Plan;
use super::settings::Settings;
use super::{Rings, StepError, files, hvm_info, policy};
use crate::xen::acts::Calls;
use crate::xen::errno::{CallError, EBUSY, EINVAL, ENOMEM};
use crate::xen::foreign::{DomainImage, Interface};
use crate::xen::layout::image::{self, Module};
use crate::xen::params;
use std::ffi::CString;

/// A guest's triple fault is a crash, not a reboot: somebody wants to know.
const CRASH: u64 = 3;

/// What is read from files before anything is done.
pub(super) struct Parts {
    image: Vec<u8>,
    modules: Vec<(Vec<u8>, Option<CString>)>,
    firmware: Option<Vec<u8>>,
    cmdline: CString,
    features: Option<CString>,
}

impl Parts {
    /// Reads them.
    pub(super) fn read(step: &'static str, build: &Build, uefi: bool) -> Result<Parts, StepError> {
        let text = |text: &str| {
            let zero = |_| StepError { step, errno: EINVAL, text: "a command line has a zero byte".to_owned() };
            CString::new(text).map_err(zero)
        };
        let mut modules = Vec::new();
        for (path, cmdline) in &build.modules {
            modules.push((files::read(step, path)?, cmdline.as_deref().map(text).transpose()?));
        }
        Ok(Parts {
            image: files::read(step, &build.image)?,
            modules,
            firmware: (build.kind == Kind::Hvm).then(|| files::firmware(step, uefi)).transpose()?,
            cmdline: text(&build.cmdline)?,
            features: Some(text(&build.features)?).filter(|features| !features.is_empty()),
        })
    }
}

/// Builds a guest.
pub(super) fn build(
    interface: &Interface,
    domid: u32,
    build: &Build,
    parts: &Parts,
    settings: &Settings,
) -> Result<Rings, StepError> {
    interface.set_tsc_mode(domid, settings.tsc_mode).map_err(step)?;
    interface.apply_policy(domid, false, &policy::policy(settings)).map_err(step)?;
    if settings.time_offset != 0 {
        interface.set_time_offset(domid, settings.time_offset).map_err(step)?;
    }
    let vcpus = interface.most_vcpus(domid).map_err(step)?;
    match build.kind {
        Kind::Pv => paravirtual(interface, domid, build, parts, vcpus),
        Kind::Hvm | Kind::Pvh => hardware(interface, domid, build, parts, settings, vcpus),
    }
}

fn paravirtual(
    interface: &Interface,
    domid: u32,
    build: &Build,
    parts: &Parts,
    vcpus: u32,
) -> Result<Rings, StepError> {
    let mut dom = begin(interface, build, parts, vcpus)?;
    dom.set_word(image::CONTAINER, 0);
    dom.boot_xen_init(domid).map_err(step)?;
    dom.parse().map_err(step)?;
    dom.mem_init(build.start_mib).map_err(memory)?;
    dom.boot_mem_init().map_err(memory)?;
    finish(&mut dom)?;
    let frame = |field| {
        let found = dom.machine_frame(dom.long(field));
        found.ok_or_else(|| StepError { step: "xc_dom_p2m", errno: 0, text: "a ring has no frame".to_owned() })
    };
    Ok(Rings { store: frame(image::XENSTORE_PFN)?, console: frame(image::CONSOLE_PFN)? })
}

fn hardware(
    interface: &Interface,
    domid: u32,
    build: &Build,
    parts: &Parts,
    settings: &Settings,
    vcpus: u32,
) -> Result<Rings, StepError> {
    let online = settings.online.unwrap_or(vcpus).clamp(1, vcpus.max(1));
    let device_model = build.kind == Kind::Hvm;
    if vcpus > acpi::MOST_VCPUS {
        let text = format!("{vcpus} vCPUs, more than {}", acpi::MOST_VCPUS);
        return Err(StepError { step: "hvm_build_params", errno: EINVAL, text });
    }
    set_params(interface, domid, settings, device_model)?;
    let plan = Plan::new(build.max_mib, build.start_mib, device_model);
    let tables = (!device_model).then(|| acpi::tables(vcpus, online));
    let mut map = plan.map(tables.as_ref().map(|tables| tables.tables.len()));
    interface.set_memory_map(domid, &mut map).map_err(step)?;
    let mut dom = begin(interface, build, parts, vcpus)?;
    lay_out(&mut dom, &plan, device_model);
    dom.set_memory_map(&map);
    if let Some(firmware) = &parts.firmware {
        dom.set_module(image::SYSTEM_FIRMWARE, firmware, None);
    }
    dom.boot_xen_init(domid).map_err(step)?;
    dom.parse().map_err(step)?;
    dom.mem_init(plan.mib).map_err(memory)?;
    dom.boot_mem_init().map_err(memory)?;
    if let Some(Tables { rsdp, tables }) = &tables {
        dom.set_module(Module::acpi(0), rsdp, Some(acpi::RSDP_ADDRESS));
        dom.set_module(Module::acpi(1), tables, Some(acpi::TABLES_ADDRESS));
    }
    finish(&mut dom)?;
    if device_model {
        let edit = |page: &mut [u8; 4096]| hvm_info::complete(page, vcpus, online, settings.apic);
        interface.edit_page(domid, hvm_info::FRAME, edit).map_err(step)?;
    }
    Ok(Rings { store: dom.long(image::XENSTORE_PFN), console: dom.long(image::CONSOLE_PFN) })
}

fn set_params(interface: &Interface, domid: u32, settings: &Settings, device_model: bool) -> Result<(), StepError> {
    let mut wanted = vec![(params::TRIPLE_FAULT_REASON, CRASH)];
    if device_model {
        wanted.push((params::HPET_ENABLED, u64::from(settings.hpet)));
    }
    if settings.viridian != 0 {
        wanted.push((params::VIRIDIAN, settings.viridian));
    }
    wanted.extend(settings.fip_width.map(|width| (params::X87_FIP_WIDTH, width)));
    for (param, value) in wanted {
        let failure = |error: CallError| StepError {
            step: "hvm_build_params",
            errno: error.errno,
            text: format!("parameter {param}: {error}"),
        };
        interface.set_param(domid, param, value).map_err(failure)?;
    }
    Ok(())
}

/// An image with what all kinds have.
fn begin<'a>(
    interface: &'a Interface,
    build: &Build,
    parts: &'a Parts,
    vcpus: u32,
) -> Result<DomainImage<'a>, StepError> {
    let features = parts.features.as_deref();
    let mut dom = DomainImage::new(interface, &parts.cmdline, features).map_err(step)?;
    let Ports { store, console } = build.ports;
    dom.set_word(image::XENSTORE_EVTCHN, store);
    dom.set_word(image::CONSOLE_EVTCHN, console);
    dom.set_word(image::XENSTORE_DOMID, 0);
    dom.set_word(image::CONSOLE_DOMID, 0);
    dom.set_word(image::MAX_VCPUS, vcpus);
    dom.kernel(&parts.image).map_err(step)?;
    for (bytes, cmdline) in &parts.modules {
        dom.module(bytes, cmdline.as_deref()).map_err(step)?;
    }
    Ok(dom)
}

fn lay_out(dom: &mut DomainImage<'_>, plan: &Plan, device_model: bool) {
    dom.set_word(image::CONTAINER, 1);
    dom.set_device_model(device_model);
    dom.set_long(image::TARGET_PAGES, plan.target_pages);
    dom.set_long(image::LOWMEM_END, plan.lowmem_end);
    dom.set_long(image::HIGHMEM_END, plan.highmem_end);
    dom.set_long(image::MMIO_START, plan.mmio_start);
    dom.set_long(image::MMIO_SIZE, plan.mmio_size);
    dom.set_long(image::VGA_HOLE, plan.vga_hole);
}

fn finish(dom: &mut DomainImage<'_>) -> Result<(), StepError> {
    dom.build().map_err(step)?;
    dom.boot().map_err(step)?;
    dom.gnttab_init().map_err(step)
}

fn step(error: CallError) -> StepError {
    StepError { step: error.function, errno: error.errno, text: error.meaning() }
}

/// The library says "busy", or nothing, when Xen gave it fewer pages than it asked for.
fn memory(error: CallError) -> StepError {
    let errno = if matches!(error.errno, 0 | EBUSY) { ENOMEM } else { error.errno };
    StepError {
        step: "hvm_build_mem",
        errno,
        text: format!("{}: {}", error.function, crate::xen::errno::meaning(errno)),
    }
}
