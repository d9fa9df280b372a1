//! Tests of the options.

use super::*;

fn args(list: &[&str]) -> Vec<String> {
    list.iter().map(|arg| (*arg).to_owned()).collect()
}

fn apply(list: &[&str]) -> Result<Options, Failure> {
    let mut options = Options::new();
    assert!(options.apply_arguments(args(list))?.is_none());
    Ok(options)
}

#[test]
fn no_key_stands_twice_and_defaults_are_of_their_kind() {
    for (at, key) in KEYS.iter().enumerate() {
        assert_eq!(find(key.name), Some(at), "{} stands twice", key.name);
        assert!(key.kind.admits(key.default) || key.role == Role::Accepted, "{}: {}", key.name, key.default);
    }
}

#[test]
fn arguments_come_in_both_forms() {
    let options = apply(&["--worker-pool-size=16", "--queue", "a.b", "--persist", "false"]).unwrap();
    assert_eq!((options.int("worker-pool-size"), options.text("queue"), options.flag("persist")), (16, "a.b", false));
}

#[test]
fn bad_command_lines_have_upstreams_status() {
    for bad in [
        &["--nonsense=1"][..],
        &["--worker-pool-size=many"],
        &["--persist=yes"],
        &["--hotplug_timeout=soon"],
        &["--hotplug_timeout=inf"],
        &["--queue"],
        &["start"],
    ] {
        assert_eq!(apply(bad).unwrap_err().status, 123, "{bad:?}");
    }
}

#[test]
fn help_and_version_are_printed_at_once() {
    for (arg, shown) in [("--help", "--sockets-path=PATH"), ("--version", env!("CARGO_PKG_VERSION"))] {
        match Options::read(args(&[arg, "--nonsense"])).unwrap() {
            Asked::Print(text) => assert!(text.contains(shown), "{text}"),
            other => panic!("{arg}: {other:?}"),
        }
    }
}

#[test]
fn lines_of_a_file() {
    for (line, parsed) in [
        ("queue = a", Some(("queue", "a"))),
        ("  queue=a  # why", Some(("queue", "a"))),
        ("queue = \"a b \"  ", Some(("queue", "a b "))),
        ("queue = 'a'", Some(("queue", "a"))),
        ("queue = 'a\"", Some(("queue", "'a\""))),
        ("queue = a=b", Some(("queue", "a=b"))),
        ("queue =", Some(("queue", ""))),
        ("# queue = a", None),
        ("queue", None),
        ("", None),
    ] {
        assert_eq!(parse_line(line), parsed, "{line:?}");
    }
}

#[test]
fn files_win_over_the_command_line_and_fragments_over_files() {
    let directory = std::env::temp_dir().join(format!("xenopsd-options-{}", std::process::id()));
    let fragments = directory.join("conf.d");
    fs::create_dir_all(&fragments).unwrap();
    let file = directory.join("xenopsd.conf");
    fs::write(&file, "queue = file\nworker-pool-size = 5\npersist = false\nsimulate = true\nconfig = /other\n")
        .unwrap();
    fs::write(fragments.join("10-b"), "worker-pool-size = 7").unwrap();
    fs::write(fragments.join("05-a"), "worker-pool-size = 6\npidfile = /x").unwrap();
    let asked = Options::read(args(&[
        "--queue=line",
        "--hotplug_timeout=1.5",
        &format!("--config={}", file.display()),
        &format!("--config-dir={}", fragments.display()),
    ]));
    fs::write(&file, "persist = maybe").unwrap();
    let refused = Options::read(args(&["--config", file.to_str().unwrap()])).unwrap_err();
    fs::remove_dir_all(&directory).unwrap();

    let Asked::Run(options) = asked.unwrap() else { panic!("not to be run") };
    assert_eq!((options.text("queue"), options.int("worker-pool-size")), ("file", 7));
    assert_eq!((options.flag("persist"), options.seconds("hotplug_timeout")), (false, 1.5));
    let remarks: Vec<String> = options.remarks().collect();
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    assert!(remarks[0].ends_with("line 4: unknown key simulate is ignored"), "{remarks:?}");
    assert!(remarks[1].starts_with("pidfile is accepted"), "{remarks:?}");
    assert_eq!(refused.status, 125);
    assert!(refused.text.ends_with("line 1: persist: \"maybe\" is not true or false"), "{}", refused.text);
}
