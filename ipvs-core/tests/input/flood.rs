//! Floods: chosen addresses do not collide in the conn table, and a SYN flood ends no established
//! conn.

use ipvs_core::conn::{Conn, ConnTable, Direction, Endpoints, RewriteDeltas};
use ipvs_core::tuple::{HashKey, Tuple};
use ipvs_core::{DestId, FwdMode, Tick};
use packet::checksum::Delta;
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

const CONNS: u32 = 200_000;

/// The client of the packet with this number.
type Pattern = fn(u32) -> ([u8; 4], u16);

fn one_client_many_ports(n: u32) -> ([u8; 4], u16) {
    ([10, 0, 0, (n >> 16) as u8], n as u16)
}

fn one_port_many_clients(n: u32) -> ([u8; 4], u16) {
    (n.to_be_bytes(), 1024)
}

fn both_in_steps(n: u32) -> ([u8; 4], u16) {
    ((n * 4096).to_be_bytes(), (n * 256 + (n >> 8)) as u16)
}

fn conn(n: u32, (src, sport): ([u8; 4], u16)) -> Conn<[u8; 4]> {
    let ends = Endpoints {
        inbound: Tuple {
            src,
            dst: [10, 0, 0, 100],
            sport,
            dport: 80,
            protocol: 6,
        },
        outbound: Tuple {
            src: [192, 168, 100, 2],
            dst: [192, 168, 101, (n >> 16) as u8],
            sport: 80,
            dport: n as u16,
            protocol: 6,
        },
    };
    let deltas = RewriteDeltas {
        l3: Delta::ZERO,
        l4: Delta::ZERO,
    };
    Conn::new(&ends, deltas, DestId(0), FwdMode::FullNat, Tick(0))
}

/// The index has two buckets of eight entries for each tuple. If the hash were bad for these
/// patterns, those would be full long before the table is.
#[rstest]
#[case(one_client_many_ports)]
#[case(one_port_many_clients)]
#[case(both_in_steps)]
fn chosen_clients_fill_the_table_as_evenly_as_any(#[case] client: Pattern) {
    for key in [[1, 2, 3, 4], [u64::MAX, 0x1234_5678_9abc_def0, 99, 7]] {
        let mut table = ConnTable::new(CONNS, HashKey(key), Tick(0));
        for n in 0..CONNS {
            let inserted = table.insert(conn(n, client(n)));
            assert!(inserted.is_ok(), "full at {n} of {CONNS}");
        }
        for n in 0..CONNS {
            let conn = conn(n, client(n));
            for direction in [Direction::Inbound, Direction::Outbound] {
                assert!(table.find(&conn.tuple(direction)).is_some(), "{n}");
            }
        }
    }
}

#[test]
fn a_syn_flood_into_a_full_table_ends_no_established_conn() {
    let mut director = Setup {
        max_conns: 256,
        ..Setup::default()
    }
    .build();
    director.open();
    for n in 0..20_000u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let stranger = format!("11.{b}.{c}.{d}:{}", 1024 + n % 50_000);
        director.receive(
            WAN,
            &frames::tcp(&stranger, VIP).flags("S").frame(FROM_CLIENT),
        );
    }
    let stats = director.engine.stats();
    assert_eq!(stats.conns.get(), 256, "memory is flat");
    assert!(stats.conns_recycled.get() > 19_000);
    let data = frames::tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    let seen = director.to_dest(&data.payload(b"still here").frame(FROM_CLIENT));
    assert_eq!(seen.payload, b"still here");
}
