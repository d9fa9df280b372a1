//! Hashes of states that differ only in names: domain numbers, moments and the VMs' own identities are recognised by
//! their values, wherever they stand, and hashed as what they stand for.
//!
//! An exploration's domain numbers, moments and identities are of ranges that nothing else is in. A domain is called
//! by its VM and by how many domains that VM was given since; a VM by its place, which equal VMs may exchange; a
//! moment by how far off it is, and one that has passed by its age in steps of ten seconds.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use xenops_core::host::hash::Fingerprint;
use xenops_core::host::time::SECOND;
use xenops_core::host::{Canonical, DomId};

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
/// Handles are numbers up to here.
const HANDLES: u64 = 256;
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

/// What names stand for at one moment, with equal VMs in some order.
#[derive(Clone, Copy, Debug)]
pub struct Meaning<'a> {
    names: &'a Names,
    now: u64,
    vms: [u8; MOST_VMS + 1],
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

    /// The same names at a moment, with the VMs in this order.
    pub fn at(&self, now: u64, order: &[u8]) -> Meaning<'_> {
        let mut vms = [u8::MAX; MOST_VMS + 1];
        vms[1..=order.len()].copy_from_slice(order);
        Meaning { names: self, now, vms }
    }
}

impl Meaning<'_> {
    fn resolve(&self, token: Token) -> u64 {
        let Names { domains, count } = self.names;
        let vm = |place: u8| self.vms.get(usize::from(place)).copied().map_or(u64::MAX, u64::from);
        match token {
            Token::Domain(domid) => match domains.get((domid - FIRST_DOMAIN) as usize) {
                Some((place, serial)) if *place != u8::MAX => {
                    1 << 40 | vm(*place) << 8 | u64::from(count[usize::from(*place)] - serial)
                }
                _ => 2 << 40 | u64::from(domid),
            },
            Token::Vm(place, second) => 3 << 40 | vm(place) << 8 | u64::from(second),
        }
    }

    fn moment(&self, at: u64) -> u64 {
        match at.checked_sub(self.now) {
            Some(to_come) => 4 << 60 | to_come,
            None => (5 << 60) | ((self.now - at) / AGES),
        }
    }
}

/// A name that was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Domain(DomId),
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
#[derive(Clone)]
pub struct Canon<'a> {
    print: Fingerprint,
    names: &'a Meaning<'a>,
    memo: &'a Memo,
    /// What comes next is left out.
    skips: bool,
    /// Small numbers are all the same.
    blurs: bool,
}

impl<'a> Canon<'a> {
    /// A fresh one.
    pub fn new(names: &'a Meaning<'a>, memo: &'a Memo) -> Canon<'a> {
        Canon { print: Fingerprint::new(), names, memo, skips: false, blurs: false }
    }

    /// One to which all small numbers are the same, and so all handles.
    pub fn blurred(self) -> Canon<'a> {
        Canon { blurs: true, ..self }
    }

    fn number(&mut self, n: u64) {
        if n < u64::from(FIRST_DOMAIN) {
            self.print.write_u64(if self.blurs && n < HANDLES { HANDLES } else { n });
        } else if (FIRST_PLACE..FIRST_PLACE + MOST_VMS as u64).contains(&n) {
            let place = (n - FIRST_PLACE) as u8 + 1;
            self.print.write_u64(self.names.resolve(Token::Vm(place, 1)));
        } else if n <= u64::from(LAST_DOMAIN) {
            self.print.write_u64(self.names.resolve(Token::Domain(n as DomId)));
        } else if (EPOCH..2 * EPOCH).contains(&n) {
            self.print.write_u64(self.names.moment(n));
        } else {
            self.print.write_u64(n);
        }
    }

    /// A text that was digested before.
    pub fn digest(&mut self, digest: &Digest) {
        self.print.write_u64(digest.hash);
        for token in digest.names.iter() {
            self.print.write_u64(self.names.resolve(*token));
        }
    }

    /// Many that were summed.
    pub fn sums(&mut self, sums: &Sums) {
        self.digests(sums.0.iter());
    }

    /// Many of them, in no order.
    pub fn digests<'d>(&mut self, digests: impl Iterator<Item = &'d Digest>) {
        let sum = digests.fold(0_u64, |sum, digest| {
            let mut one = self.clone();
            one.digest(digest);
            sum.wrapping_add(one.print.finish())
        });
        self.print.write_u64(sum);
    }
}

/// Values under these names are drawn, or moments as texts.
const DRAWN: [&[u8]; 2] = [b"unique-domain-id", b"create-time"];

/// Whether what stands under this name is drawn.
pub fn is_drawn(name: &[u8]) -> bool {
    DRAWN.iter().any(|drawn| name.ends_with(drawn))
}

impl Hasher for Canon<'_> {
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
            return self.print.write_u64(self.names.resolve(Token::Vm(*place, *second)));
        }
        scan(bytes, &mut |piece| match piece {
            Piece::Text(text) => self.print.write(text),
            Piece::Name(token) => self.print.write_u64(self.names.resolve(token)),
        });
        self.skips = is_drawn(bytes);
    }

    fn write_u8(&mut self, n: u8) {
        self.print.write_u8(n);
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
        self.print.write_usize(n);
    }

    fn write_isize(&mut self, n: isize) {
        self.print.write_isize(n);
    }
}

impl Canonical for Canon<'_> {
    fn shared<T: Debug + Send + Sync + 'static>(&mut self, content: &Arc<T>) {
        let address = Arc::as_ptr(content).addr();
        if let Some((_, digest)) = self.memo.kept.borrow().get(&address) {
            return self.digest(digest);
        }
        let digest = self.memo.digest(content);
        self.digest(&digest);
        let mut kept = self.memo.kept.borrow_mut();
        if kept.len() >= KEPT {
            kept.clear();
        }
        // Kept with it, so that nothing else comes to stand at its address.
        kept.insert(address, (content.clone(), digest));
    }

    fn debug(&mut self, value: &dyn Debug) {
        let digest = self.memo.digest(value);
        self.digest(&digest);
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
