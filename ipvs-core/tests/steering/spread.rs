//! How evenly conns are spread over workers.

use ipvs_core::{FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;

use super::{Ends, Lab, Queues, V4, V6, packet};

const CONNS: usize = 16_000;

/// Every worker has at most 1.1 times the mean, besides what chance does: of n conns that fall at
/// random, a worker's number differs from its mean by the square root of that, or a few times that.
#[rstest]
fn conns_are_spread_evenly(
    #[values(V4, V6)] ends: Ends,
    #[values(2, 3, 4, 8, 10, 16)] workers: u16,
) {
    let setup = Setup {
        max_conns: 1 << 15,
        ..ends.setup(Protocol::Udp, FwdMode::FullNat, workers)
    };
    let mut lab = Lab::new(&setup, Queues::Rss);
    for number in 0..CONNS {
        let client = ends.client(1024 + number as u16);
        lab.receive(
            WAN,
            &packet(Protocol::Udp, (&client, ends.vip), "", FROM_CLIENT),
        );
    }
    let conns = |worker: &Director| worker.engine.stats().conns.get();
    let most = lab.workers.iter().map(conns).max().unwrap();
    let mean = CONNS as f64 / f64::from(workers);
    assert!((most as f64) < 1.1 * mean, "{most} of {mean} on {workers}");
}

/// A local address serves as many conns with a dest as it has ports, whichever workers those are.
#[rstest]
fn no_port_is_wasted(#[values(1, 2, 3, 16)] workers: u16) {
    let setup = Setup {
        max_conns: 1 << 16,
        ..V4.setup(Protocol::Udp, FwdMode::FullNat, workers)
    };
    let mut lab = Lab::new(&setup, Queues::Rss);
    let mut made = 0_u32;
    for number in 0..2 * sapool::PORTS {
        let client = format!("10.0.{}.{}:{}", number >> 20, 48, 1024 + (number & 0x7fff));
        let client = client.replace("10.0.0.", &format!("10.0.{}.", 1 + (number >> 15)));
        let frame = packet(Protocol::Udp, (&client, VIP), "", FROM_CLIENT);
        made += lab
            .receive(WAN, &frame)
            .iter()
            .filter(|(port, _)| *port == LAN)
            .count() as u32;
    }
    assert_eq!(made, sapool::PORTS);
}
