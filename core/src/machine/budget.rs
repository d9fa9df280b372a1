//! The worker pool as a number: how many micro-ops may have a request in flight that is not a wait.

use std::collections::VecDeque;

/// Who draws: an ordinary micro-op, or one that must not starve behind them (looks, clean-up, hard power-offs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse {
    /// The configured pool.
    Pool,
    /// Kept aside.
    Reserve,
}

/// Requests of the reserve in flight at once.
const RESERVE: u32 = 16;

/// Two purses, each with those who wait for it, first come first served.
#[derive(Clone, Debug)]
pub struct Budget<T> {
    limit: u32,
    used: [u32; 2],
    waiting: [VecDeque<T>; 2],
}

impl<T> Budget<T> {
    /// A pool of this size.
    pub fn new(limit: u32) -> Budget<T> {
        Budget { limit, used: [0; 2], waiting: [VecDeque::new(), VecDeque::new()] }
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
    pub fn draw(&mut self, purse: Purse, who: T) -> Option<T> {
        if !self.room(purse) || !self.waiting[purse as usize].is_empty() {
            self.waiting[purse as usize].push_back(who);
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
                && let Some(who) = self.waiting[purse as usize].pop_front()
            {
                self.used[purse as usize] += 1;
                return Some((purse, who));
            }
        }
        None
    }

    /// Take out of the lines all of which this is true.
    pub fn forget(&mut self, mut is: impl FnMut(&T) -> bool) {
        for line in &mut self.waiting {
            line.retain(|who| !is(who));
        }
    }

    /// Drawn from the pool and from the reserve, and how many wait.
    pub fn state(&self) -> (u32, u32, usize) {
        (self.used[0], self.used[1], self.waiting[0].len() + self.waiting[1].len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_served_in_order_and_the_reserve_is_apart() {
        let mut budget = Budget::new(1);
        assert_eq!(budget.draw(Purse::Pool, 'a'), Some('a'));
        assert_eq!(budget.draw(Purse::Pool, 'b'), None);
        assert_eq!(budget.draw(Purse::Pool, 'c'), None);
        assert_eq!(budget.draw(Purse::Reserve, 'r'), Some('r'));
        assert_eq!(budget.next_turn(), None);
        budget.give_back(Purse::Pool);
        assert_eq!(budget.draw(Purse::Pool, 'd'), None, "nobody passes the line");
        assert_eq!(budget.next_turn(), Some((Purse::Pool, 'b')));
        budget.forget(|who| *who == 'c');
        budget.give_back(Purse::Pool);
        assert_eq!(budget.next_turn(), Some((Purse::Pool, 'd')));
    }

    // Change `self.limit.max(1)` to `self.limit` and work that began at a larger size never ends.
    #[test]
    fn h66_a_pool_of_none_lets_what_began_end() {
        let mut budget = Budget::new(0);
        assert!(!budget.admits());
        assert_eq!(budget.draw(Purse::Pool, 'a'), Some('a'));
        assert_eq!(budget.draw(Purse::Pool, 'b'), None);
    }
}
