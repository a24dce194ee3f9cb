//! Every scheduler through the whole engine: which dest do packets leave to?

use std::net::SocketAddr;
use std::sync::Arc;

use inet::IfIndex;
use ipvs_core::Plan;
use ipvs_core::{DropReason, HashOptions, HashTarget, Protocol, SchedulerKind};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

const CLIENTS: usize = 250;
const FALLBACK: HashOptions = HashOptions {
    fallback: true,
    port: false,
};

/// A director whose service has a dest for each weight, with an upper threshold if that is not 0.
struct Lab {
    director: Director,
}

impl Lab {
    fn new(kind: SchedulerKind, protocol: Protocol, weights: &[u16], upper_threshold: u32) -> Self {
        Self::of_worker(0, kind, protocol, weights, upper_threshold)
    }

    fn of_worker(
        worker: u16,
        kind: SchedulerKind,
        protocol: Protocol,
        weights: &[u16],
        upper_threshold: u32,
    ) -> Self {
        let mut director = Setup {
            worker,
            workers: worker + 1,
            protocol,
            dests: (0..weights.len()).map(|n| &*dest(n).leak()).collect(),
            ..Setup::default()
        }
        .build();
        for n in 0..CLIENTS {
            let addr = client(n).parse::<SocketAddr>().expect("an address").ip();
            let neighbours = &mut director.neighbours;
            neighbours.add_static(IfIndex(2), addr, CLIENT_MAC);
        }
        let mut lab = Self { director };
        lab.change(kind, weights, upper_threshold);
        lab
    }

    fn change(&mut self, kind: SchedulerKind, weights: &[u16], upper_threshold: u32) {
        let services = &mut self.director.snapshot.services;
        let mut service = services
            .iter()
            .next()
            .expect("one service")
            .as_ref()
            .clone();
        for (dest, weight) in service.dests.iter_mut().zip(weights) {
            (dest.weight, dest.upper_threshold) = (*weight, upper_threshold);
        }
        service.scheduler = kind;
        service.plan = Plan::new(kind, &service.dests);
        services.insert_all([Arc::new(service)]);
        self.director.publish();
    }

    /// Sends a datagram of this client. Returns the number of the dest that it went to, and the
    /// address that it came from.
    fn datagram(&mut self, client: &str, payload: &[u8]) -> usize {
        let frame = frames::udp(client, VIP, payload, FROM_CLIENT);
        number_of(&self.director.to_dest(&frame).dst)
    }

    /// Sends a SYN of this client.
    fn syn(&mut self, client: &str) -> (usize, frames::Seen) {
        let syn = frames::tcp(client, VIP).flags("S").seq(1000);
        let seen = self.director.to_dest(&syn.frame(FROM_CLIENT));
        (number_of(&seen.dst), seen)
    }

    /// A handshake, which makes an active conn.
    fn open(&mut self, client: &str) -> usize {
        let (number, syn) = self.syn(client);
        let syn_ack = frames::tcp(&dest(number), &syn.src)
            .flags("SA")
            .seq(5000)
            .ack(syn.seq + 1);
        self.director.to_client(&syn_ack.frame(FROM_DEST));
        let ack = frames::tcp(client, VIP).flags("A").seq(1001).ack(5001);
        self.director.to_dest(&ack.frame(FROM_CLIENT));
        number
    }

    fn reset(&mut self, client: &str) {
        let reset = frames::tcp(client, VIP).flags("R").seq(1001);
        self.director.to_dest(&reset.frame(FROM_CLIENT));
    }
}

fn dest(number: usize) -> String {
    format!("192.168.100.{}:80", number + 2)
}

fn number_of(addr: &str) -> usize {
    (0..100)
        .find(|number| dest(*number) == addr)
        .expect("a dest of the service")
}

fn client(n: usize) -> String {
    format!("10.0.{}.{}:40000", n / 250 + 1, n % 250 + 1)
}

#[rstest]
#[case(SchedulerKind::Rr)]
#[case(SchedulerKind::Wrr)]
#[case(SchedulerKind::Lc)]
#[case(SchedulerKind::Wlc)]
#[case(SchedulerKind::Sed)]
#[case(SchedulerKind::Nq)]
#[case(SchedulerKind::Sh(FALLBACK))]
#[case(SchedulerKind::Dh)]
#[case(SchedulerKind::Mh(FALLBACK))]
#[case(SchedulerKind::Conhash(HashTarget::Sip))]
#[case(SchedulerKind::Conhash(HashTarget::Qid))]
#[case(SchedulerKind::Lblc)]
#[case(SchedulerKind::Lblcr)]
#[case(SchedulerKind::Fo)]
#[case(SchedulerKind::Ovf)]
fn weights_of_0_and_thresholds_keep_conns_away(#[case] kind: SchedulerKind) {
    let mut lab = Lab::new(kind, Protocol::Tcp, &[50, 0, 50], 5);
    let mut conns = [0; 3];
    for n in 0..10 {
        conns[lab.open(&client(n))] += 1;
    }
    assert_eq!(conns, [5, 0, 5]);
    // Every dest that takes conns has as many as its threshold allows.
    let syn = frames::tcp("10.0.0.99:1", VIP).flags("S").seq(1);
    let syn = syn.frame(FROM_CLIENT);
    lab.director.rejects(WAN, &syn, DropReason::NoDest);
    lab.change(kind, &[0, 0, 0], 0);
    lab.director.rejects(WAN, &syn, DropReason::NoDest);
    lab.change(kind, &[0, 7, 0], 0);
    assert_eq!(lab.open(&client(100)), 1);
}

/// A conn that ends is no longer counted, so that its dest is chosen again at once.
#[rstest]
#[case(SchedulerKind::Lc)]
#[case(SchedulerKind::Wlc)]
#[case(SchedulerKind::Sed)]
#[case(SchedulerKind::Nq)]
fn conns_that_are_reset_make_room(#[case] kind: SchedulerKind) {
    let mut lab = Lab::new(kind, Protocol::Tcp, &[1; 40], 0);
    let dests: Vec<_> = (0..80).map(|n| lab.open(&client(n))).collect();
    assert!((0..40).all(|dest| dests.iter().filter(|at| **at == dest).count() == 2));
    for n in (0..80).filter(|n| dests[*n] == 17) {
        lab.reset(&client(n));
    }
    for n in 100..102 {
        assert_eq!(lab.open(&client(n)), 17);
    }
    assert_ne!(lab.open(&client(103)), lab.open(&client(104)));
}

#[rstest]
#[case(SchedulerKind::Lc)]
#[case(SchedulerKind::Wlc)]
#[case(SchedulerKind::Sed)]
#[case(SchedulerKind::Nq)]
fn conns_that_expire_make_room(#[case] kind: SchedulerKind) {
    let mut lab = Lab::new(kind, Protocol::Udp, &[1; 40], 0);
    let dests: Vec<_> = (0..80).map(|n| lab.datagram(&client(n), b"")).collect();
    assert!((0..40).all(|dest| dests.iter().filter(|at| **at == dest).count() == 2));
    // Every client goes on sending, except those of one dest.
    for _ in 0..100 {
        lab.director.wait_s(5);
        for n in (0..80).filter(|n| dests[*n] != 17) {
            lab.datagram(&client(n), b"");
        }
    }
    assert_eq!(lab.director.states().len(), 78);
    for n in 100..102 {
        assert_eq!(lab.datagram(&client(n), b""), 17);
    }
}

#[rstest]
#[case(SchedulerKind::Sh(HashOptions::default()))]
#[case(SchedulerKind::Mh(HashOptions::default()))]
#[case(SchedulerKind::Conhash(HashTarget::Sip))]
fn a_client_keeps_its_dest_at_every_worker(#[case] kind: SchedulerKind) {
    let lab = |worker| Lab::of_worker(worker, kind, Protocol::Tcp, &[1, 2, 3, 4], 0);
    let (mut one, mut other) = (lab(0), lab(1));
    let mut seen = [0; 4];
    for n in 0..100 {
        let addr = client(n);
        let addr = addr.split(':').next().unwrap();
        let dest = one.syn(&format!("{addr}:1")).0;
        assert_eq!(other.syn(&format!("{addr}:2")).0, dest);
        assert_eq!(one.syn(&format!("{addr}:3")).0, dest);
        seen[dest] += 1;
    }
    assert!(seen.iter().all(|clients| *clients > 0), "{seen:?}");
}

/// In LVS the flags sh-port and mh-port make the port part of the hash.
#[test]
fn ports_count_with_the_port_flag() {
    let options = HashOptions {
        fallback: false,
        port: true,
    };
    let mut lab = Lab::new(SchedulerKind::Mh(options), Protocol::Tcp, &[1; 4], 0);
    let mut seen = [0; 4];
    for port in 1..60 {
        seen[lab.syn(&format!("10.0.0.48:{port}")).0] += 1;
    }
    assert!(seen.iter().all(|conns| *conns > 0), "{seen:?}");
}

/// One VIP is one destination, so all its conns go to one dest.
#[rstest]
#[case(SchedulerKind::Dh)]
#[case(SchedulerKind::Lblc)]
fn a_destination_keeps_its_dest(#[case] kind: SchedulerKind) {
    let mut lab = Lab::new(kind, Protocol::Tcp, &[100; 4], 0);
    let first = lab.open(&client(0));
    assert!((1..50).all(|n| lab.open(&client(n)) == first));
}

#[test]
fn lblcr_gives_a_busy_destination_another_dest() {
    let mut lab = Lab::new(SchedulerKind::Lblcr, Protocol::Tcp, &[4; 4], 0);
    let dests: Vec<_> = (0..8).map(|n| lab.open(&client(n))).collect();
    assert!(dests[..5].iter().all(|dest| *dest == dests[0]), "{dests:?}");
    assert!(dests[5..].iter().all(|dest| *dest == dests[5]), "{dests:?}");
    assert_ne!(dests[0], dests[5]);
}

#[test]
fn fo_takes_the_heaviest_and_ovf_fills_one_after_the_other() {
    let mut lab = Lab::new(SchedulerKind::Fo, Protocol::Tcp, &[1, 9, 5], 0);
    assert!((0..20).all(|n| lab.open(&client(n)) == 1));
    lab.change(SchedulerKind::Fo, &[1, 0, 5], 0);
    assert!((30..40).all(|n| lab.open(&client(n)) == 2));

    let mut lab = Lab::new(SchedulerKind::Ovf, Protocol::Tcp, &[1, 3, 2], 0);
    // ip_vs_ovf: the next dest is taken when the active conns exceed the weight.
    let dests: Vec<_> = (0..9).map(|n| lab.open(&client(n))).collect();
    assert_eq!(dests, [1, 1, 1, 1, 2, 2, 2, 0, 0]);
    lab.reset(&client(2));
    assert_eq!(lab.open(&client(9)), 1);
}

/// RFC 9000, 9: when the client's address changes, the QUIC connection goes on.
#[test]
fn a_quic_client_whose_address_changes_keeps_its_dest() {
    let kind = SchedulerKind::Conhash(HashTarget::Qid);
    let mut lab = Lab::new(kind, Protocol::Udp, &[1; 4], 0);
    // An Initial with an ID that the client made up (RFC 9001 appendix A.2).
    let initial = [
        0xc0, 0, 0, 0, 1, 8, 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08, 0, 0, 0x44, 0x9e,
    ];
    // Until the handshake is confirmed, the client does not move (RFC 9000, 9).
    let home = lab.datagram(&client(0), &initial);
    // IDs that the dest made, which name it: by QUIC-LB's layout, and by DPVS's with 2 octets of
    // the address.
    let last = 2 + home as u8;
    let quic_lb = [0x52, 0x0a, 192, 168, 100, last, 0, 80, 1, 2, 3, 4, 9, 9];
    let dpvs = [
        0x52,
        0xaa,
        0x26,
        0x40 | last >> 4,
        last << 4,
        1,
        2,
        3,
        4,
        9,
        9,
    ];
    for n in 20..40 {
        assert_eq!(lab.datagram(&client(n), &quic_lb), home);
        assert_eq!(lab.datagram(&client(n + 50), &dpvs), home);
    }
    // A datagram that is not QUIC is scheduled by the client's address.
    for n in 200..220 {
        let addr = client(n).replace(":40000", "");
        let dest = lab.datagram(&format!("{addr}:1"), b"");
        assert_eq!(lab.datagram(&format!("{addr}:2"), b""), dest);
    }
}
