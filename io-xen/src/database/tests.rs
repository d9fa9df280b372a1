//! Tests of the database: what was answered is there after any end.

use super::*;
use crate::inbox::{Arrival, Inbox};
use crate::scratch::Scratch;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use xenops_core::machine::EffectId;

type Records = BTreeMap<String, String>;

fn open(root: &Path, in_memory: bool) -> (Database, Records) {
    let (mut database, records) = Database::open(root).unwrap();
    database.disk.as_mut().unwrap().in_memory = in_memory;
    (database, records.into_iter().map(|entry| (entry.key, entry.value.unwrap())).collect())
}

// Appends each on its own, and answers what came of them.
async fn append(database: &Database, appends: Vec<Vec<Entry>>) -> Vec<Outcome> {
    let inbox = Rc::new(Inbox::default());
    let mut outcomes = Vec::new();
    for (number, entries) in appends.into_iter().enumerate() {
        database.append(vec![(Promise::new(EffectId(number as u64), inbox.clone()), entries)]);
        while inbox.is_empty() {
            inbox.bell().heard().await;
        }
        match inbox.pop() {
            Some(Arrival::Answered(_, outcome)) => outcomes.push(outcome),
            other => panic!("{other:?}"),
        }
    }
    outcomes
}

fn apply(records: &mut Records, entries: &[Entry]) {
    for Entry { key, value } in entries.iter().cloned() {
        match value {
            Some(text) => records.insert(key, text),
            None => records.remove(&key),
        };
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Entry>),
    Level,
    BeginJournal,
    Kill,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof!["VM/[ab]/(config|vbd\\.xvda)", "extra/[ab]", "intent/[ab]"];
    let entry = (key, prop::option::of("[0-9]{1,5}")).prop_map(|(key, value)| Entry { key, value });
    let entry = entry.prop_map(|mut entry| {
        entry.value = entry.value.map(|digits| format!("{{\"a\":\"{digits}\"}}"));
        entry
    });
    prop_oneof![
        6 => vec(entry, 1..4).prop_map(Step::Append),
        1 => Just(Step::Level),
        1 => Just(Step::BeginJournal),
        1 => Just(Step::Kill),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn what_was_answered_is_there_after_any_end(steps in vec(step(), 1..20), in_memory in any::<bool>()) {
        let scratch = Scratch::new("database");
        let mut expected = Records::new();
        let (mut database, _) = open(scratch.path(), in_memory);
        for step in steps.into_iter().chain([Step::Stop]) {
            match step {
                Step::Append(entries) => {
                    let tend = async { database.tend().await; unreachable!("nobody closed it") };
                    let outcomes = smol::block_on(smol::future::or(append(&database, vec![entries.clone()]), tend));
                    prop_assert_eq!(outcomes, [Outcome::Ok(Reply::Unit)]);
                    apply(&mut expected, &entries);
                }
                Step::Level => { smol::block_on(database.disk.as_ref().unwrap().level()); }
                Step::BeginJournal => database.disk.as_ref().unwrap().begin_journal(),
                Step::Kill | Step::Stop => {
                    if matches!(step, Step::Stop) {
                        database.close();
                        smol::block_on(database.tend());
                        let mut on_disk = directory::Directory::new(scratch.path()).read().unwrap().records;
                        on_disk.extend(expected.iter().filter(|(key, _)| key.starts_with("intent/")).map(|(k, t)| (k.clone(), t.clone())));
                        prop_assert_eq!(&on_disk, &expected, "the directory is level");
                    }
                    drop(database);
                    let records;
                    (database, records) = open(scratch.path(), in_memory);
                    prop_assert_eq!(&records, &expected);
                }
            }
        }
    }
}

#[test]
fn a_long_journal_begins_anew() {
    let scratch = Scratch::new("database-bound");
    let (database, _) = open(scratch.path(), true);
    let text = format!("\"{}\"", "x".repeat(1 << 20));
    let entries = vec![Entry { key: "extra/a".into(), value: Some(text.clone()) }];
    for _ in 0..40 {
        assert_eq!(smol::block_on(append(&database, vec![entries.clone()])), [Outcome::Ok(Reply::Unit)]);
        assert!(fs::metadata(scratch.path().join(journal::NAME)).unwrap().len() < 10 << 20);
    }
    drop(database);
    assert_eq!(open(scratch.path(), true).1, Records::from([("extra/a".into(), text)]));
}

#[test]
fn a_name_outside_the_root_is_refused_alone() {
    let scratch = Scratch::new("database-name");
    let (database, _) = open(scratch.path(), true);
    let entry = |key: &str| vec![Entry { key: key.into(), value: Some("1".into()) }];
    let outcomes = smol::block_on(append(&database, vec![entry("VM/../../evil/config"), entry("extra/a")]));
    assert!(matches!(outcomes[..], [Outcome::Refused(_), Outcome::Ok(Reply::Unit)]), "{outcomes:?}");
}
