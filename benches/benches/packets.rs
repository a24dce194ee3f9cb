//! Packets through the whole engine, without a NIC: the rewrite, TOA, and what the first segment of a
//! conn costs by services, dests and schedulers.
//!
//! A packet's buffer is restored before each pass: that is measured alone, to be taken off.

#![allow(missing_docs, reason = "criterion_group makes a public function")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::director::{self, LAN_MAC, Spec, WAN_MAC, service_port};
use benches::frames::{self, FRAME_LEN, Frame, MOST_PAYLOAD, Segment, VIP, client, udp};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipvs_core::{BATCH, Engine, Event, Io, Now, Origin, SchedulerKind};
use packet::{PacketBuf, PortId};
use testkit::VecBuf;

const LAN: PortId = PortId(0);
const WAN: PortId = PortId(1);
const NOW: Now = Now::from_secs(1);
const DEST_ISN: u32 = 9_000_000;

/// Gives back what the engine sends.
#[derive(Debug, Default)]
struct Basket(Vec<VecBuf>);

impl Io<VecBuf> for Basket {
    fn transmit(&mut self, _: PortId, packet: VecBuf) {
        self.0.push(packet);
    }
    fn to_kernel(&mut self, _: VecBuf) {}
    fn copy_to_kernel(&mut self, _: &VecBuf) {}
    fn redirect(&mut self, _: u16, _: VecBuf) {}
    fn allocate(&mut self, _: PortId, _: usize) -> Option<VecBuf> {
        None
    }
    fn event(&mut self, _: Event) -> Result<(), Event> {
        Ok(())
    }
}

/// Makes buffers what they were before they went through the engine.
fn restore(packets: &mut [VecBuf], frames: &[Frame]) {
    for (packet, frame) in packets.iter_mut().zip(frames) {
        let len = packet.bytes().len();
        packet.trim_front(len.saturating_sub(FRAME_LEN));
        if len >= FRAME_LEN || packet.append(FRAME_LEN - len) {
            packet.bytes_mut().copy_from_slice(&frame.bytes);
        }
    }
}

fn engine(spec: &Spec) -> Engine<VecBuf> {
    director::engine(spec, NOW, &mut Basket::default())
}

/// Sends frames once; what came out.
fn play(engine: &mut Engine<VecBuf>, frames: &[Frame]) -> Vec<VecBuf> {
    let mut sent = Basket::default();
    let packets = frames
        .iter()
        .map(|frame| VecBuf::new(frame.port, &frame.bytes));
    engine.process(NOW, Origin::Nic, packets, &mut sent);
    sent.0
}

/// A batch of packets of known conns, again and again.
fn bench_batch(
    criterion: &mut Criterion,
    name: &str,
    engine: &mut Engine<VecBuf>,
    frames: &[Frame],
) {
    let mut packets = play(engine, frames);
    assert_eq!(packets.len(), frames.len(), "{name}: packets were lost");
    let mut basket = Basket::default();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            restore(&mut packets, frames);
            engine.process(NOW, Origin::Nic, packets.drain(..), &mut basket);
            std::mem::swap(&mut packets, &mut basket.0);
        });
    });
    assert_eq!(packets.len(), frames.len(), "{name}: packets were lost");
}

fn rewrites(criterion: &mut Criterion) {
    let flows = 0..BATCH as u32;
    let datagrams: Vec<_> = flows
        .clone()
        .map(|flow| Frame {
            bytes: udp(client(flow), VIP, WAN_MAC),
            port: WAN,
        })
        .collect();
    let mut director = engine(&Spec::default());
    bench_batch(criterion, "64 UDP packets", &mut director, &datagrams);
    let mut packets = play(&mut director, &datagrams);
    criterion.bench_function("64 buffers restored", |bencher| {
        bencher.iter(|| restore(black_box(&mut packets), &datagrams));
    });
    let syns: Vec<_> = flows
        .map(|flow| Segment::syn(flow).frame(WAN_MAC, WAN))
        .collect();
    let requests = handshake(&mut director, &syns);
    // The same acknowledgment again and again: it acknowledges the dest's SYN only, so TOA is put in.
    let (toa, segments) = (framed(&requests, 0), framed(&requests, 100));
    let before = director.stats().toa_sent.get();
    bench_batch(criterion, "64 TCP segments with TOA", &mut director, &toa);
    assert!(director.stats().toa_sent.get() > before, "no TOA was sent");
    bench_batch(criterion, "64 TCP segments", &mut director, &segments);
}

/// Requests that acknowledge so many bytes of the dest.
fn framed(requests: &[Segment], acknowledged: u32) -> Vec<Frame> {
    let later = requests.iter().map(|request| Segment {
        ack: request.ack.wrapping_add(acknowledged),
        ..*request
    });
    later.map(|request| request.frame(WAN_MAC, WAN)).collect()
}

/// SYN and SYN-ACK; the clients' requests, which are not sent yet.
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

/// How many SYNs are sent into a director.
const SYNS: u32 = 20_000;

/// SYNs to some of the services, each once into a fresh director.
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
    // The first conn of a service makes room for what is remembered of it.
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
        std::mem::swap(&mut packets, &mut basket.0);
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

criterion_group!(benches, rewrites, services, schedulers);
criterion_main!(benches);
