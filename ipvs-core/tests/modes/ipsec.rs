//! AH and ESP go to the dest of the key exchange (IKE) between the same addresses, as in IPVS.

use ipvs_core::{Arrival, DropReason, Encapsulation, FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Macs};

const L2_LEN: usize = 14;
const ESP: u8 = 50;
const AH: u8 = 51;

/// An IPsec packet between the addresses of these ends.
fn ipsec(protocol: u8, src: &str, dst: &str, macs: Macs) -> Vec<u8> {
    let mut frame = frames::udp(src, dst, b"nobody can read this", macs);
    if frame[12..14] == [8, 0] {
        frame[L2_LEN + 9] = protocol;
        frames::repair_ip(&mut frame);
    } else {
        frame[L2_LEN + 6] = protocol;
    }
    frame
}

/// The addresses of a frame, whose IP header must be right, and the payload of IP.
fn seen(frame: &[u8]) -> (String, String, Vec<u8>) {
    if frame[12..14] == [8, 0] {
        let (ip, rest) = etherparse::Ipv4Header::from_slice(&frame[L2_LEN..]).unwrap();
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        let addr = |bytes| std::net::Ipv4Addr::from(bytes).to_string();
        (addr(ip.source), addr(ip.destination), rest.to_vec())
    } else {
        let (ip, rest) = etherparse::Ipv6Header::from_slice(&frame[L2_LEN..]).unwrap();
        (
            ip.source_addr().to_string(),
            ip.destination_addr().to_string(),
            rest.to_vec(),
        )
    }
}

const CLIENT_IKE: &str = "10.0.0.48:500";
const VIP_IKE: &str = "10.0.0.100:500";
const DEST_IKE: &str = "192.168.100.2:500";

fn setup(fwdmode: FwdMode) -> Setup {
    Setup {
        protocol: Protocol::Udp,
        fwdmode,
        vip: VIP_IKE,
        dests: vec![DEST_IKE],
        ..Setup::default()
    }
}

fn director(fwdmode: FwdMode) -> Director {
    setup(fwdmode).build()
}

/// NICs hash no ports of AH and ESP, so their packets come to any worker.
#[rstest]
fn ah_and_esp_find_the_worker_of_the_key_exchange(
    #[values(FwdMode::DirectRoute, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(Arrival::ByHash, Arrival::AsItComes)] arrival: Arrival,
    #[values(0, 1, 2, 3)] at: usize,
) {
    let setup = Setup {
        workers: 4,
        arrival,
        ..setup(fwdmode)
    };
    let mut workers = setup.build_all();
    let ike = frames::udp(CLIENT_IKE, VIP_IKE, b"IKE", FROM_CLIENT);
    only(receive_at(&mut workers, 0, WAN, &ike));
    let packet = ipsec(ESP, CLIENT_IKE, VIP_IKE, FROM_CLIENT);
    assert_eq!(only(receive_at(&mut workers, at, WAN, &packet)).0, LAN);
    if fwdmode == FwdMode::Nat {
        let answer = ipsec(ESP, DEST_IKE, CLIENT_IKE, FROM_DEST);
        assert_eq!(only(receive_at(&mut workers, at, LAN, &answer)).0, WAN);
    }
    let stranger = ipsec(ESP, "10.0.0.49:500", VIP_IKE, FROM_CLIENT);
    assert_eq!(receive_at(&mut workers, at, WAN, &stranger), []);
}

#[rstest]
fn ah_and_esp_go_to_the_dest_of_the_key_exchange(#[values(ESP, AH)] protocol: u8) {
    let mut director = director(FwdMode::Nat);
    let packet = ipsec(protocol, CLIENT_IKE, VIP_IKE, FROM_CLIENT);
    director.receive(WAN, &packet);
    assert_eq!(director.wire.to_kernel.len(), 1, "no key exchange, no conn");
    director.to_dest(&frames::udp(CLIENT_IKE, VIP_IKE, b"IKE", FROM_CLIENT));
    let (port, sent) = only(director.receive(WAN, &packet));
    let (src, dst, rest) = seen(&sent);
    assert_eq!(
        (port, src.as_str(), dst.as_str()),
        (LAN, "10.0.0.48", "192.168.100.2")
    );
    assert_eq!(rest, packet[L2_LEN + 20..]);
    let answer = ipsec(protocol, DEST_IKE, CLIENT_IKE, FROM_DEST);
    let (port, back) = only(director.receive(LAN, &answer));
    assert_eq!((port, seen(&back).0.as_str()), (WAN, "10.0.0.100"));
}

#[test]
fn ah_and_esp_go_to_that_dest_by_dr_tunnel_and_ipv6_too() {
    let mut direct = director(FwdMode::DirectRoute);
    direct.receive(WAN, &frames::udp(CLIENT_IKE, VIP_IKE, b"IKE", FROM_CLIENT));
    let (_, sent) = only(direct.receive(WAN, &ipsec(ESP, CLIENT_IKE, VIP_IKE, FROM_CLIENT)));
    assert_eq!(
        (&sent[..6], seen(&sent).1.as_str()),
        (&DEST_MAC.0[..], "10.0.0.100")
    );
    let mut tunnel = director(FwdMode::Tunnel(Encapsulation::IpIp));
    tunnel.receive(WAN, &frames::udp(CLIENT_IKE, VIP_IKE, b"IKE", FROM_CLIENT));
    let (_, sent) = only(tunnel.receive(WAN, &ipsec(ESP, CLIENT_IKE, VIP_IKE, FROM_CLIENT)));
    assert_eq!(seen(&sent).2[9], ESP, "whole, inside");
    let [client, vip, dest] = [
        "[2001:db8:1::48]:500",
        "[2001:db8:1::100]:500",
        "[2001:db8:100::2]:500",
    ];
    let mut director = Setup {
        vip,
        dests: vec![dest],
        ..setup6(Protocol::Udp, FwdMode::Nat)
    }
    .build();
    director.receive(WAN, &frames::udp(client, vip, b"IKE", FROM_CLIENT));
    let (_, sent) = only(director.receive(WAN, &ipsec(ESP, client, vip, FROM_CLIENT)));
    assert_eq!(seen(&sent).1, "2001:db8:100::2");
}

#[test]
fn fullnat_refuses_ah_and_esp_since_clients_cannot_be_told_apart() {
    let mut director = director(FwdMode::FullNat);
    director.to_dest(&frames::udp(CLIENT_IKE, VIP_IKE, b"IKE", FROM_CLIENT));
    let packet = ipsec(ESP, CLIENT_IKE, VIP_IKE, FROM_CLIENT);
    director.refuses(WAN, &packet, DropReason::IpsecMode);
}
