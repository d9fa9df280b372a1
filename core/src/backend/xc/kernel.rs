//! What a domain boots: the builder's image, its command line and its modules.

use super::process::{self, Program};
use super::{guest, overhead};
use crate::backend::{Context, Failure, Host};
use crate::host::{Exit, Role, StorageCall};
use crate::interface::extra::Builder;
use crate::interface::vm::{BuilderInfo, PvBoot, PvIndirectBoot, PvInfo};
use crate::interface::{Disk, Error, Maybe, Pairs};

/// Nanoseconds that a boot loader may take.
const PATIENCE: u64 = 300 * crate::host::time::SECOND;

/// The directory from which `eliloader` hands out files.
const ELILOADER_FILES: &str = "/var/run/xend/boot";

/// An image to build a domain from.
pub(super) struct Image {
    /// The helper's mode.
    pub(super) mode: &'static str,
    /// Path of the image.
    pub(super) path: String,
    /// What else the builder needs.
    pub(super) builder: Builder,
    /// Files that a boot loader left.
    pub(super) files: Vec<String>,
}

/// A guest's own kernel.
#[derive(Default)]
struct Kernel {
    path: String,
    cmdline: String,
    ramdisk: Option<String>,
    files: Vec<String>,
}

/// Find what the VM boots; runs its boot loader if it has one.
pub(super) async fn find(host: &Host, kind: &BuilderInfo) -> Result<Image, Failure> {
    let context = host.context();
    Ok(match kind {
        BuilderInfo::Hvm(info) => Image {
            mode: "hvm_build",
            path: context.facts.hvmloader.clone(),
            builder: Builder::Hvm { shadow_multiplier: info.shadow_multiplier, video_mib: info.video_mib },
            files: Vec::new(),
        },
        BuilderInfo::Pv(info) => {
            let Kernel { path, cmdline, ramdisk, files } = kernel(host, info).await?;
            Image { mode: "linux_build", path, builder: Builder::Pv { cmdline, ramdisk }, files }
        }
        BuilderInfo::PvInPvh(info) => shimmed(context, kernel(host, info).await?)?,
        BuilderInfo::Pvh(info) => {
            let Kernel { path, cmdline, ramdisk, files } = kernel(host, info).await?;
            let modules = ramdisk.map(|ramdisk| (ramdisk, Maybe(None)));
            Image { mode: "pvh_build", path, builder: pvh(cmdline, false, modules.into_iter().collect()), files }
        }
    })
}

fn pvh(cmdline: String, pv_shim: bool, modules: Vec<(String, Maybe<String>)>) -> Builder {
    Builder::Pvh { cmdline, pv_shim, modules: Pairs(modules), shadow_multiplier: 1.0, video_mib: 4 }
}

/// The shim is the kernel; the guest's kernel and RAM disk are its modules.
fn shimmed(context: &Context, kernel: Kernel) -> Result<Image, Failure> {
    let vm = &context.vm;
    let max = overhead::mib(vm.memory_static_max);
    let platform = guest::extra(context).map_or(&vm.platformdata, |extra| &extra.platformdata);
    let shim = guest::number(platform, "shim_mib")?.map_or(overhead::shim(guest::kind(context), max), u64::from);
    let own = platform.get("pvinpvh-xen-cmdline").unwrap_or(&context.settings.pvinpvh_xen_cmdline);
    let mut modules = vec![(kernel.path, Maybe(Some(kernel.cmdline)))];
    modules.extend(kernel.ramdisk.map(|ramdisk| (ramdisk, Maybe(None))));
    Ok(Image {
        mode: "pvh_build",
        path: context.facts.pv_shim.clone(),
        builder: pvh(format!("{own} shim_mem={shim}M"), true, modules),
        files: kernel.files,
    })
}

async fn kernel(host: &Host, info: &PvInfo) -> Result<Kernel, Failure> {
    match &info.boot {
        PvBoot::Direct(boot) => Ok(Kernel {
            path: boot.kernel.clone(),
            cmdline: boot.cmdline.clone(),
            ramdisk: boot.ramdisk.clone(),
            files: Vec::new(),
        }),
        PvBoot::Indirect(boot) => {
            let disk = boot.devices.first().ok_or(Error::NoBootableDevice)?;
            match disk {
                Disk::Local(path) => load(host, boot, path).await,
                Disk::Vdi(vdi) => {
                    let dp = boot_datapath(&host.context().text);
                    let body = async {
                        let vdi = vdi.clone();
                        let attach =
                            StorageCall::Attach { dp: dp.clone(), vdi: vdi.clone(), domid: 0, read_write: false };
                        let attached = host.attach(attach).await?;
                        host.storage(StorageCall::Activate { dp: dp.clone(), vdi }).await?;
                        load(host, boot, &attached.params).await
                    };
                    host.then_always(body, async |host: Host| {
                        host.storage(StorageCall::Destroy { dp: dp.clone() }).await
                    })
                    .await
                }
            }
        }
    }
}

/// Under this name a VM's boot disk is attached to dom0.
pub(super) fn boot_datapath(uuid: &str) -> String {
    format!("xenopsd/boot/{uuid}")
}

/// What `pygrub` finds for a VM is here, under a name that is known before it runs: a crash leaves nothing unnamed.
pub(super) fn boot_directory(uuid: &str) -> String {
    format!("/var/run/xen/pygrub/{uuid}")
}

/// Run the boot loader on a disk that dom0 can open.
async fn load(host: &Host, boot: &PvIndirectBoot, disk: &str) -> Result<Kernel, Failure> {
    let context = host.context();
    let eliloader = boot.bootloader.rsplit('/').next() == Some("eliloader");
    let directory = boot_directory(&context.text);
    let mut args: Vec<String> = if eliloader {
        vec!["-q".to_owned(), "--vm".to_owned(), context.text.to_string()]
    } else {
        vec!["--output-format=simple".to_owned(), format!("--output-directory={directory}"), "-q".to_owned()]
    };
    args.extend(boot.bootloader_args.split_whitespace().map(str::to_owned));
    args.push(disk.to_owned());
    let (program, scratch) = match eliloader {
        true => (context.facts.eliloader.clone(), None),
        false => (context.facts.pygrub.clone(), Some(directory)),
    };
    let program = Program {
        role: Role::Bootloader,
        domid: context.domid,
        program,
        args,
        env: Vec::new(),
        scratch: scratch.clone(),
    };
    let (lines, exit) = process::run(host, program, PATIENCE).await?;
    if exit != Some(Exit::Code(0)) {
        let said = lines.iter().find_map(|line| Some(line.split_once("RuntimeError: ")?.1));
        let text = said.map_or_else(|| process::ending(exit), str::to_owned);
        return Err(Error::BootloaderError(context.text.to_string(), text).into());
    }
    parse(&lines, boot, scratch).map_err(|text| process::internal(format!("boot loader: {text}")))
}

/// What a boot loader said: `kernel`, `ramdisk` and `args`, each once at most. `scratch` is the directory that it was
/// given, which goes as a whole.
fn parse(lines: &[String], boot: &PvIndirectBoot, scratch: Option<String>) -> Result<Kernel, String> {
    let (mut path, mut ramdisk, mut args) = (None, None, None);
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let slot = match word {
            "kernel" => &mut path,
            "ramdisk" => &mut ramdisk,
            "args" => &mut args,
            // What it says on standard error is among them: how it parses, what it warns of.
            _ => continue,
        };
        if slot.replace(rest.to_owned()).is_some() {
            return Err(format!("{word} given twice"));
        }
    }
    let directory = scratch.as_deref().unwrap_or(ELILOADER_FILES);
    let path = handed_out(path.ok_or("no kernel given")?, directory)?;
    let ramdisk = ramdisk.map(|file| handed_out(file, directory)).transpose()?;
    let words = [args.unwrap_or_default(), boot.legacy_args.clone(), boot.extra_args.clone()];
    let files = scratch.map_or_else(|| [path.clone()].into_iter().chain(ramdisk.clone()).collect(), |all| vec![all]);
    Ok(Kernel { path, cmdline: words.join(" "), ramdisk, files })
}

/// The file, once `.` and `..` are resolved as text, if it lies directly in the directory for such files: we will
/// remove it, and its name may come from the guest's disk.
fn handed_out(path: String, directory: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let resolved = format!("/{}", parts.join("/"));
    let parent = resolved.rsplit_once('/').map_or("", |(parent, _)| parent);
    if path.starts_with('/') && parent == directory {
        Ok(resolved)
    } else {
        Err(format!("file outside of the boot directory: {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_loaders_words() {
        let boot = PvIndirectBoot { extra_args: "quiet".into(), ..PvIndirectBoot::default() };
        type Said<'a> = &'a [&'a str];
        type Found = Result<(&'static str, &'static str), &'static str>;
        let table: [(Said, Found); 9] = [
            (
                &["kernel /var/run/xen/pygrub/k", "args root=/dev/xvda1"],
                Ok(("/var/run/xen/pygrub/k", "root=/dev/xvda1  quiet")),
            ),
            (&["", "kernel /var/run/xen/./pygrub/k"], Ok(("/var/run/xen/pygrub/k", "  quiet"))),
            (&["ramdisk /var/run/xen/pygrub/r"], Err("no kernel given")),
            (&["kernel /k", "kernel /k"], Err("kernel given twice")),
            (&["kernel /etc/shadow"], Err("file outside of the boot directory: /etc/shadow")),
            (
                &["kernel /var/run/xen/pygrub/../../../etc/k"],
                Err("file outside of the boot directory: /var/run/xen/pygrub/../../../etc/k"),
            ),
            (&["kernel var/run/xen/pygrub/k"], Err("file outside of the boot directory: var/run/xen/pygrub/k")),
            (
                &["Using <class 'grub'> to parse /boot/grub/grub.cfg", "kernel /var/run/xen/pygrub/k"],
                Ok(("/var/run/xen/pygrub/k", "  quiet")),
            ),
            (&["kernle x"], Err("no kernel given")),
        ];
        for (lines, expected) in table {
            let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
            let got = parse(&lines, &boot, Some("/var/run/xen/pygrub".to_owned()));
            let got = got.as_ref().map(|k| (k.path.as_str(), k.cmdline.as_str())).map_err(String::as_str);
            assert_eq!(got, expected, "{lines:?}");
        }
    }
}
