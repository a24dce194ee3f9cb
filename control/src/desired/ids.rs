//! Ids of things that workers keep in arrays.

use std::collections::VecDeque;

/// Hands out the id that is free for the longest time.
#[derive(Debug, Clone)]
pub struct IdPool {
    next: u32,
    most: u32,
    free: VecDeque<u32>,
}

impl IdPool {
    /// Numbers below `most`.
    pub const fn new(most: u32) -> Self {
        Self {
            next: 0,
            most,
            free: VecDeque::new(),
        }
    }

    /// A number that is not in use.
    pub fn take(&mut self) -> Option<u32> {
        self.free.pop_front().or_else(|| {
            let id = self.next;
            (id < self.most).then(|| {
                self.next += 1;
                id
            })
        })
    }

    /// Whether all numbers are in use.
    pub fn is_used_up(&self) -> bool {
        self.next >= self.most && self.free.is_empty()
    }

    /// All numbers that were ever taken are below this one.
    pub const fn end(&self) -> u32 {
        self.next
    }

    /// Gives an id back that no worker uses any more.
    pub fn give_back(&mut self, id: u32) {
        self.free.push_back(id);
    }
}
