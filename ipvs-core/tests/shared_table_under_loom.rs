//! The table that one worker writes and others read meanwhile (`src/state/shared_table.rs`), with
//! loom's atomics: loom tries every order of the threads' steps, and every value that the memory
//! model of C11 lets a load see. The file is compiled here once more for that.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the files are compiled whole, and only a part of each is tested here"
)]

use loom::sync::Arc;
use loom::sync::atomic::Ordering::Relaxed;
use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::thread;

#[path = "../src/state/shared_table.rs"]
mod shared_table;
#[path = "../src/time.rs"]
mod time;

use shared_table::{Entry, SharedTable};
use time::Tick;

/// What `src/state/atomics.rs` has, of loom.
mod atomics {
    pub(super) use core::default::Default as Zeroed;
    pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, fence};

    pub(super) fn zeroed<T: Zeroed>(count: usize) -> Box<[T]> {
        (0..count).map(|_| T::default()).collect()
    }
}

/// An entry of two numbers, which are always written as equals.
#[derive(Debug, Default)]
struct Pair {
    key: AtomicU64,
    expires: AtomicU32,
    generation: AtomicU32,
    numbers: [AtomicU32; 2],
}

impl Entry for Pair {
    fn key(&self) -> &AtomicU64 {
        &self.key
    }
    fn expires(&self) -> &AtomicU32 {
        &self.expires
    }
    fn generation(&self) -> &AtomicU32 {
        &self.generation
    }
}

/// The worker that owns the table puts a pair into the slot of the first key's pair.
fn replace(table: &SharedTable<Pair>, old_key: u64, key: u64, number: u32) {
    let slot = match table.find(old_key) {
        Some(slot) => slot,
        None => table.place_for(key, Tick(0)),
    };
    table.clear(slot);
    for place in &slot.numbers {
        place.store(number, Relaxed);
    }
    table.publish(slot, key);
}

fn read(table: &SharedTable<Pair>, key: u64) -> Option<[u32; 2]> {
    table.read(key, |slot| {
        [slot.numbers[0].load(Relaxed), slot.numbers[1].load(Relaxed)]
    })
}

#[test]
fn a_reader_gets_a_whole_entry_or_none_while_the_owner_replaces_it() {
    loom::model(|| {
        let table = Arc::new(SharedTable::<Pair>::new(1));
        replace(&table, 1, 1, 10);
        let reader = {
            let table = Arc::clone(&table);
            thread::spawn(move || (read(&table, 1), read(&table, 2)))
        };
        replace(&table, 1, 2, 20);
        let (old, new) = reader.join().unwrap();
        assert!(old.is_none_or(|numbers| numbers == [10, 10]), "{old:?}");
        assert!(new.is_none_or(|numbers| numbers == [20, 20]), "{new:?}");
        assert_eq!(read(&table, 2), Some([20, 20]));
    });
}

/// The key is the same before and after: only the generation tells the reader.
#[test]
fn a_reader_gets_a_whole_entry_or_none_when_a_key_is_replaced_by_itself() {
    loom::model(|| {
        let table = Arc::new(SharedTable::<Pair>::new(1));
        replace(&table, 1, 1, 10);
        let reader = {
            let table = Arc::clone(&table);
            thread::spawn(move || read(&table, 1))
        };
        replace(&table, 1, 1, 20);
        let numbers = reader.join().unwrap();
        assert!(
            matches!(numbers, None | Some([10, 10] | [20, 20])),
            "a mixture: {numbers:?}"
        );
        assert_eq!(read(&table, 1), Some([20, 20]));
    });
}
