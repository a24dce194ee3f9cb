//! TCP conns from their first segment to their last: SYN, SYN-ACK, ACK, request, response, FIN,
//! FIN-ACK, ACK, and the expiry of the conn. The worker plays the clients and dests itself. What
//! that costs is measured with a cable in the place of the director, and subtracted.

use std::collections::VecDeque;

use dpdk::{Burst, Mbuf, Mempool};
use ipvs_core::{Engine, Event, Handoff, Io, Now, Origin, TcpState, Timeouts, WorkerId};
use packet::{PacketBuf, PortId};
use serde_json::{Map, Value, json};

use benches::director::{LAN_MAC, Spec, WAN_MAC};
use benches::frames::{FRAME_LEN, MOST_PAYLOAD, Segment};
use benches::measure::Spread;

use crate::error::Error;
use crate::lab::{Lab, resident_engine, swap_macs};
use crate::timing::{Cost, Stopwatch, Time, Timed, by_both_times};

/// How many conns are open at any time.
const AT_ONCE: u32 = 1024;
/// Conns of a run.
const CONNS: u32 = 500_000;
/// Bursts between two rounds of housekeeping, as in the daemon.
const HOUSEKEEPING_ROUNDS: u32 = 8;
/// The dest's initial sequence number.
const DEST_ISN: u32 = 9_000_000;
/// Longer than any timeout of the run.
const ALL_EXPIRED_NS: u64 = 120_000_000_000;

/// What is between clients and dests.
trait Middle {
    fn forward(&mut self, now: Now, packets: &mut Burst, peers: &mut Peers);
    /// The housekeeping of every few rounds.
    fn keep_house(&mut self, _: Now, _: &mut Peers) {}
    /// How many conns there are.
    fn conns(&self) -> u64 {
        0
    }
}

impl Middle for Engine<Mbuf> {
    fn forward(&mut self, now: Now, packets: &mut Burst, peers: &mut Peers) {
        packets.fetch_headers();
        self.process(now, Origin::Nic, packets.drain(), peers);
    }
    fn keep_house(&mut self, now: Now, peers: &mut Peers) {
        self.housekeep(now, peers);
    }
    fn conns(&self) -> u64 {
        self.stats().conns.get()
    }
}

/// A cable in the place of the director.
struct Cable;

impl Middle for Cable {
    fn forward(&mut self, _: Now, packets: &mut Burst, peers: &mut Peers) {
        for mut packet in packets.drain() {
            swap_macs(&mut packet);
            let port = peers.other(packet.port());
            peers.transmit(port, packet);
        }
    }
}

/// All clients and all dests.
struct Peers {
    lan: PortId,
    wan: PortId,
    pool: Mempool,
    /// Buffers that came back. The last one is used first, since it is still in the cache. The pool
    /// would give the oldest one, which would push the director's own memory out of the cache.
    spare: Vec<Mbuf>,
    /// Segments that the director has not received yet
    queue: VecDeque<Mbuf>,
    next_flow: u32,
    done: u32,
}

impl Peers {
    fn new(lab: &Lab) -> Self {
        Self {
            lan: lab.sink.lan_port,
            wan: lab.wan_port,
            pool: lab.sink.pool,
            spare: Vec::with_capacity(2 * AT_ONCE as usize),
            queue: VecDeque::with_capacity(4 * AT_ONCE as usize),
            next_flow: 0,
            done: 0,
        }
    }

    fn other(&self, port: PortId) -> PortId {
        if port == self.lan { self.wan } else { self.lan }
    }

    /// A new client sends its SYN.
    fn open(&mut self) {
        let flow = self.next_flow;
        self.next_flow += 1;
        if let Some(packet) = self.buffer() {
            self.send(packet, self.wan, &Segment::syn(flow));
        }
    }

    /// A buffer for a segment that answers no other.
    fn buffer(&mut self) -> Option<Mbuf> {
        self.spare.pop().or_else(|| self.pool.alloc())
    }

    /// Sends a segment in this buffer.
    fn send(&mut self, mut packet: Mbuf, port: PortId, segment: &Segment) {
        let to = if port == self.lan { LAN_MAC } else { WAN_MAC };
        let len = packet.bytes().len();
        let sized = len >= FRAME_LEN || packet.append(FRAME_LEN - len);
        // The director may have made the frame longer at the front.
        packet.trim_front(len.saturating_sub(FRAME_LEN));
        packet.set_port(port);
        if sized && let Some(frame) = packet.bytes_mut().first_chunk_mut() {
            segment.write(to, frame);
            self.queue.push_back(packet);
        }
    }

    /// A dest answers a SYN, a request and a FIN. It does not answer an acknowledgment.
    fn at_dest(&mut self, packet: Mbuf, segment: Segment) {
        const SYN_ACK: u8 = Segment::SYN | Segment::ACK;
        let answer = if segment.flags & Segment::SYN != 0 {
            Segment {
                seq: DEST_ISN,
                ..segment.answer(SYN_ACK, 0)
            }
        } else if segment.flags & Segment::FIN != 0 {
            segment.answer(Segment::FIN | Segment::ACK, 0)
        } else if segment.payload > 0 {
            segment.answer(Segment::ACK, MOST_PAYLOAD)
        } else {
            return self.spare.push(packet);
        };
        self.send(packet, self.lan, &answer);
    }

    /// A client acknowledges the SYN-ACK, sends its request, and ends the conn after the response.
    /// When the FIN is acknowledged, a new client comes.
    fn at_client(&mut self, packet: Mbuf, segment: Segment) {
        if segment.flags & Segment::SYN != 0 {
            self.send(packet, self.wan, &segment.answer(Segment::ACK, 0));
            if let Some(packet) = self.buffer() {
                let request = segment.answer(Segment::ACK, MOST_PAYLOAD);
                self.send(packet, self.wan, &request);
            }
        } else if segment.flags & Segment::FIN != 0 {
            self.send(packet, self.wan, &segment.answer(Segment::ACK, 0));
            self.done += 1;
            self.open();
        } else if segment.payload > 0 {
            let fin = segment.answer(Segment::FIN | Segment::ACK, 0);
            self.send(packet, self.wan, &fin);
        }
    }
}

impl Io<Mbuf> for Peers {
    #[inline]
    fn transmit(&mut self, port: PortId, packet: Mbuf) {
        match Segment::read(packet.bytes()) {
            Some(segment) if port == self.lan => self.at_dest(packet, segment),
            Some(segment) => self.at_client(packet, segment),
            None => {}
        }
    }
    fn to_kernel(&mut self, _: Mbuf) {}
    fn copy_to_kernel(&mut self, _: &Mbuf) {}
    fn redirect(&mut self, _: WorkerId, _: Mbuf, _: Handoff) {}
    fn allocate(&mut self, _: PortId, _: usize) -> Option<Mbuf> {
        None
    }
    fn event(&mut self, _: Event) -> Result<(), Event> {
        Ok(())
    }
}

/// The cost of whole conns, run by run.
#[derive(Debug)]
pub(crate) struct Churn {
    runs: Vec<Run>,
}

/// The cost of one conn.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// With a cable in the place of the director
    peers: Cost,
    /// With the director, from the first segment to the expiry of the conn
    all: Cost,
}

/// Runs director and cable in turns.
pub(crate) fn run(lab: &mut Lab, runs: u32) -> Result<Churn, Error> {
    let spec = Spec {
        lan: lab.sink.lan_port,
        wan: lab.wan_port,
        max_conns: CONNS + CONNS / 4,
        timeouts: short_time_wait(),
        ..Spec::default()
    };
    let mut churned = Churn { runs: Vec::new() };
    for _ in 0..runs {
        let peers = churn(lab, &mut Cable)?;
        let mut engine = resident_engine(lab, &spec);
        let all = churn(lab, &mut engine)?;
        let drops = engine.stats().drops_total();
        if drops > 0 {
            return Err(format!("{drops} segments of whole conns were dropped").into());
        }
        churned.runs.push(Run { peers, all });
    }
    Ok(churned)
}

/// The default timeouts, but TIME_WAIT is short. So conns expire while others are made, as in a
/// director that has run for a while.
fn short_time_wait() -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.tcp_s[TcpState::TimeWait as usize] = 1;
    timeouts
}

/// Opens, uses and ends all conns of a run. Returns the cost of each.
fn churn(lab: &Lab, middle: &mut impl Middle) -> Result<Cost, Error> {
    let mut peers = Peers::new(lab);
    for _ in 0..AT_ONCE {
        peers.open();
    }
    let mut stopwatch = Stopwatch::start(lab.core);
    while peers.done < CONNS {
        let segments = rounds(lab, middle, &mut peers);
        if segments == 0 {
            let done = peers.done;
            return Err(format!("no segment came through any more after {done} conns").into());
        }
        stopwatch.lap(segments);
    }
    let conns = f64::from(peers.done);
    let segments = stopwatch.timed();
    let in_use = segments.cost().times(segments.on_cpu.done as f64 / conns);
    let ends = expire_all(lab, middle, &mut peers)?;
    if ends.on_cpu.done == 0 {
        return Ok(in_use);
    }
    Ok(in_use.and(ends.cost().times(ends.on_cpu.done as f64 / conns)))
}

/// Some bursts and then housekeeping. Returns how many segments the director received.
fn rounds(lab: &Lab, middle: &mut impl Middle, peers: &mut Peers) -> usize {
    let mut burst = Burst::new();
    let mut segments = 0;
    let mut now = lab.now();
    for _ in 0..HOUSEKEEPING_ROUNDS {
        let waiting = peers.queue.len().min(dpdk::burst::CAPACITY);
        peers
            .queue
            .drain(..waiting)
            .for_each(|packet| burst.push(packet));
        segments += waiting;
        now = lab.now();
        middle.forward(now, &mut burst, peers);
    }
    middle.keep_house(now, peers);
    segments
}

/// Lets all conns expire, which is part of their cost.
fn expire_all(lab: &Lab, middle: &mut impl Middle, peers: &mut Peers) -> Result<Timed, Error> {
    let late = Now {
        ns: lab.now().ns + ALL_EXPIRED_NS,
    };
    // Conns that are still open are established, and do not expire within this time.
    let left = u64::from(2 * AT_ONCE);
    let mut stopwatch = Stopwatch::start(lab.core);
    for _ in 0..CONNS {
        let before = middle.conns();
        if before <= left {
            return Ok(stopwatch.timed());
        }
        middle.keep_house(late, peers);
        stopwatch.lap((before - middle.conns()) as usize);
    }
    Err(format!("{} conns do not expire", middle.conns()).into())
}

/// Conns per second.
#[derive(Debug, Clone, Copy)]
struct Rates {
    per_cpu_s: f64,
    with_peers: f64,
    peers_alone: f64,
}

impl Run {
    fn rates(&self, time: Time) -> Option<Rates> {
        let (all, peers) = (self.all.ns(time)?, self.peers.ns(time)?);
        Some(Rates {
            per_cpu_s: 1e9 / (all - peers),
            with_peers: 1e9 / all,
            peers_alone: 1e9 / peers,
        })
    }
}

impl Churn {
    /// Conns per second of CPU time, without the cost of the peers.
    pub(crate) fn per_cpu_s(&self) -> Spread {
        let rates = self.runs.iter().filter_map(|run| run.rates(Time::OnCpu));
        Spread::of(rates.map(|rates| rates.per_cpu_s))
    }

    /// The entry of the report.
    pub(crate) fn json(&self) -> Value {
        let mut object = Map::new();
        let costs = self.runs.iter().map(|run| &run.all);
        by_both_times(&mut object, costs, |time, object| self.put(time, object));
        object.insert("packets_per_conn".to_owned(), json!(8));
        Value::Object(object)
    }

    fn put(&self, time: Time, object: &mut Map<String, Value>) {
        let rates: Vec<Rates> = self.runs.iter().filter_map(|run| run.rates(time)).collect();
        if rates.is_empty() {
            return;
        }
        let of = |rate: fn(&Rates) -> f64| Spread::of(rates.iter().map(rate));
        of(|rates| rates.per_cpu_s).put(object, "per_cpu_s", 0);
        of(|rates| rates.with_peers).put(object, "with_peers_per_cpu_s", 0);
        of(|rates| rates.peers_alone).put(object, "peers_alone_per_cpu_s", 0);
    }
}
