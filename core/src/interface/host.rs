//! The host itself.

use super::pairs::Pairs;

record! {
    /// What a host is made of.
    #[derive(Eq)]
    pub struct Host "t" {
        /// Its processors.
        pub cpu_info: CpuInfo,
        /// Its hypervisor.
        pub hypervisor: Hypervisor,
        /// Its chipset.
        pub chipset_info: ChipsetInfo,
    }
}

record! {
    /// A host's processors. Texts are `unknown` where the host does not tell. A policy is 8-digit
    /// hexadecimal words with dashes between.
    #[derive(Eq)]
    pub struct CpuInfo "cpu_info" {
        /// Logical processors.
        pub cpu_count: i64,
        /// Packages.
        pub socket_count: i64,
        /// Logical processors per core.
        pub threads_per_core: i64,
        /// NUMA nodes; -1 where unknown.
        pub nr_nodes: i64,
        /// Such as `GenuineIntel`.
        pub vendor: String,
        /// MHz.
        pub speed: String,
        /// The maker's name for it.
        pub modelname: String,
        /// Number.
        pub family: String,
        /// Number.
        pub model: String,
        /// Number.
        pub stepping: String,
        /// Names of features, with spaces between.
        pub flags: String,
        /// The hardware's policy.
        pub features: String,
        /// What a PV guest can have at most and still migrate.
        pub features_pv: String,
        /// What an HVM guest can have at most and still migrate.
        pub features_hvm: String,
        /// What a PV guest gets by default.
        pub features_pv_host: String,
        /// What an HVM guest gets by default.
        pub features_hvm_host: String,
    }
}

record! {
    /// A host's hypervisor.
    #[derive(Eq)]
    pub struct Hypervisor "hypervisor" {
        /// Such as `4.17.5`.
        pub version: String,
        /// Kinds of guest, with spaces between.
        pub capabilities: String,
    }
}

record! {
    /// A host's chipset.
    #[derive(Copy, Eq)]
    pub struct ChipsetInfo "chipset_info" {
        /// Devices can be passed through.
        pub iommu: bool,
        /// HVM guests can run.
        pub hvm: bool,
    }
}

record! {
    /// What guest agents on this host may do.
    #[derive(Eq)]
    pub struct GuestAgentFeature "guest_agent_feature" {
        /// Such as `Guest_agent_auto_update`.
        pub name: String,
        /// Whether the licence covers it.
        pub licensed: bool,
        /// Its settings.
        pub parameters: Pairs,
    }
}

variant! {
    /// How VMs are placed on NUMA nodes.
    #[derive(Copy, Eq)]
    pub enum NumaAffinityPolicy {
        /// Anywhere.
        Any,
        /// On one node if it fits.
        BestEffort "Best_effort",
        /// On one node if it fits, by hard affinity.
        BestEffortHard "Best_effort_hard",
        /// Memory on one node if it fits, vCPUs anywhere.
        PrioMemOnly "Prio_mem_only",
    }
}
