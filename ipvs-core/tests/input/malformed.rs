//! Frames that are cut, lie or mean harm. Each is dropped with its reason, and traffic goes on.

use ipvs_core::{DropReason, FwdMode, Origin, Protocol, ServiceId, SynProxy};
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames;

/// Changes a byte of the IP header and makes its checksum right again.
fn with_ip(frame: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[14 + at] = value;
    frames::repair_ip(&mut frame);
    frame
}

#[test]
fn a_frame_cut_anywhere_is_dropped() {
    let syn = frames::tcp(CLIENT, VIP)
        .flags("S")
        .options(&SYN_OPTIONS)
        .frame(FROM_CLIENT);
    let mut director = Setup::default().build();
    for len in 0..syn.len() {
        let reason = if len < 34 {
            DropReason::FrameTooShort
        } else {
            DropReason::Ipv4Malformed
        };
        director.refuses(WAN, &syn[..len], reason);
    }
    director.open();
}

#[test]
fn lengths_that_lie_are_dropped() {
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    let mut director = Setup::default().build();
    for (frame, reason) in [
        (with_ip(&syn, 0, 0x44), DropReason::Ipv4Malformed),
        (with_ip(&syn, 0, 0x65), DropReason::Ipv4Malformed),
        (with_ip(&syn, 0, 0x4f), DropReason::Ipv4Malformed),
        (with_ip(&syn, 3, 41), DropReason::Ipv4Malformed),
        (with_ip(&syn, 3, 19), DropReason::Ipv4Malformed),
        (with_ip(&syn, 3, 39), DropReason::TcpMalformed),
    ] {
        director.refuses(WAN, &frame, reason);
    }
    for offset in [0x00, 0x40, 0x60, 0xf0] {
        let mut lying = syn.clone();
        lying[46] = offset;
        director.refuses(WAN, &lying, DropReason::TcpMalformed);
    }
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    for len in [0, 7, 10] {
        let mut datagram = frames::udp(CLIENT, VIP, b"x", FROM_CLIENT);
        datagram[39] = len;
        director.refuses(WAN, &datagram, DropReason::UdpMalformed);
    }
}

/// In every place that would answer or translate such a packet: scheduling, the SYN proxy, a dest
/// of the other family.
#[rstest]
#[case::scheduled(Setup::default(), None)]
#[case::shaken(Setup::default(), Some(SynProxy::Always))]
#[case::mixed(Setup { vip: VIP, ..setup6(Protocol::Tcp, FwdMode::FullNat) }, None)]
fn a_wrong_header_checksum_a_land_attack_and_martians_are_dropped(
    #[case] setup: Setup,
    #[case] syn_proxy: Option<SynProxy>,
) {
    let mut director = setup.build();
    director.edit(|service| service.options.syn_proxy = syn_proxy);
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    let mut wrong = syn;
    wrong[22] ^= 1;
    director.refuses(WAN, &wrong, DropReason::Ipv4BadChecksum);
    director.refuses(
        WAN,
        &frames::tcp(VIP, VIP).flags("S").frame(FROM_CLIENT),
        DropReason::LandAttack,
    );
    for src in [
        "127.0.0.1:1",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "0.0.0.0:1",
    ] {
        director.refuses(
            WAN,
            &frames::tcp(src, VIP).flags("S").frame(FROM_CLIENT),
            DropReason::Ipv4Martian,
        );
    }
    let stranger = (CLIENT_MAC, packet::MacAddr([2, 9, 9, 9, 9, 9]));
    director.refuses(
        WAN,
        &frames::tcp(CLIENT, VIP).flags("S").frame(stranger),
        DropReason::NotForUs,
    );
    let sent = director.receive(WAN, &frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT));
    assert_eq!(sent.len(), 1, "a client's is taken");
}

#[test]
fn options_that_overrun_are_dropped_on_a_syn() {
    let mut director = Setup::default().build();
    for options in [&[8, 10, 0, 0][..], &[2, 1, 0, 0], &[1, 1, 1, 2]] {
        let syn = frames::tcp(CLIENT, VIP)
            .flags("S")
            .options(options)
            .frame(FROM_CLIENT);
        director.refuses(WAN, &syn, DropReason::TcpBadOptions);
    }
}

#[test]
fn a_packet_whose_time_to_live_ends_here_is_dropped() {
    let mut director = Setup::default().build();
    for ttl in [0, 1] {
        let syn = frames::tcp(CLIENT, VIP)
            .flags("S")
            .ttl(ttl)
            .frame(FROM_CLIENT);
        director.receive(WAN, &syn);
    }
    assert_eq!(
        director
            .engine
            .stats()
            .drops_by(DropReason::TtlExpired)
            .get(),
        2
    );
}

#[test]
fn runts_with_vlan_tags_and_unknown_protocols_go_to_the_kernel() {
    let mut director = Setup::default().build();
    let mut tagged = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    tagged[12..14].copy_from_slice(&[0x81, 0x00]);
    for len in [14, 15, 17, 18, 54] {
        director.receive(WAN, &tagged[..len]);
    }
    let ospf = with_ip(
        &frames::tcp(CLIENT, "224.0.0.5:1").frame(FROM_CLIENT),
        9,
        89,
    );
    director.receive(WAN, &ospf);
    assert_eq!(director.wire.to_kernel.len(), 6);
}

/// A million frames: the engine does not panic, each has its end, and afterwards a conn can be
/// opened. Half are noise. The others are valid frames with a few bytes changed, which get further.
#[test]
fn random_frames_do_no_harm() {
    let mut director = Setup {
        max_conns: 4096,
        ..Setup::default()
    }
    .build();
    let samples = [
        frames::tcp(CLIENT, VIP)
            .flags("S")
            .options(&SYN_OPTIONS)
            .frame(FROM_CLIENT),
        frames::tcp(DEST, "192.168.100.200:1025")
            .flags("A")
            .options(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2])
            .frame(FROM_DEST),
        frames::udp(CLIENT, VIP, b"payload", FROM_CLIENT),
        frames::echo_request("10.0.0.48", "10.0.0.100", b"data", FROM_CLIENT),
        frames::unreachable(
            "10.0.0.48",
            "10.0.0.100",
            &frames::tcp(VIP, CLIENT).frame(FROM_CLIENT)[14..],
            FROM_CLIENT,
        ),
        frames::arp_request(("10.0.0.48", CLIENT_MAC), "10.0.0.100"),
    ];
    director.withstand(&samples, 1_000_000);
    director.wait_s(120);
    director.open();
}

/// A minute of SYNs and datagrams from many clients, more than the conn table holds. Established
/// conns stay, and the engine takes no more memory.
#[rstest]
#[case::tcp(Protocol::Tcp, None)]
#[case::tcp_with_syn_proxy(Protocol::Tcp, Some(SynProxy::Always))]
#[case::udp(Protocol::Udp, None)]
fn a_minute_s_flood_leaves_conns_alone(
    #[case] protocol: Protocol,
    #[case] syn_proxy: Option<SynProxy>,
) {
    const PER_SECOND: usize = 10_000;
    let mut director = Setup {
        max_conns: 4096,
        ..Setup::default()
    }
    .build();
    let opened = director.open();
    director.edit(|service| service.options.syn_proxy = syn_proxy);
    if protocol == Protocol::Udp {
        let mut service = (**director.snapshot.services.iter().next().unwrap()).clone();
        service.id = ServiceId(1);
        service.key.protocol = Protocol::Udp;
        director.snapshot.services.insert_all([service.into()]);
        director.publish();
    }
    let memory = director.engine.conn_table_memory();
    let mut random = Random(42);
    for second in 0..60u32 {
        for _ in 0..PER_SECOND / 50 {
            let batch: Vec<VecBuf> = (0..50)
                .map(|_| {
                    let [b, c, d] = [0; 3].map(|_| 1 + random.next(250));
                    let from = format!("10.{b}.{c}.{d}:{}", 1024 + random.next(60_000));
                    let frame = match protocol {
                        Protocol::Tcp => frames::tcp(&from, VIP).flags("S").frame(FROM_CLIENT),
                        _ => frames::udp(&from, VIP, b"flood", FROM_CLIENT),
                    };
                    VecBuf::new(WAN, &frame)
                })
                .collect();
            let (engine, wire) = (&mut director.engine, &mut director.wire);
            engine.process(director.now, Origin::Nic, batch.into_iter(), wire);
            director.now.ns += 5_000_000;
            director.engine.housekeep(director.now, &mut director.wire);
            director.wire = Wire::default();
        }
        let ask = frames::tcp(CLIENT, VIP)
            .flags("PA")
            .seq(1001 + second)
            .ack(5001);
        let there = director.to_dest(&ask.payload(b"x").frame(FROM_CLIENT));
        assert_eq!(
            (there.src.as_str(), there.payload.as_slice()),
            (opened.laddr.as_str(), &b"x"[..])
        );
        let answer = frames::tcp(DEST, &opened.laddr)
            .flags("A")
            .seq(5001)
            .ack(there.seq + 1);
        assert_eq!(
            director.to_client(&answer.frame(FROM_DEST)).ack,
            1002 + second
        );
        assert!(director.engine.stats().conns.get() <= 4096);
    }
    assert_eq!(director.engine.conn_table_memory(), memory);
    director.check_that_every_packet_has_its_end();
}
