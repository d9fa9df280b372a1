//! `src/lessons.md` against the source: all hazards are in it, and what it names is there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const HAZARDS: u32 = 74;

fn core() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn lessons() -> String {
    fs::read_to_string(core().join("src/lessons.md")).unwrap()
}

/// A row of a table.
#[derive(Clone, Debug)]
struct Row {
    /// Its hazard's number, or that of a report.
    what: String,
    hazard: Option<u32>,
    rule: String,
    tests: Vec<String>,
    mutants: Vec<String>,
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows() -> Vec<Row> {
    let text = lessons();
    let mut rows = Vec::new();
    let mut of_hazards = false;
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [what, rule, tests, mutants] = cells[..] else { panic!("four cells: {line}") };
        if rule == "rule of ours" {
            of_hazards = what == "hazard";
            continue;
        }
        let number = || what.split(' ').next().unwrap().parse().expect("a hazard's number comes first");
        let hazard = of_hazards.then(number);
        let rule = rule.to_owned();
        rows.push(Row { what: what.to_owned(), hazard, rule, tests: quoted(tests), mutants: quoted(mutants) });
    }
    rows
}

fn sources(dir: &Path, into: &mut BTreeMap<PathBuf, String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.insert(path.clone(), fs::read_to_string(path).unwrap());
        }
    }
}

/// All sources; whether the other crates are beside core.
fn house() -> (BTreeMap<PathBuf, String>, bool) {
    let (mut all, root) = (BTreeMap::new(), core().parent().unwrap().to_owned());
    let names = ["io-sim", "io-xen"];
    for name in ["core"].into_iter().chain(names) {
        sources(&root.join(name), &mut all);
    }
    (all, names.iter().all(|name| root.join(name).is_dir()))
}

/// Names of tests.
fn tests(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim_start) {
        marked |= line == "#[test]";
        if let Some(rest) = line.strip_prefix("fn ").filter(|_| marked) {
            found.extend(rest.split(['(', '<']).next());
            marked = false;
        }
    }
    found
}

/// The hazard that a test is named after.
fn named_after(test: &str) -> Option<u32> {
    let (number, _) = test.strip_prefix('h')?.split_once('_')?;
    if number.len() == 2 { number.parse().ok() } else { None }
}

/// Mutants, and what each is of.
fn mutants() -> BTreeMap<String, String> {
    let list = fs::read_to_string(core().join("src/mutant/list.rs")).unwrap();
    let parse = |line: &str| {
        let (head, rest) = line.trim().split_once(" \"")?;
        let (name, rest) = rest.split_once("\" of \"")?;
        let (of, _) = rest.split_once("\": \"")?;
        head.chars().all(char::is_alphanumeric).then(|| (name.to_owned(), of.to_owned()))
    };
    list.lines().filter_map(parse).collect()
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_hazard_has_one_row_and_each_row_a_test_or_a_reason() {
    let rows = rows();
    let mut numbers: Vec<_> = rows.iter().filter_map(|row| row.hazard).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=HAZARDS).collect::<Vec<_>>());
    let says_why = |row: &Row| ["does not apply", "no test of its own"].iter().any(|why| row.rule.contains(why));
    let bare = rows.iter().filter(|row| row.tests.is_empty() && !says_why(row));
    none(bare.map(|row| format!("no test and no reason: {}", row.what)).collect());
}

#[test]
fn what_is_named_is_in_the_source() {
    let (house, whole) = house();
    let tests: BTreeSet<_> = house.values().flat_map(|text| tests(text)).collect();
    assert!(tests.len() > 100, "the walk finds the tests");
    let rule_is_checked = |name: &str| {
        let quoted = format!("\"{name}\"");
        house.iter().any(|(path, text)| path.iter().any(|part| part == "io-sim") && text.contains(&quoted))
    };
    let is_rule = |name: &str| name.strip_prefix(['S', 'L', 'H']).is_some_and(|number| number.parse::<u32>().is_ok());
    let mut wrong = Vec::new();
    for row in rows() {
        for name in &row.tests {
            // What is not in core may be in a crate that is not here.
            let there = if is_rule(name) { rule_is_checked(name) } else { tests.contains(name.as_str()) };
            if whole && !there {
                wrong.push(format!("no such test or rule of the oracle: {name} ({})", row.what));
            }
        }
        for file in quoted(&row.rule).iter().filter(|name| name.ends_with(".rs")) {
            let inside = core().join("src").join(file).exists();
            if !inside && (whole || !file.starts_with("io-")) && !core().parent().unwrap().join(file).exists() {
                wrong.push(format!("no such file: {file} ({})", row.what));
            }
        }
    }
    none(wrong);
}

#[test]
fn who_is_named_after_a_hazard_is_in_its_row() {
    let (house, _) = house();
    let rows: BTreeMap<_, _> = rows().into_iter().filter_map(|row| Some((row.hazard?, row))).collect();
    let listed = |number: u32, name: &str| {
        rows.get(&number).is_some_and(|row| row.tests.iter().chain(&row.mutants).any(|listed| listed == name))
    };
    let mut wrong = Vec::new();
    for name in house.values().flat_map(|text| tests(text)) {
        if named_after(name).is_some_and(|number| !listed(number, name)) {
            wrong.push(format!("test {name} is not in the row of its hazard"));
        }
    }
    for (name, of) in mutants() {
        let number = of.strip_prefix('H').and_then(|number| number.parse().ok());
        if number.is_some_and(|number| !listed(number, &name)) {
            wrong.push(format!("mutant {name} is of {of} and not in its row"));
        }
    }
    none(wrong);
}

#[test]
fn each_mutant_stands_for_a_row_or_for_a_law_alone() {
    let mutants = mutants();
    assert!(mutants.len() > 60, "the list is found: {}", mutants.len());
    let mut named: BTreeSet<_> = rows().into_iter().flat_map(|row| row.mutants).collect();
    none(named.iter().filter(|name| !mutants.contains_key(*name)).map(|name| format!("no mutant {name}")).collect());
    let text = lessons();
    let closing = text.lines().find(|line| line.starts_with("Mutants that stand for a law")).unwrap();
    for name in quoted(closing) {
        assert!(mutants.contains_key(&name), "no mutant {name}");
        assert!(named.insert(name.clone()), "{name} stands for a row");
    }
    none(mutants.keys().filter(|name| !named.contains(*name)).map(|name| format!("{name} is in no row")).collect());
}
