//! A state's hash in which it is open which VM is which: written once, and read with the VMs in any order.

use std::hash::Hasher;
use xenops_core::host::hash::Fingerprint;

/// What is hashed next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Words with no name among them, as one.
    Word(u64),
    /// A name of the VM in this place, from 1, which stands in its second byte.
    Name(u64, u8),
    /// Parts in no order begin.
    Open,
    /// One of them ends.
    Part,
    /// So do all.
    Close,
}

/// The hash.
#[derive(Clone, Debug)]
pub struct Tape(pub(super) Vec<Step>);

impl Tape {
    /// With the VM in each place called so.
    pub fn read(&self, order: &[u8]) -> u64 {
        let vm = |place: u8| order.get(usize::from(place) - 1).copied().map_or(u64::MAX, u64::from);
        let (mut print, mut sum, mut outer) = (Fingerprint::new(), 0_u64, Vec::new());
        for step in &self.0 {
            match *step {
                Step::Word(word) => print.write_u64(word),
                Step::Name(name, place) => print.write_u64(name | vm(place) << 8),
                Step::Open => outer.push((std::mem::take(&mut print), std::mem::take(&mut sum))),
                Step::Part => sum = sum.wrapping_add(std::mem::take(&mut print).finish()),
                Step::Close => {
                    let parts = sum;
                    (print, sum) = outer.pop().expect("what is closed was opened");
                    print.write_u64(parts);
                }
            }
        }
        print.finish()
    }
}
