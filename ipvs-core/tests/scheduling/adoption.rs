//! Packets without a conn where a hash leads to their dest: after a restart of the director, or
//! when an upstream router chooses another director. LVS: `net.ipv4.vs.sloppy_tcp`.

use ipvs_core::{
    DropReason, Encapsulation, FwdMode, HashOptions, HashTarget, Protocol, SchedulerKind,
};
use packet::MacAddr;
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

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
#[case::tcp(Protocol::Tcp)]
#[case::udp(Protocol::Udp)]
fn an_icmp_error_without_a_conn_goes_where_the_first_packet_went(#[case] protocol: Protocol) {
    let setup = Setup {
        protocol,
        ..setup(FwdMode::DirectRoute)
    };
    let (mut before, mut after) = (director(setup.clone(), MH), director(setup, MH));
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
