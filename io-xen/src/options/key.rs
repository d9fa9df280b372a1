//! Every key of command line and configuration file: one table.

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number of seconds, with a fraction or without.
    Seconds,
    /// Any text.
    Text,
    /// A path.
    Path,
}

impl Kind {
    /// Whether this text is such a value.
    pub fn admits(self, text: &str) -> bool {
        match self {
            Kind::Bool => text.parse::<bool>().is_ok(),
            Kind::Int => text.parse::<i64>().is_ok(),
            Kind::Seconds => text.parse::<f64>().is_ok_and(f64::is_finite),
            Kind::Text | Kind::Path => true,
        }
    }

    /// What is expected, for error texts and help.
    pub fn expects(self) -> &'static str {
        match self {
            Kind::Bool => "true or false",
            Kind::Int => "a whole number",
            Kind::Seconds => "a number of seconds",
            Kind::Text => "a text",
            Kind::Path => "a path",
        }
    }
}

/// Whether a key changes what this daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does.
    Acts,
    /// It is taken, so that upstream's files and command lines work, and has no effect.
    Accepted,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in files; `--name` on the command line.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Its value when nobody gives one; not every such text is of the kind (`N/A`).
    pub default: &'static str,
    /// Whether it acts.
    pub role: Role,
    /// What it is.
    pub text: &'static str,
}

const fn acts(name: &'static str, kind: Kind, default: &'static str, text: &'static str) -> Key {
    Key { name, kind, default, role: Role::Acts, text }
}

const fn taken(name: &'static str, kind: Kind, default: &'static str, text: &'static str) -> Key {
    Key { name, kind, default, role: Role::Accepted, text }
}

use Kind::{Bool, Int, Path, Seconds, Text};

/// Upstream's keys with upstream's defaults, and four of ours. Only `use-switch` differs in its
/// default: this daemon speaks on its own socket.
pub const KEYS: &[Key] = &[
    acts("host", Text, "xen", "the host to drive: xen, simulated (in this process), or simulated:DIR (in its own)"),
    acts("simulated-pace", Text, "natural", "how long things take on a simulated host: natural or instant"),
    acts("storage-path", Path, "/var/lib/xenops/storage", "directory of the disks that are named SR/VDI"),
    acts("record", Path, "", "record what the daemon is told in this file, for xenops-sim replay; empty: nowhere"),
    acts("record-limit", Int, "256", "MiB of one file of it, after which it goes on in another; four more are kept"),
    acts("debug-stop-at-request", Int, "0", "end by SIGKILL before the host is asked for the n-th change; 0: never"),
    acts("queue", Text, "org.xen.xapi.xenops.classic", "name of this instance"),
    acts("sockets-path", Path, "/var/lib/xcp", "directory of the listening sockets"),
    acts("database-path", Path, "/var/run/nonpersistent/xenopsd/classic", "directory of the records"),
    acts("persist", Bool, "true", "keep records in files; false: only in memory"),
    acts("worker-pool-size", Int, "4", "micro-ops with a request in flight at once"),
    acts("hotplug_timeout", Seconds, "300", "time for hotplug scripts"),
    acts("qemu_dm_ready_timeout", Seconds, "300", "time for a device model to become ready"),
    acts("domain_shutdown_ack_timeout", Seconds, "60", "time for a guest to acknowledge a shutdown request"),
    acts("vm-suspend-ack-timeout", Seconds, "30", "time for a guest to acknowledge a suspend request"),
    acts("vm-suspend-timeout", Seconds, "1200", "time for a guest to suspend"),
    acts("additional-ballooning-timeout", Seconds, "120", "time for ballooning before a guest is saved"),
    acts("default-vbd-backend-kind", Text, "vbd", "back end kind of disks that name none"),
    acts("pvinpvh-xen-cmdline", Text, "pv-shim console=xen", "command line of the PV-in-PVH shim"),
    acts("xen-platform-pci-bar-uc", Bool, "false", "map the platform device's memory uncached"),
    acts("vm-guest-agent-xenstore-quota-bytes", Int, "26214400", "xenstore bytes that a guest agent's keys may take"),
    acts("loglevel", Text, "debug", "least grave lines to log: emergency to debug"),
    acts("disable-logging-for", Text, "", "modules whose lines are not logged, separated by blanks"),
    acts("config", Path, "/etc/xenopsd.conf", "configuration file"),
    acts("config-dir", Path, "/etc/xenopsd.conf.d", "directory of configuration fragments, read in order of name"),
    acts("use-switch", Bool, "false", "be reached through the message switch"),
    taken("switch-path", Path, "/var/run/message-switch/sock", "socket of the message switch"),
    taken("run_hotplug_scripts", Bool, "true", "run vif and block scripts ourselves"),
    taken("use_old_pci_add", Bool, "false", "attach PCI devices by xl"),
    taken("vgpu-ready-timeout", Seconds, "30", "time for a virtual GPU's helper to become ready"),
    taken("varstored-ready-timeout", Seconds, "30", "time for varstored to become ready"),
    taken("watch_queue_length", Int, "1000", "length of the queue of xenstore watches"),
    taken("use-upstream-qemu", Bool, "false", "use upstream QEMU"),
    taken("ca-140252-workaround", Bool, "false", "align event channels for old PV tools"),
    taken("vif-ready-for-igmp-query-timeout", Seconds, "120", "time for a network interface before an IGMP query"),
    taken("action-after-qemu-crash", Text, "", "what to do with a guest whose device model crashed: pause or poweroff"),
    taken("feature-flags-path", Path, "/etc/xenserver/features.d", "directory of feature flags"),
    taken("numa-placement", Bool, "true", "place guests on NUMA nodes"),
    taken("numa-best-effort-prio-mem-only", Bool, "false", "place the memory of guests only"),
    taken("pci-quarantine", Bool, "true", "quarantine PCI devices that were passed through"),
    taken("vm-guest-agent-xenstore-quota", Int, "N/A", "xenstore entries that a guest agent's keys may take"),
    taken("vm-guest-agent-xenstore-quota-warn-interval", Seconds, "3600", "least time between quota warnings"),
    taken("oxenstored-conf", Path, "/etc/xen/oxenstored.conf", "oxenstored's configuration"),
    taken("test-open", Int, "0", "descriptors to open at start"),
    taken("xenopsd-vbd-plug-unplug-legacy", Bool, "true", "plug and unplug disks in one step"),
    taken("migration-compressor", Text, "stream", "how a migration compresses"),
    taken("migration-tls", Text, "stunnel", "how a migration encrypts"),
    taken("search-path", Text, "", "directories added to PATH for resources, separated by colons"),
    taken("pidfile", Path, "", "file for the process number"),
    taken("log", Text, "", "where the log goes"),
    taken("inventory", Path, "/etc/xensource-inventory", "the host's inventory"),
    taken("timeslice", Seconds, "0.05", "scheduling interval"),
    taken("chgrp", Path, "chgrp", "program"),
    taken("modprobe", Path, "/usr/sbin/modprobe", "program"),
    taken("rmmod", Path, "rmmod", "program"),
    taken("zstd", Path, "/usr/bin/zstd", "program"),
    taken("vbd-script", Path, "/etc/xen/scripts/block", "block script"),
    taken("vif-script", Path, "/usr/lib/xcp/scripts/vif", "network script"),
    taken("xenguest", Path, "xenguest", "guest builder"),
    taken("emu-manager", Path, "emu-manager", "program"),
    taken("tune2fs", Path, "tune2fs", "program"),
    taken("mount", Path, "mount", "program"),
    taken("umount", Path, "umount", "program"),
    taken("ionice", Path, "ionice", "program"),
    taken("setup-vif-rules", Path, "setup-vif-rules", "script"),
    taken("setup-pvs-proxy-rules", Path, "pvs-proxy-ovs-setup", "script"),
    taken("ovs-vsctl", Path, "/usr/bin/ovs-vsctl", "program"),
    taken("network-conf", Path, "/etc/xcp/network.conf", "network back end's configuration"),
    taken("convert-legacy-stream", Path, "convert-legacy-stream", "program"),
    taken("cpu-info-file", Path, "/etc/xensource/boot_time_cpus", "file of the host's CPU features"),
    taken("verify-stream-v2", Path, "verify-stream-v2", "program"),
    taken("pci-flr-script", Path, "/usr/lib/xcp/lib/pci-flr", "script"),
    taken("alternatives", Path, "/usr/lib/xapi/alternatives", "directory of alternative kernels"),
    taken("vgpu", Path, "vgpu", "program"),
    taken("varstored", Path, "varstored", "program"),
    taken("vncterm", Path, "vncterm", "program"),
    taken("gimtool", Path, "/opt/xensource/bin/gimtool", "program"),
    taken(
        "igmp-query-injector-script",
        Path,
        "/usr/libexec/xenopsd/igmp_query_injector.py",
        "script that injects IGMP queries",
    ),
    taken("xenopsd-tls-helper", Path, "/usr/libexec/xapi/ktls-helper", "program"),
    taken("hvmloader", Path, "hvmloader", "firmware of HVM guests"),
    taken("qemu-system-i386", Path, "qemu-system-i386", "device model"),
    taken("upstream-compat-qemu-dm-wrapper", Path, "qemu-wrapper", "device model's wrapper"),
    taken("pygrub", Path, "pygrub", "boot loader"),
    taken("eliloader", Path, "eliloader", "boot loader"),
    taken("pvinpvh-xen", Path, "/usr/libexec/xen/boot/xen-shim", "PV-in-PVH shim"),
    taken("swtpm-wrapper", Path, "swtpm-wrapper", "program"),
];
