//! Hashes of states that differ only in names: domain numbers, moments and the VMs' own identities are recognised by
//! their values, wherever they stand, and hashed as what they stand for.
//!
//! An exploration's domain numbers, handles, moments and identities are of ranges that nothing else is in. A domain is
//! called by its VM and by how many domains that VM was given since; a handle by its VM and which of its handles it is; a
//! VM by its place, which equal VMs may exchange ([`Tape`]); a moment by how far off it is, and one that has passed by
//! its age in steps of ten seconds.

mod tape;

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use tape::Step;
pub use tape::Tape;
use xenops_core::host::hash::Fingerprint;
use xenops_core::host::nodes::Listing;
use xenops_core::host::time::SECOND;
use xenops_core::host::{Canonical, DomId, Handle};

/// The first domain's number.
pub const FIRST_DOMAIN: DomId = 20_001;
/// Numbers up to here are domains.
const LAST_DOMAIN: DomId = 20_099;
/// The host's monotonic clock when an exploration begins, in nanoseconds.
pub const EPOCH: u64 = 1 << 50;
/// How exactly the age of what has passed is told.
const AGES: u64 = 10 * SECOND;
/// VMs of one exploration at most.
pub const MOST_VMS: usize = 7;
/// Numbers of VMs' places in the machine begin here.
const FIRST_PLACE: u64 = 1 << 32;
/// Values that are kept by their address.
const KEPT: usize = 8192;

/// Whose each domain number is.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By number: whose, and which of its domains.
    domains: Vec<(u8, u8)>,
    /// By VM, from 1.
    count: [u8; MOST_VMS + 1],
}

impl Names {
    /// A domain was made for the VM in this place.
    pub fn made(&mut self, domid: DomId, place: usize) {
        let at = (domid - FIRST_DOMAIN) as usize;
        let vm = place + 1;
        self.domains.resize(self.domains.len().max(at + 1), (u8::MAX, 0));
        self.count[vm] += 1;
        self.domains[at] = (vm as u8, self.count[vm]);
    }

    /// The host has been started again: its numbers begin anew.
    pub fn forget(&mut self) {
        self.domains.clear();
        self.count = [0; MOST_VMS + 1];
    }

    /// What a name stands for but for its VM, and that VM's place from 1; 0 where there is none.
    fn resolve(&self, token: Token) -> (u64, u8) {
        match token {
            Token::Domain(domid) => match self.domains.get((domid - FIRST_DOMAIN) as usize) {
                Some((place, serial)) if *place != u8::MAX => {
                    (1 << 40 | u64::from(self.count[usize::from(*place)] - serial), *place)
                }
                _ => (2 << 40 | u64::from(domid), 0),
            },
            Token::Handle(place, nth) => (5 << 40 | u64::from(nth) << 16, place),
            Token::Vm(place, second) if usize::from(place) <= MOST_VMS => (3 << 40 | u64::from(second), place),
            Token::Vm(place, second) => (4 << 40 | u64::from(place) << 8 | u64::from(second), 0),
        }
    }
}

/// A name that was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Domain(DomId),
    /// The VM's place, and which of its handles; all are the same where they are blurred.
    Handle(u8, u16),
    /// A VM's place, and which of its identities; 0 for what only bears its number.
    Vm(u8, u8),
}

/// A text's hash, but for the names in it, and those.
#[derive(Clone, Debug)]
pub struct Digest {
    hash: u64,
    names: Arc<[Token]>,
}

/// Sums of many digests: those with the same names have one.
#[derive(Clone, Debug, Default)]
pub struct Sums(Arc<[Digest]>);

impl<'d> FromIterator<&'d Digest> for Sums {
    fn from_iter<I: IntoIterator<Item = &'d Digest>>(digests: I) -> Sums {
        let mut sums: Vec<Digest> = Vec::new();
        for digest in digests {
            match sums.iter_mut().find(|sum| sum.names == digest.names) {
                Some(sum) => sum.hash = sum.hash.wrapping_add(digest.hash),
                None => sums.push(digest.clone()),
            }
        }
        Sums(sums.into())
    }
}

type Kept = HashMap<usize, (Arc<dyn Any + Send + Sync>, Digest), BuildHasherDefault<Fingerprint>>;

/// Hashes of values that many states share.
#[derive(Default)]
pub struct Memo {
    kept: RefCell<Kept>,
    text: RefCell<String>,
}

/// The hasher.
pub struct Canon<'a> {
    /// Of the words since the last step.
    print: Fingerprint,
    /// Whether there are any.
    any: bool,
    steps: Vec<Step>,
    names: &'a Names,
    now: u64,
    memo: &'a Memo,
    /// What comes next is left out.
    skips: bool,
    /// A VM's handles are all the same.
    blurs: bool,
    /// Which VM is which is left open.
    opens: bool,
}

impl<'a> Canon<'a> {
    /// A fresh one, to which VMs are called by their places.
    pub fn new(names: &'a Names, now: u64, memo: &'a Memo) -> Canon<'a> {
        let (print, steps) = (Fingerprint::new(), Vec::new());
        Canon { print, any: false, steps, names, now, memo, skips: false, blurs: false, opens: false }
    }

    /// One that leaves open which VM is which.
    pub fn open(self) -> Canon<'a> {
        Canon { opens: true, ..self }
    }

    /// One to which all handles of a VM are the same.
    pub fn blurred(self) -> Canon<'a> {
        Canon { blurs: true, ..self }
    }

    /// Whether it is such a one.
    pub fn is_blurred(&self) -> bool {
        self.blurs
    }

    /// What was hashed.
    pub fn tape(mut self) -> Tape {
        self.cut();
        Tape(self.steps)
    }

    fn word(&mut self, word: u64) {
        self.any = true;
        self.print.write_u64(word);
    }

    /// What comes next is a step of its own.
    fn cut(&mut self) {
        if std::mem::take(&mut self.any) {
            self.steps.push(Step::Word(std::mem::take(&mut self.print).finish()));
        }
    }

    fn name(&mut self, token: Token) {
        let (name, place) = self.names.resolve(token);
        if self.opens && place > 0 {
            self.cut();
            self.steps.push(Step::Name(name, place));
        } else {
            self.word(name | u64::from(place) << 8);
        }
    }

    fn moment(&mut self, at: u64) {
        self.word(match at.checked_sub(self.now) {
            Some(to_come) => 4 << 60 | to_come,
            None => (5 << 60) | ((self.now - at) / AGES),
        });
    }

    fn number(&mut self, n: u64) {
        if n < u64::from(FIRST_DOMAIN) {
            self.word(n);
        } else if (FIRST_PLACE..FIRST_PLACE + MOST_VMS as u64).contains(&n) {
            self.name(Token::Vm((n - FIRST_PLACE) as u8 + 1, 1));
        } else if n <= u64::from(LAST_DOMAIN) {
            self.name(Token::Domain(n as DomId));
        } else if (EPOCH..2 * EPOCH).contains(&n) {
            self.moment(n);
        } else if let Some((place, nth)) = handle(n) {
            self.name(Token::Handle(place, if self.blurs { 0 } else { nth }));
        } else {
            self.word(n);
        }
    }

    /// A text that was digested before.
    pub fn digest(&mut self, digest: &Digest) {
        self.word(digest.hash);
        digest.names.iter().for_each(|token| self.name(*token));
    }

    /// Many that were summed.
    pub fn sums(&mut self, sums: &Sums) {
        self.digests(sums.0.iter());
    }

    /// Many of them, in no order.
    pub fn digests<'d>(&mut self, digests: impl Iterator<Item = &'d Digest>) {
        self.unordered(digests, |hash, digest| hash.digest(digest));
    }

    fn kept<T: Send + Sync + 'static>(&mut self, content: &Arc<T>, make: impl FnOnce() -> Digest) {
        let memo = self.memo;
        let address = Arc::as_ptr(content).addr();
        if let Some((_, digest)) = memo.kept.borrow().get(&address) {
            return self.digest(digest);
        }
        let digest = make();
        self.digest(&digest);
        let mut kept = memo.kept.borrow_mut();
        if kept.len() >= KEPT {
            kept.clear();
        }
        // Kept with it, so that nothing else comes to stand at its address.
        kept.insert(address, (content.clone(), digest));
    }
}

/// Whose handle a number is, by the VM's place from 1, and which of its handles.
fn handle(n: u64) -> Option<(u8, u16)> {
    let (place, nth) = Handle(n).parts().filter(|(place, _)| *place < MOST_VMS)?;
    Some((place as u8 + 1, u16::try_from(nth).ok()?))
}

/// Values under these names are drawn, or moments as texts.
const DRAWN: [&[u8]; 2] = [b"unique-domain-id", b"create-time"];

/// Whether what stands under this name is drawn.
pub fn is_drawn(name: &[u8]) -> bool {
    DRAWN.iter().any(|drawn| name.ends_with(drawn))
}

impl Hasher for Canon<'_> {
    /// Of what was written since a name was left open.
    fn finish(&self) -> u64 {
        self.print.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        if std::mem::take(&mut self.skips) {
            return;
        }
        if let [0x5e, 0xed, .., place, second] = bytes
            && bytes.len() == 16
        {
            return self.name(Token::Vm(*place, *second));
        }
        scan(bytes, &mut |piece| match piece {
            Piece::Text(text) => {
                self.any = true;
                self.print.write(text);
            }
            Piece::Name(token) => self.name(token),
        });
        self.skips = is_drawn(bytes);
    }

    fn write_u8(&mut self, n: u8) {
        self.word(u64::from(n));
    }

    fn write_u16(&mut self, n: u16) {
        self.number(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.number(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.number(n);
    }

    fn write_i64(&mut self, n: i64) {
        self.number(n as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.word(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.word(n as u64);
    }
}

impl Canonical for Canon<'_> {
    fn shared<T: Debug + Send + Sync + 'static>(&mut self, content: &Arc<T>) {
        let memo = self.memo;
        self.kept(content, || memo.digest(content));
    }

    fn listing(&mut self, content: &Arc<Listing>) {
        self.kept(content, || {
            let texts = content.iter().flat_map(|(path, value)| {
                let (path, value) = (path.as_bytes(), value.as_bytes());
                [path, if is_drawn(path) { b"" } else { value }]
            });
            Digest::of(&texts.collect::<Vec<_>>())
        });
    }

    fn debug(&mut self, value: &dyn Debug) {
        let digest = self.memo.digest(value);
        self.digest(&digest);
    }

    fn unordered<T>(&mut self, parts: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        let (mut sum, mut count, skips) = (0_u64, 0_u64, self.skips);
        let (outer, begins) = ((self.print, self.any), self.steps.len());
        self.cut();
        self.steps.push(Step::Open);
        (self.print, self.any) = (Fingerprint::new(), false);
        let first = self.steps.len();
        for part in parts {
            let before = self.steps.len();
            each(self, part);
            // Parts without a name are the same whichever VM is which.
            if self.steps.len() == before {
                sum = sum.wrapping_add(std::mem::take(&mut self.print).finish());
                self.any = false;
            } else {
                self.cut();
                self.steps.push(Step::Part);
            }
            self.skips = skips;
            count += 1;
        }
        if self.steps.len() == first {
            self.steps.truncate(begins);
            (self.print, self.any) = outer;
        } else {
            self.steps.push(Step::Close);
        }
        self.word(sum);
        self.word(count);
    }
}

impl Memo {
    fn digest(&self, value: &dyn Debug) -> Digest {
        let mut text = self.text.borrow_mut();
        text.clear();
        write!(text, "{value:?}").expect("a string takes all");
        Digest::of(&[text.as_bytes()])
    }
}

impl Digest {
    /// Of texts in order.
    pub fn of(texts: &[&[u8]]) -> Digest {
        let (mut print, mut names) = (Fingerprint::new(), Vec::new());
        for text in texts {
            scan(text, &mut |piece| match piece {
                Piece::Text(text) => print.write(text),
                Piece::Name(token) => {
                    let at = names.iter().position(|name| *name == token).unwrap_or(names.len());
                    if at == names.len() {
                        names.push(token);
                    }
                    print.write_usize(at);
                }
            });
        }
        Digest { hash: print.finish(), names: names.into() }
    }
}

enum Piece<'a> {
    Text(&'a [u8]),
    Name(Token),
}

/// Bytes with which something begins that is not taken as it stands.
const fn interesting() -> [bool; 256] {
    let mut table = [false; 256];
    let bytes = b"25v(lc";
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}

const INTERESTING: [bool; 256] = interesting();

/// Cuts a text into names and what is between them.
fn scan<'a>(bytes: &'a [u8], each: &mut impl FnMut(Piece<'a>)) {
    let (mut from, mut at) = (0, 0);
    while at < bytes.len() {
        if !INTERESTING[usize::from(bytes[at])] {
            at += 1;
            continue;
        }
        match recognised(bytes, at) {
            None => at += 1,
            Some((token, length)) => {
                if from < at {
                    each(Piece::Text(&bytes[from..at]));
                }
                if let Some(token) = token {
                    each(Piece::Name(token));
                }
                at += length;
                from = at;
            }
        }
    }
    if from < at || bytes.is_empty() {
        each(Piece::Text(&bytes[from..]));
    }
}

/// What stands here, if it is a name or left out, and how long it is.
fn recognised(bytes: &[u8], at: usize) -> Option<(Option<Token>, usize)> {
    let rest = &bytes[at..];
    let before = at.checked_sub(1).map(|before| bytes[before]);
    match rest[0] {
        b'2' => {
            let [b'2', b'0', b'0', tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] = rest else { return None };
            if before.is_some_and(|byte| byte.is_ascii_digit()) || rest.get(5).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            let number = 20_000 + u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
            (number >= FIRST_DOMAIN).then_some((Some(Token::Domain(number)), 5))
        }
        b'5' if rest.len() >= 36 && rest.starts_with(b"5eed0000-0000-4000-8000-") => {
            let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
            let byte = |at: usize| digit(rest[at]) << 4 | digit(rest[at + 1]);
            Some((Some(Token::Vm(byte(32), byte(34))), 36))
        }
        b'v' => match rest {
            [b'v', b'm', place @ b'1'..=b'9', next @ ..] => {
                let alone = !next.first().is_some_and(u8::is_ascii_alphanumeric);
                (alone && !before.is_some_and(|byte| byte.is_ascii_alphanumeric()))
                    .then_some((Some(Token::Vm(place - b'0', 0)), 3))
            }
            _ => None,
        },
        b'(' => until(rest, b"((time ", b')'),
        b'l' => until(rest, b"last_start_time", b','),
        // Whether there was any tells whether a guest has run.
        b'c' if rest.starts_with(b"cpu_time: 0,") => None,
        b'c' => until(rest, b"cpu_time: ", b','),
        _ => None,
    }
}

fn until(rest: &[u8], begins: &[u8], end: u8) -> Option<(Option<Token>, usize)> {
    if !rest.starts_with(begins) {
        return None;
    }
    let length = rest.iter().position(|byte| *byte == end).unwrap_or(rest.len());
    Some((None, length))
}
