//! What a call that succeeded is answered.

use super::decode::Decode;
use super::device_id::DeviceId;
use super::dynamic::{self, Barrier};
use super::malformed::Malformed;
use super::value::Value;
use super::{Host, Pci, Query, Task, Vbd, Vgpu, Vif, Vm, Vusb, pci, vbd, vgpu, vif, vm, vusb};
use std::sync::Arc;

/// The kinds of answer, each with its values: none is null on the wire, several are a sequence.
macro_rules! answers {
    ($($(#[$doc:meta])* $kind:ident $(($($arg:ident : $ty:ty),+))?,)+) => {
        /// What a call that succeeded is answered.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Answer {
            $($(#[$doc])* $kind $(($($ty),+))?),+
        }

        /// The type of an answer, which each method has one of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum Kind {
            $($(#[$doc])* $kind),+
        }

        impl Answer {
            /// Its type.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Answer::$kind { .. } => Kind::$kind),+
                }
            }

            /// Reads an answer of the type that its method has.
            #[allow(unused_parens, reason = "one value needs none, a row of them does")]
            pub fn decode(kind: Kind, value: &Value) -> Result<Answer, Malformed> {
                Ok(match kind {
                    $(Kind::$kind => {
                        let ($($($arg),+)?) = Decode::decode(value)?;
                        Answer::$kind $(($($arg),+))?
                    })+
                })
            }
        }

        impl serde::Serialize for Answer {
            #[allow(unused_parens, reason = "one value needs none, a row of them does")]
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Answer::$kind $(($($arg),+))? => ($($($arg),+)?).serialize(serializer)),+
                }
            }
        }
    };
}

answers! {
    /// Nothing.
    Unit,
    /// The task that does it.
    TaskId(id: String),
    /// Text.
    Text(text: String),
    /// Yes or no.
    Bool(yes: bool),
    /// A number.
    Int(number: i64),
    /// Who answers.
    Query(query: Query),
    /// A task.
    Task(task: Box<Task>),
    /// Tasks.
    Tasks(tasks: Vec<Task>),
    /// The host.
    Host(host: Arc<Host>),
    /// The name of a device.
    DeviceId(id: DeviceId),
    /// A VM.
    Vm(vm: Arc<Vm>, state: Box<vm::State>),
    /// VMs.
    Vms(vms: Vec<(Arc<Vm>, vm::State)>),
    /// A block device.
    Vbd(vbd: Arc<Vbd>, state: vbd::State),
    /// Block devices.
    Vbds(vbds: Vec<(Arc<Vbd>, vbd::State)>),
    /// A network interface.
    Vif(vif: Arc<Vif>, state: vif::State),
    /// Network interfaces.
    Vifs(vifs: Vec<(Arc<Vif>, vif::State)>),
    /// A passed-through device.
    Pci(pci: Arc<Pci>, state: pci::State),
    /// Passed-through devices.
    Pcis(pcis: Vec<(Arc<Pci>, pci::State)>),
    /// A virtual GPU.
    Vgpu(vgpu: Arc<Vgpu>, state: vgpu::State),
    /// Virtual GPUs.
    Vgpus(vgpus: Vec<(Arc<Vgpu>, vgpu::State)>),
    /// A passed-through USB device.
    Vusb(vusb: Arc<Vusb>, state: vusb::State),
    /// Passed-through USB devices.
    Vusbs(vusbs: Vec<(Arc<Vusb>, vusb::State)>),
    /// What has changed: barriers, objects, and the number to ask from next.
    Updates(barriers: Vec<Barrier>, ids: Vec<dynamic::Id>, next: i64),
}
