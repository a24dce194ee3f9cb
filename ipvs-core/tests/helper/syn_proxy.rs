//! The SYN proxy: SYN cookies (RFC 4987, 3.6), then a handshake with the dest, as in DPVS.

use ipvs_core::{DropReason, FwdMode, Now, Protocol, ProxyProtocol, SynProxy};
use packet::PortId;
use packet::proxy::Version;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

const L2_LEN: usize = 14;

pub(super) fn director(setup: Setup, syn_proxy: SynProxy) -> Director {
    let mut director = setup.build();
    director.edit(|service| service.options.syn_proxy = Some(syn_proxy));
    director
}

fn shaker(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        ..Setup::default()
    };
    director(setup, SynProxy::Always)
}

fn syn() -> Vec<u8> {
    let segment = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
    segment.options(&SYN_OPTIONS).frame(FROM_CLIENT)
}

fn window(frame: &[u8]) -> u16 {
    let l4_at = L2_LEN + if frame[12..14] == [8, 0] { 20 } else { 40 };
    u16::from_be_bytes([frame[l4_at + 14], frame[l4_at + 15]])
}

/// The cookie in the SYN-ACK that answers this SYN.
pub(super) fn cookie_for(director: &mut Director, syn: &[u8]) -> u32 {
    let (port, answer) = only(director.receive(WAN, syn));
    let seen = Seen::parse(&answer);
    assert_eq!((port, seen.flags.as_str()), (WAN, "SA"));
    assert!(seen.checksums_right);
    seen.seq
}

fn ack_of(cookie: u32) -> Vec<u8> {
    let segment = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(cookie.wrapping_add(1));
    segment.frame(FROM_CLIENT)
}

/// A client completes its handshake. Returns the cookie, and the SYN that the dest gets.
fn shaken(director: &mut Director) -> (u32, Seen) {
    let cookie = cookie_for(director, &syn());
    let syn = director.to_dest(&ack_of(cookie));
    (cookie, syn)
}

/// The dest answers with a SYN-ACK. Returns what the client and the dest get.
fn accepted(director: &mut Director, syn: &Seen, options: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let answer = frames::tcp(DEST, &syn.src)
        .flags("SA")
        .seq(5000)
        .ack(syn.seq + 1);
    let mut sent = director.receive(LAN, &answer.options(options).frame(FROM_DEST));
    let (to_dest, to_client) = (sent.pop().unwrap(), sent.pop().unwrap());
    assert!(sent.is_empty());
    assert_eq!((to_client.0, to_dest.0), (WAN, LAN));
    (to_client.1, to_dest.1)
}

/// MSS 1460, SACK permitted, window scale 9
const DEST_OPTIONS: [u8; 12] = [2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 9, 1, 1];

#[test]
fn a_syn_is_answered_and_forgotten() {
    let mut director = shaker(FwdMode::FullNat);
    let (_, answer) = only(director.receive(WAN, &syn()));
    let seen = Seen::parse(&answer);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert_eq!((seen.from, seen.to), (WAN_MAC, CLIENT_MAC));
    assert_eq!((seen.ack, window(&answer)), (1001, 0), "wait");
    // An MSS with room for TOA, SACK permitted, window scale 7, and no timestamps
    assert_eq!(seen.options, [2, 4, 0x05, 0xa0, 4, 2, 3, 3, 7, 1, 1, 1]);
    assert!(seen.checksums_right);
    assert_eq!(director.engine.stats().conns.get(), 0);
    // A SYN without options is answered without options.
    let plain = frames::tcp(CLIENT, VIP)
        .flags("S")
        .seq(1000)
        .frame(FROM_CLIENT);
    let (_, answer) = only(director.receive(WAN, &plain));
    assert_eq!(Seen::parse(&answer).options, [2, 4, 0x05, 0xa0]);
}

/// The timestamps option with two NOPs before it (RFC 7323, appendix A).
fn timestamps(value: u32, echo: u32) -> Vec<u8> {
    [
        &[1, 1, 8, 10],
        &value.to_be_bytes()[..],
        &echo.to_be_bytes(),
    ]
    .concat()
}

/// The value and the echo of the timestamps option.
fn timestamps_in(options: &[u8]) -> Option<(u32, u32)> {
    let at = options.windows(2).position(|pair| pair == [8, 10])?;
    let number = |at: usize| u32::from_be_bytes(*options[at..].first_chunk().unwrap());
    Some((number(at + 2), number(at + 6)))
}

fn stamped(
    src: &str,
    dst: &str,
    flags: &str,
    (seq, ack): (u32, u32),
    stamps: (u32, u32),
) -> Vec<u8> {
    let segment = frames::tcp(src, dst).flags(flags).seq(seq).ack(ack);
    let segment = segment.options(&timestamps(stamps.0, stamps.1));
    segment.frame(if src == DEST { FROM_DEST } else { FROM_CLIENT })
}

/// RFC 7323, 3.2. After a handshake with timestamps every segment has them. Each end gets its own
/// clock echoed, and the other end's clock goes on from where the director's was (5.3).
#[test]
fn nat_keeps_timestamps() {
    let mut director = shaker(FwdMode::Nat);
    let (_, answer) = only(director.receive(WAN, &syn()));
    let answer = Seen::parse(&answer);
    let (ours, echo) = timestamps_in(&answer.options).unwrap();
    assert_eq!(
        Some(echo),
        timestamps_in(&SYN_OPTIONS).map(|(value, _)| value)
    );
    let cookie = answer.seq;
    director.wait_s(1);

    let ack = stamped(CLIENT, VIP, "A", (1001, cookie + 1), (700, ours));
    let syn = director.to_dest(&ack);
    assert_eq!(timestamps_in(&syn.options), Some((700, 0)));
    director.wait_s(1);
    let dest_offer = [&DEST_OPTIONS[..], &timestamps(90_000, 700)].concat();
    let (to_client, to_dest) = accepted(&mut director, &syn, &dest_offer);
    let (go, ack) = (Seen::parse(&to_client), Seen::parse(&to_dest));
    assert!(go.checksums_right && ack.checksums_right);
    let (at_client, echo) = timestamps_in(&go.options).unwrap();
    assert_eq!((at_client.wrapping_sub(ours), echo), (2000, 700));
    assert_eq!(timestamps_in(&ack.options), Some((700, 90_000)));

    let ask = stamped(CLIENT, VIP, "PA", (1001, cookie + 1), (1900, at_client));
    let there = director.to_dest(&ask);
    assert_eq!(timestamps_in(&there.options), Some((1900, 90_000)));
    assert!(there.checksums_right);
    let answer = stamped(DEST, &syn.src, "PA", (5001, 1001), (90_050, 1900));
    let back = director.to_client(&answer);
    assert_eq!(timestamps_in(&back.options), Some((at_client + 50, 1900)));
    assert!(back.checksums_right);
}

/// Some clients accept no segment without an option that was agreed on. So an option that a dest
/// did not accept is not offered to later clients.
#[test]
fn an_option_that_a_dest_refused_is_not_offered_again() {
    let mut director = shaker(FwdMode::Nat);
    let (_, answer) = only(director.receive(WAN, &syn()));
    let answer = Seen::parse(&answer);
    let (ours, _) = timestamps_in(&answer.options).unwrap();
    let ack = stamped(CLIENT, VIP, "A", (1001, answer.seq + 1), (700, ours));
    let syn_there = director.to_dest(&ack);
    let (to_client, to_dest) = accepted(&mut director, &syn_there, &DEST_OPTIONS);
    for frame in [to_client, to_dest] {
        assert_eq!(timestamps_in(&Seen::parse(&frame).options), None);
    }
    let other = frames::tcp("10.0.0.49:40000", VIP).flags("S").seq(1);
    let (_, answer) = only(director.receive(WAN, &other.options(&SYN_OPTIONS).frame(FROM_CLIENT)));
    assert_eq!(timestamps_in(&Seen::parse(&answer).options), None);
}

#[test]
fn a_cookie_that_comes_back_opens_a_conn_with_what_the_syn_offered() {
    let mut director = shaker(FwdMode::FullNat);
    let (cookie, syn) = shaken(&mut director);
    assert_eq!((syn.flags.as_str(), syn.dst.as_str()), ("S", DEST));
    assert!(syn.src.starts_with(LADDR) && syn.checksums_right);
    assert_eq!(syn.options, [2, 4, 5, 0xb4, 4, 2, 3, 3, 7, 1, 1, 1]);
    assert_eq!(director.states(), ["SYN_SENT"]);

    let (to_client, to_dest) = accepted(&mut director, &syn, &DEST_OPTIONS);
    let go = Seen::parse(&to_client);
    assert_eq!((go.flags.as_str(), go.seq, go.ack), ("A", cookie + 1, 1001));
    assert_eq!((go.src.as_str(), go.dst.as_str()), (VIP, CLIENT));
    assert!(go.checksums_right);
    assert_eq!(go.options, [1; 12], "a SYN's options are over");
    assert_eq!(
        window(&to_client),
        65535 >> 7,
        "a SYN's window is not scaled, this is"
    );
    let ack = Seen::parse(&to_dest);
    assert_eq!(
        (ack.flags.as_str(), ack.seq, ack.ack),
        ("A", syn.seq + 1, 5001)
    );
    assert_eq!(ack.options, [254, 8, 0x9c, 0x40, 10, 0, 0, 48], "TOA");
    assert!(ack.checksums_right);
    assert_eq!(director.states(), ["ESTABLISHED"]);

    // Data flows both ways, with the numbers that each end knows and windows in the scale of each
    // end.
    let ask = frames::tcp(CLIENT, VIP)
        .flags("PA")
        .seq(1001)
        .ack(cookie + 1);
    let there = director.to_dest(&ask.payload(b"GET /").frame(FROM_CLIENT));
    assert_eq!((there.seq, there.ack), (syn.seq + 1, 5001));
    assert!(there.checksums_right);
    let answer = frames::tcp(DEST, &syn.src)
        .flags("PA")
        .seq(5001)
        .ack(syn.seq + 6);
    let mut answer = answer.payload(b"200 OK").frame(FROM_DEST);
    answer[L2_LEN + 34..L2_LEN + 36].copy_from_slice(&100u16.to_be_bytes());
    answer[L2_LEN + 36..L2_LEN + 38].fill(0);
    let sum = packet::checksum::sum(&answer[L2_LEN + 20..])
        + packet::checksum::sum(&answer[L2_LEN + 12..L2_LEN + 20])
        + 6
        + (answer.len() - L2_LEN - 20) as u64;
    let sum = !packet::checksum::fold(sum);
    answer[L2_LEN + 36..L2_LEN + 38].copy_from_slice(&sum.to_be_bytes());
    let (_, back) = only(director.receive(LAN, &answer));
    let seen = Seen::parse(&back);
    assert_eq!((seen.seq, seen.ack, window(&back)), (cookie + 1, 1006, 400));
    assert!(seen.checksums_right);
    // SACK blocks of the client.
    let edges = [cookie + 3, cookie + 5].map(u32::to_be_bytes).concat();
    let sack = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1006)
        .ack(cookie + 2);
    let sack = sack.options(&[&[1, 1, 5, 10][..], &edges].concat());
    let seen = director.to_dest(&sack.frame(FROM_CLIENT));
    let edges = [5003u32, 5005].map(u32::to_be_bytes).concat();
    assert_eq!(
        (seen.ack, seen.options),
        (5002, [&[1, 1, 5, 10][..], &edges].concat())
    );
}

#[test]
fn nat_keeps_the_client_s_own_numbers() {
    let mut director = shaker(FwdMode::Nat);
    let (cookie, syn) = shaken(&mut director);
    assert_eq!((syn.src.as_str(), syn.seq), (CLIENT, 1000));
    let (to_client, to_dest) = accepted(&mut director, &syn, &DEST_OPTIONS);
    assert_eq!(Seen::parse(&to_client).seq, cookie + 1);
    let ack = Seen::parse(&to_dest);
    assert_eq!((ack.seq, ack.ack, ack.options.len()), (1001, 5001, 0));
}

#[rstest]
fn the_syn_proxy_works_with_ipv6_and_nat64(#[values(DEST, DEST6)] dest: &'static str) {
    let setup = Setup {
        dests: vec![dest],
        laddrs: vec![LADDR, LADDR6],
        ..setup6(Protocol::Tcp, FwdMode::FullNat)
    };
    let mut director = director(setup, SynProxy::Always);
    let syn = frames::tcp(CLIENT6, VIP6)
        .flags("S")
        .seq(1000)
        .options(&SYN_OPTIONS);
    let cookie = cookie_for(&mut director, &syn.frame(FROM_CLIENT));
    let ack = frames::tcp(CLIENT6, VIP6)
        .flags("A")
        .seq(1001)
        .ack(cookie + 1);
    let syn = director.to_dest(&ack.frame(FROM_CLIENT));
    assert_eq!(
        (syn.dst.as_str(), syn.flags.as_str(), syn.checksums_right),
        (dest, "S", true)
    );
    let answer = frames::tcp(dest, &syn.src)
        .flags("SA")
        .seq(5000)
        .ack(syn.seq + 1);
    let sent = director.receive(LAN, &answer.options(&DEST_OPTIONS).frame(FROM_DEST));
    let [go, ack] = [0, 1].map(|at: usize| Seen::parse(&sent[at].1));
    assert_eq!(
        (go.seq, go.dst.as_str(), go.checksums_right),
        (cookie + 1, CLIENT6, true)
    );
    assert_eq!(
        (ack.ack, ack.dst.as_str(), ack.checksums_right),
        (5001, dest, true)
    );
}

#[test]
fn a_made_up_or_old_cookie_opens_nothing() {
    let mut director = shaker(FwdMode::FullNat);
    let cookie = cookie_for(&mut director, &syn());
    director.rejects(WAN, &ack_of(cookie ^ 1), DropReason::TcpNotSyn);
    let other = frames::tcp("10.0.0.48:40001", VIP)
        .flags("A")
        .seq(1001)
        .ack(cookie + 1);
    director.rejects(WAN, &other.frame(FROM_CLIENT), DropReason::TcpNotSyn);
    director.now = Now::from_secs(1000 + 129);
    director.rejects(WAN, &ack_of(cookie), DropReason::TcpNotSyn);
    assert_eq!(director.engine.stats().syn_cookies_wrong.get(), 3);
    assert_eq!(director.engine.stats().conns.get(), 0);
}

/// A flood of SYNs takes no conns and no local ports, and real clients get through.
#[test]
fn a_flood_of_syns_leaves_nothing_behind() {
    let mut director = Setup {
        max_conns: 16,
        ..Setup::default()
    }
    .build();
    director.edit(|service| service.options.syn_proxy = Some(SynProxy::Always));
    for number in 0..10_000u32 {
        let from = format!(
            "10.0.{}.{}:{}",
            1 + (number >> 8 & 0x7f),
            1 + (number & 0x7f),
            1024 + number % 50_000
        );
        let flood = frames::tcp(&from, VIP).flags("S").seq(number);
        director.receive(WAN, &flood.frame(FROM_CLIENT));
    }
    assert_eq!(director.engine.stats().conns_made.get(), 0);
    assert_eq!(director.engine.stats().syn_cookies_sent.get(), 10_000);
    let (_, syn) = shaken(&mut director);
    accepted(&mut director, &syn, &DEST_OPTIONS);
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

#[test]
fn the_syn_proxy_switches_itself_on_above_its_rate() {
    let mut director = director(Setup::default(), SynProxy::Above(5));
    let mut ports = [0, 0];
    for client in 1..=10 {
        let from = format!("10.0.0.48:{client}");
        let (port, _) =
            only(director.receive(WAN, &frames::tcp(&from, VIP).flags("S").frame(FROM_CLIENT)));
        ports[usize::from(port.0)] += 1;
    }
    assert_eq!(
        ports,
        [5, 5],
        "the first of this second go to the dest as they are"
    );
    director.now.ns += 2_000_000_000;
    let later = frames::tcp("10.0.0.48:99", VIP)
        .flags("S")
        .frame(FROM_CLIENT);
    assert_eq!(only(director.receive(WAN, &later)).0, LAN, "and off again");
}

/// The SYN to the dest was lost, or the answer was. The client's window probes make the director
/// send it again.
#[test]
fn a_waiting_client_s_probe_asks_the_dest_again() {
    let mut director = shaker(FwdMode::FullNat);
    let (cookie, first) = shaken(&mut director);
    let probe = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1000)
        .ack(cookie + 1);
    let again = director.to_dest(&probe.frame(FROM_CLIENT));
    assert_eq!((again.flags.as_str(), again.seq), ("S", first.seq));
    assert_eq!((again.options, again.src), (first.options, first.src));
}

#[test]
fn a_dest_that_refuses_or_is_silent_resets_the_client() {
    let mut director = shaker(FwdMode::FullNat);
    let (cookie, syn) = shaken(&mut director);
    let rst = frames::tcp(DEST, &syn.src)
        .flags("RA")
        .seq(0)
        .ack(syn.seq + 1);
    let seen = director.to_client(&rst.frame(FROM_DEST));
    assert_eq!((seen.flags.as_str(), seen.seq), ("RA", cookie + 1));
    assert!(seen.checksums_right);

    let mut director = shaker(FwdMode::FullNat);
    let (cookie, _) = shaken(&mut director);
    let sent = director.wait_s(10);
    let (port, frame) = only(sent);
    let seen = Seen::parse(&frame);
    assert_eq!(
        (port, seen.dst.as_str(), seen.flags.as_str()),
        (WAN, CLIENT, "RA")
    );
    assert_eq!((seen.seq, seen.ack), (cookie + 1, 1001));
}

#[test]
fn an_expired_conn_is_reset_with_each_end_s_numbers() {
    let mut director = shaker(FwdMode::FullNat);
    let (cookie, syn) = shaken(&mut director);
    accepted(&mut director, &syn, &DEST_OPTIONS);
    let answer = frames::tcp(DEST, &syn.src)
        .flags("A")
        .seq(5001)
        .ack(syn.seq + 1);
    director.to_client(&answer.frame(FROM_DEST));
    let resets: Vec<_> = director
        .wait_s(1000)
        .iter()
        .map(|(_, frame)| Seen::parse(frame))
        .collect();
    assert_eq!(
        (resets[0].dst.as_str(), resets[0].seq),
        (CLIENT, cookie + 1)
    );
    assert_eq!((resets[1].dst.as_str(), resets[1].seq), (DEST, syn.seq + 1));
}

/// A client that connects again from the same port gets a cookie again.
#[test]
fn a_conn_that_is_over_is_opened_by_a_new_cookie() {
    let mut director = shaker(FwdMode::FullNat);
    let (cookie, syn) = shaken(&mut director);
    accepted(&mut director, &syn, &DEST_OPTIONS);
    let rst = frames::tcp(CLIENT, VIP)
        .flags("R")
        .seq(1001)
        .ack(cookie + 1);
    director.to_dest(&rst.frame(FROM_CLIENT));
    let anew = frames::tcp(CLIENT, VIP)
        .flags("S")
        .seq(900_000)
        .frame(FROM_CLIENT);
    let cookie = cookie_for(&mut director, &anew);
    let ack = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(900_001)
        .ack(cookie + 1);
    let syn = director.to_dest(&ack.frame(FROM_CLIENT));
    assert_eq!(syn.flags, "S");
}

/// A dest without window scaling gets windows that are not scaled.
#[test]
fn windows_are_translated_for_a_dest_without_scaling() {
    let mut director = shaker(FwdMode::FullNat);
    let (cookie, syn) = shaken(&mut director);
    accepted(&mut director, &syn, &[2, 4, 5, 0xb4]);
    let mut ask = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(cookie + 1)
        .frame(FROM_CLIENT);
    let old = window(&ask);
    ask[L2_LEN + 34..L2_LEN + 36].copy_from_slice(&100u16.to_be_bytes());
    let sum = u16::from_be_bytes([ask[L2_LEN + 36], ask[L2_LEN + 37]]);
    let sum = packet::checksum::Delta::of_u16(old, 100).apply(sum);
    ask[L2_LEN + 36..L2_LEN + 38].copy_from_slice(&sum.to_be_bytes());
    let (_, there) = only(director.receive(WAN, &ask));
    assert_eq!(window(&there), 100 << 7);
    assert!(Seen::parse(&there).checksums_right);
}

/// With both options the dest is told the client by a PROXY header.
#[test]
fn the_syn_proxy_works_with_the_proxy_protocol() {
    let mut director = shaker(FwdMode::FullNat);
    director.edit(|service| {
        service.options.proxy_protocol = Some(ProxyProtocol {
            version: Version::V1,
            is_insecure: false,
            is_in_each_datagram: false,
        });
    });
    let (cookie, syn) = shaken(&mut director);
    accepted(&mut director, &syn, &DEST_OPTIONS);
    let ask = frames::tcp(CLIENT, VIP)
        .flags("PA")
        .seq(1001)
        .ack(cookie + 1)
        .payload(b"GET");
    let there = director.to_dest(&ask.frame(FROM_CLIENT));
    let line = "PROXY TCP4 10.0.0.48 10.0.0.100 40000 80\r\n";
    assert_eq!(there.payload, [line.as_bytes(), b"GET"].concat());
    assert!(there.checksums_right);
    let ack = syn.seq + 1 + line.len() as u32 + 3;
    let answer = frames::tcp(DEST, &syn.src).flags("A").seq(5001).ack(ack);
    let back = director.to_client(&answer.frame(FROM_DEST));
    assert_eq!((back.seq, back.ack), (cookie + 1, 1004));
}

/// An ICMP error of the client's side quotes the numbers that the client knows. The dest gets its
/// own numbers in it.
#[test]
fn errors_quote_the_dest_s_own_numbers() {
    let mut director = shaker(FwdMode::FullNat);
    let (_, syn) = shaken(&mut director);
    accepted(&mut director, &syn, &DEST_OPTIONS);
    let data = frames::tcp(DEST, &syn.src)
        .flags("PA")
        .seq(5001)
        .ack(syn.seq + 1)
        .payload(&[7; 100]);
    let (_, sent): (PortId, _) = only(director.receive(LAN, &data.frame(FROM_DEST)));
    let quoted = &sent[L2_LEN..L2_LEN + 28];
    let error = frames::fragmentation_needed("10.0.0.1", "10.0.0.100", 1400, quoted, FROM_CLIENT);
    let seen = director.to_dest(&error);
    assert_eq!(seen.payload[24..28], 5001u32.to_be_bytes());
}
