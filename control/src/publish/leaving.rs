//! Removed things that workers may still have something left of.

use std::collections::VecDeque;

/// Things that one tick looks at.
const AT_ONCE: usize = 256;

/// Removed things, each with the number of the first snapshot that lacks it.
#[derive(Debug)]
pub(super) struct LeavingQueue<T>(VecDeque<(T, u64)>);

impl<T> LeavingQueue<T> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// `without` is the number of the first snapshot that lacks it.
    pub(super) fn push(&mut self, removal: T, without: u64) {
        self.0.push_back((removal, without));
    }

    /// Looks at the next few, and takes out those whose removal is over.
    pub(super) fn take_over(&mut self, is_over: impl Fn(&T, u64) -> bool) -> Vec<T> {
        let mut over = Vec::new();
        for _ in 0..self.0.len().min(AT_ONCE) {
            let Some((removal, without)) = self.0.pop_front() else {
                break;
            };
            if is_over(&removal, without) {
                over.push(removal);
            } else {
                self.0.push_back((removal, without));
            }
        }
        over
    }
}
