//! SNAT on several workers: the answers from the world come to the worker of the conn.

use std::sync::Arc;

use ipvs_core::{
    Access, DestId, DeviceName, FwdMode, Match, Plan, Protocol, SchedulerKind, Service, ServiceId,
    ServiceKey, ServiceOptions,
};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

use super::{Lab, Queues, V4, packet};

/// `-A -s rr -H proto=udp,oif=dpdk1`, `-a ... -r 192.168.100.200:0 -J`
fn lead_out(director: &mut Director, protocol: Protocol) {
    let full_nat = director.snapshot.services.iter().next().unwrap();
    let laddrs = full_nat.laddrs.clone();
    let mut dest = full_nat.dests[0].clone();
    dest.id = DestId(7);
    dest.addr = LADDR.parse().unwrap();
    (dest.port, dest.fwdmode) = (0, FwdMode::Snat);
    let dests = vec![dest];
    let matcher = Match {
        src: None,
        dst: None,
        iif: None,
        oif: DeviceName::new("dpdk1"),
    };
    let service = Service {
        id: ServiceId(3),
        key: ServiceKey {
            matcher: Some(matcher),
            ..ServiceKey::vip(protocol, [0, 0, 0, 0].into(), 0)
        },
        scheduler: SchedulerKind::Rr,
        leaving: Vec::new(),
        plan: Plan::new(SchedulerKind::Rr, &dests),
        dests,
        laddrs,
        options: ServiceOptions::default(),
        access: Access::default(),
    };
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();
}

#[rstest]
fn hosts_reach_the_world_and_are_answered(
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
    #[values(1, 2, 3, 10, 16)] workers: u16,
    #[values(Queues::Rss, Queues::Sticky, Queues::Any)] queues: Queues,
) {
    let mut lab = Lab::new(&V4.setup(protocol, FwdMode::FullNat, workers), queues);
    for worker in &mut lab.workers {
        lead_out(worker, protocol);
    }
    for port in 20_000..20_040 {
        let (host, world) = (format!("192.168.100.2:{port}"), "10.0.0.48:443");
        let syn = packet(protocol, (&host, world), "S", FROM_DEST);
        let seen = one(lab.receive(LAN, &syn), WAN);
        assert!(seen.src.starts_with(LADDR), "{}", seen.src);
        let answer = packet(protocol, (world, &seen.src), "SA", FROM_CLIENT);
        assert_eq!(one(lab.receive(WAN, &answer), LAN).dst, host);
    }
    if queues == Queues::Rss {
        assert_eq!(lab.handed_over(), 0);
    }
    assert_eq!(lab.dropped(), 0);
}

/// An identifier stands for the port, which no NIC hashes.
#[rstest]
fn pings_go_out_and_are_answered(#[values(2, 3, 16)] workers: u16) {
    let setup = V4.setup(Protocol::Icmp, FwdMode::FullNat, workers);
    let mut lab = Lab::new(&setup, Queues::Rss);
    for worker in &mut lab.workers {
        lead_out(worker, Protocol::Icmp);
    }
    for sequence in 0..20 {
        let ping = frames::echo_request("192.168.100.2", "10.0.0.48", &[sequence; 20], FROM_DEST);
        let (_, sent) = only(lab.receive(LAN, &ping));
        let mut reply = sent;
        // The world answers: both addresses change places, and the type is 0.
        let (src, dst) = (reply[26..30].to_vec(), reply[30..34].to_vec());
        reply[26..30].copy_from_slice(&dst);
        reply[30..34].copy_from_slice(&src);
        reply[..6].copy_from_slice(&WAN_MAC.0);
        reply[6..12].copy_from_slice(&CLIENT_MAC.0);
        reply[34] = 0;
        let sum = u32::from(u16::from_be_bytes([reply[36], reply[37]])) + 0x0800;
        let sum = (sum + (sum >> 16)) as u16;
        reply[36..38].copy_from_slice(&sum.to_be_bytes());
        frames::repair_ip(&mut reply);
        let back = one(lab.receive(WAN, &reply), LAN);
        assert_eq!(back.dst, "192.168.100.2");
    }
    assert_eq!(lab.dropped(), 0);
}
