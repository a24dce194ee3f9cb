//! What a new conn needs: its service, a local port, a route.

#![allow(missing_docs, reason = "criterion_group makes a public function")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use benches::director::{Spec, prefix, service_port, snapshot};
use benches::frames::{VIP, shuffled};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inet::route::RouteTable;
use ipvs_core::Protocol;
use ipvs_core::WorkerId;
use sapool::{PoolShare, PortPool, Towards};
use testkit::director::config::{self, TO_DESTS};

/// Look-ups of an iteration.
const LOOK_UPS: u32 = 1024;

fn services(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("service look-up");
    group.throughput(Throughput::Elements(LOOK_UPS.into()));
    for services in [1, 10_000] {
        let spec = Spec {
            services,
            dests: 2,
            ..Spec::default()
        };
        let table = snapshot(&spec).services;
        let ports: Vec<_> = shuffled(services.max(LOOK_UPS), 1)
            .into_iter()
            .take(LOOK_UPS as usize)
            .map(|number| service_port(number % services))
            .collect();
        let vip = black_box(VIP.0.octets());
        group.bench_function(BenchmarkId::from_parameter(services), |bencher| {
            bencher.iter(|| {
                let found = ports
                    .iter()
                    .filter(|port| table.of_vip(Protocol::Tcp, vip, **port).is_some());
                found.count()
            });
        });
    }
    group.finish();
}

fn ports(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("local port taken and given back");
    let towards = Towards { class: 3, base: 77 };
    let workers = [1, 4, 16];
    for (workers, percent) in workers
        .into_iter()
        .flat_map(|workers| [0, 50, 99].map(|percent| (workers, percent)))
    {
        let owners = testkit::director::config::owners(workers);
        let mut pool = PortPool::new(&PoolShare::new(&owners, WorkerId(0), false));
        let mut taken: Vec<u16> = std::iter::from_fn(|| pool.take(towards)).collect();
        let kept = taken.len() * percent / 100;
        for at in shuffled(taken.len() as u32, 1).iter().skip(kept) {
            pool.put(3, taken[*at as usize]);
        }
        taken.clear();
        group.bench_function(
            format!("{workers} workers, {percent} % in use"),
            |bencher| {
                bencher.iter(|| {
                    if let Some(port) = black_box(pool.take(black_box(towards))) {
                        pool.put(3, port);
                    }
                });
            },
        );
    }
    group.finish();
}

fn owners(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("owner of a packet");
    let owners = config::owners(16);
    group.bench_function("IPv4", |bencher| {
        let mut port = 0_u16;
        bencher.iter(|| {
            port = port.wrapping_add(1);
            owners.of_v4(black_box([10, 0, 0, 1]), black_box([10, 0, 0, 2]), 80, port)
        });
    });
    group.bench_function("IPv6", |bencher| {
        let mut port = 0_u16;
        bencher.iter(|| {
            port = port.wrapping_add(1);
            owners.of_v6(black_box([1; 16]), black_box([2; 16]), 80, port)
        });
    });
    group.finish();
}

fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route look-up");
    group.throughput(Throughput::Elements(LOOK_UPS.into()));
    for routes in [1, 100_000u32] {
        let mut table = RouteTable::default();
        for number in 0..routes {
            // Prefix lengths as in an Internet routing table: most are 24, some are 16 or 20.
            let len = [24, 24, 24, 20, 16][number as usize % 5];
            let addr = IpAddr::from(Ipv4Addr::from(0x1000_0000 + (number << 12)));
            // Some short prefixes come twice.
            let _ = table.insert(config::route(prefix(addr, len), TO_DESTS, None));
        }
        let wanted: Vec<_> = shuffled(routes.max(LOOK_UPS), 1)
            .into_iter()
            .take(LOOK_UPS as usize)
            .map(|number| Ipv4Addr::from(0x1000_0000 + ((number % routes) << 12) + 7))
            .collect();
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter(|| {
                let found = wanted
                    .iter()
                    .filter(|dst| table.lookup((**dst).into()).is_some());
                found.count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, services, ports, owners, routes);
criterion_main!(benches);
