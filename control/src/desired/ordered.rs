//! A map that remembers the order in which its entries were made.

use std::collections::BTreeMap;
use std::hash::Hash;

use ahash::AHashMap;

/// Entries by their key, shown in the order they were added.
///
/// Each call takes O(log N). Cloning takes O(N): the dests of a service that a snapshot or a
/// transaction shares are cloned at their first change. Adding N dests by one transaction is
/// O(N log N); by N calls, each of which is published, it is O(N^2).
#[derive(Debug, Clone)]
pub struct Ordered<K, V> {
    entries: BTreeMap<u64, (K, V)>,
    order: AHashMap<K, u64>,
    next: u64,
}

impl<K, V> Default for Ordered<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            order: AHashMap::new(),
            next: 0,
        }
    }
}

impl<K: Hash + Eq + Copy, V> Ordered<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is an entry of this key.
    pub fn contains(&self, key: &K) -> bool {
        self.order.contains_key(key)
    }

    /// The entry of this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = self.order.get(key)?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// The entry of this key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.order.get(key)?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Adds an entry at the end, or replaces the one of this key where it is.
    pub fn insert(&mut self, key: K, value: V) {
        let next = self.next;
        let at = *self.order.entry(key).or_insert(next);
        if at == next {
            self.next += 1;
        }
        self.entries.insert(at, (key, value));
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.order.remove(key)?;
        self.entries.remove(&at).map(|(_, value)| value)
    }

    /// All keys, in the order they were added.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.values().map(|(key, _)| key)
    }

    /// All entries, in the order they were added.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|(_, value)| value)
    }

    /// All entries, to be changed, in the order they were added.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_entry_keeps_its_place_and_a_new_one_comes_last() {
        let mut map = Ordered::default();
        for key in [3, 1, 2] {
            map.insert(key, key * 10);
        }
        map.insert(3, 33);
        assert_eq!(map.remove(&1), Some(10));
        map.insert(1, 11);
        assert_eq!(map.values().copied().collect::<Vec<_>>(), [33, 20, 11]);
        assert_eq!(map.keys().copied().collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!((map.get(&2), map.len()), (Some(&20), 3));
    }
}
