//! What a client asks for: every method with its parameters and the type of its answer.

use super::answer::Kind;
use super::debug_info::DebugInfo;
use super::decode::{Decode, Field};
use super::device_id::DeviceId;
use super::error::Error;
use super::malformed::Malformed;
use super::vif::{Ipv4Configuration, Ipv6Configuration, LockingMode, PvsProxy};
use super::{Disk, Network, Pairs, Pci, Value, Vbd, Vgpu, Vif, Vm, Vusb, host, pci};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// A call as it is carried out: what is asked, and the text to name it by in logs.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Names the call in logs.
    pub debug_info: DebugInfo,
    /// What is asked.
    pub call: Call,
}

/// One line per method: its name, its variant, its parameters beside the debug text, its answer. `(unit)`
/// is a parameter that must be there and null.
macro_rules! calls {
    ($($name:literal $variant:ident $(($unit:ident))? $({ $($param:ident : $ty:ty),+ })? -> $kind:ident;)+) => {
        /// What is asked. Each variant has the parameters of its method under their names on the wire.
        #[allow(missing_docs, reason = "named after the parameters of the method")]
        #[derive(Clone, Debug, PartialEq)]
        pub enum Call {
            $(#[doc = concat!("`", $name, "`")] $variant $({ $($param: $ty),+ })?),+
        }

        impl Call {
            /// Every method, with the type of its answer.
            pub const METHODS: &[(&str, Kind)] = &[$(($name, Kind::$kind)),+];

            /// The method's name.
            pub fn method(&self) -> &'static str {
                match self {
                    $(Call::$variant { .. } => $name),+
                }
            }

            /// The type of its answer.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Call::$variant { .. } => Kind::$kind),+
                }
            }

            /// Adds its parameters, beside the debug text.
            fn add_parameters(&self, named: &mut Vec<(String, Value)>) {
                match self {
                    $(Call::$variant $({ $($param),+ })? => {
                        $(add(named, stringify!($unit), &());)?
                        $($(add(named, stringify!($param), $param);)+)?
                    })+
                }
            }
        }

        impl Request {
            fn decode_named(method: &str, named: &Named) -> Result<Request, Error> {
                Ok(match method {
                    $($name => {
                        let debug_info = named.get(debug_name(method))?;
                        $(let () = named.get(stringify!($unit))?;)?
                        Request { debug_info, call: Call::$variant $({ $($param: named.get(stringify!($param))?),+ })? }
                    })+
                    _ => return Err(Error::Unimplemented(method.to_owned())),
                })
            }
        }
    };
}

calls! {
    "query" Query(unit) -> Query;
    "get_diagnostics" GetDiagnostics(unit) -> Text;

    "Task.stat" TaskStat { id: String } -> Task;
    "Task.cancel" TaskCancel { id: String } -> Unit;
    "Task.destroy" TaskDestroy { id: String } -> Unit;
    "Task.list" TaskList -> Tasks;
    "Task.destroy_on_finish" TaskDestroyOnFinish { id: String } -> Unit;

    "HOST.stat" HostStat -> Host;
    "HOST.get_console_data" HostGetConsoleData -> Text;
    "HOST.get_total_memory_mib" HostGetTotalMemoryMib -> Int;
    "HOST.send_debug_keys" HostSendDebugKeys { debug_keys: String } -> Unit;
    "HOST.set_worker_pool_size" HostSetWorkerPoolSize { pool_size: i64 } -> Unit;
    "HOST.update_guest_agent_features" HostUpdateGuestAgentFeatures { features: Vec<host::GuestAgentFeature> } -> Unit;
    "HOST.combine_cpu_policies" HostCombineCpuPolicies { policy1: String, policy2: String } -> Text;
    "HOST.is_compatible" HostIsCompatible { vm_policy: String, host_policy: String } -> Bool;
    "HOST.set_numa_affinity_policy" HostSetNumaAffinityPolicy {
        numa_affinity_policy: Option<host::NumaAffinityPolicy>
    } -> Unit;

    "VM.add" VmAdd { vm: Arc<Vm> } -> Text;
    "VM.remove" VmRemove { id: String } -> Unit;
    "VM.generate_state_string" VmGenerateStateString { vm: Arc<Vm> } -> Text;
    "VM.migrate" VmMigrate {
        id: String, vdi_map: Pairs, vif_map: Pairs<Network>, pci_map: Pairs<pci::Address>, xenops_url: String,
        compress: bool, verify_dest: bool, localhost_migration: bool
    } -> TaskId;
    "VM.create" VmCreate { id: String } -> TaskId;
    "VM.build" VmBuild { id: String, force: bool } -> TaskId;
    "VM.create_device_model" VmCreateDeviceModel { id: String, save_state: bool } -> TaskId;
    "VM.destroy" VmDestroy { id: String } -> TaskId;
    "VM.pause" VmPause { id: String } -> TaskId;
    "VM.unpause" VmUnpause { id: String } -> TaskId;
    "VM.request_rdp" VmRequestRdp { id: String, enabled: bool } -> TaskId;
    "VM.run_script" VmRunScript { id: String, script: String } -> TaskId;
    "VM.set_xsdata" VmSetXsdata { id: String, xsdata: Pairs } -> TaskId;
    "VM.set_vcpus" VmSetVcpus { id: String, vcpus: i64 } -> TaskId;
    "VM.set_shadow_multiplier" VmSetShadowMultiplier { id: String, multiplier: f64 } -> TaskId;
    "VM.set_memory_dynamic_range" VmSetMemoryDynamicRange { id: String, minimum: i64, maximum: i64 } -> TaskId;
    "VM.stat" VmStat { id: String } -> Vm;
    "VM.exists" VmExists { id: String } -> Bool;
    "VM.list" VmList(unit) -> Vms;
    "VM.delay" VmDelay { id: String, delay: f64 } -> TaskId;
    "VM.start" VmStart { id: String, paused: bool } -> TaskId;
    "VM.shutdown" VmShutdown { id: String, delay: Option<f64> } -> TaskId;
    "VM.reboot" VmReboot { id: String, delay: Option<f64> } -> TaskId;
    "VM.suspend" VmSuspend { id: String, suspend_vdi: Disk } -> TaskId;
    "VM.resume" VmResume { id: String, suspend_vdi: Disk } -> TaskId;
    "VM.fast_resume" VmFastResume { id: String } -> TaskId;
    "VM.s3suspend" VmS3Suspend { id: String } -> TaskId;
    "VM.s3resume" VmS3Resume { id: String } -> TaskId;
    "VM.export_metadata" VmExportMetadata { id: String } -> Text;
    "VM.import_metadata" VmImportMetadata { metadata: String } -> Text;
    "VM.import_metadata_async" VmImportMetadataAsync { metadata: String } -> TaskId;

    "PCI.add" PciAdd { pci: Arc<Pci> } -> DeviceId;
    "PCI.remove" PciRemove { id: DeviceId } -> Unit;
    "PCI.stat" PciStat { id: DeviceId } -> Pci;
    "PCI.list" PciList { id: String } -> Pcis;
    "PCI.dequarantine" PciDequarantine { pci_addr: pci::Address } -> Unit;

    "VBD.add" VbdAdd { vbd: Arc<Vbd> } -> DeviceId;
    "VBD.plug" VbdPlug { id: DeviceId } -> TaskId;
    "VBD.unplug" VbdUnplug { id: DeviceId, force: bool } -> TaskId;
    "VBD.eject" VbdEject { id: DeviceId } -> TaskId;
    "VBD.insert" VbdInsert { id: DeviceId, disk: Disk } -> TaskId;
    "VBD.stat" VbdStat { id: DeviceId } -> Vbd;
    "VBD.list" VbdList { id: String } -> Vbds;
    "VBD.remove" VbdRemove { id: DeviceId } -> Unit;

    "VUSB.add" VusbAdd { vusb: Arc<Vusb> } -> DeviceId;
    "VUSB.plug" VusbPlug { id: DeviceId } -> TaskId;
    "VUSB.unplug" VusbUnplug { id: DeviceId } -> TaskId;
    "VUSB.stat" VusbStat { id: DeviceId } -> Vusb;
    "VUSB.list" VusbList { id: String } -> Vusbs;
    "VUSB.remove" VusbRemove { id: DeviceId } -> Unit;

    "VIF.add" VifAdd { vif: Arc<Vif> } -> DeviceId;
    "VIF.plug" VifPlug { id: DeviceId } -> TaskId;
    "VIF.unplug" VifUnplug { id: DeviceId, force: bool } -> TaskId;
    "VIF.move" VifMove { id: DeviceId, network: Network } -> TaskId;
    "VIF.stat" VifStat { id: DeviceId } -> Vif;
    "VIF.list" VifList { id: String } -> Vifs;
    "VIF.remove" VifRemove { id: DeviceId } -> Unit;
    "VIF.set_carrier" VifSetCarrier { id: DeviceId, carrier: bool } -> TaskId;
    "VIF.set_locking_mode" VifSetLockingMode { id: DeviceId, locking_mode: LockingMode } -> TaskId;
    "VIF.set_ipv4_configuration" VifSetIpv4Configuration {
        id: DeviceId, ipv4_configuration: Ipv4Configuration
    } -> TaskId;
    "VIF.set_ipv6_configuration" VifSetIpv6Configuration {
        id: DeviceId, ipv6_configuration: Ipv6Configuration
    } -> TaskId;
    "VIF.set_pvs_proxy" VifSetPvsProxy { id: DeviceId, proxy: Option<PvsProxy> } -> TaskId;
    "VIF.set_trunks" VifSetTrunks { id: DeviceId, trunks: Vec<i64> } -> TaskId;

    "VGPU.add" VgpuAdd { vgpu: Arc<Vgpu> } -> DeviceId;
    "VGPU.stat" VgpuStat { id: DeviceId } -> Vgpu;
    "VGPU.list" VgpuList { id: String } -> Vgpus;
    "VGPU.remove" VgpuRemove { id: DeviceId } -> Unit;

    "UPDATES.get" UpdatesGet { last_id: Option<i64>, timeout: Option<i64> } -> Updates;
    "UPDATES.last_id" UpdatesLastId -> Int;
    "UPDATES.inject_barrier" UpdatesInjectBarrier { vm_id: String, id: i64 } -> Unit;
    "UPDATES.remove_barrier" UpdatesRemoveBarrier { id: i64 } -> Unit;
    "UPDATES.refresh_vm" UpdatesRefreshVm { id: String } -> Unit;

    "DEBUG.trigger" DebugTrigger { cmd: String, args: Vec<String> } -> Unit;
    "DEBUG.shutdown" DebugShutdown(unit) -> Unit;

    "Observer.create" ObserverCreate {
        uuid: String, name_label: String, dict: Pairs, endpoints: Vec<String>, bool: bool
    } -> Unit;
    "Observer.destroy" ObserverDestroy { uuid: String } -> Unit;
    "Observer.set_enabled" ObserverSetEnabled { uuid: String, bool: bool } -> Unit;
    "Observer.set_attributes" ObserverSetAttributes { uuid: String, dict: Pairs } -> Unit;
    "Observer.set_endpoints" ObserverSetEndpoints { uuid: String, endpoints: Vec<String> } -> Unit;
    "Observer.init" ObserverInit -> Unit;
    "Observer.set_trace_log_dir" ObserverSetTraceLogDir { string: String } -> Unit;
    "Observer.set_export_interval" ObserverSetExportInterval { float: f64 } -> Unit;
    "Observer.set_export_chunk_size" ObserverSetExportChunkSize { int: i64 } -> Unit;
    "Observer.set_max_spans" ObserverSetMaxSpans { int: i64 } -> Unit;
    "Observer.set_max_traces" ObserverSetMaxTraces { int: i64 } -> Unit;
    "Observer.set_max_depth" ObserverSetMaxDepth { int: i64 } -> Unit;
    "Observer.set_max_file_size" ObserverSetMaxFileSize { int: i64 } -> Unit;
    "Observer.set_host_id" ObserverSetHostId { string: String } -> Unit;
    "Observer.set_compress_tracing_files" ObserverSetCompressTracingFiles { bool: bool } -> Unit;
}

impl Request {
    /// Reads a call. What is wrong with it comes as the error that upstream answers, but for a method
    /// that does not exist, where upstream breaks off and this is `Unimplemented`.
    pub fn decode(method: &str, params: &[Value]) -> Result<Request, Error> {
        // The positional forms of old senders of a migration.
        let second = match method {
            "VM.import_metadata" => "metadata",
            "query" => "unit",
            _ => "",
        };
        if let [debug_info, argument] = params
            && !second.is_empty()
        {
            let named = [("debug_info", debug_info), (second, argument)];
            let named = named.map(|(name, value)| (name.to_owned(), value.clone()));
            return Request::decode_named(method, &Named(Some(&named)));
        }
        let named = match params {
            [Value::Dict(named), ..] => Some(named.as_slice()),
            _ => None,
        };
        Request::decode_named(method, &Named(named))
    }

    /// The method's name, and its one parameter: the dictionary of the named ones.
    pub fn encode(&self) -> (&'static str, Value) {
        let method = self.call.method();
        let mut named = Vec::new();
        add(&mut named, debug_name(method), &self.debug_info);
        self.call.add_parameters(&mut named);
        (method, Value::Dict(named))
    }
}

/// What a method calls its debug text.
fn debug_name(method: &str) -> &'static str {
    if method.starts_with("Observer.") { "dbg" } else { "debug_info" }
}

fn add(named: &mut Vec<(String, Value)>, name: &str, value: &(impl Field + Serialize)) {
    if !value.is_omitted() {
        named.push((name.to_owned(), Value::of(value)));
    }
}

/// The named parameters of a call, if it has any. Unlike a record's keys their names match exactly.
struct Named<'a>(Option<&'a [(String, Value)]>);

impl Named<'_> {
    fn get<T: Field>(&self, name: &str) -> Result<T, Malformed> {
        let Some(named) = self.0 else {
            let text = "Marshalling error: Expecting dict as first argument when named parameters exist";
            return Err(Malformed(text.into()));
        };
        match named.iter().find(|(key, _)| key == name) {
            Some((_, value)) => T::decode_present(value),
            None => T::absent().ok_or_else(|| Malformed(format!("Expecting named argument '{name}'"))),
        }
    }
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encode().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Request, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let (method, params): (String, Value) = Decode::decode(&value).map_err(serde::de::Error::custom)?;
        Request::decode(&method, &[params]).map_err(serde::de::Error::custom)
    }
}
