//! Pings that are longer than a link takes (`ping -s 3000`): RFC 1122, 3.3.2; RFC 8200, 5.

use ipvs_core::{DropReason, Protocol};
use packet::PortId;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Macs};

use super::{L2_LEN, payload, reassemble, whole};
use crate::modes::snat;

/// An echo message in fragments of 1480 bytes. The checksum covers the whole of it.
fn in_fragments(src: &str, dst: &str, data: &[u8], macs: Macs) -> Vec<Vec<u8>> {
    let frame = frames::echo_request(src, dst, data, macs);
    cut(&frame)
}

/// Cuts a frame into fragments, all with the same identification.
fn cut(frame: &[u8]) -> Vec<Vec<u8>> {
    let is_v4 = frame[12..14] == [8, 0];
    let (head, message) = frame.split_at(L2_LEN + if is_v4 { 20 } else { 40 });
    let step = if is_v4 { 1480 } else { 1448 };
    let count = message.len().div_ceil(step);
    let fragment = |(at, part): (usize, &[u8])| {
        let mut head = head.to_vec();
        let (offset, more) = ((at * step) as u16, u16::from(at + 1 < count));
        if is_v4 {
            let total_len = (20 + part.len()) as u16;
            head[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&total_len.to_be_bytes());
            head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&[0x12, 0x67]);
            let field = offset / 8 + 0x2000 * more;
            head[L2_LEN + 6..L2_LEN + 8].copy_from_slice(&field.to_be_bytes());
            frames::repair_ip(&mut head);
        } else {
            let payload_len = (8 + part.len()) as u16;
            head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&payload_len.to_be_bytes());
            let [high, low] = (offset | more).to_be_bytes();
            head.extend([head[L2_LEN + 6], 0, high, low, 0, 0, 0x12, 0x67]);
            head[L2_LEN + 6] = 44;
        }
        [&head, part].concat()
    };
    message.chunks(step).enumerate().map(fragment).collect()
}

fn receive(director: &mut Director, port: PortId, frames: &[Vec<u8>]) -> Vec<(PortId, Vec<u8>)> {
    let sent = frames.iter().map(|frame| director.receive(port, frame));
    sent.flat_map(Vec::into_iter).collect()
}

/// A frame of an echo message: source, destination, type, identifier, data; its checksum is right.
fn read(frame: &[u8]) -> (Vec<u8>, Vec<u8>, u8, [u8; 2], Vec<u8>) {
    let is_v4 = frame[12..14] == [8, 0];
    let ip = &frame[L2_LEN..];
    let (addrs, message) = if is_v4 {
        (&ip[12..20], &ip[20..])
    } else {
        (&ip[8..40], &ip[40..])
    };
    let pseudo = if is_v4 {
        Vec::new()
    } else {
        [addrs, &(message.len() as u32).to_be_bytes(), &[0, 0, 0, 58]].concat()
    };
    let sum = packet::checksum::checksum(&[&pseudo, message].concat());
    assert_eq!(sum, 0, "the checksum over the whole message");
    let (src, dst) = addrs.split_at(addrs.len() / 2);
    let identifier = [message[4], message[5]];
    (
        src.to_vec(),
        dst.to_vec(),
        message[0],
        identifier,
        message[8..].to_vec(),
    )
}

/// Of the VIP and of a local address, in any order of the fragments.
#[rstest]
#[case::vip("10.0.0.48", "10.0.0.100", 0)]
#[case::local_address("10.0.0.48", LADDR, 0)]
#[case::vip_ipv6("2001:db8:1::48", "2001:db8:1::100", 129)]
#[case::local_address_ipv6("2001:db8:1::48", LADDR6, 129)]
fn the_director_answers_long_pings(
    #[case] client: &str,
    #[case] to: &'static str,
    #[case] reply: u8,
    #[values(false, true)] last_comes_first: bool,
) {
    let mut director = if reply == 0 {
        Setup::default().build()
    } else {
        setup6(Protocol::Tcp, ipvs_core::FwdMode::FullNat).build()
    };
    let data = payload(3000);
    let mut ping = in_fragments(client, to, &data, FROM_CLIENT);
    let asked = read(&whole(&ping));
    if last_comes_first {
        ping.reverse();
    }
    let sent = receive(&mut director, WAN, &ping);
    assert!(
        sent.iter()
            .all(|(port, frame)| *port == WAN && frame[..6] == CLIENT_MAC.0)
    );
    let mut sent: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
    sent.sort_by_key(|frame| {
        if reply == 0 {
            frame[L2_LEN + 6] & 0x1f
        } else {
            0
        }
    });
    let (src, dst, kind, identifier, back) = read(&whole(&sent));
    assert_eq!((&src, &dst, kind), (&asked.1, &asked.0, reply));
    assert_eq!((identifier, back), (asked.3, data));
}

/// RFC 3022, 2.2 and RFC 8200, 4.5: the identifier is replaced in the first fragment only.
#[test]
fn a_long_ping_goes_through_snat_and_its_answer_comes_back() {
    let mut director = snat::director(Protocol::Icmp);
    let data = payload(3000);
    let ping = in_fragments("192.168.100.2", "10.0.0.48", &data, FROM_DEST);
    let asked = read(&whole(&ping));
    let sent = receive(&mut director, LAN, &ping);
    assert!(sent.iter().all(|(port, _)| *port == WAN));
    let sent: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
    let there = read(&whole(&sent));
    assert_eq!(
        (there.0.as_slice(), there.2),
        (&[192, 168, 100, 200][..], 8)
    );
    assert_eq!(there.4, data);
    let mut answer = frames::echo_request("10.0.0.48", "192.168.100.200", &data, FROM_CLIENT);
    answer[L2_LEN + 20] = 0;
    answer[L2_LEN + 24..L2_LEN + 26].copy_from_slice(&there.3);
    answer[L2_LEN + 22..L2_LEN + 24].fill(0);
    let sum = packet::checksum::checksum(&answer[L2_LEN + 20..]);
    answer[L2_LEN + 22..L2_LEN + 24].copy_from_slice(&sum.to_be_bytes());
    let back = receive(&mut director, WAN, &cut(&answer));
    let back: Vec<_> = back.into_iter().map(|(_, frame)| frame).collect();
    let back = read(&whole(&back));
    assert_eq!((back.1.as_slice(), back.2), (&[192, 168, 100, 2][..], 0));
    assert_eq!((back.3, back.4), (asked.3, data));
}

/// RFC 792 and RFC 4443, 4.2: only requests are answered, whatever their identifier is.
#[rstest]
#[case("10.0.0.48", "192.168.100.200")]
#[case("10.0.0.48", LADDR)]
fn a_long_reply_to_the_director_is_not_answered(
    #[case] from: &str,
    #[case] to: &str,
    #[values([0, 0], [0, 7])] identifier: [u8; 2],
    #[values(false, true)] last_comes_first: bool,
) {
    let mut director = snat::director(Protocol::Icmp);
    let mut reply = frames::echo_request(from, to, &payload(3000), FROM_CLIENT);
    reply[L2_LEN + 20] = 0;
    reply[L2_LEN + 22..L2_LEN + 24].fill(0);
    reply[L2_LEN + 24..L2_LEN + 26].copy_from_slice(&identifier);
    let sum = packet::checksum::checksum(&reply[L2_LEN + 20..]);
    reply[L2_LEN + 22..L2_LEN + 24].copy_from_slice(&sum.to_be_bytes());
    let mut fragments = cut(&reply);
    if last_comes_first {
        fragments.reverse();
    }
    for fragment in &fragments {
        assert_eq!(director.receive(WAN, fragment), []);
    }
    assert_eq!(director.wait_s(2), []);
}

/// Later fragments of anything else are not sent back to whoever sent them.
#[test]
fn later_fragments_without_a_request_are_not_answered() {
    let mut director = Setup::default().build();
    let ping = in_fragments("10.0.0.48", "10.0.0.100", &payload(3000), FROM_CLIENT);
    assert_eq!(director.receive(WAN, &ping[1]), []);
    assert_eq!(director.wait_s(2), []);
    let drops = director.engine.stats().drops_by(DropReason::Fragment).get();
    assert_eq!(drops, 1);
    assert_eq!(reassemble(&ping).len(), 1);
}
