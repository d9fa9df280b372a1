//! Rules of xenstored, by table.

use super::*;
use xenops_core::host::Access;

fn store(pairs: &[(&str, &str)]) -> Store {
    let mut store = Store::new();
    for (path, value) in pairs {
        store.write(path, (*value).to_owned());
    }
    store
}

fn raised(store: &mut Store) -> Vec<u64> {
    let mut tokens: Vec<u64> = store.take_raised().into_iter().map(|token| token.0).collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

#[test]
fn parents_are_made_and_siblings_sorted() {
    let store = store(&[("/a/b/long-name-one", "1"), ("/a/b/long-name", "2"), ("/a/b/7", "3"), ("/a/b/70", "4")]);
    assert_eq!(store.value("/a/b"), Some(""));
    assert_eq!(store.children("/a/b"), Some(vec!["7", "70", "long-name", "long-name-one"]));
    assert_eq!(store.children("/a/c"), None);
    let tree = |depth, limit| match store.query(&Query::Tree { path: "/a".to_owned(), depth, limit }) {
        Found::Tree(tree) => tree.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(tree(1, 9), ["b="]);
    assert_eq!(tree(2, 3), ["b=", "b/7=3", "b/70=4"]);
}

#[test]
fn a_batch_is_all_or_nothing() {
    let mut store = store(&[("/a", "1")]);
    let mut batch = Batch::new();
    batch.guard(Guard::Equals("/a".to_owned(), "2".to_owned())).write("/b", "x");
    assert_eq!(store.apply(batch), Ok(false));
    let mut batch = Batch::new();
    batch.write("/b", "x").write("/b//c", "y");
    assert!(store.apply(batch).is_err());
    let mut batch = Batch::new();
    batch.write("/b", "x").write("/c", "y".repeat(MESSAGE));
    assert!(matches!(store.apply(batch), Err(Fault::NoSpace(_))));
    let mut batch = Batch::new();
    batch.write("/b", "x").remove("/");
    assert!(matches!(store.apply(batch), Err(Fault::Other(_))), "xenstoreds do not agree on that");
    assert!(!store.exists("/b"), "nothing of it was applied");
    let mut batch = Batch::new();
    batch
        .guard(Guard::Exists("/a".to_owned()))
        .guard(Guard::Absent("/b".to_owned()))
        .write("/b", "x")
        .remove("/nowhere");
    assert_eq!(store.apply(batch), Ok(true));
}

#[test]
fn paths() {
    for (path, fine) in [
        ("/", true),
        ("/a/b-c_d@e", true),
        ("", false),
        ("a", false),
        ("/a/", false),
        ("/a//b", false),
        ("//", false),
        ("/a b", false),
        ("/a:b", false),
        ("/é", false),
    ] {
        assert_eq!(valid(path), fine, "{path}");
    }
}

#[test]
fn watches_fire_for_what_they_cover() {
    let mut store = store(&[("/a/b/c", "1"), ("/x", "1")]);
    for (token, path) in [(1, "/a"), (2, "/a/b"), (3, "/a/b/c"), (4, "/a/b/new/deep"), (5, "/x")] {
        store.watch(Token(token), &[path.to_owned()]);
    }
    type Step = (&'static str, fn(&mut Store), &'static [u64]);
    let steps: &[Step] = &[
        ("a change below", |store| store.write("/a/b/c", "2".to_owned()), &[1, 2, 3]),
        ("the same value", |store| store.write("/a/b/c", "2".to_owned()), &[1, 2, 3]),
        ("a node beside", |store| store.write("/a/z", String::new()), &[1]),
        ("a node above the watched one", |store| store.mkdir("/a/b/new"), &[1, 2]),
        ("mkdir of what exists", |store| store.mkdir("/a/b/new"), &[]),
        ("a watched node appears", |store| store.mkdir("/a/b/new/deep/er"), &[1, 2, 4]),
        ("permissions", |store| store.set_perms("/a/b", Perms::owned(1)), &[1, 2]),
        ("a parent goes", |store| store.remove("/a"), &[1, 2, 3, 4]),
        ("nothing goes", |store| store.remove("/a"), &[]),
        ("a parent of nothing comes", |store| store.mkdir("/a/b/new"), &[1, 2]),
        ("a parent of nothing goes", |store| store.remove("/a/b/new"), &[1, 2]),
        ("and the rest", |store| store.remove("/a"), &[1, 2]),
        ("it comes again", |store| store.write("/a/b/c", String::new()), &[1, 2, 3]),
        ("unwatched", |store| store.unwatch(Token(1)), &[]),
        ("watched no more", |store| store.write("/a", String::new()), &[]),
    ];
    for (what, step, expected) in steps {
        step(&mut store);
        assert_eq!(raised(&mut store), *expected, "{what}");
    }
    store.watch(Token(5), &["/y".to_owned()]);
    store.write("/x", String::new());
    assert!(raised(&mut store).is_empty(), "new paths replace the old ones");
}

#[test]
fn nothing_is_left_of_watches_and_removed_nodes() {
    let mut store = Store::new();
    store.watch(Token(1), &["/p/q/r".to_owned()]);
    assert!(!store.exists("/p"), "a watched path is not there");
    store.write("/p/q/r/s", String::new());
    store.remove("/p");
    store.unwatch(Token(1));
    assert_eq!(store.children("/"), Some(vec![]));
    store.watch(Token(2), &["/twice".to_owned(), "/twice".to_owned()]);
    store.unwatch(Token(2));
    assert_eq!(store.tree.all().count(), 1, "only the root");
}

#[test]
fn children_inherit_and_guests_own_what_they_make() {
    let mut store = store(&[("/g", ""), ("/closed", "")]);
    store.set_perms("/g", Perms { owner: 0, others: Access::None, acl: vec![(1, Access::Both)] });
    assert_eq!(store.write_as(1, "/g/x/y", "v"), Ok(()));
    assert_eq!(store.perms("/g/x").map(|perms| perms.owner), Some(1));
    assert_eq!(store.perms("/g/x/y").map(|perms| perms.acl.clone()), Some(vec![(1, Access::Both)]));
    store.write("/g/z", String::new());
    assert_eq!(store.perms("/g/z").map(|perms| perms.owner), Some(0), "dom0's child is as its parent");
    for (domid, path, expected) in [
        (1, "/g/x/y", Ok(())),
        (1, "/closed/a", Err(Denied::Access)),
        (2, "/g/x", Err(Denied::Access)),
        (0, "/closed/a", Ok(())),
        (1, "/g/", Err(Denied::Invalid)),
    ] {
        assert_eq!(store.write_as(domid, path, "1"), expected, "{domid} {path}");
    }
    assert_eq!(store.read_as(1, "/closed"), Err(Denied::Access));
    assert_eq!(store.read_as(1, "/none"), Err(Denied::Access), "who may not read above may not know");
    assert_eq!(store.read_as(1, "/g/x/none/deep"), Err(Denied::Missing));
    assert_eq!(store.read_as(1, "/g//x"), Err(Denied::Invalid));
    assert_eq!(store.remove_as(1, "/g/x/none"), Ok(()), "nothing to remove, where it could");
    assert_eq!(store.remove_as(1, "/g/x/none/deep"), Err(Denied::Missing));
    assert_eq!(store.remove_as(1, "/closed/none"), Err(Denied::Access));
    store.set_perms("/closed", Perms::world_readable());
    assert_eq!(store.read_as(9, "/closed"), Ok(""));
    assert_eq!(store.remove_as(9, "/closed"), Err(Denied::Access));
    assert_eq!(store.remove_as(1, "/g/x"), Ok(()));
    assert_eq!(store.owned(1), 0);
}

#[test]
fn guests_have_quotas_and_dom0_has_none() {
    let mut store = store(&[("/g", "")]);
    store.set_perms("/g", Perms::owned(1));
    assert_eq!(store.write_as(1, "/g/big", &"x".repeat(NODE + 1)), Err(Denied::Quota));
    let made = (0..2 * NODES).take_while(|i| store.write_as(1, &format!("/g/{i}"), "").is_ok()).count();
    assert_eq!(made as u32, NODES - 1, "its home counts too");
    assert_eq!(store.write_as(1, "/g/0", "more"), Ok(()), "what is there may change");
    store.write("/g/dom0", "x".repeat(NODE + 1));
    assert_eq!(store.owned(1), NODES + 1);
    store.remove("/g");
    assert_eq!(store.owned(1), 0);
}

#[test]
fn the_dead_own_nothing() {
    let mut store = store(&[("/local/domain/7/own/deep", "1"), ("/local/domain/7/name", "n"), ("/elsewhere", "1")]);
    store.set_perms("/local/domain/7/own", Perms::owned(7));
    store.set_perms("/local/domain/7/name", Perms::readable(0, 7));
    store.set_perms("/elsewhere", Perms::owned(7));
    store.write("/other", String::new());
    store.set_perms("/other", Perms::readable(0, 7));
    store.watch(Token(1), &["/local/domain/7/own/deep".to_owned()]);
    store.raised.clear();
    store.bury(7);
    assert_eq!(store.read_as(7, "/other"), Err(Denied::Access), "the next domain 7 is another");
    assert_eq!(raised(&mut store), [1]);
    assert_eq!(store.children("/local/domain/7"), Some(vec!["name"]));
    assert_eq!(store.perms("/local/domain/7/name"), Some(&Perms::dom0()));
    assert!(!store.exists("/elsewhere"));
    assert_eq!(store.owned(7), 0);
}
