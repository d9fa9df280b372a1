//! What this host is and where things are on it.

use super::HOOKS;
use crate::log;
use crate::xen::Survey;
use rustix::fs::{Access, access};
use xenops_core::host::HostFacts;

/// Directories in which a Xen of the distribution may have its programs, the running version's first.
fn libraries(version: &str) -> Vec<String> {
    // 4.17.7 is 4.17 to the distribution.
    let short: Vec<_> = version.split('.').take(2).collect();
    let mut directories = vec![format!("/usr/lib/xen-{}", short.join("."))];
    directories.extend(["/usr/libexec/xen", "/usr/lib/xen", "/usr/lib64/xen"].map(str::to_owned));
    directories
}

/// The first of these that is there, or the first at all: what is missing is an error where it is needed.
fn first(what: &str, candidates: &[String], runs: bool) -> String {
    let need = if runs { Access::EXEC_OK } else { Access::READ_OK };
    let found = candidates.iter().find(|path| access(path.as_str(), need).is_ok());
    if found.is_none() {
        log::warning("facts", format_args!("{what} is not here, looked for {}", candidates.join(", ")));
    }
    found.or(candidates.first()).cloned().unwrap_or_default()
}

/// Beside this program, or where a package has it.
fn guest_helper() -> String {
    let own =
        std::env::current_exe().ok().and_then(|path| path.parent()?.join("xenops-guest").to_str().map(str::to_owned));
    let mut helper: Vec<String> = own.into_iter().collect();
    helper.extend(["/usr/libexec/xenops/xenops-guest", "/usr/lib/xenops/xenops-guest"].map(str::to_owned));
    first("the guest helper xenops-guest", &helper, true)
}

/// What core is told: what the hypervisor knows, and the paths of this host's programs, for this version of Xen.
pub fn find(survey: &Survey, version: &str) -> HostFacts {
    let libraries = libraries(version);
    let in_libraries = |name: &str| libraries.iter().map(|directory| format!("{directory}/{name}")).collect::<Vec<_>>();
    let program = |what: &str, candidates: &[&str]| {
        first(what, &candidates.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>(), true)
    };
    let physical = &survey.physical;
    HostFacts {
        cpus: physical.cpus,
        hvm: physical.hvm,
        pv: physical.pv,
        hap: physical.hap,
        shadow: physical.shadow,
        iommu: physical.iommu,
        features_pv: survey.features_pv.clone(),
        features_hvm: survey.features_hvm.clone(),
        block_script: program("the block script", &["/etc/xen/scripts/block"]),
        vif_script: program("the network script", &["/etc/xen/scripts/vif-bridge"]),
        guest_helper: guest_helper(),
        qemu: program(
            "QEMU",
            &[
                "/usr/libexec/xen-qemu-system-i386",
                "/usr/lib/xen/bin/qemu-system-i386",
                "/usr/bin/qemu-system-i386",
                "/usr/bin/qemu-system-x86_64",
            ],
        ),
        hvmloader: first("hvmloader", &in_libraries("boot/hvmloader"), false),
        pv_shim: first("the PV shim", &in_libraries("boot/xen-shim"), false),
        pygrub: first("pygrub", &in_libraries("bin/pygrub"), true),
        // XenServer's; nobody misses it elsewhere.
        eliloader: "/usr/bin/eliloader".to_owned(),
        hooks: HOOKS.to_owned(),
    }
}
