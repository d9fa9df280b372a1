//! The worker pool as a number: how many micro-ops may have a request in flight that is not a wait.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Who draws: an ordinary micro-op, or one that must not starve behind them (looks, clean-up, hard power-offs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purse {
    /// The configured pool.
    Pool,
    /// Kept aside.
    Reserve,
}

/// Who goes first: what is under way is finished before anything is begun, so that what is half done, and all that it
/// remembers, does not grow with the number of VMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has begun.
    UnderWay,
    /// It has not.
    New,
}

/// Requests of the reserve in flight at once.
const RESERVE: u32 = 16;

/// Two purses, each with those who wait for it: what is under way, then what is new, each first come first served.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Budget<T> {
    limit: u32,
    used: [u32; 2],
    waiting: [[VecDeque<T>; 2]; 2],
}

impl<T> Budget<T> {
    /// A pool of this size.
    pub fn new(limit: u32) -> Budget<T> {
        Budget { limit, used: [0; 2], waiting: Default::default() }
    }

    /// The pool's size, as set.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Set the pool's size. Work that has begun goes on even at 0, one request at a time.
    pub fn resize(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Whether an operation that needs the pool may begin.
    pub fn admits(&self) -> bool {
        self.limit > 0 || mutant!(EmptyPoolAdmits)
    }

    fn room(&self, purse: Purse) -> bool {
        let limit = if purse == Purse::Pool { self.limit.max(1) } else { RESERVE };
        self.used[purse as usize] < limit || mutant!(PoolUnbounded)
    }

    /// Take one, or wait in line with what is to be done when there is one.
    pub fn draw(&mut self, purse: Purse, turn: Turn, who: T) -> Option<T> {
        let lines = &self.waiting[purse as usize];
        if !self.room(purse) || lines[..=turn as usize].iter().any(|line| !line.is_empty()) {
            self.waiting[purse as usize][turn as usize].push_back(who);
            return None;
        }
        self.used[purse as usize] += 1;
        Some(who)
    }

    /// Give one back.
    pub fn give_back(&mut self, purse: Purse) {
        assert!(self.used[purse as usize] > 0, "only what was drawn is given back");
        self.used[purse as usize] -= 1;
    }

    /// The next in line for whom there is room, and what it has drawn now.
    pub fn next_turn(&mut self) -> Option<(Purse, T)> {
        for purse in [Purse::Reserve, Purse::Pool] {
            if self.room(purse)
                && let Some(who) = self.waiting[purse as usize].iter_mut().find_map(VecDeque::pop_front)
            {
                self.used[purse as usize] += 1;
                return Some((purse, who));
            }
        }
        None
    }

    /// Take out of the lines all of which this is true.
    pub fn forget(&mut self, mut is: impl FnMut(&T) -> bool) {
        for line in self.waiting.iter_mut().flatten() {
            line.retain(|who| !is(who));
        }
    }

    /// Drawn from the pool and from the reserve.
    pub fn used(&self) -> [u32; 2] {
        self.used
    }

    /// Those who wait, by purse and line.
    pub fn parked(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().flatten().flatten()
    }

    /// Drawn from the pool and from the reserve, and how many wait.
    pub fn state(&self) -> (u32, u32, usize) {
        (self.used[0], self.used[1], self.waiting.iter().flatten().map(VecDeque::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_served_in_order_and_the_reserve_is_apart() {
        let mut budget = Budget::new(1);
        assert_eq!(budget.draw(Purse::Pool, Turn::New, 'a'), Some('a'));
        assert_eq!(budget.draw(Purse::Pool, Turn::New, 'b'), None);
        assert_eq!(budget.draw(Purse::Pool, Turn::New, 'c'), None);
        assert_eq!(budget.draw(Purse::Reserve, Turn::New, 'r'), Some('r'));
        assert_eq!(budget.next_turn(), None);
        budget.give_back(Purse::Pool);
        assert_eq!(budget.draw(Purse::Pool, Turn::New, 'd'), None, "nobody passes the line");
        assert_eq!(budget.next_turn(), Some((Purse::Pool, 'b')));
        budget.forget(|who| *who == 'c');
        budget.give_back(Purse::Pool);
        assert_eq!(budget.next_turn(), Some((Purse::Pool, 'd')));
    }

    #[test]
    fn what_is_under_way_goes_first() {
        let mut budget = Budget::new(1);
        assert_eq!(budget.draw(Purse::Pool, Turn::New, 'a'), Some('a'));
        for (turn, who) in [(Turn::New, 'n'), (Turn::UnderWay, 'u'), (Turn::UnderWay, 'v')] {
            assert_eq!(budget.draw(Purse::Pool, turn, who), None);
        }
        budget.give_back(Purse::Pool);
        assert_eq!(budget.next_turn(), Some((Purse::Pool, 'u')));
        budget.give_back(Purse::Pool);
        assert_eq!(budget.draw(Purse::Pool, Turn::UnderWay, 'w'), None);
        let rest: Vec<_> = std::iter::from_fn(|| {
            let next = budget.next_turn();
            budget.used = [0; 2];
            next
        })
        .map(|(_, who)| who)
        .collect();
        assert_eq!(rest, ['v', 'w', 'n']);
    }

    // Change `self.limit.max(1)` to `self.limit` and work that began at a larger size never ends.
    #[test]
    fn h66_a_pool_of_none_lets_what_began_end() {
        let mut budget = Budget::new(0);
        assert!(!budget.admits());
        assert_eq!(budget.draw(Purse::Pool, Turn::New, 'a'), Some('a'));
        assert_eq!(budget.draw(Purse::Pool, Turn::UnderWay, 'b'), None);
    }
}
