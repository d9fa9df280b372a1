//! Everything that a host can be asked.

use super::hash::Fingerprint;
use super::{
    Batch, DomId, DomainAct, DomainSpec, Entry, Handle, ImageMode, ImageRecord, Query, Role, Spawn, StorageCall, Token,
    Uuid, Wait,
};
use crate::interface::Disk;
use serde::{Deserialize, Serialize};

/// A request. Unless said otherwise the reply is `Reply::Unit`.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Change xenstore in one transaction; may answer `GuardFailed`.
    Store(Batch),
    /// Read xenstore at one moment; answers `Found`.
    Read(Vec<Query>),
    /// Raise `token` whenever one of these paths or anything below it changes; replaces the token's earlier paths.
    Watch(Token, Vec<String>),
    /// Forget a token; unknown is fine.
    Unwatch(Token),
    /// Tell xenstored of a built domain: its number, ring frame and event channel.
    Introduce(DomId, u64, u64),
    /// Wait; answers `Held`.
    Wait(Wait),
    /// Make an empty, paused domain; answers `Domain`.
    CreateDomain(DomainSpec),
    /// One thing done to a domain; what it answers is said at `DomainAct`.
    Domain(DomId, DomainAct),
    /// Every domain; answers `Domains`.
    ListDomains,
    /// Domains whose handle is this, and tombstones whose `/local/domain/<d>/vm` names it; answers `Domains`.
    FindDomains(Uuid),
    /// Answers `Memory`.
    Memory,
    /// HOST.stat; answers `Host`.
    HostStat,
    /// The hypervisor's console ring; answers `Text`.
    ConsoleRing,
    /// Debug keys to the hypervisor.
    DebugKeys(String),
    /// Start a process.
    Spawn(Box<Spawn>),
    /// One line to a process's standard input.
    Tell(Handle, String),
    /// End the processes of a role for a domain, with its grace period; none is fine. Answered when they are gone.
    Kill(DomId, Role),
    /// Forget what a process said; ends it if it still runs and is of this daemon's life.
    Forget(Handle),
    /// Which roles run for a domain; answers `Roles`.
    Processes(DomId),
    /// Files of a hook directory that may be run, sorted; answers `Names` (none when it is missing).
    Hooks(String),
    /// Ask a domain's device model something (QMP command name, JSON arguments); answers `Text`, JSON.
    Qmp(DomId, String, String),
    /// Move a network interface of dom0 to a bridge, or set its link.
    Link {
        /// Interface, `vif7.0`.
        interface: String,
        /// New bridge.
        bridge: Option<String>,
        /// Up or down.
        up: Option<bool>,
    },
    /// Whether a loop device of dom0 (`/dev/loop3`) has this file behind it, by whatever name; answers `Flag`. A free one
    /// has none.
    IsBehind {
        /// Absolute path.
        file: String,
        /// The loop device.
        device: String,
    },
    /// A storage call; what it answers is said at `StorageCall`.
    Storage(StorageCall),
    /// Open a suspend image.
    OpenImage {
        /// Its number from now on.
        stream: Handle,
        /// Where it is.
        disk: Disk,
        /// What for.
        mode: ImageMode,
    },
    /// Append one record.
    AppendImage(Handle, ImageRecord),
    /// Read one record; answers `Image`.
    ReadImage(Handle),
    /// Make what was written durable.
    SyncImage(Handle),
    /// Close a stream; unknown is fine, and one that opens after this is closed at once.
    CloseStream(Handle),
    /// Remove files, and directories with all that is in them, that programs left (absolute paths); missing is fine.
    RemoveFiles(Vec<String>),
    /// Make record entries durable, in order, all of one request or none of it; part of the driver turn's one
    /// append and sync. Requests are appended in the order they were given.
    Append(Vec<Entry>),
}

impl Request {
    /// Waits hold nothing while they wait: they cost no worker.
    pub fn is_wait(&self) -> bool {
        matches!(self, Request::Wait(_))
    }

    /// Whether it is about what the daemon itself holds: it does not fail, and no abort stops it.
    pub fn is_own(&self) -> bool {
        matches!(self, Request::Unwatch(_) | Request::Forget(_) | Request::CloseStream(_))
    }

    /// Whether it leaves the world as it is.
    pub fn is_read_only(&self) -> bool {
        matches!(
            self,
            Request::Read(_)
                | Request::Wait(_)
                | Request::ListDomains
                | Request::FindDomains(_)
                | Request::Memory
                | Request::HostStat
                | Request::ConsoleRing
                | Request::Processes(_)
                | Request::Hooks(_)
                | Request::IsBehind { .. }
                | Request::ReadImage(_)
                | Request::Storage(StorageCall::List { .. })
                | Request::Domain(_, DomainAct::HasPvCallback | DomainAct::GetShadowAllocation)
        )
    }

    /// A number for comparing what a replayed procedure asks with what it asked.
    pub fn fingerprint(&self) -> u64 {
        Fingerprint::of(self)
    }
}
