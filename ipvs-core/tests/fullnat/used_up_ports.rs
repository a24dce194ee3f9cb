//! All ports of a local address are in use towards a dest, and some of them by conns that are
//! closing. Those give way, oldest first, and the dest takes the new conn although it may remember
//! the old one in TIME_WAIT (RFC 9293, 3.10.7.4; RFC 6191).

use ipvs_core::{DropReason, FwdMode, LaddrUseId, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use crate::input::sctp::{ABORT, INIT, packet_of, seen};
use crate::modes::snat_director;

/// The free ports of the local address.
const FREE: [u16; 4] = [16_000, 32_000, 48_000, 64_000];
const PORTS: usize = FREE.len();

fn with_few_ports(mut director: Director, laddr: &str) -> Director {
    let addr = laddr.parse().unwrap();
    // The pool that it has would pass its ports on.
    director.command(ipvs_core::Command::RemoveLaddr(ipvs_core::LaddrId(0)));
    director.command(config::add_laddr_with(0, addr, &config::owners(1), &FREE));
    director
}

fn director() -> Director {
    with_few_ports(Setup::default().build(), LADDR)
}

/// Who talks to whom through the director.
#[derive(Clone, Copy)]
struct Ends {
    /// The client's address, with a colon behind it
    client: &'static str,
    vip: &'static str,
    dest: &'static str,
    /// The client is behind the director, and the dest is in the world.
    is_snat: bool,
}

const V4: Ends = Ends {
    client: "10.0.0.48:",
    vip: VIP,
    dest: DEST,
    is_snat: false,
};
const V6: Ends = Ends {
    client: "[2001:db8:1::48]:",
    vip: VIP6,
    dest: DEST6,
    is_snat: false,
};
const SNAT: Ends = Ends {
    client: "192.168.100.2:",
    vip: "10.0.0.48:80",
    dest: "10.0.0.48:80",
    is_snat: true,
};

impl Ends {
    /// The client of this port sends a segment; what the dest gets.
    fn client_sends(self, director: &mut Director, port: u16, segment: Segment) -> Seen {
        let frame = segment.of(&format!("{}{port}", self.client), self.vip);
        if self.is_snat {
            one(director.receive(LAN, &frame.frame(FROM_DEST)), WAN)
        } else {
            director.to_dest(&frame.frame(FROM_CLIENT))
        }
    }

    /// The dest sends a segment; what the client gets.
    fn dest_sends(self, director: &mut Director, to: &str, segment: Segment) -> Seen {
        let frame = segment.of(self.dest, to);
        if self.is_snat {
            one(director.receive(WAN, &frame.frame(FROM_CLIENT)), LAN)
        } else {
            director.to_client(&frame.frame(FROM_DEST))
        }
    }

    /// The client opens a conn; the SYN that the dest gets.
    fn open(self, director: &mut Director, port: u16) -> Seen {
        let segment = Segment("S", 1000, 0, &SYN_OPTIONS);
        let syn = self.client_sends(director, port, segment);
        let ack = syn.seq.wrapping_add(1);
        self.dest_sends(director, &syn.src, Segment("SA", 5000, ack, &[]));
        self.client_sends(director, port, Segment("A", 1001, 5001, &[]));
        syn
    }

    /// The dest closes a conn, and then the client. The dest has TIME_WAIT (RFC 9293, 3.6), and has
    /// got `sent` bytes. Returns what it expects next.
    fn close(self, director: &mut Director, port: u16, syn: &Seen, sent: u32) -> u32 {
        let next = syn.seq.wrapping_add(1).wrapping_add(sent);
        self.dest_sends(director, &syn.src, Segment("FA", 5001, next, &[]));
        let fin = Segment("FA", 1001_u32.wrapping_add(sent), 5002, &[]);
        self.client_sends(director, port, fin);
        let next = next.wrapping_add(1);
        self.dest_sends(director, &syn.src, Segment("A", 5002, next, &[]));
        next
    }
}

/// Flags, sequence number, acknowledgment, options
#[derive(Clone, Copy)]
struct Segment(&'static str, u32, u32, &'static [u8]);

impl Segment {
    fn of(self, src: &str, dst: &str) -> frames::Tcp {
        let Self(flags, seq, ack, options) = self;
        let segment = frames::tcp(src, dst).flags(flags).seq(seq);
        segment.ack(ack).options(options)
    }
}

/// A host in TIME_WAIT that expects `next` takes a SYN beyond that. It would compare timestamps
/// with those of the old conn first (RFC 6191, 2), and those of another client may be older.
#[track_caller]
fn is_taken_in_time_wait(syn: &Seen, next: u32) {
    assert_eq!(syn.flags, "S");
    assert!((syn.seq.wrapping_sub(next) as i32) > 0, "{syn:?}, {next}");
    let timestamps = [8, 10];
    assert!(!syn.options.windows(2).any(|kind| kind == timestamps));
}

fn ports_of(director: &mut Director) -> Vec<u16> {
    let mut ports: Vec<_> = director.conns().iter().map(|conn| conn.caddr.1).collect();
    ports.sort_unstable();
    ports
}

#[rstest]
#[case::full_nat(V4, director())]
#[case::ipv6(
    V6,
    with_few_ports(setup6(Protocol::Tcp, FwdMode::FullNat).build(), LADDR6)
)]
#[case::snat(SNAT, with_few_ports(snat_director(Protocol::Tcp), LADDR))]
fn the_conn_that_closed_first_gives_its_port(#[case] ends: Ends, #[case] mut director: Director) {
    let syns: Vec<_> = (1..=4).map(|port| ends.open(&mut director, port)).collect();
    // The second one closes first.
    let next = [2, 1, 4].map(|port| {
        let syn = &syns[usize::from(port) - 1];
        ends.close(&mut director, port, syn, 0)
    });
    let third = ends.open(&mut director, 11);
    assert_eq!(third.src, syns[1].src);
    is_taken_in_time_wait(&third, next[0]);
    let first = ends.open(&mut director, 12);
    assert_eq!(first.src, syns[0].src);
    is_taken_in_time_wait(&first, next[1]);
    assert_eq!(ports_of(&mut director), [3, 4, 11, 12]);
    // One that closes now is behind those that closed before.
    let again = ends.close(&mut director, 11, &third, 0);
    let fourth = ends.open(&mut director, 13);
    assert_eq!(fourth.src, syns[3].src);
    is_taken_in_time_wait(&fourth, next[2]);
    is_taken_in_time_wait(&ends.open(&mut director, 14), again);
    assert_eq!(director.states(), ["ESTABLISHED"; PORTS]);
    assert_eq!(director.engine.stats().conns_recycled.get(), 4);
}

/// The clock of initial sequence numbers counts 15 million a second. A conn may have sent faster.
#[rstest]
#[case::full_nat(V4, director())]
#[case::snat(SNAT, with_few_ports(snat_director(Protocol::Tcp), LADDR))]
fn the_new_conn_begins_beyond_a_conn_that_has_sent_much(
    #[case] ends: Ends,
    #[case] mut director: Director,
    #[values(1 << 20, 1 << 30, u32::MAX / 2, 3 << 30)] sent: u32,
) {
    let syns: Vec<_> = (1..=4).map(|port| ends.open(&mut director, port)).collect();
    let next = ends.close(&mut director, 2, &syns[1], sent);
    let syn = ends.open(&mut director, 11);
    assert_eq!(syn.src, syns[1].src);
    is_taken_in_time_wait(&syn, next);
}

/// So does a client that opens its own conn again.
#[rstest]
fn a_conn_that_is_opened_again_begins_beyond_what_it_has_sent(
    #[values(1 << 20, 1 << 30, u32::MAX / 2, 3 << 30)] sent: u32,
) {
    let mut director = director();
    let syn = V4.open(&mut director, 1);
    let next = V4.close(&mut director, 1, &syn, sent);
    let again = V4.open(&mut director, 1);
    assert_eq!(again.src, syn.src);
    is_taken_in_time_wait(&again, next);
}

/// SNAT leaves numbers and options alone, except in a conn that got the port of another one: there
/// the dest's selective acknowledgments are translated too (RFC 2018, 3).
#[test]
fn a_host_s_conn_on_a_port_of_another_one_works_as_any() {
    let mut director = with_few_ports(snat_director(Protocol::Tcp), LADDR);
    let syns: Vec<_> = (1..=4).map(|port| SNAT.open(&mut director, port)).collect();
    assert!(syns.iter().all(|syn| syn.seq == 1000));
    SNAT.close(&mut director, 2, &syns[1], 1 << 20);
    let syn = SNAT.open(&mut director, 11);
    let shift = syn.seq.wrapping_sub(1000);
    assert_ne!(shift, 0);
    let data = frames::tcp("192.168.100.2:11", SNAT.vip).flags("PA");
    let data = data.seq(1011).ack(5001).payload(b"more");
    let data = one(director.receive(LAN, &data.frame(FROM_DEST)), WAN);
    assert_eq!(data.seq.wrapping_sub(shift), 1011);
    let mut sack = [1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0];
    sack[4..8].copy_from_slice(&data.seq.to_be_bytes());
    sack[8..12].copy_from_slice(&data.seq.wrapping_add(4).to_be_bytes());
    let ack = frames::tcp(SNAT.dest, &syn.src).flags("A").seq(5001);
    let ack = ack.ack(syn.seq.wrapping_add(1)).options(&sack);
    let back = one(director.receive(WAN, &ack.frame(FROM_CLIENT)), LAN);
    assert_eq!((back.ack, back.checksums_right), (1001, true));
    assert_eq!(back.options[4..8], 1011_u32.to_be_bytes());
    assert_eq!(back.options[8..12], 1015_u32.to_be_bytes());
}

/// The last FIN was never acknowledged. The dest answers the SYN by an ACK, the client that by a
/// RST, and then the dest takes the SYN (RFC 9293, 3.5.1, figure 9).
#[test]
fn a_dest_in_last_ack_finds_out_that_the_old_conn_is_over() {
    let mut director = director();
    let syns: Vec<_> = (1..=4).map(|port| V4.open(&mut director, port)).collect();
    let expected = syns[0].seq.wrapping_add(2);
    V4.client_sends(&mut director, 1, Segment("FA", 1001, 5001, &[]));
    V4.dest_sends(
        &mut director,
        &syns[0].src,
        Segment("FA", 5001, expected, &[]),
    );
    let open = Segment("S", 7000, 0, &[]);
    let syn = V4.client_sends(&mut director, 11, open);
    assert_eq!(syn.src, syns[0].src);
    is_taken_in_time_wait(&syn, expected);
    let answer = Segment("A", 5002, expected, &[]);
    let answer = V4.dest_sends(&mut director, &syn.src, answer);
    let reset = Segment("R", answer.ack, 0, &[]);
    let reset = V4.client_sends(&mut director, 11, reset);
    assert_eq!((&*reset.flags, reset.seq), ("R", expected));
    let again = V4.client_sends(&mut director, 11, open);
    assert_eq!((&*again.flags, &again.src), ("S", &syn.src));
    let answer = Segment("SA", 9000, again.seq.wrapping_add(1), &[]);
    assert_eq!(V4.dest_sends(&mut director, &syn.src, answer).ack, 7001);
}

/// RFC 9260, 9: nothing remains of an association that was aborted.
#[test]
fn an_aborted_association_gives_its_port() {
    let setup = Setup {
        protocol: Protocol::Sctp,
        ..Setup::default()
    };
    let mut director = with_few_ports(setup.build(), LADDR);
    let client = |port| format!("10.0.0.48:{port}");
    let mut sends = |kind, port: u16| {
        let packet = packet_of(kind, &client(port), VIP, FROM_CLIENT);
        seen(&only(director.receive(WAN, &packet)).1).0
    };
    let sources = [1, 2, 3, 4].map(|port| sends(INIT, port));
    sends(ABORT, 3);
    assert_eq!(sends(INIT, 11), sources[2]);
    let packet = packet_of(INIT, &client(12), VIP, FROM_CLIENT);
    director.refuses(WAN, &packet, DropReason::NoLocalPort);
}

/// Whoever still talks keeps its port: established conns, and those that one end has closed.
#[test]
fn conns_that_are_not_closing_keep_their_ports() {
    let mut director = director();
    let syns: Vec<_> = (1..=4).map(|port| V4.open(&mut director, port)).collect();
    V4.client_sends(&mut director, 1, Segment("FA", 1001, 5001, &[]));
    V4.client_sends(&mut director, 2, Segment("R", 1001, 0, &[]));
    // An end that goes on has not taken the reset (RFC 5961, 3.2).
    let ack = syns[1].seq.wrapping_add(1);
    V4.dest_sends(&mut director, &syns[1].src, Segment("PA", 5001, ack, &[]));
    let syn = frames::tcp("10.0.0.48:11", VIP).flags("S");
    director.rejects(WAN, &syn.frame(FROM_CLIENT), DropReason::NoLocalPort);
    assert_eq!(ports_of(&mut director), [1, 2, 3, 4]);
}

/// A port is counted for the conn that has it, and that none was free is counted too.
#[test]
fn a_port_that_was_taken_over_is_counted_for_the_new_conn_alone() {
    let mut director = director();
    let syns: Vec<_> = (1..=4).map(|port| V4.open(&mut director, port)).collect();
    V4.close(&mut director, 2, &syns[1], 0);
    let uses = |director: &Director| {
        let stats = director.engine.stats().laddr_use(LaddrUseId(0));
        (stats.conns.get(), stats.conflicts.get())
    };
    assert_eq!(uses(&director), (PORTS as u64, 0));
    assert_eq!(V4.open(&mut director, 11).src, syns[1].src);
    assert_eq!(uses(&director), (PORTS as u64, 1));
    director.wait_s(100);
    assert_eq!((director.conns().len(), uses(&director)), (0, (0, 1)));
}

/// The port is free for the next conn as soon as the one that took it over has ended.
#[test]
fn a_port_that_was_taken_over_comes_back_once() {
    let mut director = director();
    for port in 1..=4 {
        let syn = V4.open(&mut director, port);
        V4.close(&mut director, port, &syn, 0);
    }
    for port in 11..=14 {
        V4.open(&mut director, port);
    }
    director.wait_s(100);
    assert_eq!(director.conns(), []);
    for port in 21..=24 {
        V4.open(&mut director, port);
    }
    let syn = frames::tcp("10.0.0.48:25", VIP).flags("S");
    director.rejects(WAN, &syn.frame(FROM_CLIENT), DropReason::NoLocalPort);
}

/// A local address that is being removed gives no port out, and one that comes back knows who is
/// closing.
#[test]
fn an_address_that_leaves_and_comes_back_gives_ports_of_closing_conns_again() {
    let mut director = director();
    let syns: Vec<_> = (1..=4).map(|port| V4.open(&mut director, port)).collect();
    V4.close(&mut director, 1, &syns[0], 0);
    director.command(ipvs_core::Command::RemoveLaddr(ipvs_core::LaddrId(0)));
    let syn = frames::tcp("10.0.0.48:11", VIP).flags("S");
    director.rejects(WAN, &syn.frame(FROM_CLIENT), DropReason::NoLocalPort);
    director.command(config::add_laddr_with(
        0,
        LADDR.parse().unwrap(),
        &config::owners(1),
        &FREE,
    ));
    assert_eq!(V4.open(&mut director, 11).src, syns[0].src);
}

/// With several workers, a port must bring the dest's replies to the worker that has the conn. One
/// that was taken towards another dest need not do so, and the next one that closed is asked.
#[test]
fn a_port_gives_way_only_if_replies_to_it_come_to_the_same_worker() {
    const OTHER: &str = "192.168.100.10:80";
    let owners = config::owners(3);
    let is_ours = |dest: u8, port: u16| {
        let (dest, laddr) = ([192, 168, 100, dest], [192, 168, 100, 200]);
        owners.of_v4(dest, laddr, 80, port) == rss::WorkerId(0)
    };
    let port_for = |of_dest: bool, of_other: bool| {
        let suits = |port: &u16| (is_ours(2, *port), is_ours(10, *port)) == (of_dest, of_other);
        (2000..u16::MAX).find(suits).unwrap()
    };
    let (of_dest, of_both) = (port_for(true, false), port_for(true, true));
    let mut director = Setup {
        workers: 3,
        ..Setup::default()
    }
    .build();
    let addr = LADDR.parse().unwrap();
    director.command(ipvs_core::Command::RemoveLaddr(ipvs_core::LaddrId(0)));
    let ports = [of_dest, of_both];
    director.command(config::add_laddr_with(0, addr, &owners, &ports));
    // Clients whose packets come to this worker.
    let is_client = |port: &u16| {
        let (client, vip) = ([10, 0, 0, 48], [10, 0, 0, 100]);
        owners.of_v4(client, vip, *port, 80) == rss::WorkerId(0)
    };
    let clients: Vec<u16> = (1..).filter(is_client).take(4).collect();
    let mut syns = [0, 1].map(|n| (clients[n], V4.open(&mut director, clients[n])));
    let local = |port: u16| format!("{LADDR}:{port}");
    // The one whose port suits the first dest alone closes first.
    syns.sort_unstable_by_key(|(_, syn)| syn.src != local(of_dest));
    for (client, syn) in &syns {
        V4.close(&mut director, *client, syn, 0);
    }
    director.edit(|service| {
        let mut dest = service.dests[0].clone();
        dest.id = ipvs_core::DestId(1);
        dest.addr = OTHER.parse::<std::net::SocketAddr>().unwrap().ip();
        service.dests = vec![dest];
    });
    let ifindex = config::TO_DESTS;
    let other = OTHER.parse::<std::net::SocketAddr>().unwrap().ip();
    director.neighbours.add_static(ifindex, other, DEST_MAC);
    director.publish();
    let open = |client: u16| {
        let syn = frames::tcp(&format!("10.0.0.48:{client}"), VIP).flags("S");
        syn.frame(FROM_CLIENT)
    };
    let syn = director.to_dest(&open(clients[2]));
    assert_eq!((&*syn.dst, syn.src), (OTHER, local(of_both)));
    director.rejects(WAN, &open(clients[3]), DropReason::NoLocalPort);
}
