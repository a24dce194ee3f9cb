//! Frames whose checksum a virtual machine left to its NIC (virtio 1.2, 5.1.6.2: the field holds
//! the sum of the pseudo header). They leave with a right checksum, whatever was done with them.

use ipvs_core::{FwdMode, Origin, Protocol};
use packet::{ChecksumState, PortId};
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

const L2_LEN: usize = 14;
const TCP: u8 = 6;

/// The one's complement sum (RFC 1071).
fn folded(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

/// The frame as it is before its sender's NIC: the sum of the pseudo header stands in the field.
fn left_to_the_nic(frame: &[u8]) -> Vec<u8> {
    let ip = &frame[L2_LEN..];
    let (l4_at, protocol, addrs) = match ip[0] >> 4 {
        4 => (20, ip[9], &ip[12..20]),
        _ => (40, ip[6], &ip[8..40]),
    };
    let len = (ip.len() - l4_at) as u16;
    let pseudo = [addrs, &[0, protocol], &len.to_be_bytes()].concat();
    let field_at = L2_LEN + l4_at + if protocol == TCP { 16 } else { 6 };
    let mut frame = frame.to_vec();
    frame[field_at..field_at + 2].copy_from_slice(&folded(&pseudo).to_be_bytes());
    frame
}

fn receive(director: &mut Director, port: PortId, frame: &[u8]) -> Vec<(PortId, Vec<u8>)> {
    let mut packet = VecBuf::new(port, &left_to_the_nic(frame));
    packet.l4_checksum = ChecksumState::Missing;
    director.receive_from(Origin::Nic, packet)
}

fn check(sent: Vec<(PortId, Vec<u8>)>) -> Seen {
    let seen = Seen::parse(&only(sent).1);
    assert!(seen.checksums_right, "{seen:?}");
    seen
}

#[rstest]
#[case(VIP, CLIENT, DEST, LADDR)]
#[case(VIP6, CLIENT6, DEST6, LADDR6)]
#[case::nat64(VIP6, CLIENT6, DEST, LADDR)]
#[case::nat46(VIP, CLIENT, DEST6, LADDR6)]
fn a_checksum_that_was_left_to_the_nic_is_filled_in(
    #[case] vip: &'static str,
    #[case] client: &str,
    #[case] dest: &'static str,
    #[case] laddr: &'static str,
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut director = Setup {
        vip,
        dests: vec![dest],
        laddrs: vec![laddr],
        protocol,
        fwdmode,
        ..Setup::default()
    }
    .build();
    let (ask, answer);
    if protocol == Protocol::Udp {
        ask = frames::udp(client, vip, b"ask", FROM_CLIENT);
        let asked = check(receive(&mut director, WAN, &ask));
        answer = frames::udp(dest, &asked.src, b"answer!", FROM_DEST);
    } else {
        ask = frames::tcp(client, vip)
            .flags("S")
            .seq(1)
            .frame(FROM_CLIENT);
        let asked = check(receive(&mut director, WAN, &ask));
        let reply = frames::tcp(dest, &asked.src).flags("SA").seq(9).ack(2);
        answer = reply.frame(FROM_DEST);
    }
    assert_eq!(check(receive(&mut director, LAN, &answer)).src, vip);
}

#[rstest]
fn a_dest_behind_direct_routing_gets_a_right_checksum(#[values(false, true)] is_tagged: bool) {
    let setup = Setup {
        fwdmode: FwdMode::DirectRoute,
        ..Setup::default()
    };
    let mut director = setup.build();
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    let mut frame = left_to_the_nic(&syn);
    if is_tagged {
        frame.splice(12..12, [0x81, 0, 0, 0]);
    }
    let mut packet = VecBuf::new(WAN, &frame);
    packet.l4_checksum = ChecksumState::Missing;
    check(director.receive_from(Origin::Nic, packet));
}

#[test]
fn the_kernel_gets_a_right_checksum() {
    let mut director = Setup::default().build();
    let frame = frames::tcp(CLIENT, "10.0.0.99:22")
        .flags("S")
        .frame(FROM_CLIENT);
    assert_eq!(receive(&mut director, WAN, &frame), []);
    assert_eq!(director.wire.to_kernel, [frame]);
}

/// RFC 768: a zero says that there is no checksum, and that is not the sum of a pseudo header.
#[test]
fn a_datagram_without_a_checksum_stays_without() {
    let setup = Setup {
        fwdmode: FwdMode::DirectRoute,
        protocol: Protocol::Udp,
        ..Setup::default()
    };
    let mut frame = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    frame[40..42].fill(0);
    let mut packet = VecBuf::new(WAN, &frame);
    packet.l4_checksum = ChecksumState::Missing;
    let (_, sent) = only(setup.build().receive_from(Origin::Nic, packet));
    assert_eq!(sent[40..42], [0, 0]);
}
