//! An array of shards whose copies share all shards that did not change.

use std::sync::Arc;

/// `N` shards, copied on write. Cloning copies one pointer. A change copies the array of pointers
/// and one shard, unless nobody else has them. The caller chooses the shard of a key by a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharded<S, const N: usize> {
    shards: Arc<[Arc<S>]>,
}

impl<S: Default, const N: usize> Default for Sharded<S, N> {
    fn default() -> Self {
        let empty: Arc<S> = Arc::default();
        Self {
            shards: (0..N).map(|_| Arc::clone(&empty)).collect(),
        }
    }
}

impl<S, const N: usize> Sharded<S, N> {
    /// The shard of a key with this hash.
    #[inline]
    pub fn of(&self, hash: usize) -> &S {
        &self.shards[hash % N]
    }

    /// All shards.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.shards.iter().map(|shard| &**shard)
    }
}

impl<S: Clone, const N: usize> Sharded<S, N> {
    /// The shard of a key with this hash, to be changed. Copies that were made earlier keep what
    /// they have.
    pub fn of_mut(&mut self, hash: usize) -> &mut S {
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[hash % N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_not_seen_by_an_earlier_copy_and_copies_one_shard() {
        let mut now: Sharded<Vec<char>, 4> = Sharded::default();
        now.of_mut(1).push('a');
        now.of_mut(2).push('b');
        let before = now.clone();
        now.of_mut(1 + 4).push('c');
        assert_eq!((before.of(1), now.of(1)), (&vec!['a'], &vec!['a', 'c']));
        assert!(std::ptr::eq(before.of(2), now.of(2)));
        assert_eq!(now.iter().flatten().count(), 3);
    }
}
