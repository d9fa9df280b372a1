//! The vocabulary a micro-op speaks to its host: requests, conditions, replies.
//!
//! A request is a small thing that a host does in one go. `io-xen` maps each to a system call or two,
//! `io-sim` applies each to a model; neither decides anything.

pub mod canonical;
pub mod condition;
pub mod domain;
pub mod facts;
pub mod fault;
pub mod hash;
pub mod image;
pub mod memory;
pub mod nodes;
pub mod outcome;
pub mod process;
pub mod record;
pub mod reply;
pub mod request;
pub mod storage;
pub mod store;
pub mod time;
pub mod uuid;
pub mod watch;

pub use canonical::Canonical;
pub use condition::{Condition, View, Wait};
pub use domain::{DomId, DomainAct, DomainInfo, DomainSpec, Flavour, ShutdownCode};
pub use facts::HostFacts;
pub use fault::Fault;
pub use image::{ImageMode, ImageRecord};
pub use memory::Memory;
pub use nodes::{Listing, Nodes};
pub use outcome::Outcome;
pub use process::{Exit, Handle, Process, Role, Spawn};
pub use record::Entry;
pub use reply::{Found, Reply};
pub use request::Request;
pub use storage::{Attached, Datapath, StorageCall};
pub use store::{Access, Batch, Change, Guard, Perms, Query};
pub use time::Now;
pub use uuid::Uuid;
pub use watch::Token;
