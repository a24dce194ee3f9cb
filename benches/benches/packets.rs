//! Packets through the whole engine without a NIC: packets of known conns in several modes, and
//! first segments with many services, dests and schedulers.
//!
//! The buffers are restored before every pass. That is measured alone too, so that it can be
//! subtracted.

#![allow(missing_docs, reason = "criterion_group makes a public function")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::director::{self, Family, LAN_MAC, NEIGHBOUR_MAC, Spec, VIP6, WAN_MAC, service_port};
use benches::frames::{self, FRAME_LEN, Frame, MOST_PAYLOAD, Segment, VIP, client, udp};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipvs_core::{BATCH, Encapsulation, Engine, FwdMode, Now, Origin, SchedulerKind};
use packet::{PacketBuf, PortId};
use testkit::VecBuf;
use testkit::director::Basket;

const LAN: PortId = PortId(0);
const WAN: PortId = PortId(1);
const NOW: Now = Now::from_secs(1);
const DEST_ISN: u32 = 9_000_000;

/// A frame whose length is known when the bench is compiled.
trait Played {
    const LEN: usize;
    fn port(&self) -> PortId;
    fn bytes(&self) -> &[u8];
}

impl Played for Frame {
    const LEN: usize = FRAME_LEN;
    fn port(&self) -> PortId {
        self.port
    }
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The length of an IPv6 datagram with the payload of the IPv4 datagram, which has [`FRAME_LEN`].
const FRAME6_LEN: usize = FRAME_LEN + 20;

/// A datagram from an IPv6 client.
struct Frame6([u8; FRAME6_LEN]);

impl Played for Frame6 {
    const LEN: usize = FRAME6_LEN;
    fn port(&self) -> PortId {
        WAN
    }
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Restores the bytes and lengths that the buffers had before they went through the engine.
fn restore<F: Played>(packets: &mut [VecBuf], frames: &[F]) {
    for (packet, frame) in packets.iter_mut().zip(frames) {
        let len = packet.bytes().len();
        packet.trim_front(len.saturating_sub(F::LEN));
        if len >= F::LEN || packet.append(F::LEN - len) {
            packet.bytes_mut().copy_from_slice(frame.bytes());
        }
    }
}

fn engine(spec: &Spec) -> Engine<VecBuf> {
    director::engine(spec, NOW, &mut Basket::default())
}

/// Sends frames through the engine once. Returns what it sent.
fn play<F: Played>(engine: &mut Engine<VecBuf>, frames: &[F]) -> Vec<VecBuf> {
    let mut sent = Basket::default();
    let packets = frames
        .iter()
        .map(|frame| VecBuf::new(frame.port(), frame.bytes()));
    engine.process(NOW, Origin::Nic, packets, &mut sent);
    sent.sent
}

/// Sends the same batch of packets of known conns again and again.
fn bench_batch<F: Played>(
    criterion: &mut Criterion,
    name: &str,
    engine: &mut Engine<VecBuf>,
    frames: &[F],
) {
    let mut packets = play(engine, frames);
    assert_eq!(packets.len(), frames.len(), "{name}: packets were lost");
    let mut basket = Basket::default();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            restore(&mut packets, frames);
            engine.process(NOW, Origin::Nic, packets.drain(..), &mut basket);
            std::mem::swap(&mut packets, &mut basket.sent);
        });
    });
    assert_eq!(packets.len(), frames.len(), "{name}: packets were lost");
}

fn rewrites(criterion: &mut Criterion) {
    let flows = 0..BATCH as u32;
    let datagrams = datagrams();
    let mut director = engine(&Spec::default());
    bench_batch(criterion, "64 UDP packets", &mut director, &datagrams);
    let mut packets = play(&mut director, &datagrams);
    criterion.bench_function("64 buffers restored", |bencher| {
        bencher.iter(|| restore(black_box(&mut packets), &datagrams));
    });
    let replies = replies(&mut director, &datagrams);
    bench_batch(criterion, "64 UDP replies", &mut director, &replies);
    let syns: Vec<_> = flows
        .map(|flow| Segment::syn(flow).frame(WAN_MAC, WAN))
        .collect();
    let requests = handshake(&mut director, &syns);
    // A segment that acknowledges the dest's SYN only gets TOA, however often it comes.
    let (toa, segments) = (framed(&requests, 0), framed(&requests, 100));
    let before = director.stats().toa_sent.get();
    bench_batch(criterion, "64 TCP segments with TOA", &mut director, &toa);
    assert!(director.stats().toa_sent.get() > before, "no TOA was sent");
    answer_from_dests(&mut director, &toa);
    bench_batch(criterion, "64 TCP segments", &mut director, &segments);
}

fn tunnels(criterion: &mut Criterion) {
    let mut director = engine(&Spec {
        fwdmode: FwdMode::Tunnel(Encapsulation::IpIp),
        ..Spec::default()
    });
    let name = "64 UDP packets by IP in IP";
    bench_batch(criterion, name, &mut director, &datagrams());
}

fn ipv6(criterion: &mut Criterion) {
    let datagrams: Vec<_> = (0..BATCH as u16).map(udp6).collect();
    let mut director = engine(&Spec {
        family: Family::V6,
        ..Spec::default()
    });
    bench_batch(criterion, "64 UDP packets, IPv6", &mut director, &datagrams);
    let mut packets = play(&mut director, &datagrams);
    criterion.bench_function("64 buffers restored, IPv6", |bencher| {
        bencher.iter(|| restore(black_box(&mut packets), &datagrams));
    });
}

/// A datagram of each of 64 clients.
fn datagrams() -> Vec<Frame> {
    (0..BATCH as u32)
        .map(|flow| Frame {
            bytes: udp(client(flow), VIP, WAN_MAC),
            port: WAN,
        })
        .collect()
}

/// The replies of the dests to datagrams.
fn replies(director: &mut Engine<VecBuf>, datagrams: &[Frame]) -> Vec<Frame> {
    let at_dests = play(director, datagrams);
    let received = at_dests.iter().filter_map(|packet| {
        let bytes = *packet.bytes().first_chunk::<FRAME_LEN>()?;
        Some(Frame { bytes, port: LAN })
    });
    received
        .map(|frame| {
            let (laddr, dest) = frame.ends();
            Frame {
                bytes: udp(dest, laddr, LAN_MAC),
                port: LAN,
            }
        })
        .collect()
}

/// Requests that acknowledge so many bytes of the dest.
fn framed(requests: &[Segment], acknowledged: u32) -> Vec<Frame> {
    let later = requests.iter().map(|request| Segment {
        ack: request.ack.wrapping_add(acknowledged),
        ..*request
    });
    later.map(|request| request.frame(WAN_MAC, WAN)).collect()
}

/// Sends SYNs and SYN-ACKs. Returns the clients' requests, which are not sent yet.
fn handshake(director: &mut Engine<VecBuf>, syns: &[Frame]) -> Vec<Segment> {
    let at_dests = play(director, syns);
    let syn_acks: Vec<_> = at_dests
        .iter()
        .filter_map(|packet| Segment::read(packet.bytes()))
        .map(|syn| Segment {
            seq: DEST_ISN,
            ..syn.answer(Segment::SYN | Segment::ACK, 0)
        })
        .map(|syn_ack| syn_ack.frame(LAN_MAC, LAN))
        .collect();
    play(director, &syn_acks)
        .iter()
        .filter_map(|packet| Segment::read(packet.bytes()))
        .map(|syn_ack| syn_ack.answer(Segment::ACK, MOST_PAYLOAD))
        .collect()
}

/// The dests answer requests. From then on the conns are established for both ends.
fn answer_from_dests(director: &mut Engine<VecBuf>, requests: &[Frame]) {
    let at_dests = play(director, requests);
    let answers: Vec<_> = at_dests
        .iter()
        .filter_map(|packet| Segment::read(packet.bytes()))
        .map(|request| request.answer(Segment::ACK, MOST_PAYLOAD))
        .map(|answer| answer.frame(LAN_MAC, LAN))
        .collect();
    assert_eq!(play(director, &answers).len(), answers.len());
}

/// How many SYNs are sent to a director.
const SYNS: u32 = 20_000;

/// SYNs to `called` of the services, each sent once to a fresh director.
fn bench_syns(criterion: &mut Criterion, name: BenchmarkId, spec: &Spec, called: u32) {
    let syns: Vec<Frame> = frames::shuffled(SYNS, 5)
        .into_iter()
        .map(|flow| {
            let mut syn = Segment::syn(flow);
            syn.dst.1 = service_port(flow % called);
            syn.frame(WAN_MAC, WAN)
        })
        .collect();
    let mut group = criterion.benchmark_group("SYN");
    group.throughput(Throughput::Elements(SYNS.into()));
    group.sample_size(30);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| (0..iterations).map(|_| syns_into(spec, &syns)).sum());
    });
    group.finish();
}

fn syns_into(spec: &Spec, syns: &[Frame]) -> Duration {
    let mut director = engine(spec);
    // The first conn of a service allocates what the worker keeps for the service.
    play(&mut director, &syns[..1]);
    let mut packets: Vec<_> = syns[..BATCH]
        .iter()
        .map(|frame| VecBuf::new(frame.port, &frame.bytes))
        .collect();
    let mut basket = Basket::default();
    let mut total = Duration::ZERO;
    for batch in syns[1..].chunks_exact(BATCH) {
        restore(&mut packets, batch);
        let start = Instant::now();
        director.process(NOW, Origin::Nic, packets.drain(..), &mut basket);
        total += start.elapsed();
        std::mem::swap(&mut packets, &mut basket.sent);
        assert_eq!(packets.len(), BATCH, "SYNs were lost");
    }
    total
}

fn services(criterion: &mut Criterion) {
    for (services, called) in [(1, 1), (10_000, 1), (10_000, 10_000)] {
        let spec = Spec {
            services,
            dests: 2,
            max_conns: 2 * SYNS,
            ..Spec::default()
        };
        let name = BenchmarkId::new(format!("{services} services on a VIP, called"), called);
        bench_syns(criterion, name, &spec, called);
    }
}

fn schedulers(criterion: &mut Criterion) {
    let kinds = [
        ("rr", SchedulerKind::Rr),
        ("wrr", SchedulerKind::Wrr),
        ("wlc", SchedulerKind::Wlc),
    ];
    for (kind, scheduler) in kinds {
        for dests in [1, 2, 1_000] {
            let spec = Spec {
                dests,
                scheduler,
                max_conns: 2 * SYNS,
                ..Spec::default()
            };
            bench_syns(criterion, BenchmarkId::new(kind, dests), &spec, 1);
        }
    }
}

/// A datagram of an IPv6 client.
fn udp6(flow: u16) -> Frame6 {
    let client = format!("[2001:db8:3::1]:{}", 10_000 + flow);
    let vip = format!("[{VIP6}]:{}", VIP.1);
    let macs = (NEIGHBOUR_MAC, WAN_MAC);
    let frame = testkit::frames::udp(&client, &vip, &[0; 18], macs);
    let mut bytes = [0; FRAME6_LEN];
    bytes.copy_from_slice(&frame);
    Frame6(bytes)
}

criterion_group!(benches, rewrites, tunnels, ipv6, services, schedulers);
criterion_main!(benches);
