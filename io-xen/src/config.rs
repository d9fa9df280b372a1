//! What the options say, in the daemon's own terms.

use crate::failure::Failure;
use crate::log::{self, Level};
use crate::options::Options;
use std::path::PathBuf;
use std::sync::Arc;
use xenops_core::backend::Settings;
use xenops_core::host::time::nanoseconds;

/// The host to drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one that this daemon runs on.
    Xen,
    /// A simulated one, in this process.
    Simulated,
    /// A simulated one, in a process of its own behind a socket in this directory.
    SimulatedAt(PathBuf),
}

/// Everything that the daemon is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host to drive.
    pub host: Choice,
    /// How long things take on it, if it is simulated.
    pub pace: String,
    /// This instance's name.
    pub name: String,
    /// Directory of the listening sockets.
    pub sockets: PathBuf,
    /// Directory of the records; none where they are kept in memory.
    pub database: Option<PathBuf>,
    /// Directory of the disks that are named `SR/VDI`.
    pub storage: PathBuf,
    /// End by SIGKILL where this many changes were asked of the host, to try out what the next start makes of it.
    pub stop_at: Option<u64>,
    /// Micro-ops with a request in flight at once.
    pub workers: u32,
    /// What the machine is told of the options.
    pub settings: Arc<Settings>,
    /// Where what the machine is told is recorded, and the most bytes of it.
    pub record: Option<(PathBuf, u64)>,
    options: Options,
}

impl Config {
    /// Takes the options as meant.
    pub fn new(mut options: Options) -> Result<Config, Failure> {
        let host = match options.text("host") {
            "xen" => Choice::Xen,
            "simulated" => Choice::Simulated,
            other => match other.strip_prefix("simulated:") {
                Some(directory) if !directory.is_empty() => Choice::SimulatedAt(directory.into()),
                _ => {
                    return Err(Failure::configuration(format!(
                        "host: {other:?} is not xen, simulated or simulated:DIR"
                    )));
                }
            },
        };
        if host != Choice::Xen {
            options.set_default("queue", "org.xen.xapi.xenops.simulator");
            options.set_default("database-path", "/var/run/nonpersistent/xenopsd/simulator");
        }
        if options.flag("use-switch") {
            let text = "use-switch: this version does not speak through the message switch; say use-switch=false";
            return Err(Failure::configuration(text));
        }
        let settings = settings(&options, host != Choice::Xen)?;
        Ok(Config {
            host,
            pace: options.text("simulated-pace").to_owned(),
            name: options.text("queue").to_owned(),
            sockets: options.path("sockets-path"),
            database: options.flag("persist").then(|| options.path("database-path")),
            storage: options.path("storage-path"),
            stop_at: Some(count(&options, "debug-stop-at-request")?).filter(|at| *at != 0),
            workers: count(&options, "worker-pool-size")?,
            record: record(&options)?,
            settings: Arc::new(settings),
            options,
        })
    }

    /// Begins the log as the options want it: with the options.
    pub fn start_log(&self) {
        let options = &self.options;
        let level = Level::parse(options.text("loglevel"));
        let silent = options.text("disable-logging-for").split_whitespace().map(str::to_owned).collect();
        log::filter(level.unwrap_or(Level::Debug), silent);
        if level.is_none() {
            log::warning("config", format_args!("unknown loglevel {:?}, logging everything", options.text("loglevel")));
        }
        options.lines().for_each(|line| log::debug("config", line));
        options.remarks().for_each(|remark| log::warning("config", remark));
    }
}

fn record(options: &Options) -> Result<Option<(PathBuf, u64)>, Failure> {
    let (path, mib): (_, u32) = (options.path("record"), count(options, "record-limit")?);
    Ok((!path.as_os_str().is_empty()).then(|| (path, u64::from(mib) << 20)))
}

fn count<N: TryFrom<i64>>(options: &Options, name: &str) -> Result<N, Failure> {
    let number = options.int(name);
    N::try_from(number).map_err(|_| Failure::configuration(format!("{name}: {number} is out of range")))
}

fn settings(options: &Options, simulated: bool) -> Result<Settings, Failure> {
    let time = |name| nanoseconds(options.seconds(name));
    let defaults = Settings::default();
    Ok(Settings {
        instance: options.text("queue").to_owned(),
        // As upstream's simulator: nobody wants to wait for a simulated guest that reboots early.
        minimum_reboot_delay: if simulated { 0 } else { defaults.minimum_reboot_delay },
        hotplug_timeout: time("hotplug_timeout"),
        qemu_dm_ready_timeout: time("qemu_dm_ready_timeout"),
        domain_shutdown_ack_timeout: time("domain_shutdown_ack_timeout"),
        vm_suspend_ack_timeout: time("vm-suspend-ack-timeout"),
        vm_suspend_timeout: time("vm-suspend-timeout"),
        additional_ballooning_timeout: time("additional-ballooning-timeout"),
        default_vbd_backend_kind: options.text("default-vbd-backend-kind").to_owned(),
        pvinpvh_xen_cmdline: options.text("pvinpvh-xen-cmdline").to_owned(),
        xen_platform_pci_bar_uc: options.flag("xen-platform-pci-bar-uc"),
        guest_agent_quota_bytes: count(options, "vm-guest-agent-xenstore-quota-bytes")?,
        ..defaults
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Asked;

    fn config(args: &[&str]) -> Result<Config, Failure> {
        let files = ["--config=/nonexistent", "--config-dir=/nonexistent"];
        match Options::read(files.iter().chain(args).map(|arg| (*arg).to_owned()))? {
            Asked::Run(options) => Config::new(*options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_those_of_the_machine_and_of_the_host() {
        let xen = config(&[]).unwrap();
        assert_eq!((&*xen.settings, xen.workers), (&Settings::default(), 4));
        assert_eq!(xen.database, Some("/var/run/nonpersistent/xenopsd/classic".into()));
        let simulated = config(&["--host=simulated:/a"]).unwrap();
        assert_eq!(simulated.host, Choice::SimulatedAt("/a".into()));
        assert_eq!(simulated.name, "org.xen.xapi.xenops.simulator");
        assert_eq!(simulated.database, Some("/var/run/nonpersistent/xenopsd/simulator".into()));
        let named = config(&["--host", "simulated", "--database-path=/b", "--persist=true"]).unwrap();
        assert_eq!((named.host, named.database), (Choice::Simulated, Some("/b".into())));
        assert_eq!(config(&["--persist=false"]).unwrap().database, None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in ["--host=qemu", "--host=simulated:", "--use-switch=true", "--worker-pool-size=-1"] {
            assert_eq!(config(&[bad]).unwrap_err().status, Failure::CONFIGURATION, "{bad}");
        }
    }
}
