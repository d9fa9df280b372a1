//! Operations that several clients of one xenstored do, one after the other, as proptest makes them up.

use proptest::collection::vec;
use proptest::prelude::*;
use xenops_core::host::{Access, Perms};

/// Connections of dom0's; then come the guests.
pub const SOCKETS: usize = 3;
/// Numbers of the guests.
pub const GUESTS: [u32; 2] = [1, 2];
/// Below which everything happens.
pub const ROOT: &str = "/t";

/// What one client does.
#[derive(Clone, Debug)]
pub enum Act {
    Read(String),
    Names(String),
    Permissions(String),
    Write(String, String),
    Mkdir(String),
    Remove(String),
    SetPermissions(String, Perms),
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A connection of dom0's does something; within its transaction, if it has one and so it is said.
    Act(usize, bool, Act),
    /// A guest reads, writes or removes.
    Guest(usize, Act),
    Watch(usize, String),
    Unwatch(usize, String),
    Begin(usize),
    End(usize, bool),
    /// A guest dies, and another comes that has its number.
    Die(usize),
}

/// Few names, so that they meet.
fn path() -> impl Strategy<Value = String> {
    let first = prop_oneof![Just("g1"), Just("g2"), Just("p"), Just("a")];
    let name = prop_oneof![4 => Just("a"), 3 => Just("b"), 1 => Just("a-longer-name"), 1 => Just("ab")];
    (first, vec(name, 0..4))
        .prop_map(|(first, names)| names.iter().fold(format!("{ROOT}/{first}"), |path, name| format!("{path}/{name}")))
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("0".to_owned()), "[a-z é]{1,6}"]
}

fn permissions() -> impl Strategy<Value = Perms> {
    let access = || prop_oneof![Just(Access::None), Just(Access::Read), Just(Access::Write), Just(Access::Both)];
    let acl = proptest::collection::btree_map(0..4u32, access(), 0..3);
    (0..3u32, access(), acl).prop_map(|(owner, others, acl)| Perms { owner, others, acl: acl.into_iter().collect() })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => path().prop_map(Act::Read),
        2 => path().prop_map(Act::Names),
        1 => path().prop_map(Act::Permissions),
        5 => (path(), value()).prop_map(|(path, value)| Act::Write(path, value)),
        2 => path().prop_map(Act::Mkdir),
        2 => path().prop_map(Act::Remove),
        2 => (path(), permissions()).prop_map(|(path, perms)| Act::SetPermissions(path, perms)),
    ]
}

fn guests_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => path().prop_map(Act::Read),
        3 => (path(), value()).prop_map(|(path, value)| Act::Write(path, value)),
        1 => path().prop_map(Act::Remove),
    ]
}

/// A sequence of them.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let socket = || 0..SOCKETS;
    let guest = || 0..GUESTS.len();
    let step = prop_oneof![
        20 => (socket(), any::<bool>(), act()).prop_map(|(who, within, act)| Step::Act(who, within, act)),
        6 => (guest(), guests_act()).prop_map(|(who, act)| Step::Guest(who, act)),
        4 => (socket(), path()).prop_map(|(who, path)| Step::Watch(who, path)),
        1 => (socket(), path()).prop_map(|(who, path)| Step::Unwatch(who, path)),
        3 => socket().prop_map(Step::Begin),
        3 => (socket(), proptest::bool::weighted(0.8)).prop_map(|(who, commit)| Step::End(who, commit)),
        1 => guest().prop_map(Step::Die),
    ];
    vec(step, 1..40)
}
