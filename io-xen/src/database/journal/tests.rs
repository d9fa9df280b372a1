//! Tests of the journal: cut and damaged at every byte.

use super::*;
use crate::scratch::Scratch;
use proptest::collection::vec;
use proptest::prelude::*;

fn entry(key: &str, value: Option<&str>) -> Entry {
    Entry { key: key.to_owned(), value: value.map(str::to_owned) }
}

fn frames(appends: &[Vec<Entry>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    appends.iter().for_each(|entries| frame::encode(&mut bytes, entries));
    bytes
}

fn appends() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    let value = prop::option::of("[ -~\n\"\\\\é]{0,40}");
    let entry = ("VM/[a-c]/config", value).prop_map(|(key, value)| Entry { key, value });
    vec(vec(entry, 0..4), 1..6)
}

// What a prefix of these appends holds: after `whole` of them.
fn first(appends: &[Vec<Entry>], whole: usize) -> Vec<Entry> {
    appends[..whole].concat()
}

fn open(root: &Path) -> (Journal, Held) {
    Journal::open(root).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn cut_anywhere_it_holds_what_was_whole_and_goes_on(appends in appends()) {
        let scratch = Scratch::new("journal-cut");
        let (mut journal, _) = open(scratch.path());
        let mut ends = vec![TITLE.len()];
        for append in &appends {
            journal.append(&frames(std::slice::from_ref(append))).unwrap();
            ends.push(journal.length() as usize);
        }
        let path = scratch.path().join(NAME);
        let bytes = fs::read(&path).unwrap();
        prop_assert_eq!(bytes.len(), *ends.last().unwrap());
        let later = vec![entry("extra/later", Some("{}"))];
        for cut in 0..=bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            let (mut journal, held) = open(scratch.path());
            prop_assert_eq!(&held.entries, &first(&appends, whole), "cut at {}", cut);
            let begun = if cut < TITLE.len() { 0 } else { ends[whole] };
            prop_assert_eq!((held.cut, held.set_aside), (cut - begun, None), "cut at {}", cut);
            journal.append(&frames(std::slice::from_ref(&later))).unwrap();
            let (_, held) = open(scratch.path());
            prop_assert_eq!(held.entries, [first(&appends, whole), later.clone()].concat());
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn damage_costs_what_follows_it_which_is_set_aside(appends in appends(), at in any::<prop::sample::Index>()) {
        let scratch = Scratch::new("journal-damage");
        let (mut journal, _) = open(scratch.path());
        let mut ends = vec![TITLE.len()];
        for append in &appends {
            journal.append(&frames(std::slice::from_ref(append))).unwrap();
            ends.push(journal.length() as usize);
        }
        let path = scratch.path().join(NAME);
        let mut bytes = fs::read(&path).unwrap();
        let at = TITLE.len() + at.index(bytes.len() - TITLE.len());
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let whole = ends.iter().filter(|end| **end <= at).count() - 1;
        let (_, held) = open(scratch.path());
        prop_assert_eq!(&held.entries, &first(&appends, whole));
        match held.set_aside {
            Some(aside) => prop_assert_eq!(fs::read(aside).unwrap(), &bytes[ends[whole]..]),
            // Nothing good follows: a tail like any other.
            None => prop_assert_eq!((whole + 1, held.cut), (appends.len(), bytes.len() - ends[whole])),
        }
    }
}

#[test]
fn a_stranger_is_not_overwritten() {
    let scratch = Scratch::new("journal-stranger");
    for text in ["xenops journal 2\n", "something else", "xenops journalist"] {
        fs::write(scratch.path().join(NAME), text).unwrap();
        assert_eq!(Journal::open(scratch.path()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
        assert_eq!(fs::read_to_string(scratch.path().join(NAME)).unwrap(), text);
    }
}

#[test]
fn begun_anew_it_holds_what_is_alive() {
    let scratch = Scratch::new("journal-anew");
    let (mut journal, _) = open(scratch.path());
    journal.append(&frames(&[vec![entry("VM/a/config", Some("1"))]])).unwrap();
    let alive = vec![entry("VM/a/config", Some("2")), entry("extra/a", None)];
    let mut journal =
        Journal::begin(scratch.path(), &alive).unwrap_or_else(|error| panic!("{error} after {journal:?}"));
    let later = vec![entry("intent/a", Some("3"))];
    journal.append(&frames(std::slice::from_ref(&later))).unwrap();
    assert_eq!(open(scratch.path()).1.entries, [alive, later].concat());
}

/// A disk that is full after so many bytes, and on which cutting may fail as well.
#[derive(Debug, Default)]
struct SmallDisk {
    bytes: Vec<u8>,
    room: usize,
    cannot_cut: bool,
    cannot_sync: bool,
}

impl Medium for SmallDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend(&bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.cannot_sync { Err(io::Error::other("worn out")) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.cannot_cut {
            return Err(io::Error::other("worn out"));
        }
        self.bytes.truncate(length as usize);
        Ok(())
    }
}

fn on(medium: SmallDisk) -> Journal<SmallDisk> {
    Journal { length: medium.bytes.len() as u64, medium, broken: None }
}

#[test]
fn h69_a_full_disk_refuses_the_append_and_keeps_the_rest() {
    // Fails when `Journal::append` does not cut after an error: half a frame hides all that follow it.
    let small = frames(&[vec![entry("extra/a", Some("{}"))]]);
    let large = frames(&[vec![entry("VM/a/config", Some(&"x".repeat(200)))]]);
    for room in small.len() * 2..small.len() + large.len() {
        let mut journal = on(SmallDisk { room, ..SmallDisk::default() });
        journal.append(&small).unwrap();
        assert!(matches!(journal.append(&large), Err(Fault::NoSpace(_))), "room for {room}");
        journal.append(&small).unwrap();
        assert_eq!(journal.medium.bytes, [small.clone(), small.clone()].concat(), "room for {room}");
    }
}

#[test]
fn what_cannot_be_taken_back_closes_the_journal() {
    let frames = frames(&[vec![entry("extra/a", Some("{}"))]]);
    for medium in [
        SmallDisk { room: 5, cannot_cut: true, ..SmallDisk::default() },
        SmallDisk { room: 500, cannot_sync: true, ..SmallDisk::default() },
    ] {
        let mut journal = on(medium);
        assert!(matches!(journal.append(&frames), Err(Fault::Io(_))));
        journal.medium = SmallDisk { room: 500, ..SmallDisk::default() };
        let Err(Fault::Io(why)) = journal.append(&frames) else { panic!("taken") };
        assert!(why.starts_with("journal is closed: "), "{why}");
        assert!(journal.medium.bytes.is_empty());
    }
}
