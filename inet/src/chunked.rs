//! A vector whose copies share all chunks that did not change.

use std::sync::Arc;

/// Elements of a chunk: as many are copied by one change.
const CHUNK: usize = 64;

/// A copy-on-write vector in chunks. Cloning it copies one pointer. Changing an element copies the
/// array of pointers and one chunk.
#[derive(Debug, Clone)]
pub(crate) struct Chunked<T> {
    chunks: Arc<Vec<Arc<[Option<T>; CHUNK]>>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
        }
    }
}

impl<T: Copy> Chunked<T> {
    /// The element at `index`, if one was set.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.place(index)?.as_ref()
    }

    /// The place of an element, whether it was set or not, so that the caller tests both the place
    /// and its content in one match.
    #[inline]
    pub(crate) fn place(&self, index: usize) -> Option<&Option<T>> {
        Some(&self.chunks.get(index / CHUNK)?[index % CHUNK])
    }

    /// Sets or clears an element. The vector grows as needed.
    pub(crate) fn set(&mut self, index: usize, value: Option<T>) {
        let chunks = Arc::make_mut(&mut self.chunks);
        while chunks.len() <= index / CHUNK {
            chunks.push(Arc::new([None; CHUNK]));
        }
        Arc::make_mut(&mut chunks[index / CHUNK])[index % CHUNK] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_not_seen_by_an_earlier_clone() {
        let mut now = Chunked::default();
        now.set(70, Some('a'));
        let before = now.clone();
        now.set(70, Some('b'));
        now.set(500, Some('c'));
        assert_eq!((before.get(70), before.get(500)), (Some(&'a'), None));
        assert_eq!(
            (now.get(70), now.get(500), now.get(0)),
            (Some(&'b'), Some(&'c'), None)
        );
    }
}
