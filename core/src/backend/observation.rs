//! What a look saw of one VM, all of it at nearly one moment.

use crate::host::{DomId, DomainInfo, Nodes, Role};
use crate::interface::Disk;
use crate::interface::vbd::{Class, Qos, Scheduler};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The world of one VM.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct Observation {
    /// Domains that are this VM's: by handle, and tombstones not yet gone.
    pub domains: Vec<DomainSeen>,
    /// Domains of this VM that Xen no longer has and whose remains have not been cleaned up, as xenstore
    /// names them.
    pub leftovers: Vec<DomId>,
    /// Disks whose `active` flag is set.
    pub active_vbds: Vec<String>,
    /// Network interfaces whose `active` flag is set.
    pub active_vifs: Vec<String>,
    /// Storage datapaths that VmExtra or the domains' numbers name and that still exist.
    pub datapaths: Vec<String>,
    /// Bytes in `/vm/<uuid>/rtc/timeoffset`.
    pub rtc_timeoffset: Option<String>,
}

/// One domain of the VM.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct DomainSeen {
    /// From the hypervisor.
    pub info: DomainInfo,
    /// `/local/domain/<d>` exists.
    pub introduced: bool,
    /// The name of the instance that made it; none if that was upstream's daemon, which writes none.
    pub instance: Option<String>,
    /// Its guest was asked to suspend, and has not been resumed since.
    #[serde(default)]
    pub suspending: bool,
    /// `action-request`, if any.
    pub action_request: Option<String>,
    /// A suspend request that the guest has not taken: `control/shutdown`.
    pub pending_shutdown: Option<String>,
    /// Its devices, from the list that the guest cannot write.
    pub devices: Vec<DeviceSeen>,
    /// Processes that serve it.
    pub roles: Vec<Role>,
    /// `memory/target`: KiB.
    pub memory_target: Option<i64>,
    /// `memory/uncooperative` is there.
    pub uncooperative: bool,
    /// Guest agent's keys, relative to the domain's directory.
    pub guest_agent: Nodes,
    /// `vm-data` and `FIST` keys.
    pub xsdata: Nodes,
    /// `console/tty`, `console/vnc-port`, `serial/0/tty`.
    pub console_tty: Option<String>,
    /// VNC port, if any.
    pub vnc_port: Option<i64>,
    /// Shadow pool in MiB, HVM containers only.
    pub shadow_mib: Option<u64>,
}

/// One device of a domain.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct DeviceSeen {
    /// Back end kind: `vbd`, `qdisk`, `vif`.
    pub kind: Cow<'static, str>,
    /// Device number.
    pub devid: u32,
    /// The row's device name, from the private data.
    pub name: Option<String>,
    /// Back end's XenbusState; `None` when its directory is gone.
    pub backend_state: Option<u32>,
    /// The script has run and it has not been taken away since.
    pub online: bool,
    /// Pid of its kernel thread, if the host tells.
    pub kthread_pid: Option<i64>,
    /// The disk it shows, if it shows one, as the back end's `vdi` key has it: few ask.
    pub vdi: Option<String>,
    /// A drive whose medium came or went only half: the storage may hold it, and the back end does not show it.
    pub half_inserted: bool,
    /// I/O priority in force as [`ionice_words`] has it, if the host tells.
    pub qos: Option<String>,
    /// Front end's XenbusState, which its guest writes; `None` when the guest has removed its directory.
    pub frontend_state: Option<u32>,
    /// An unplug has been asked for that the guest may still grant: the back end's `online` is 0.
    pub unplug_asked: bool,
}

/// An I/O priority in the words of `ionice -p`.
pub fn ionice_words(qos: &Qos) -> String {
    let Qos::Ionice(scheduler) = qos;
    let level = |class: &Class| match class {
        Class::Highest => 0,
        Class::High => 2,
        Class::Normal => 4,
        Class::Low => 6,
        Class::Lowest => 7,
        Class::Other(level) => *level,
    };
    match scheduler {
        Scheduler::RealTime(class) => format!("realtime: prio {}", level(class)),
        Scheduler::BestEffort(class) => format!("best-effort: prio {}", level(class)),
        Scheduler::Idle => "idle".to_owned(),
    }
}

impl DeviceSeen {
    /// The disk it shows, if it shows one.
    pub fn disk(&self) -> Option<Disk> {
        serde_json::from_str(self.vdi.as_deref()?).ok()
    }
}

impl Observation {
    /// Whether clients see the same. They do not see CPU time, which never stands still.
    pub fn shows_as(&self, other: &Observation) -> bool {
        let Observation { domains, leftovers, active_vbds, active_vifs, datapaths, rtc_timeoffset } = self;
        domains.len() == other.domains.len()
            && domains.iter().zip(&other.domains).all(|(one, other)| one.shows_as(other))
            && *leftovers == other.leftovers
            && *active_vbds == other.active_vbds
            && *active_vifs == other.active_vifs
            && *datapaths == other.datapaths
            && *rtc_timeoffset == other.rtc_timeoffset
    }

    /// Another instance than this one that a domain of the VM belongs to.
    pub fn foreigner(&self, instance: &str) -> Option<&str> {
        self.domains.iter().filter_map(|domain| domain.instance.as_deref()).find(|name| *name != instance)
    }

    /// Domains that are not being torn down already.
    pub fn living(&self) -> impl Iterator<Item = &DomainSeen> {
        self.domains.iter().filter(|d| !d.info.handle.is_tombstone() && !d.info.dying)
    }
}

impl DomainSeen {
    fn shows_as(&self, other: &DomainSeen) -> bool {
        // All of them, so that none that is added is forgotten.
        let DomainSeen {
            info,
            introduced,
            instance,
            suspending,
            action_request,
            pending_shutdown,
            devices,
            roles,
            memory_target,
            uncooperative,
            guest_agent,
            xsdata,
            console_tty,
            vnc_port,
            shadow_mib,
        } = self;
        DomainInfo { cpu_time: other.info.cpu_time, ..info.clone() } == other.info
            && (*introduced, *suspending, *uncooperative) == (other.introduced, other.suspending, other.uncooperative)
            && (instance, action_request, pending_shutdown)
                == (&other.instance, &other.action_request, &other.pending_shutdown)
            && (devices, roles) == (&other.devices, &other.roles)
            && (*memory_target, *vnc_port, *shadow_mib) == (other.memory_target, other.vnc_port, other.shadow_mib)
            && (guest_agent, xsdata, console_tty) == (&other.guest_agent, &other.xsdata, &other.console_tty)
    }

    /// Its vCPUs have run or may run now. None that is being made ever has: it is paused until it is complete.
    pub fn has_run(&self) -> bool {
        self.info.cpu_time > 0 || self.info.runnable()
    }

    /// Built, and its start or resume came to its end. Until then it carries an `action-request`; one that has run
    /// can only have got that later.
    pub fn complete(&self) -> bool {
        self.introduced && self.info.total_pages > 0 && (self.action_request.is_none() || self.has_run())
    }

    /// A device by back end class (disks or not) and row name.
    pub fn device(&self, disk: bool, name: &str) -> Option<&DeviceSeen> {
        self.devices.iter().find(|d| (d.kind != "vif") == disk && d.name.as_deref() == Some(name))
    }
}
