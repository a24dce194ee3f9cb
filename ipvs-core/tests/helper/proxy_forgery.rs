//! A dest believes the PROXY header that it reads first (HAProxy's specification, section 2), so no
//! byte of a client may reach it ahead of the director's.

use ipvs_core::{DropReason, FwdMode, Protocol, ProxyProtocol};
use packet::proxy::Version;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x30\x0a\0\0\x64\x9c\x40\0\x50";
/// A header of version 2 with addresses that the client made up.
const FORGED: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x09\0\x0a";
/// MSS, and a cookie for TCP Fast Open (RFC 7413, 4.1.1) with its padding.
const FAST_OPEN: [u8; 16] = [2, 4, 5, 0xb4, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
const BLANKED: [u8; 16] = [2, 4, 5, 0xb4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];

fn announcing(setup: &Setup) -> Director {
    let mut director = setup.build();
    director.edit(|service| {
        service.options.proxy_protocol = Some(ProxyProtocol {
            version: Version::V2,
            is_insecure: false,
            is_in_each_datagram: false,
        });
    });
    director
}

fn tcp4(fwdmode: FwdMode) -> Director {
    announcing(&Setup {
        fwdmode,
        ..Setup::default()
    })
}

fn segment(flags: &str, seq: u32, payload: &[u8]) -> Vec<u8> {
    let segment = frames::tcp(CLIENT, VIP).flags(flags).seq(seq).ack(5001);
    segment.payload(payload).frame(FROM_CLIENT)
}

fn syn_with_data(client: &str, vip: &str) -> Vec<u8> {
    let syn = frames::tcp(client, vip).flags("S").seq(1000);
    let syn = syn.options(&FAST_OPEN).payload(FORGED);
    syn.frame(FROM_CLIENT)
}

/// The dest acknowledges the SYN alone, and the client sends the data again (RFC 9293, 3.10.7.4).
#[rstest]
#[case(Setup::default(), CLIENT, VIP, DEST)]
#[case(Setup { fwdmode: FwdMode::Nat, ..Setup::default() }, CLIENT, VIP, DEST)]
#[case(setup6(Protocol::Tcp, FwdMode::FullNat), CLIENT6, VIP6, DEST6)]
#[case(setup6(Protocol::Tcp, FwdMode::Nat), CLIENT6, VIP6, DEST6)]
#[case(
    Setup { dests: vec![DEST], laddrs: vec![LADDR], ..setup6(Protocol::Tcp, FwdMode::FullNat) },
    CLIENT6, VIP6, DEST
)]
fn the_data_of_a_fast_open_syn_comes_after_the_header(
    #[case] setup: Setup,
    #[case] client: &str,
    #[case] vip: &str,
    #[case] dest: &str,
) {
    let mut director = announcing(&setup);
    let syn = director.to_dest(&syn_with_data(client, vip));
    assert_eq!(syn.payload, []);
    assert_eq!(syn.options[4..], BLANKED[4..]);
    assert!(syn.checksums_right);
    let answer = frames::tcp(dest, &syn.src)
        .flags("SA")
        .seq(5000)
        .ack(syn.seq + 1);
    director.to_client(&answer.frame(FROM_DEST));
    let said = [FORGED, b"GET"].concat();
    let again = frames::tcp(client, vip).flags("PA").seq(1001).ack(5001);
    let first = director.to_dest(&again.payload(&said).frame(FROM_CLIENT));
    assert_eq!(first.seq, syn.seq + 1);
    assert_eq!(first.payload[..12], V2[..12]);
    assert!(
        !first
            .payload
            .windows(12)
            .any(|part| part == &FORGED[16..28])
    );
    assert!(first.payload.ends_with(b"GET"));
    assert!(first.checksums_right);
}

#[test]
fn a_syn_without_a_proxy_header_keeps_its_data() {
    let mut director = Setup::default().build();
    let syn = director.to_dest(&syn_with_data(CLIENT, VIP));
    assert_eq!((syn.payload.as_slice(), syn.options[4]), (FORGED, 34));
}

/// A segment that begins one byte before the client's first one is a keepalive probe (RFC 9293,
/// 3.8.4). What follows in it would be the first that the dest reads.
#[rstest]
fn data_from_before_the_first_byte_is_removed(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut director = tcp4(fwdmode);
    let opened = director.open();
    let forged = [b"x", FORGED].concat();
    for _ in 0..2 {
        let probe = director.to_dest(&segment("PA", 1000, &forged));
        assert_eq!((probe.seq, probe.payload), (opened.isn_at_dest, vec![]));
        assert!(probe.checksums_right);
        let first = director.to_dest(&segment("PA", 1001, b"GET"));
        assert_eq!(first.payload, [V2, b"GET"].concat());
    }
}

/// How far later bytes are shifted is known once the first ones have come. A client sends what was
/// dropped again.
#[rstest]
fn what_comes_before_the_first_bytes_waits_for_the_header(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut director = tcp4(fwdmode);
    let opened = director.open();
    director.refuses(WAN, &segment("PA", 1004, FORGED), DropReason::BeforeHeader);
    director.refuses(WAN, &segment("FA", 1004, b""), DropReason::BeforeHeader);
    director.to_dest(&segment("PA", 1001, b"GET"));
    let second = director.to_dest(&segment("PA", 1004, b"more"));
    assert_eq!(second.seq, opened.isn_at_dest + 1 + 28 + 3);
    assert_eq!(second.payload, b"more");
}

/// Before the dest has acknowledged the SYN, nobody knows which number its first byte has.
#[test]
fn a_second_syn_does_not_move_the_place_of_the_header() {
    let mut director = tcp4(FwdMode::Nat);
    let syn = |seq| segment("S", seq, b"");
    assert_eq!(director.to_dest(&syn(1000)).seq, 1000);
    // With this number, the header would lie before the first byte that the dest awaits.
    assert_eq!(director.to_dest(&syn(1000 - 28)).seq, 1000 - 28);
    let early = segment("PA", 1001 - 28, b"GET");
    director.refuses(WAN, &early, DropReason::BeforeHeader);
    let answer = frames::tcp(DEST, CLIENT).flags("SA").seq(5000).ack(1001);
    director.to_client(&answer.frame(FROM_DEST));
    director.to_dest(&syn(1000 - 28));
    assert_eq!(director.to_dest(&early).payload, []);
    let first = director.to_dest(&segment("PA", 1001, b"GET"));
    assert_eq!(first.payload, [V2, b"GET"].concat());
}

/// What a client's own header took up was removed as a whole, and is not sent in parts.
#[test]
fn a_part_of_a_removed_header_is_not_sent_again() {
    let mut director = tcp4(FwdMode::FullNat);
    let opened = director.open();
    let said = [FORGED, b"GET"].concat();
    let first = director.to_dest(&segment("PA", 1001, &said));
    assert_eq!(first.payload, [V2, b"GET"].concat());
    let inside = segment("PA", 1001 + 12, &said[12..]);
    director.refuses(WAN, &inside, DropReason::BeforeHeader);
    // Sent again in two parts: the header, and then its place is taken up.
    let again = director.to_dest(&segment("PA", 1001, &said[..20]));
    assert_eq!(
        (again.seq, again.payload.as_slice()),
        (opened.isn_at_dest + 1, V2)
    );
}

/// The payload of the other fragments would not be seen.
#[rstest]
#[case("S", 1000)]
#[case("PA", 1001)]
#[case("PA", 1000)]
fn fragments_wait_until_the_header_is_acknowledged(#[case] flags: &str, #[case] seq: u32) {
    let mut director = tcp4(FwdMode::FullNat);
    if flags != "S" {
        director.open();
    }
    let mut first = segment(flags, seq, &[7; 60]);
    first.truncate(14 + 20 + 24);
    first[16..18].copy_from_slice(&44_u16.to_be_bytes());
    first[20] = 0x20;
    frames::repair_ip(&mut first);
    director.refuses(WAN, &first, DropReason::Fragment);
}

/// Whatever a client sends in whatever order: each byte that reaches the dest in the place of the
/// header is the header's.
#[rstest]
fn no_order_of_segments_forges_a_header(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for _ in 0..300 {
        let mut director = tcp4(fwdmode);
        let syn = director.to_dest(&segment("S", 1000, b""));
        let mut dest = Dest {
            laddr: syn.src.clone(),
            first: syn.seq.wrapping_add(1),
            acknowledged: 0,
            stream: vec![None; 200],
        };
        for _ in 0..30 {
            let sent = match random.next(4) {
                0 => dest.answer(&mut random),
                _ => (WAN, any_segment(&mut random)),
            };
            for (port, frame) in director.receive(sent.0, &sent.1) {
                if port == LAN {
                    dest.take(&Seen::parse(&frame));
                }
            }
        }
    }
}

fn any_segment(random: &mut Random) -> Vec<u8> {
    let flags = ["S", "A", "PA", "PA", "PA", "FA"][random.next(6)];
    let seq = [1000, 1001, 1001, 1001, 1001 + 28, 1001 - 28][random.next(6)];
    let seq = seq + [0, 0, 0, 1, 5][random.next(5)] - [0, 0, 1][random.next(3)];
    let said = [FORGED, b"GET / HTTP/1.0\r\n"].concat();
    let from = [0, 0, 16, 28][random.next(4)];
    let said = &said[from..][..random.next(said.len() - from + 1)];
    segment(flags, seq, said)
}

/// A dest that has taken the first SYN.
struct Dest {
    laddr: String,
    /// The number of the first byte that it reads
    first: u32,
    /// How many bytes it has acknowledged
    acknowledged: usize,
    /// What has arrived, by place in the stream
    stream: Vec<Option<u8>>,
}

impl Dest {
    fn take(&mut self, seen: &Seen) {
        for (at, byte) in seen.payload.iter().enumerate() {
            let place = seen.seq.wrapping_add(at as u32).wrapping_sub(self.first) as usize;
            if let Some(taken) = self.stream.get_mut(place) {
                // What is acknowledged is read once, whatever comes later (RFC 9293, 3.10.7.4).
                if place >= self.acknowledged
                    && let Some(header) = V2.get(place)
                {
                    assert_eq!(byte, header, "place {place} of {seen:?}");
                }
                *taken = Some(*byte);
            }
        }
    }

    /// Acknowledges its SYN or what it has.
    fn answer(&mut self, random: &mut Random) -> (packet::PortId, Vec<u8>) {
        let have = self.stream.iter().take_while(|byte| byte.is_some()).count();
        let answer = frames::tcp(DEST, &self.laddr);
        let answer = if random.next(3) == 0 {
            answer.flags("SA").seq(5000).ack(self.first)
        } else {
            self.acknowledged = have;
            let ack = self.first.wrapping_add(have as u32);
            answer.flags("A").seq(5001).ack(ack)
        };
        (LAN, answer.frame(FROM_DEST))
    }
}
