//! Frames to a group of hosts, such as all of a link. RFC 1122, 3.3.6: a packet for a single host
//! that came in such a frame is discarded without an answer.

use ipvs_core::{DropReason, FwdMode, Protocol, SynProxy};
use packet::MacAddr;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Macs};

const TO_ALL: Macs = (CLIENT_MAC, MacAddr::BROADCAST);
/// The group of an IPv4 multicast address: RFC 1112, 6.4.
const TO_GROUP: Macs = (CLIENT_MAC, MacAddr([1, 0, 0x5e, 0, 0, 1]));

fn discards(director: &mut Director, frame: &[u8]) {
    director.refuses(WAN, frame, DropReason::FrameToGroup);
    assert!(director.wire.to_kernel.is_empty());
    assert_eq!(director.states(), Vec::<&str>::new());
}

#[rstest]
fn a_packet_for_one_host_in_a_frame_for_many_makes_no_conn(
    #[values(TO_ALL, TO_GROUP)] macs: Macs,
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
) {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let tcp = |client, vip| frames::tcp(client, vip).flags("S").frame(macs);
        let udp = |client, vip| frames::udp(client, vip, b"ask", macs);
        let of = |client, vip| match protocol {
            Protocol::Udp => udp(client, vip),
            _ => tcp(client, vip),
        };
        let setup = Setup {
            fwdmode,
            protocol,
            ..Setup::default()
        };
        discards(&mut setup.build(), &of(CLIENT, VIP));
        let setup = setup6(protocol, fwdmode);
        discards(&mut setup.build(), &of(CLIENT6, VIP6));
    }
}

/// The answer would leave with the group's address as its source.
#[test]
fn the_syn_proxy_answers_no_broadcast() {
    let mut director = Setup::default().build();
    director.edit(|service| service.options.syn_proxy = Some(SynProxy::Always));
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(TO_ALL);
    discards(&mut director, &syn);
}

#[test]
fn echo_requests_errors_and_fragments_to_many_are_discarded() {
    let (client, vip) = ("10.0.0.48", "10.0.0.100");
    let mut director = Setup::default().build();
    discards(
        &mut director,
        &frames::echo_request(client, vip, b"", TO_ALL),
    );
    let quoted = &frames::udp(VIP, CLIENT, b"", FROM_CLIENT)[14..];
    discards(
        &mut director,
        &frames::unreachable(client, vip, quoted, TO_ALL),
    );
    let mut fragment = frames::udp(CLIENT, VIP, b"ask", TO_ALL);
    fragment[20] = 0x20;
    frames::repair_ip(&mut fragment);
    discards(&mut director, &fragment);
    let (client, vip) = ("2001:db8:1::48", "2001:db8:1::100");
    let mut director = setup6(Protocol::Udp, FwdMode::FullNat).build();
    discards(
        &mut director,
        &frames::echo_request(client, vip, b"", TO_ALL),
    );
}

/// Routing protocols and others of the kernel's: multicast (RFC 1112), the limited broadcast, and
/// that of the link (RFC 919, 7).
#[test]
fn multicast_and_broadcast_go_to_the_kernel() {
    let mut director = Setup::default().build();
    for many in ["224.0.0.5:89", "255.255.255.255:67", "10.0.255.255:137"] {
        let frame = frames::udp(CLIENT, many, b"", TO_ALL);
        assert_eq!(director.receive(WAN, &frame), []);
    }
    let frame = frames::udp(CLIENT6, "[ff02::5]:89", b"", TO_GROUP);
    assert_eq!(director.receive(WAN, &frame), []);
    assert_eq!(director.wire.to_kernel.len(), 4);
}

/// IEEE 802.3, 3.2.3. An answer would go to many.
#[test]
fn a_frame_from_a_group_is_discarded() {
    let mut director = Setup::default().build();
    let from_all = (MacAddr::BROADCAST, WAN_MAC);
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(from_all);
    director.refuses(WAN, &syn, DropReason::GroupSource);
    let asks = frames::arp_request(("10.0.0.48", MacAddr::BROADCAST), "10.0.0.100");
    director.refuses(WAN, &asks, DropReason::GroupSource);
    director.open();
    let data = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    director.refuses(WAN, &data.frame(from_all), DropReason::GroupSource);
}
