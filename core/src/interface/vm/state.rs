//! What a VM is doing, as a look at its host shows it.

use crate::interface::pairs::Pairs;
use std::fmt;

record! {
    /// What a VM is doing.
    pub struct State "state" {
        /// Whether it runs.
        pub power_state: PowerState,
        /// Its domains; one at most outside of a migration.
        pub domids: Vec<i64>,
        /// Where its consoles are served.
        pub consoles: Vec<Console>,
        /// Bytes that the balloon driver is asked for.
        pub memory_target: i64,
        /// Bytes in use.
        pub memory_actual: i64,
        /// Bytes that the hypervisor allows.
        pub memory_limit: i64,
        /// vCPUs wanted online.
        pub vcpu_target: i64,
        /// Factor on shadow memory.
        pub shadow_multiplier_target: f64,
        /// Seconds from UTC, decimal.
        pub rtc_timeoffset: String,
        /// The balloon driver is there and does not do what it is asked.
        pub uncooperative_balloon_driver: bool,
        /// What the guest agent reports.
        pub guest_agent: Pairs,
        /// The guest's data keys as they are now.
        pub xsdata_state: Pairs,
        /// PV drivers have shown themselves.
        pub pv_drivers_detected: bool,
        /// Unix time in seconds.
        pub last_start_time: f64,
        /// Whether the domain is HVM.
        pub hvm: bool,
        /// Whether migration is forbidden.
        pub nomigrate: bool,
        /// Whether it may nest a hypervisor.
        pub nested_virt: bool,
        /// The domain's type.
        pub domain_type: DomainType,
        /// The CPU policy that it booted with.
        pub featureset: String,
        /// All of its memory is where its vCPUs run.
        pub numa_optimised: bool,
        /// NUMA nodes that hold its memory.
        pub numa_nodes: i64,
        /// Bytes per NUMA node.
        pub numa_node_memory: Vec<(i64, i64)>,
    }
}

impl State {
    /// The state of a VM without domain.
    pub fn halted() -> State {
        State {
            power_state: PowerState::Halted,
            domids: Vec::new(),
            consoles: Vec::new(),
            memory_target: 0,
            memory_actual: 0,
            memory_limit: 0,
            vcpu_target: 0,
            shadow_multiplier_target: 1.0,
            rtc_timeoffset: String::new(),
            uncooperative_balloon_driver: false,
            guest_agent: Pairs::default(),
            xsdata_state: Pairs::default(),
            pv_drivers_detected: false,
            last_start_time: 0.0,
            hvm: false,
            nomigrate: false,
            nested_virt: false,
            domain_type: DomainType::Undefined,
            featureset: String::new(),
            numa_optimised: false,
            numa_nodes: 0,
            numa_node_memory: Vec::new(),
        }
    }
}

variant! {
    /// Whether a VM runs.
    #[derive(Copy, Eq)]
    pub enum PowerState {
        /// Its domain is scheduled.
        Running,
        /// It has no domain and no image.
        Halted,
        /// It has an image and no domain.
        Suspended,
        /// Its domain is there and not scheduled.
        Paused,
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PowerState::Running => "running",
            PowerState::Halted => "halted",
            PowerState::Suspended => "suspended",
            PowerState::Paused => "paused",
        })
    }
}

variant! {
    /// The type of a VM's domain.
    #[derive(Copy, Eq)]
    pub enum DomainType {
        /// Fully virtualised.
        Hvm "Domain_HVM",
        /// Paravirtualised.
        Pv "Domain_PV",
        /// Paravirtualised inside a PVH container.
        PvInPvh "Domain_PVinPVH",
        /// PVH.
        Pvh "Domain_PVH",
        /// There is no domain.
        Undefined "Domain_undefined",
    }
}

record! {
    /// Where a console is served.
    #[derive(Eq)]
    pub struct Console "console" {
        /// What is spoken there.
        pub protocol: ConsoleProtocol,
        /// TCP port; 0 where a socket serves.
        pub port: i64,
        /// The socket's path.
        pub path: String,
    }
}

variant! {
    /// What a console speaks.
    #[derive(Copy, Eq)]
    pub enum ConsoleProtocol {
        /// VNC.
        Rfb,
        /// Terminal text.
        Vt100,
    }
}
