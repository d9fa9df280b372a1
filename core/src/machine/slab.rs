//! Numbered places that are reused, under numbers that are not.

use serde::{Deserialize, Serialize};

/// A number holds its place's index below and its turn above, so that a stale one finds nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    filled: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Place<T> {
    turn: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new(), filled: 0 }
    }
}

impl<T> Slab<T> {
    /// Fill a place.
    pub(crate) fn insert(&mut self, value: T) -> u64 {
        self.filled += 1;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.places.push(Place { turn: 0, value: None });
                u32::try_from(self.places.len() - 1).expect("bounded by what clients may grow")
            }
        };
        let place = &mut self.places[index as usize];
        place.turn += 1;
        place.value = Some(value);
        number(place.turn, index)
    }

    /// Empty a place; nothing if the number is stale.
    pub(crate) fn remove(&mut self, key: u64) -> Option<T> {
        let (turn, index) = parts(key);
        let place = self.places.get_mut(index as usize).filter(|place| place.turn == turn)?;
        let value = place.value.take()?;
        self.free.push(index);
        self.filled -= 1;
        Some(value)
    }

    /// What a number names.
    pub(crate) fn get(&self, key: u64) -> Option<&T> {
        let (turn, index) = parts(key);
        self.places.get(index as usize).filter(|place| place.turn == turn)?.value.as_ref()
    }

    /// What a number names, to change.
    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        let (turn, index) = parts(key);
        self.places.get_mut(index as usize).filter(|place| place.turn == turn)?.value.as_mut()
    }

    /// How many places are filled.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Whether none is.
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Numbers and values, by place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.places
            .iter()
            .enumerate()
            .filter_map(|(index, place)| Some((number(place.turn, index as u32), place.value.as_ref()?)))
    }
}

fn number(turn: u32, index: u32) -> u64 {
    // The top bit stays free: `effect::straggler_token` uses it.
    u64::from(turn & 0x7fff_ffff) << 32 | u64::from(index)
}

/// A number's place, for tables beside the slab.
pub(crate) fn place(key: u64) -> usize {
    parts(key).1 as usize
}

fn parts(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_number_finds_nothing() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_ne!(first, second);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
        assert_eq!(slab.len(), 1);
    }
}
