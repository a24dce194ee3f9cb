//! The conn table alone: look-ups in batches of several sizes, inserts, expiry.

#![allow(missing_docs, reason = "criterion_group makes a public function")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::director::{KEYS, dest, laddr};
use benches::frames::{VIP, client, shuffled};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipvs_core::conn::{Conn, ConnTable, Endpoints, Lookup, RewriteDeltas};
use ipvs_core::tuple::Tuple;
use ipvs_core::{DestId, FwdMode, Span, Tick};
use packet::checksum::Delta;

const UDP: u8 = 17;
/// Look-ups of an iteration: enough to make small and large tables comparable.
const LOOK_UPS: usize = 8192;
/// The timeout of a conn.
const TIMEOUT_S: u32 = 60;

fn inbound(flow: u32) -> Tuple<[u8; 4]> {
    let (addr, port) = client(flow);
    Tuple {
        src: addr.octets(),
        dst: VIP.0.octets(),
        sport: port,
        dport: VIP.1,
        protocol: UDP,
    }
}

fn conn(flow: u32) -> Conn<[u8; 4]> {
    let ends = Endpoints {
        inbound: inbound(flow),
        outbound: Tuple {
            src: dest(flow % 16).octets(),
            dst: laddr(flow / 60_000 % 32).octets(),
            sport: 80,
            dport: 1025 + (flow % 60_000) as u16,
            protocol: UDP,
        },
    };
    let deltas = RewriteDeltas {
        l3: Delta::ZERO,
        l4: Delta::ZERO,
    };
    let mut conn = Conn::new(&ends, deltas, DestId(flow % 16), FwdMode::FullNat, Tick(0));
    conn.set_timeout_s(TIMEOUT_S);
    conn
}

fn table(flows: u32, capacity: u32) -> ConnTable<[u8; 4]> {
    let mut table = ConnTable::new(capacity, KEYS.conns, Tick(0));
    for flow in shuffled(flows, 1) {
        // The table has room for all of them.
        let _ = table.insert(conn(flow));
    }
    table
}

/// Looks up a batch of tuples stage by stage, as the engine does.
fn look_up(table: &ConnTable<[u8; 4]>, tuples: &[Tuple<[u8; 4]>], lookups: &mut [Lookup]) -> u32 {
    for (tuple, lookup) in tuples.iter().zip(lookups.iter_mut()) {
        *lookup = table.locate(tuple);
    }
    for lookup in lookups.iter() {
        table.fetch_bucket(lookup);
    }
    for lookup in lookups.iter_mut() {
        table.choose(lookup);
    }
    for lookup in lookups.iter_mut() {
        table.choose_again(lookup);
    }
    let found = tuples.iter().zip(lookups.iter());
    found
        .filter_map(|(tuple, lookup)| table.finish(lookup, tuple))
        .map(|found| found.id.0)
        .fold(0, u32::wrapping_add)
}

fn look_ups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conn look-up");
    group.throughput(Throughput::Elements(LOOK_UPS as u64));
    for flows in [10_000, 100_000, 1_000_000u32] {
        let table = table(flows, flows + flows / 8);
        let order: Vec<_> = shuffled(flows, 2).into_iter().map(inbound).collect();
        for batch in [1, 8, 16, 32, 64, 128usize] {
            let name = BenchmarkId::new(format!("batch of {batch}"), flows);
            let mut lookups = vec![table.begin(&inbound(0)); batch];
            let mut rest = order.iter().copied().cycle();
            group.bench_function(name, |bencher| {
                bencher.iter_batched_ref(
                    || rest.by_ref().take(LOOK_UPS).collect::<Vec<_>>(),
                    |tuples| {
                        for batch_of in tuples.chunks(batch) {
                            black_box(look_up(&table, batch_of, &mut lookups[..batch_of.len()]));
                        }
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// Times `work` on a fresh table as often as criterion asks. Making the table is not timed.
fn on_fresh_tables(
    iterations: u64,
    make: impl Fn() -> ConnTable<[u8; 4]>,
    mut work: impl FnMut(&mut ConnTable<[u8; 4]>),
) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let mut table = make();
        let start = Instant::now();
        work(&mut table);
        total += start.elapsed();
        black_box(table);
    }
    total
}

fn inserts(criterion: &mut Criterion) {
    const CAPACITY: u32 = 200_000;
    let conns: Vec<_> = shuffled(CAPACITY, 3).into_iter().map(conn).collect();
    let mut group = criterion.benchmark_group("conn insert");
    group.sample_size(20);
    for (name, from, to) in [("empty", 0, 10), ("at 90 %", 90, 95)] {
        let slot = |percent: usize| CAPACITY as usize * percent / 100;
        let (before, measured) = (&conns[..slot(from)], &conns[slot(from)..slot(to)]);
        group.throughput(Throughput::Elements(measured.len() as u64));
        let make = || {
            let mut table = ConnTable::new(CAPACITY, KEYS.conns, Tick(0));
            for conn in before {
                let _ = table.insert(*conn);
            }
            table
        };
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                on_fresh_tables(iterations, make, |table| {
                    for conn in measured {
                        let _ = black_box(table.insert(*conn));
                    }
                })
            });
        });
    }
    group.finish();
}

fn expiry(criterion: &mut Criterion) {
    const CONNS: u32 = 100_000;
    const BUDGET: u32 = 64;
    let mut group = criterion.benchmark_group("conn expiry");
    group.sample_size(20);
    group.throughput(Throughput::Elements(CONNS.into()));
    let late = Tick(Span::from_secs(2 * TIMEOUT_S).0);
    group.bench_function("all due at once", |bencher| {
        bencher.iter_custom(|iterations| {
            on_fresh_tables(
                iterations,
                || table(CONNS, CONNS + CONNS / 8),
                |table| {
                    while !table.is_empty() {
                        let mut budget = BUDGET;
                        while let Some(id) = table.next_due(late, &mut budget) {
                            black_box(table.release(table.leave(id)));
                        }
                    }
                },
            )
        });
    });
    group.finish();
}

criterion_group!(benches, look_ups, inserts, expiry);
criterion_main!(benches);
