//! What a client can do, by name: each is counted, and each can be switched off in a run.

use crate::fleet::{DiskShape, Shape, pick};
use crate::world::{Choices, Concern};
use std::sync::Arc;
use xenops_core::host::Uuid;
use xenops_core::interface::host::GuestAgentFeature;
use xenops_core::interface::vif::{Ipv4Configuration, Ipv6Configuration, LockingMode};
use xenops_core::interface::{Call, DeviceId, Disk, Maybe, Network, Pairs};

macro_rules! actions {
    ($($action:ident $name:literal $(~ $task:tt)?),+ $(,)?) => {
        /// One thing to ask for.
        #[allow(missing_docs, reason = "named after what they are")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($action),+ }

        impl Action {
            /// All of them.
            pub const ALL: &[Action] = &[$(Action::$action),+];

            /// What reports call it.
            pub fn name(self) -> &'static str {
                match self { $(Action::$action => $name),+ }
            }

            /// Whether a task does it, which can be cancelled.
            pub fn has_task(self) -> bool {
                match self { $(Action::$action => has!($($task)?)),+ }
            }
        }
    };
}

macro_rules! has {
    () => {
        false
    };
    (task) => {
        true
    };
}

actions! {
    VmAdd "VM.add", VmRemove "VM.remove", VmList "VM.list", VmStat "VM.stat", VmExists "VM.exists",
    VmStart "VM.start" ~ task, VmShutdownClean "VM.shutdown clean" ~ task, VmShutdownHard "VM.shutdown hard" ~ task,
    VmRebootClean "VM.reboot clean" ~ task, VmRebootHard "VM.reboot hard" ~ task,
    VmPause "VM.pause" ~ task, VmUnpause "VM.unpause" ~ task,
    VmSuspend "VM.suspend" ~ task, VmResume "VM.resume" ~ task, VmFastResume "VM.fast_resume" ~ task,
    VmS3Suspend "VM.s3suspend" ~ task, VmS3Resume "VM.s3resume" ~ task, VmDelay "VM.delay" ~ task,
    VmSetVcpus "VM.set_vcpus" ~ task, VmSetMemory "VM.set_memory_dynamic_range" ~ task,
    VmSetShadow "VM.set_shadow_multiplier" ~ task, VmSetXsdata "VM.set_xsdata" ~ task,
    VmRequestRdp "VM.request_rdp" ~ task, VmRunScript "VM.run_script" ~ task,
    VmCreate "VM.create" ~ task, VmBuild "VM.build" ~ task,
    VmCreateDeviceModel "VM.create_device_model" ~ task, VmDestroy "VM.destroy" ~ task,
    VmExport "VM.export_metadata", VmImport "VM.import_metadata",
    VmImportAsync "VM.import_metadata_async" ~ task, VmState "VM.generate_state_string", VmRename "DEBUG.trigger rename",
    VbdAdd "VBD.add", VbdRemove "VBD.remove", VbdStat "VBD.stat", VbdList "VBD.list",
    VbdPlug "VBD.plug" ~ task, VbdUnplug "VBD.unplug" ~ task, VbdUnplugForce "VBD.unplug forced" ~ task,
    VbdInsert "VBD.insert" ~ task, VbdEject "VBD.eject" ~ task,
    VifAdd "VIF.add", VifRemove "VIF.remove", VifStat "VIF.stat", VifList "VIF.list",
    VifPlug "VIF.plug" ~ task, VifUnplug "VIF.unplug" ~ task, VifUnplugForce "VIF.unplug forced" ~ task,
    VifMove "VIF.move" ~ task, VifCarrier "VIF.set_carrier" ~ task, VifLocking "VIF.set_locking_mode" ~ task,
    VifTrunks "VIF.set_trunks" ~ task, VifIpv4 "VIF.set_ipv4_configuration" ~ task,
    VifIpv6 "VIF.set_ipv6_configuration" ~ task,
    HostStat "HOST.stat", HostConsole "HOST.get_console_data", HostMemory "HOST.get_total_memory_mib",
    HostKeys "HOST.send_debug_keys", HostFeatures "HOST.update_guest_agent_features",
    HostCombine "HOST.combine_cpu_policies", HostCompatible "HOST.is_compatible",
    TaskList "TASK.list", TaskStat "TASK.stat", TaskDestroy "TASK.destroy", TaskDestroyOnFinish "TASK.destroy_on_finish",
    UpdatesGet "UPDATES.get", UpdatesLastId "UPDATES.last_id", UpdatesBarrier "UPDATES.inject_barrier",
    UpdatesUnbarrier "UPDATES.remove_barrier", UpdatesRefresh "UPDATES.refresh_vm",
    DebugReboot "DEBUG.trigger reboot", DebugHalt "DEBUG.trigger halt", Query "query", Diagnostics "get_diagnostics",
}

/// Whom an action is about.
pub struct Target<'a> {
    /// The VM.
    pub shape: &'a Shape,
    /// Under this name.
    pub id: Uuid,
    /// A text that an export gave.
    pub exported: Option<&'a String>,
    /// Some task's number.
    pub task: u64,
    /// A VM whose name is taken.
    pub bystander: Option<Uuid>,
}

impl Action {
    /// Whether its call is answered when it is done: no client follows its task.
    pub fn is_awaited(self) -> bool {
        use Action::*;
        matches!(self, VmRemove | VmImport | VmRename | VbdRemove | VifRemove) || self.writes_row()
    }

    /// Whether it is done by writing a row, without a task.
    pub fn writes_row(self) -> bool {
        use Action::*;
        matches!(self, VmAdd | VbdAdd | VifAdd)
    }

    /// Whether it has a task of few steps.
    pub fn is_short(self) -> bool {
        use Action::*;
        let long = matches!(
            self,
            VmStart
                | VmShutdownClean
                | VmShutdownHard
                | VmRebootClean
                | VmRebootHard
                | VmSuspend
                | VmResume
                | VmUnpause
        );
        self.has_task() && !long
    }

    /// Whether it may change, or cost, what runs in the VM's domain.
    pub fn disturbs(self) -> bool {
        use Action::*;
        matches!(
            self,
            VmShutdownClean
                | VmShutdownHard
                | VmRebootClean
                | VmRebootHard
                | VmPause
                | VmUnpause
                | VmSuspend
                | VmResume
                | VmFastResume
                | VmS3Suspend
                | VmS3Resume
                | VmStart
                | VmCreate
                | VmBuild
                | VmCreateDeviceModel
                | VmDestroy
                | VmRename
                | VmRemove
                | VmImport
                | VmImportAsync
                | DebugReboot
                | DebugHalt
        )
    }

    /// Whether it may give a VM a name that it does not have, or a row to a name: one at a time of these.
    pub fn names(self) -> bool {
        matches!(self, Action::VmAdd | Action::VmImport | Action::VmImportAsync | Action::VmRename)
    }

    /// The call.
    pub fn call(self, target: &Target, choices: &mut Choices) -> Call {
        let name = self.name();
        if name.starts_with("VBD") {
            return self.vbd_call(target, choices);
        }
        if name.starts_with("VIF") {
            return self.vif_call(target, choices);
        }
        if name.starts_with("VM") || self == Action::VmRename {
            return self.vm_call(target, choices);
        }
        self.other_call(target, choices)
    }

    fn vm_call(self, target: &Target, choices: &mut Choices) -> Call {
        let Target { shape, exported, .. } = target;
        let id = target.id.text();
        let delay = |choices: &mut Choices| Some(pick(choices, Concern::Workload, &[60.0, 600.0, 5.0]));
        match self {
            Action::VmAdd => Call::VmAdd { vm: Arc::new(shape.vm(target.id)) },
            Action::VmRemove => Call::VmRemove { id },
            Action::VmList => Call::VmList,
            Action::VmStat => Call::VmStat { id },
            Action::VmExists => Call::VmExists { id },
            Action::VmStart => Call::VmStart { id, paused: false },
            Action::VmShutdownClean => Call::VmShutdown { id, delay: delay(choices) },
            Action::VmShutdownHard => Call::VmShutdown { id, delay: None },
            Action::VmRebootClean => Call::VmReboot { id, delay: delay(choices) },
            Action::VmRebootHard => Call::VmReboot { id, delay: None },
            Action::VmPause => Call::VmPause { id },
            Action::VmUnpause => Call::VmUnpause { id },
            Action::VmSuspend => Call::VmSuspend { id, suspend_vdi: shape.image() },
            Action::VmResume => Call::VmResume { id, suspend_vdi: shape.image() },
            Action::VmFastResume => Call::VmFastResume { id },
            Action::VmS3Suspend => Call::VmS3Suspend { id },
            Action::VmS3Resume => Call::VmS3Resume { id },
            Action::VmDelay => Call::VmDelay { id, delay: pick(choices, Concern::Workload, &[0.5, 0.0, 30.0]) },
            Action::VmSetVcpus => {
                let vcpus = pick(choices, Concern::Workload, &[1, shape.vcpus.0, shape.vcpus.0 + 1, 0]);
                Call::VmSetVcpus { id, vcpus }
            }
            Action::VmSetMemory => {
                let most = shape.memory.0 << 20;
                let (minimum, maximum) =
                    pick(choices, Concern::Workload, &[(most / 2, most), (most, most), (most / 4, most / 2), (2, 1)]);
                Call::VmSetMemoryDynamicRange { id, minimum, maximum }
            }
            Action::VmSetShadow => {
                Call::VmSetShadowMultiplier { id, multiplier: pick(choices, Concern::Workload, &[1.0, 2.0, 0.5]) }
            }
            Action::VmSetXsdata => {
                let keys =
                    [vec![("vm-data/a", "1")], vec![], vec![("vm-data/b/c", "2"), ("FIST/x", "y"), ("bad", "z")]];
                Call::VmSetXsdata { id, xsdata: pick(choices, Concern::Workload, &keys).into_iter().collect() }
            }
            Action::VmRequestRdp => Call::VmRequestRdp { id, enabled: choices.odds(Concern::Workload, 2) },
            Action::VmRunScript => Call::VmRunScript { id, script: "uname -a".to_owned() },
            Action::VmCreate => Call::VmCreate { id },
            Action::VmBuild => Call::VmBuild { id, force: choices.odds(Concern::Workload, 2) },
            Action::VmCreateDeviceModel => Call::VmCreateDeviceModel { id, save_state: false },
            Action::VmDestroy => Call::VmDestroy { id },
            Action::VmExport => Call::VmExportMetadata { id },
            Action::VmImport => Call::VmImportMetadata { metadata: import(target, exported, choices) },
            Action::VmImportAsync => Call::VmImportMetadataAsync { metadata: import(target, exported, choices) },
            Action::VmState => Call::VmGenerateStateString { vm: Arc::new(shape.vm(target.id)) },
            _ => {
                let taken = target.bystander.filter(|_| choices.odds(Concern::Workload, 3));
                let to = taken.unwrap_or(if target.id == shape.ids[0] { shape.ids[1] } else { shape.ids[0] });
                Call::DebugTrigger { cmd: "rename".to_owned(), args: vec![id, to.text()] }
            }
        }
    }

    fn vbd_call(self, target: &Target, choices: &mut Choices) -> Call {
        let Target { shape, .. } = target;
        let disk: &DiskShape = &shape.disks[choices.choose(Concern::Workload, shape.disks.len() as u32) as usize];
        let id = DeviceId::new(target.id.text(), disk.device);
        match self {
            Action::VbdAdd => Call::VbdAdd { vbd: Arc::new(shape.vbd(target.id, disk)) },
            Action::VbdRemove => Call::VbdRemove { id },
            Action::VbdStat => Call::VbdStat { id },
            Action::VbdList => Call::VbdList { id: target.id.text() },
            Action::VbdPlug => Call::VbdPlug { id },
            Action::VbdUnplug => Call::VbdUnplug { id, force: false },
            Action::VbdUnplugForce => Call::VbdUnplug { id, force: true },
            _ => {
                let drive = shape.disks.iter().find(|disk| disk.drive).map_or(disk.device, |disk| disk.device);
                let id = DeviceId::new(target.id.text(), drive);
                let media = [Disk::Local("/srv/iso/a.iso".to_owned()), Disk::Vdi("sr/iso".to_owned())];
                match self {
                    Action::VbdInsert => Call::VbdInsert { id, disk: pick(choices, Concern::Workload, &media) },
                    _ => Call::VbdEject { id },
                }
            }
        }
    }

    fn vif_call(self, target: &Target, choices: &mut Choices) -> Call {
        let Target { shape, .. } = target;
        let nic = choices.choose(Concern::Workload, shape.nics.0);
        let id = DeviceId::new(target.id.text(), nic.to_string());
        let odd = |choices: &mut Choices| choices.odds(Concern::Workload, 2);
        match self {
            Action::VifAdd => Call::VifAdd { vif: Arc::new(shape.vif(target.id, nic)) },
            Action::VifRemove => Call::VifRemove { id },
            Action::VifStat => Call::VifStat { id },
            Action::VifList => Call::VifList { id: target.id.text() },
            Action::VifPlug => Call::VifPlug { id },
            Action::VifUnplug => Call::VifUnplug { id, force: false },
            Action::VifUnplugForce => Call::VifUnplug { id, force: true },
            Action::VifMove => {
                let bridge = pick(choices, Concern::Workload, &["xenbr1", "xenbr0", "nobridge"]);
                Call::VifMove { id, network: Network::Local(bridge.to_owned()) }
            }
            Action::VifCarrier => Call::VifSetCarrier { id, carrier: odd(choices) },
            Action::VifLocking => {
                let locked = LockingMode::Locked { ipv4: vec!["192.0.2.7".to_owned()], ipv6: Vec::new() };
                let modes = [locked, LockingMode::Disabled, LockingMode::Unlocked];
                Call::VifSetLockingMode { id, locking_mode: pick(choices, Concern::Workload, &modes) }
            }
            Action::VifTrunks => {
                let trunks = if odd(choices) { Vec::new() } else { vec![10, 20] };
                Call::VifSetTrunks { id, trunks }
            }
            Action::VifIpv4 => {
                let fixed = Ipv4Configuration::Static(vec!["192.0.2.7/24".to_owned()], Maybe(None));
                let ipv4_configuration = if odd(choices) { Ipv4Configuration::Dhcp } else { fixed };
                Call::VifSetIpv4Configuration { id, ipv4_configuration }
            }
            _ => {
                let fixed = Ipv6Configuration::Static(vec!["2001:db8::7/64".to_owned()], Maybe(None));
                let ipv6_configuration = if odd(choices) { Ipv6Configuration::Autoconf } else { fixed };
                Call::VifSetIpv6Configuration { id, ipv6_configuration }
            }
        }
    }

    fn other_call(self, target: &Target, choices: &mut Choices) -> Call {
        let id = target.id.text();
        let trigger = |cmd: &str, id| Call::DebugTrigger { cmd: cmd.to_owned(), args: vec![id] };
        let policy = || "1fc98b75-e3fa0000".to_owned();
        match self {
            Action::HostStat => Call::HostStat,
            Action::HostConsole => Call::HostGetConsoleData,
            Action::HostMemory => Call::HostGetTotalMemoryMib,
            Action::HostKeys => Call::HostSendDebugKeys { debug_keys: "q".to_owned() },
            Action::HostFeatures => {
                let feature =
                    GuestAgentFeature { name: "auto-update".to_owned(), licensed: true, parameters: Pairs::default() };
                Call::HostUpdateGuestAgentFeatures { features: vec![feature] }
            }
            Action::HostCombine => Call::HostCombineCpuPolicies { policy1: policy(), policy2: "ffffffff".to_owned() },
            Action::HostCompatible => Call::HostIsCompatible { vm_policy: policy(), host_policy: policy() },
            Action::TaskList => Call::TaskList,
            Action::TaskStat => Call::TaskStat { id: target.task.to_string() },
            Action::TaskDestroy => Call::TaskDestroy { id: target.task.to_string() },
            Action::TaskDestroyOnFinish => Call::TaskDestroyOnFinish { id: target.task.to_string() },
            Action::UpdatesGet => {
                let last_id = pick(choices, Concern::Workload, &[None, Some(0), Some(1_000_000), Some(-1)]);
                Call::UpdatesGet { last_id, timeout: Some(i64::from(choices.choose(Concern::Workload, 20))) }
            }
            Action::UpdatesLastId => Call::UpdatesLastId,
            Action::UpdatesBarrier => {
                Call::UpdatesInjectBarrier { vm_id: id, id: i64::from(choices.choose(Concern::Workload, 4)) }
            }
            Action::UpdatesUnbarrier => {
                Call::UpdatesRemoveBarrier { id: i64::from(choices.choose(Concern::Workload, 4)) }
            }
            Action::UpdatesRefresh => Call::UpdatesRefreshVm { id },
            Action::DebugReboot => trigger("reboot", id),
            Action::DebugHalt => trigger("halt", id),
            Action::Query => Call::Query,
            _ => Call::GetDiagnostics,
        }
    }
}

/// What was exported before, or the VM as its run has it.
fn import(target: &Target, exported: &Option<&String>, choices: &mut Choices) -> String {
    match exported {
        Some(text)
            if text.starts_with(&format!(r#"{{"vm":{{"id":"{}""#, target.id)) && choices.odds(Concern::Workload, 2) =>
        {
            (*text).clone()
        }
        _ => target.shape.metadata(target.id),
    }
}
