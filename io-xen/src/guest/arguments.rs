//! What the helper is told to do.

use std::os::fd::RawFd;

/// The work, for one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// The domain.
    pub domid: u32,
    /// What to do.
    pub work: Work,
}

/// One of three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A guest's memory and first state.
    Build(Build),
    /// A guest's state to a stream.
    Save {
        /// The stream.
        stream: RawFd,
    },
    /// A guest's state from a stream.
    Restore {
        /// The stream.
        stream: RawFd,
        /// Event channels of its rings.
        ports: Ports,
        /// A hardware container.
        hardware: bool,
    },
}

/// Event channels that dom0 will bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Of the store ring.
    pub store: u32,
    /// Of the console ring.
    pub console: u32,
}

/// A guest to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// What it is.
    pub kind: Kind,
    /// The program that it starts with: a kernel, `hvmloader`, the shim.
    pub image: String,
    /// That program's command line.
    pub cmdline: String,
    /// Files beside it, with command lines; a Linux kernel's RAM disk is the first.
    pub modules: Vec<(String, Option<String>)>,
    /// Features that a PV kernel must have.
    pub features: String,
    /// Event channels of its rings.
    pub ports: Ports,
    /// MiB that it may have.
    pub max_mib: u32,
    /// MiB that it starts with.
    pub start_mib: u32,
}

/// What a guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Paravirtualised.
    Pv,
    /// With a device model.
    Hvm,
    /// Hardware container without one.
    Pvh,
}

impl Work {
    /// What the field's helpers call it when it fails.
    pub fn step(&self) -> &'static str {
        match self {
            Work::Build(Build { kind: Kind::Pv, .. }) => "xc_dom_linux_build",
            Work::Build(_) => "hvm_build",
            Work::Save { .. } => "xc_domain_save",
            Work::Restore { .. } => "xc_domain_restore",
        }
    }

    /// The descriptor that it needs.
    pub fn stream(&self) -> Option<RawFd> {
        match self {
            Work::Build(_) => None,
            Work::Save { stream } | Work::Restore { stream, .. } => Some(*stream),
        }
    }
}

/// Flags as they are given, the last of each.
#[derive(Default)]
struct Flags {
    mode: Option<String>,
    domid: Option<String>,
    stream: Option<String>,
    store_port: Option<String>,
    console_port: Option<String>,
    store_domid: Option<String>,
    console_domid: Option<String>,
    max_mib: Option<String>,
    start_mib: Option<String>,
    image: Option<String>,
    cmdline: Option<String>,
    ramdisk: Option<String>,
    features: Option<String>,
    modules: Vec<(String, Option<String>)>,
}

/// Reads a command line, without the program's name.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Orders, String> {
    let flags = flags(args)?;
    let domid = number(&flags.domid, "-domid")?;
    let work = match flags.mode.as_deref() {
        Some("linux_build") => build(flags, Kind::Pv)?,
        Some("hvm_build") => build(flags, Kind::Hvm)?,
        Some("pvh_build") => build(flags, Kind::Pvh)?,
        Some("save" | "hvm_save") => Work::Save { stream: number(&flags.stream, "-fd")? },
        Some(mode @ ("restore" | "hvm_restore")) => Work::Restore {
            hardware: mode == "hvm_restore",
            stream: number(&flags.stream, "-fd")?,
            ports: ports(&flags)?,
        },
        Some(mode) => return Err(format!("mode {mode} is not known")),
        None => return Err("-mode is missing".to_owned()),
    };
    Ok(Orders { domid, work })
}

fn flags(args: impl IntoIterator<Item = String>) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut args = args.into_iter();
    while let Some(flag) = args.next() {
        // Not understood as anything here: nothing is done that would have to be forced.
        if flag == "--force" {
            continue;
        }
        let Some(value) = args.next() else { return Err(format!("{flag} has no value")) };
        let slot = match flag.as_str() {
            "-mode" => &mut flags.mode,
            "-domid" => &mut flags.domid,
            "-fd" => &mut flags.stream,
            "-store_port" => &mut flags.store_port,
            "-console_port" => &mut flags.console_port,
            "-store_domid" => &mut flags.store_domid,
            "-console_domid" => &mut flags.console_domid,
            "-mem_max_mib" => &mut flags.max_mib,
            "-mem_start_mib" => &mut flags.start_mib,
            "-image" => &mut flags.image,
            "-ramdisk" => &mut flags.ramdisk,
            "-features" => &mut flags.features,
            "-module" => {
                flags.modules.push((value, None));
                continue;
            }
            // The image's, or that of the module before it.
            "-cmdline" => match flags.modules.last_mut() {
                Some((_, cmdline)) => cmdline,
                None => &mut flags.cmdline,
            },
            // The device model's state is the daemon's, and no flag of a PV kernel's start info is used.
            "-dm" | "-flags" => continue,
            _ => return Err(format!("argument {flag} is not known")),
        };
        *slot = Some(value);
    }
    Ok(flags)
}

fn number<N: std::str::FromStr>(value: &Option<String>, flag: &str) -> Result<N, String> {
    let text = value.as_deref().ok_or_else(|| format!("{flag} is missing"))?;
    text.parse().map_err(|_| format!("{flag} {text} is not a number"))
}

fn ports(flags: &Flags) -> Result<Ports, String> {
    for domid in [&flags.store_domid, &flags.console_domid].into_iter().flatten() {
        if domid != "0" {
            return Err(format!("rings served by domain {domid} are not supported"));
        }
    }
    Ok(Ports {
        store: number(&flags.store_port, "-store_port")?,
        console: number(&flags.console_port, "-console_port")?,
    })
}

fn build(flags: Flags, kind: Kind) -> Result<Work, String> {
    let ports = ports(&flags)?;
    let ramdisk = flags.ramdisk.filter(|path| !path.is_empty()).map(|path| (path, None));
    Ok(Work::Build(Build {
        kind,
        image: flags.image.ok_or("-image is missing")?,
        cmdline: flags.cmdline.unwrap_or_default(),
        modules: ramdisk.into_iter().chain(flags.modules).collect(),
        features: flags.features.unwrap_or_default(),
        ports,
        max_mib: number(&flags.max_mib, "-mem_max_mib")?,
        start_mib: number(&flags.start_mib, "-mem_start_mib")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str = "-domid 3 -store_port 4 -store_domid 0 -console_port 5 -console_domid 0 \
                          -mem_max_mib 256 -mem_start_mib 128";

    fn read(text: &str) -> Result<Orders, String> {
        // A lone `_` is an empty argument.
        parse(text.split_whitespace().map(|word| if word == "_" { String::new() } else { word.to_owned() }))
    }

    fn built(kind: Kind, cmdline: &str, modules: &[(&str, Option<&str>)]) -> Result<Orders, String> {
        let modules = modules.iter().map(|(file, line)| (file.to_string(), line.map(str::to_owned))).collect();
        let build = Build {
            kind,
            image: "/k".into(),
            cmdline: cmdline.into(),
            modules,
            features: String::new(),
            ports: Ports { store: 4, console: 5 },
            max_mib: 256,
            start_mib: 128,
        };
        Ok(Orders { domid: 3, work: Work::Build(build) })
    }

    #[test]
    fn the_daemons_command_lines() {
        let ports = Ports { store: 4, console: 5 };
        let table = [
            (
                format!("-mode linux_build {COMMON} -image /k -cmdline quiet -ramdisk /r -features _ -flags 0"),
                built(Kind::Pv, "quiet", &[("/r", None)]),
            ),
            (
                format!("-mode linux_build {COMMON} --force -image /k -cmdline quiet -ramdisk _ -features _ -flags 0"),
                built(Kind::Pv, "quiet", &[]),
            ),
            (format!("-mode hvm_build {COMMON} -image /k"), built(Kind::Hvm, "", &[])),
            (
                format!(
                    "-mode pvh_build {COMMON} -image /k -cmdline c -features _ -flags 0 -module /m -cmdline d -module /n"
                ),
                built(Kind::Pvh, "c", &[("/m", Some("d")), ("/n", None)]),
            ),
            ("-mode hvm_save -domid 3 -fd 9 -dm qemu".into(), Ok(Orders { domid: 3, work: Work::Save { stream: 9 } })),
            (
                "-mode restore -domid 3 -fd 9 -store_port 4 -console_port 5".into(),
                Ok(Orders { domid: 3, work: Work::Restore { stream: 9, ports, hardware: false } }),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(read(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("", "-domid is missing"),
            ("-domid 3", "-mode is missing"),
            ("-domid 3 -mode dance", "mode dance is not known"),
            ("-domid x -mode save", "-domid x is not a number"),
            ("-domid 3 -mode save", "-fd is missing"),
            ("-domid 3 -mode save -fd", "-fd has no value"),
            ("-domid 3 -mode save -fd 9 -live true", "argument -live is not known"),
            (
                "-domid 3 -mode restore -fd 9 -store_port 4 -console_port 5 -store_domid 2",
                "rings served by domain 2 are not supported",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), Err(expected.to_owned()), "{text}");
        }
    }
}
