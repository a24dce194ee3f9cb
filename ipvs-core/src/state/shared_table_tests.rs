//! Single-threaded tests of `shared_table`. Those with several threads are in
//! `tests/shared_table_under_loom.rs`.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use zerocopy::FromZeros;

use super::shared_table::{Entry, SharedTable};
use crate::time::Tick;

#[derive(Debug, FromZeros)]
#[repr(C)]
struct Number {
    key: AtomicU64,
    expires: AtomicU32,
    number: AtomicU32,
    generation: AtomicU32,
    reserved: AtomicU32,
}

impl Entry for Number {
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

fn put(table: &SharedTable<Number>, key: u64, number: u32) {
    let slot = table.place_for(key, Tick(0));
    table.clear(slot);
    slot.expires.store(number, Relaxed);
    slot.number.store(number, Relaxed);
    table.publish(slot, key);
}

fn number(slot: &Number) -> u32 {
    slot.number.load(Relaxed)
}

#[test]
fn a_reader_gets_nothing_if_the_slot_is_reused_meanwhile() {
    let table = SharedTable::new(1);
    put(&table, 1, 10);
    assert_eq!(table.read(1, number), Some(10));
    let taken_meanwhile = table.read(1, |slot| {
        table.clear(slot);
        slot.number.store(20, Relaxed);
        table.publish(slot, 2);
        number(slot)
    });
    assert_eq!(taken_meanwhile, None);
    assert_eq!(table.read(2, number), Some(20));
}

#[test]
fn a_reader_gets_nothing_if_the_key_is_replaced_by_itself_meanwhile() {
    let table = SharedTable::new(1);
    put(&table, 1, 10);
    let replaced_meanwhile = table.read(1, |slot| {
        table.clear(slot);
        slot.number.store(20, Relaxed);
        table.publish(slot, 1);
        number(slot)
    });
    assert_eq!(replaced_meanwhile, None);
    assert_eq!(table.read(1, number), Some(20));
}

#[test]
fn a_walk_visits_all_slots_in_use_and_a_full_bucket_replaces_its_oldest() {
    let table = SharedTable::new(8);
    assert_eq!(table.walk(&mut 0, 100).count(), 0);
    for key in 1..=9 {
        put(&table, key, key as u32 * 10);
    }
    let mut seen: Vec<u32> = table.walk(&mut 3, 100).map(number).collect();
    seen.sort_unstable();
    assert_eq!(seen, [20, 30, 40, 50, 60, 70, 80, 90]);
    assert_eq!(table.walk(&mut 3, 2).count(), 2);
}
