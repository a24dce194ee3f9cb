//! A warm engine allocates no memory for a packet, whatever happens to the packet. A program of its
//! own: the crate that counts replaces the allocator of the whole program, and counts by thread.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use allocation_counter::measure;
use ipvs_core::{
    Command, DeviceName, Encapsulation, EndRange, FwdMode, HashOptions, HashTarget, Match, Now,
    Origin, Persistence, Protocol, ProxyProtocol, SchedulerKind, Service, ServiceKey,
    ServiceOptions, SynProxy, UoaOptions,
};
use packet::{PacketBuf, PortId, proxy, uoa};
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

/// Clients of a round: a batch of them.
const CLIENTS: u16 = 64;
/// The client's port in the first round, and in a later one.
const WARM_PORTS: u16 = 20_000;
const COUNTED_PORTS: u16 = 30_000;

/// Who sends to whom: `[client, VIP, dest, local address]`, the client without its port.
type Ends = [&'static str; 4];
const V4: Ends = ["10.0.0.48", VIP, DEST, LADDR];
const V6: Ends = ["[2001:db8:1::48]", VIP6, DEST6, LADDR6];
const NAT64: Ends = ["[2001:db8:1::48]", VIP6, DEST, LADDR];
const NAT46: Ends = ["10.0.0.48", VIP, DEST6, LADDR6];

/// A director whose allocations are counted.
struct Counted {
    director: Director,
    basket: Basket,
    allocations: u64,
}

impl Counted {
    fn new(director: Director) -> Self {
        let spare = (0..1000).map(|_| VecBuf::new(LAN, &[]));
        Self {
            director,
            basket: Basket {
                sent: Vec::with_capacity(1000),
                spare: spare.collect(),
            },
            allocations: 0,
        }
    }

    /// Frames come in by a port, all at once; what was sent because of them.
    fn receive(&mut self, port: PortId, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let packets = frames.iter().map(|frame| VecBuf::new(port, frame));
        let packets: Vec<VecBuf> = packets.collect();
        let (director, basket) = (&mut self.director, &mut self.basket);
        let counted = measure(|| {
            let packets = packets.into_iter();
            director
                .engine
                .process(director.now, Origin::Nic, packets, basket);
            director.engine.housekeep(director.now, basket);
        });
        self.allocations += counted.count_total;
        self.director.check_that_every_packet_has_its_end();
        let sent = self.basket.sent.drain(..);
        sent.map(|packet| packet.bytes().to_vec()).collect()
    }

    /// Time passes until all conns have expired.
    fn let_all_expire(&mut self) {
        let (director, basket) = (&mut self.director, &mut self.basket);
        for _ in 0..10_000 {
            let counted = measure(|| {
                director.now.ns += 1_000_000_000;
                director.engine.housekeep(director.now, basket);
            });
            self.allocations += counted.count_total;
            basket.spare.append(&mut basket.sent);
            if director.engine.stats().conns.get() == 0 {
                return;
            }
        }
        panic!("conns do not expire");
    }

    /// Does something for some clients, then counts while it does the same for others.
    fn assert_none_when_warm(&mut self, what: impl Fn(&mut Self, u16)) {
        what(self, WARM_PORTS);
        self.let_all_expire();
        self.allocations = 0;
        what(self, COUNTED_PORTS);
        self.let_all_expire();
        assert_eq!(self.allocations, 0);
    }
}

fn director(ends: Ends, protocol: Protocol, fwdmode: FwdMode) -> Director {
    let [_, vip, dest, laddr] = ends;
    let setup = Setup {
        protocol,
        fwdmode,
        vip,
        dests: vec![dest],
        laddrs: vec![laddr],
        ..Setup::default()
    };
    setup.build()
}

/// The clients of a round.
fn clients([client, ..]: Ends, first_port: u16) -> impl Iterator<Item = String> {
    (0..CLIENTS).map(move |number| format!("{client}:{}", first_port + number))
}

fn datagrams(ends: Ends, first_port: u16) -> Vec<Vec<u8>> {
    clients(ends, first_port)
        .map(|client| frames::udp(&client, ends[1], b"question", FROM_CLIENT))
        .collect()
}

/// Segments of all clients with the same numbers.
fn segments(
    ends: Ends,
    first_port: u16,
    segment: impl Fn(frames::Tcp) -> frames::Tcp,
) -> Vec<Vec<u8>> {
    clients(ends, first_port)
        .map(|client| segment(frames::tcp(&client, ends[1])).frame(FROM_CLIENT))
        .collect()
}

/// Questions of UDP, and answers where those come back through the director.
fn talk_udp(counted: &mut Counted, ends: Ends, first_port: u16, has_answers: bool) {
    for _ in 0..4 {
        let asked = counted.receive(WAN, &datagrams(ends, first_port));
        assert_eq!(asked.len(), CLIENTS.into());
        if has_answers {
            let answer = |frame: &Vec<u8>| {
                let question = Seen::parse(frame);
                frames::udp(&question.dst, &question.src, b"answer", FROM_DEST)
            };
            let answers: Vec<_> = asked.iter().map(answer).collect();
            assert_eq!(counted.receive(LAN, &answers).len(), CLIENTS.into());
        }
    }
}

/// TCP from the SYN to the last ACK, the dests' segments where those come through the director.
fn talk_tcp(counted: &mut Counted, ends: Ends, first_port: u16, has_answers: bool) {
    let syns = segments(ends, first_port, |tcp| {
        tcp.flags("S").seq(1000).options(&SYN_OPTIONS)
    });
    let asked = counted.receive(WAN, &syns);
    assert_eq!(asked.len(), CLIENTS.into());
    let syns: Vec<Seen> = match has_answers {
        true => asked.iter().map(|frame| Seen::parse(frame)).collect(),
        false => Vec::new(),
    };
    let answer = |counted: &mut Counted, segment: &dyn Fn(frames::Tcp, u32) -> frames::Tcp| {
        let answers = syns
            .iter()
            .map(|syn| segment(frames::tcp(&syn.dst, &syn.src), syn.seq).frame(FROM_DEST));
        let answers: Vec<_> = answers.collect();
        assert_eq!(counted.receive(LAN, &answers).len(), answers.len());
    };
    answer(counted, &|tcp, isn| {
        tcp.flags("SA")
            .seq(5000)
            .ack(isn + 1)
            .options(&[2, 4, 5, 0xb4])
    });
    let acks = segments(ends, first_port, |tcp| tcp.flags("A").seq(1001).ack(5001));
    assert_eq!(counted.receive(WAN, &acks).len(), CLIENTS.into());
    for _ in 0..3 {
        let requests = segments(ends, first_port, |tcp| {
            tcp.flags("PA").seq(1001).ack(5001).payload(b"question")
        });
        assert_eq!(counted.receive(WAN, &requests).len(), CLIENTS.into());
        answer(counted, &|tcp, isn| {
            tcp.flags("PA").seq(5001).ack(isn + 9).payload(b"answer")
        });
    }
    let fins = segments(ends, first_port, |tcp| tcp.flags("FA").seq(1009).ack(5007));
    assert_eq!(counted.receive(WAN, &fins).len(), CLIENTS.into());
    answer(counted, &|tcp, isn| tcp.flags("FA").seq(5007).ack(isn + 10));
    let acks = segments(ends, first_port, |tcp| tcp.flags("A").seq(1010).ack(5008));
    assert_eq!(counted.receive(WAN, &acks).len(), CLIENTS.into());
}

fn talk(counted: &mut Counted, ends: Ends, protocol: Protocol, first_port: u16, has_answers: bool) {
    match protocol {
        Protocol::Udp => talk_udp(counted, ends, first_port, has_answers),
        _ => talk_tcp(counted, ends, first_port, has_answers),
    }
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(std::hint::black_box(vec![1; 10])));
    assert_eq!(counted.count_total, 1);
}

#[rstest]
fn no_mode_allocates_for_new_and_known_conns(
    #[values(
        FwdMode::FullNat,
        FwdMode::Nat,
        FwdMode::DirectRoute,
        FwdMode::Tunnel(Encapsulation::IpIp),
        FwdMode::Tunnel(Encapsulation::Gre),
        FwdMode::Tunnel(Encapsulation::Gue(6080))
    )]
    fwdmode: FwdMode,
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
    #[values(V4, V6, NAT64, NAT46)] ends: Ends,
) {
    let is_between_families = ends == NAT64 || ends == NAT46;
    if fwdmode == FwdMode::DirectRoute && is_between_families {
        return;
    }
    let has_answers = matches!(fwdmode, FwdMode::FullNat | FwdMode::Nat);
    let mut counted = Counted::new(director(ends, protocol, fwdmode));
    counted.assert_none_when_warm(|counted, first_port| {
        talk(counted, ends, protocol, first_port, has_answers);
    });
}

#[rstest]
fn snat_allocates_nothing(#[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol) {
    let mut counted = Counted::new(snat_director(protocol));
    counted.assert_none_when_warm(|counted, first_port| {
        let packets = (0..CLIENTS).map(|number| {
            let host = format!("192.168.100.2:{}", first_port + number);
            match protocol {
                Protocol::Udp => frames::udp(&host, "10.0.0.48:80", b"question", FROM_DEST),
                _ => frames::tcp(&host, "10.0.0.48:80")
                    .flags("S")
                    .frame(FROM_DEST),
            }
        });
        let asked = counted.receive(LAN, &packets.collect::<Vec<_>>());
        assert_eq!(asked.len(), CLIENTS.into());
        let answers = asked.iter().map(|frame| {
            let asked = Seen::parse(frame);
            match protocol {
                Protocol::Udp => frames::udp(&asked.dst, &asked.src, b"answer", FROM_CLIENT),
                _ => frames::tcp(&asked.dst, &asked.src)
                    .flags("SA")
                    .ack(1)
                    .frame(FROM_CLIENT),
            }
        });
        let answers = counted.receive(WAN, &answers.collect::<Vec<_>>());
        assert_eq!(answers.len(), CLIENTS.into());
    });
}

/// A director whose hosts reach the world from [`LADDR`].
fn snat_director(protocol: Protocol) -> Director {
    let mut director = director(V4, protocol, FwdMode::FullNat);
    let range = EndRange {
        addrs: (
            "192.168.100.0".parse().unwrap(),
            "192.168.100.254".parse().unwrap(),
        ),
        ports: (0, 0),
    };
    let key = ServiceKey {
        matcher: Some(Match {
            src: Some(range),
            dst: None,
            iif: None,
            oif: DeviceName::new("dpdk1"),
        }),
        ..ServiceKey::vip(protocol, [0, 0, 0, 0].into(), 0)
    };
    let wan_addr = SocketAddr::new(LADDR.parse().unwrap(), 0);
    let dests = vec![config::dest(7, wan_addr, FwdMode::Snat)];
    let laddrs = [config::laddr(0, LADDR.parse().unwrap())];
    let service = config::service(3, key, SchedulerKind::Rr, dests, laddrs);
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();
    director
}

fn with_options(protocol: Protocol, change: impl FnOnce(&mut ServiceOptions)) -> Counted {
    let mut director = director(V4, protocol, FwdMode::FullNat);
    director.edit(|service: &mut Service| change(&mut service.options));
    Counted::new(director)
}

#[rstest]
fn persistence_and_limits_allocate_nothing(
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
) {
    let mut counted = with_options(protocol, |options| {
        options.conn_limit = Some(1000);
        options.conn_rate_limit = Some(1000);
        options.persistence = Some(Persistence {
            timeout_s: 300,
            prefix_len: 32,
        });
    });
    counted.assert_none_when_warm(|counted, first_port| {
        talk(counted, V4, protocol, first_port, true);
    });
}

#[test]
fn one_packet_scheduling_allocates_nothing() {
    let mut counted = with_options(Protocol::Udp, |options| options.is_one_packet = true);
    counted.assert_none_when_warm(|counted, first_port| talk_udp(counted, V4, first_port, false));
}

#[rstest]
fn uoa_allocates_nothing(#[values(uoa::Mode::IpOption, uoa::Mode::OwnProtocol)] mode: uoa::Mode) {
    let max_trail = 3;
    let mut counted = with_options(Protocol::Udp, |options| {
        options.uoa = Some(UoaOptions { mode, max_trail });
    });
    counted.assert_none_when_warm(|counted, first_port| talk_udp(counted, V4, first_port, false));
}

#[rstest]
fn the_proxy_protocol_allocates_nothing(
    #[values(proxy::Version::V1, proxy::Version::V2)] version: proxy::Version,
) {
    let mut counted = with_options(Protocol::Tcp, |options| {
        options.proxy_protocol = Some(ProxyProtocol {
            version,
            is_insecure: false,
            is_in_each_datagram: false,
        });
    });
    counted.assert_none_when_warm(|counted, first_port| talk_tcp(counted, V4, first_port, true));
}

#[rstest]
fn the_proxy_protocol_over_udp_allocates_nothing(#[values(false, true)] is_in_each_datagram: bool) {
    let mut counted = with_options(Protocol::Udp, |options| {
        options.proxy_protocol = Some(ProxyProtocol {
            version: proxy::Version::V2,
            is_insecure: false,
            is_in_each_datagram,
        });
    });
    counted.assert_none_when_warm(|counted, first_port| talk_udp(counted, V4, first_port, false));
}

#[test]
fn the_syn_proxy_allocates_nothing() {
    let mut counted = with_options(Protocol::Tcp, |options| {
        options.syn_proxy = Some(SynProxy::Always);
    });
    counted.assert_none_when_warm(|counted, first_port| {
        let syns = segments(V4, first_port, |tcp| {
            tcp.flags("S").seq(1000).options(&SYN_OPTIONS)
        });
        let cookies = counted.receive(WAN, &syns);
        let acks = cookies.iter().map(|frame| {
            let syn_ack = Seen::parse(frame);
            frames::tcp(&syn_ack.dst, &syn_ack.src)
                .flags("A")
                .seq(1001)
                .ack(syn_ack.seq.wrapping_add(1))
                .frame(FROM_CLIENT)
        });
        let syns = counted.receive(WAN, &acks.collect::<Vec<_>>());
        let syn_acks = syns.iter().map(|frame| {
            let syn = Seen::parse(frame);
            frames::tcp(&syn.dst, &syn.src)
                .flags("SA")
                .seq(5000)
                .ack(syn.seq.wrapping_add(1))
                .frame(FROM_DEST)
        });
        // The dest gets its ACK and the client the dest's window.
        let accepted = counted.receive(LAN, &syn_acks.collect::<Vec<_>>());
        assert_eq!(accepted.len(), 2 * usize::from(CLIENTS));
    });
}

#[rstest]
#[case::wrr(SchedulerKind::Wrr)]
#[case::lc(SchedulerKind::Lc)]
#[case::wlc(SchedulerKind::Wlc)]
#[case::sed(SchedulerKind::Sed)]
#[case::nq(SchedulerKind::Nq)]
#[case::lblcr(SchedulerKind::Lblcr)]
#[case::mh(SchedulerKind::Mh(HashOptions { port: true, ..HashOptions::default() }))]
#[case::conhash(SchedulerKind::Conhash(HashTarget::Sip))]
fn no_scheduler_allocates(#[case] scheduler: SchedulerKind) {
    let setup = Setup {
        protocol: Protocol::Udp,
        dests: vec![DEST, "192.168.100.3:80", "192.168.100.4:80"],
        ..Setup::default()
    };
    let mut director = setup.build();
    director.edit(|service| service.scheduler = scheduler);
    let mut counted = Counted::new(director);
    counted.assert_none_when_warm(|counted, first_port| talk_udp(counted, V4, first_port, true));
}

/// Fragments in the wrong order, an ICMP error, pings, ARP, and frames that are cut.
#[test]
fn packets_beside_the_fast_path_allocate_nothing() {
    let mut counted = Counted::new(director(V4, Protocol::Udp, FwdMode::FullNat));
    counted.assert_none_when_warm(|counted, first_port| {
        let asked = counted.receive(WAN, &datagrams(V4, first_port));
        let errors = asked
            .iter()
            .map(|frame| frames::unreachable("192.168.100.2", LADDR, &frame[14..], FROM_DEST));
        let errors = counted.receive(LAN, &errors.collect::<Vec<_>>());
        assert_eq!(errors.len(), CLIENTS.into());
        let fragments = datagrams(V4, first_port).into_iter().flat_map(in_two);
        let mut fragments: Vec<_> = fragments.collect();
        assert_eq!(counted.receive(WAN, &fragments).len(), fragments.len());
        for (fragment, id) in fragments.iter_mut().zip(0_u16..) {
            fragment[18..20].copy_from_slice(&(1000 + id / 2).to_be_bytes());
            frames::repair_ip(fragment);
        }
        fragments.reverse();
        assert_eq!(counted.receive(WAN, &fragments).len(), fragments.len());
        let ping = frames::echo_request("10.0.0.48", "10.0.0.100", b"data", FROM_CLIENT);
        let arp = frames::arp_request(("10.0.0.48", CLIENT_MAC), "10.0.0.100");
        let cut = asked[0][..30].to_vec();
        assert_eq!(counted.receive(WAN, &[ping, arp, cut]).len(), 2);
    });
}

/// The two fragments of a UDP datagram with 8 bytes of payload, by its client's port.
fn in_two(frame: Vec<u8>) -> [Vec<u8>; 2] {
    let id = [frame[34], frame[35]];
    let fragment = |payload: &[u8], offset: [u8; 2]| {
        let mut fragment = [&frame[..34], payload].concat();
        fragment[16..18].copy_from_slice(&28_u16.to_be_bytes());
        fragment[18..20].copy_from_slice(&id);
        fragment[20..22].copy_from_slice(&offset);
        frames::repair_ip(&mut fragment);
        fragment
    };
    [
        fragment(&frame[34..42], [0x20, 0]),
        fragment(&frame[42..50], [0, 1]),
    ]
}

#[test]
fn packets_that_wait_for_a_neighbour_allocate_nothing() {
    let setup = Setup {
        protocol: Protocol::Udp,
        resolve: false,
        ..Setup::default()
    };
    let mut counted = Counted::new(setup.build());
    counted.assert_none_when_warm(|counted, first_port| {
        let questions = datagrams(V4, first_port);
        assert!(counted.receive(WAN, &questions).is_empty());
        assert!(counted.director.engine.stats().held.get() > 0);
    });
}

/// The client names the port that it listens on, and the line that names it is rewritten.
#[test]
fn the_ftp_helper_allocates_nothing() {
    const FTP: Ends = ["10.0.0.48", "10.0.0.100:21", "192.168.100.2:21", LADDR];
    let mut counted = Counted::new(director(FTP, Protocol::Tcp, FwdMode::FullNat));
    counted.assert_none_when_warm(|counted, first_port| {
        let syns = segments(FTP, first_port, |tcp| tcp.flags("S").seq(1000));
        let asked = counted.receive(WAN, &syns);
        let syn_acks = asked.iter().map(|frame| {
            let syn = Seen::parse(frame);
            let syn_ack = frames::tcp(&syn.dst, &syn.src).flags("SA").seq(5000);
            syn_ack.ack(syn.seq + 1).frame(FROM_DEST)
        });
        let syn_acks = counted.receive(LAN, &syn_acks.collect::<Vec<_>>());
        assert_eq!(syn_acks.len(), CLIENTS.into());
        let lines = segments(FTP, first_port, |tcp| {
            let line = tcp.flags("PA").seq(1001).ack(5001);
            line.payload(b"EPRT |1|10.0.0.48|40001|\r\n")
        });
        for frame in counted.receive(WAN, &lines) {
            let line = Seen::parse(&frame).payload;
            assert!(line.starts_with(b"EPRT |1|192.168.100.200|"), "{line:?}");
        }
    });
}

/// Commands are not packets, but a worker handles them between two batches: what it keeps of a new
/// configuration was allocated by control.
#[test]
fn a_snapshot_is_taken_without_allocating() {
    let mut director = director(V4, Protocol::Tcp, FwdMode::FullNat);
    let snapshot = Arc::new(director.snapshot.clone());
    let mut basket = Basket::default();
    let now: Now = director.now;
    let counted = measure(|| {
        let engine = &mut director.engine;
        assert!(
            engine
                .apply(now, Command::Publish(snapshot), &mut basket)
                .is_ok()
        );
    });
    assert_eq!(counted.count_total, 0);
}
