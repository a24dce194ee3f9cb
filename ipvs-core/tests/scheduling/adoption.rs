//! Packets without a conn where a hash leads to their dest: after a restart of the director, or
//! when an upstream router chooses another director. LVS: `net.ipv4.vs.sloppy_tcp`.

use ipvs_core::{
    DropReason, Encapsulation, FwdMode, HashOptions, HashTarget, Protocol, SchedulerKind,
};
use packet::MacAddr;
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

use crate::input::sctp::{ABORT, DATA, INIT, INIT_ACK, packet_of};

const DESTS: [&str; 4] = [
    "192.168.100.2:80",
    "192.168.100.3:80",
    "192.168.100.4:80",
    "192.168.100.5:80",
];
const DESTS6: [&str; 4] = [
    "[2001:db8:100::2]:80",
    "[2001:db8:100::3]:80",
    "[2001:db8:100::4]:80",
    "[2001:db8:100::5]:80",
];
const MH: SchedulerKind = SchedulerKind::Mh(HashOptions {
    fallback: false,
    port: true,
});
const CONHASH: SchedulerKind = SchedulerKind::Conhash(HashTarget::Sip);
const QUIC: SchedulerKind = SchedulerKind::Conhash(HashTarget::Qid);
const IPIP: FwdMode = FwdMode::Tunnel(Encapsulation::IpIp);

/// A director with four dests, each of them with a MAC address of its own.
fn director(setup: Setup, scheduler: SchedulerKind) -> Director {
    let dests = match setup.vip {
        VIP => DESTS,
        _ => DESTS6,
    };
    let mut director = Setup {
        dests: dests.to_vec(),
        ..setup
    }
    .build();
    for (dest, last) in dests.iter().zip(2..) {
        let addr: std::net::SocketAddr = dest.parse().unwrap();
        let mac = MacAddr([2, 0, 0, 0, 2, last]);
        let ifindex = inet::IfIndex(1);
        director.neighbours.add_static(ifindex, addr.ip(), mac);
    }
    director.edit(|service| service.scheduler = scheduler);
    director
}

fn setup(fwdmode: FwdMode) -> Setup {
    Setup {
        fwdmode,
        ..Setup::default()
    }
}

fn segment(client: &str, vip: &str, flags: &str) -> Vec<u8> {
    let segment = frames::tcp(client, vip).flags(flags).seq(1001).ack(5001);
    segment.frame(FROM_CLIENT)
}

fn client(n: u16) -> String {
    format!("10.0.{}.{}:{}", 1 + n / 200, n % 200 + 1, 1024 + n)
}

/// Where a segment goes: the dest's MAC address.
fn goes_to(director: &mut Director, frame: &[u8]) -> MacAddr {
    let (port, sent) = only(director.receive(WAN, frame));
    assert_eq!(port, LAN);
    MacAddr(*sent.first_chunk().unwrap())
}

/// The other director has never seen the conns: it stands for a restarted one, too.
#[rstest]
#[case::dr_mh(setup(FwdMode::DirectRoute), MH)]
#[case::dr_conhash(setup(FwdMode::DirectRoute), CONHASH)]
#[case::tunnel_mh(setup(IPIP), MH)]
#[case::tunnel_conhash(setup(IPIP), CONHASH)]
fn a_segment_without_a_conn_goes_where_its_syn_went(
    #[case] setup: Setup,
    #[case] scheduler: SchedulerKind,
) {
    let mut before = director(setup.clone(), scheduler);
    let mut after = director(setup, scheduler);
    let mut dests = std::collections::HashSet::new();
    for n in 0..200 {
        let dest = goes_to(&mut before, &segment(&client(n), VIP, "S"));
        let flags = ["A", "PA", "FA", "R"][usize::from(n) % 4];
        let adopted = segment(&client(n), VIP, flags);
        assert_eq!(goes_to(&mut after, &adopted), dest, "client {n}");
        dests.insert(dest);
    }
    assert_eq!(dests.len(), 4);
    let states: std::collections::BTreeSet<_> = after.states().into_iter().collect();
    let expected = ["CLOSE", "ESTABLISHED", "FIN_WAIT"];
    assert_eq!(states.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_segment_of_ipv6_is_adopted_too() {
    let setup = setup6(Protocol::Tcp, FwdMode::DirectRoute);
    let (mut before, mut after) = (director(setup.clone(), MH), director(setup, MH));
    for port in 1000..1050 {
        let client = format!("[2001:db8:1::48]:{port}");
        let dest = goes_to(&mut before, &segment(&client, VIP6, "S"));
        assert_eq!(goes_to(&mut after, &segment(&client, VIP6, "A")), dest);
    }
}

/// What NAT and FullNAT rewrite, and where rr sent the SYN, cannot be known.
#[rstest]
#[case::off(FwdMode::DirectRoute, MH, true)]
#[case::full_nat(FwdMode::FullNat, MH, false)]
#[case::nat(FwdMode::Nat, CONHASH, false)]
#[case::rr(FwdMode::DirectRoute, SchedulerKind::Rr, false)]
fn other_services_adopt_nothing(
    #[case] fwdmode: FwdMode,
    #[case] scheduler: SchedulerKind,
    #[case] refuses_adoption: bool,
) {
    let mut director = director(setup(fwdmode), scheduler);
    director.edit(|service| service.options.refuses_adoption = refuses_adoption);
    director.rejects(WAN, &segment(CLIENT, VIP, "A"), DropReason::TcpNotSyn);
    assert_eq!(director.conns(), []);
}

/// A SYN with an ACK comes from a server, never from a client of the VIP.
#[test]
fn a_syn_ack_is_not_adopted() {
    let mut director = director(setup(FwdMode::DirectRoute), MH);
    director.rejects(WAN, &segment(CLIENT, VIP, "SA"), DropReason::TcpNotSyn);
}

/// RFC 9293, 3.1: the checksum must be right before anything is remembered.
#[test]
fn a_broken_segment_is_not_adopted() {
    let mut director = director(setup(FwdMode::DirectRoute), MH);
    let mut broken = segment(CLIENT, VIP, "A");
    broken[L4_AT + 16] ^= 1;
    director.refuses(WAN, &broken, DropReason::TcpBadChecksum);
}

const L4_AT: usize = 14 + 20;

/// A router on the way from the dest to the client reports to the VIP: RFC 792, RFC 1191.
#[rstest]
#[case::tcp(Protocol::Tcp, MH)]
#[case::udp(Protocol::Udp, MH)]
#[case::quic(Protocol::Udp, QUIC)]
fn an_icmp_error_without_a_conn_goes_where_the_first_packet_went(
    #[case] protocol: Protocol,
    #[case] scheduler: SchedulerKind,
) {
    let setup = Setup {
        protocol,
        ..setup(FwdMode::DirectRoute)
    };
    let mut before = director(setup.clone(), scheduler);
    let mut after = director(setup, scheduler);
    for n in 0..50 {
        let client = client(n);
        let (first, answer) = match protocol {
            Protocol::Tcp => (
                segment(&client, VIP, "S"),
                frames::tcp(VIP, &client).flags("PA").frame(FROM_DEST),
            ),
            _ => (
                frames::udp(&client, VIP, b"ask", FROM_CLIENT),
                frames::udp(VIP, &client, b"answer", FROM_DEST),
            ),
        };
        let dest = goes_to(&mut before, &first);
        let error = frames::unreachable("10.0.0.1", "10.0.0.100", &answer[14..], FROM_CLIENT);
        assert_eq!(goes_to(&mut after, &error), dest, "client {n}");
    }
}

/// A QUIC connection of this client: the ID that it chose, and the one that its server chose.
fn quic_ids(n: u16) -> ([u8; 8], [u8; 8]) {
    let n = u32::from(n).wrapping_mul(0x9e37_79b1).to_be_bytes();
    let of = |first: u8| [first, n[0], n[1], n[2], n[3], 1, 2, 3];
    // The server's names nobody.
    (of(0x5a), of(0xe5))
}

/// RFC 9000, 17.2: first octet, version 1, the length of the destination's ID, the ID, ...
fn long_header(first: u8, id: [u8; 8]) -> Vec<u8> {
    let rest = [0; 40];
    [&[first, 0, 0, 0, 1, 8][..], &id, &rest].concat()
}

/// RFC 9000, 17.3.1: first octet, the ID without its length, ...
fn short_header(id: [u8; 8]) -> Vec<u8> {
    [&[0x41][..], &id, &[0; 40]].concat()
}

/// RFC 9000, 5.2 and 7.2. The client's first packets have an ID that the client chose, later ones
/// the server's. A director that sees only later ones takes them to the same dest.
#[rstest]
fn a_quic_connection_that_began_at_another_director_keeps_its_dest(
    #[values(FwdMode::DirectRoute, IPIP)] fwdmode: FwdMode,
) {
    let setup = Setup {
        protocol: Protocol::Udp,
        ..setup(fwdmode)
    };
    let mut before = director(setup.clone(), QUIC);
    let mut dests = std::collections::HashSet::new();
    for n in 0..100 {
        let (of_client, of_server) = quic_ids(n);
        let datagram = |payload: &[u8]| frames::udp(&client(n), VIP, payload, FROM_CLIENT);
        let dest = goes_to(&mut before, &datagram(&long_header(0xc0, of_client)));
        for later in [long_header(0xe0, of_server), short_header(of_server)] {
            let mut after = director(setup.clone(), QUIC);
            assert_eq!(goes_to(&mut after, &datagram(&later)), dest, "client {n}");
        }
        dests.insert(dest);
    }
    assert_eq!(dests.len(), 4);
}

/// RFC 9000, 9: the client has moved to another address. draft-ietf-quic-load-balancers, 5.2: the
/// ID says which dest it has.
#[test]
fn a_quic_client_that_has_moved_is_found_by_the_id_that_names_its_dest() {
    let setup = Setup {
        protocol: Protocol::Udp,
        ..setup(FwdMode::DirectRoute)
    };
    let mut after = director(setup, QUIC);
    for n in 0..50 {
        let id = [0x0a, 192, 168, 100, 4, 0, 80, n as u8];
        let datagram = frames::udp(&client(n), VIP, &short_header(id), FROM_CLIENT);
        let dest = goes_to(&mut after, &datagram);
        assert_eq!(dest, MacAddr([2, 0, 0, 0, 2, 4]));
    }
}

/// LVS: `net.ipv4.vs.sloppy_sctp`. An association goes on at another director as a TCP conn does.
#[rstest]
#[case::dr_mh(FwdMode::DirectRoute, MH)]
#[case::tunnel_conhash(IPIP, CONHASH)]
fn an_sctp_association_goes_where_its_init_went(
    #[case] fwdmode: FwdMode,
    #[case] scheduler: SchedulerKind,
) {
    let setup = Setup {
        protocol: Protocol::Sctp,
        ..setup(fwdmode)
    };
    let mut before = director(setup.clone(), scheduler);
    let mut after = director(setup, scheduler);
    for n in 0..50 {
        let packet = |kind| packet_of(kind, &client(n), VIP, FROM_CLIENT);
        let dest = goes_to(&mut before, &packet(INIT));
        let later = [DATA, ABORT][usize::from(n) % 2];
        assert_eq!(goes_to(&mut after, &packet(later)), dest, "client {n}");
    }
    // RFC 9260, 5.1: only a server answers by INIT ACK.
    let answer = packet_of(INIT_ACK, CLIENT, VIP, FROM_CLIENT);
    after.refuses(WAN, &answer, DropReason::SctpNotInit);
}

/// Where the director rewrites, nothing can be known of an association either.
#[rstest]
#[case::full_nat(FwdMode::FullNat, MH)]
#[case::rr(FwdMode::DirectRoute, SchedulerKind::Rr)]
fn other_services_adopt_no_association(#[case] fwdmode: FwdMode, #[case] scheduler: SchedulerKind) {
    let setup = Setup {
        protocol: Protocol::Sctp,
        ..setup(fwdmode)
    };
    let mut director = director(setup, scheduler);
    let data = packet_of(DATA, CLIENT, VIP, FROM_CLIENT);
    director.refuses(WAN, &data, DropReason::SctpNotInit);
}

#[test]
fn what_was_adopted_gives_way_first() {
    let mut director = director(
        Setup {
            max_conns: 3,
            ..setup(FwdMode::DirectRoute)
        },
        MH,
    );
    for flags in ["S", "A"] {
        goes_to(&mut director, &segment(&client(0), VIP, flags));
    }
    goes_to(&mut director, &segment(&client(1), VIP, "A"));
    goes_to(&mut director, &segment(&client(2), VIP, "S"));
    // The fourth client takes the place of the second, which was adopted.
    goes_to(&mut director, &segment(&client(3), VIP, "S"));
    let clients = |director: &mut Director| {
        let conns = director.conns().into_iter();
        let mut ports: Vec<_> = conns.map(|conn| conn.caddr.1 - 1024).collect();
        ports.sort_unstable();
        ports
    };
    assert_eq!(clients(&mut director), [0, 2, 3]);
    // What would be adopted pushes nobody else out.
    let stray = segment(&client(4), VIP, "A");
    director.refuses(WAN, &stray, DropReason::ConnTableFull);
    assert_eq!(clients(&mut director), [0, 2, 3]);
}
