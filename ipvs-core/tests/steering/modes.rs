//! Every mode on any number of workers.

use ipvs_core::{FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;

use super::{Ends, Lab, NAT46, NAT64, Queues, V4, V6, packet};

const CLIENTS: std::ops::Range<u16> = 20_000..20_060;

/// Each client asks, is answered, and asks again.
fn talk(lab: &mut Lab, protocol: Protocol, ends: &Ends) {
    for port in CLIENTS {
        let client = ends.client(port);
        let syn = packet(protocol, (&client, ends.vip), "S", FROM_CLIENT);
        let seen = lab.client_sends(&syn);
        assert_eq!(seen.dst, ends.dest);
        let answer = packet(protocol, (ends.dest, &seen.src), "SA", FROM_DEST);
        let back = lab.dest_sends(&answer);
        assert_eq!((back.src.as_str(), &back.dst), (ends.vip, &client));
        let more = packet(protocol, (&client, ends.vip), "A", FROM_CLIENT);
        assert_eq!(lab.client_sends(&more).src, seen.src, "the same conn");
    }
    assert_eq!(lab.conns(), CLIENTS.len(), "a conn for each client");
    assert_eq!(lab.dropped(), 0);
}

#[rstest]
fn fullnat_needs_no_handoff_where_the_nic_hashes_as_the_director(
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
    #[values(V4, V6, NAT64, NAT46)] ends: Ends,
    #[values(1, 2, 3, 4, 8, 10, 16)] workers: u16,
) {
    let setup = ends.setup(protocol, FwdMode::FullNat, workers);
    let mut lab = Lab::new(&setup, Queues::Rss);
    talk(&mut lab, protocol, &ends);
    assert_eq!(lab.handed_over(), 0);
}

#[rstest]
fn fullnat_and_nat_work_whatever_queue_a_packet_comes_to(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
    #[values(V4, V6)] ends: Ends,
    #[values(2, 3, 10, 16)] workers: u16,
    #[values(Queues::Rss, Queues::AddressesOnly, Queues::Sticky, Queues::Any)] queues: Queues,
) {
    let setup = ends.setup(protocol, fwdmode, workers);
    let mut lab = Lab::new(&setup, queues);
    talk(&mut lab, protocol, &ends);
    let packets = 3 * CLIENTS.len() as u64;
    assert!(lab.handed_over() <= packets, "each packet once at most");
}

/// With NAT a client's packets are at their worker, and a reply is handed over once.
#[rstest]
fn nat_hands_over_replies_only(#[values(V4, V6)] ends: Ends) {
    let setup = ends.setup(Protocol::Tcp, FwdMode::Nat, 8);
    let mut lab = Lab::new(&setup, Queues::Rss);
    talk(&mut lab, Protocol::Tcp, &ends);
    let misplaced: u64 = lab.workers.iter().map(|worker| worker.wire.misplaced).sum();
    assert_eq!(misplaced, 0, "no NIC could know where");
    assert!(lab.handed_over() <= CLIENTS.len() as u64);
}

#[rstest]
fn dr_and_tunnel_need_no_handoff(
    #[values(FwdMode::DirectRoute, FwdMode::Tunnel(ipvs_core::Encapsulation::IpIp))]
    fwdmode: FwdMode,
    #[values(2, 10)] workers: u16,
    #[values(Queues::Rss, Queues::Sticky, Queues::Any)] queues: Queues,
) {
    let setup = V4.setup(Protocol::Tcp, fwdmode, workers);
    let mut lab = Lab::new(&setup, queues);
    for port in CLIENTS {
        let client = V4.client(port);
        for flags in ["S", "A", "PA"] {
            let frame = packet(Protocol::Tcp, (&client, VIP), flags, FROM_CLIENT);
            assert_eq!(lab.receive(WAN, &frame).len(), 1);
        }
    }
    assert_eq!(lab.conns(), CLIENTS.len());
    if queues != Queues::Any {
        assert_eq!(lab.handed_over(), 0);
    }
}
