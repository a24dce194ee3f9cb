//! Packets of established conns: UDP from clients, UDP from dests, TCP both ways.

use dpdk::Mbuf;
use ipvs_core::{Engine, FwdMode};

use benches::director::{LAN_MAC, WAN_MAC};
use benches::frames::{self, Frame, Segment, udp};

use crate::error::Error;
use crate::lab::{
    Effort, Lab, MAKING_ORDER, Replay, Traffic, Wire, check_sent, compare, director,
    first_datagram, open_udp, warm_up,
};
use crate::timing::Comparison;

/// The seeds of the orders in which packets come. Conns were made in another order.
const PLAYING_ORDER: u64 = 3;
const ANSWERING_ORDER: u64 = 5;
/// The dest's initial sequence number.
const DEST_ISN: u32 = 9_000_000;

/// UDP from clients, from a capture file.
pub(crate) fn udp_from_wire(
    lab: &mut Lab,
    wire: &mut Wire,
    effort: Effort,
) -> Result<Comparison, Error> {
    let mut engine = director(lab, wire.flows, FwdMode::FullNat, wire.port);
    open_udp(lab, &mut engine, wire.flows, wire.port)?;
    let [measured] = measure(lab, &mut [engine], &mut wire.rx, wire.flows, effort)?;
    Ok(measured)
}

/// UDP from clients by several forwarding modes, with frames from memory.
pub(crate) fn udp_from_memory<const MODES: usize>(
    lab: &mut Lab,
    flows: u32,
    fwdmodes: [FwdMode; MODES],
    effort: Effort,
) -> Result<[Comparison; MODES], Error> {
    let wan = lab.wan_port;
    let mut engines = fwdmodes.map(|fwdmode| director(lab, flows, fwdmode, wan));
    for engine in &mut engines {
        open_udp(lab, engine, flows, wan)?;
    }
    let order = frames::shuffled(flows, PLAYING_ORDER).into_iter();
    let frames = order.map(|flow| first_datagram(flow, wan)).collect();
    let mut replay = Replay::new(frames, lab.sink.pool);
    measure(lab, &mut engines, &mut replay, flows, effort)
}

/// UDP from dests: every packet that a dest got is answered.
pub(crate) fn replies(lab: &mut Lab, flows: u32, effort: Effort) -> Result<Comparison, Error> {
    let wan = lab.wan_port;
    let mut engine = director(lab, flows, FwdMode::FullNat, wan);
    let sent = open_udp(lab, &mut engine, flows, wan)?;
    let port = lab.sink.lan_port;
    let answers = sent.iter().map(|frame| {
        let (laddr, dest) = frame.ends();
        Frame {
            bytes: udp(dest, laddr, LAN_MAC),
            port,
        }
    });
    let mut answers: Vec<Frame> = answers.collect();
    drop(sent);
    frames::shuffle(&mut answers, PLAYING_ORDER);
    let mut replay = Replay::new(answers, lab.sink.pool);
    let [measured] = measure(lab, &mut [engine], &mut replay, flows, effort)?;
    Ok(measured)
}

/// Established TCP with one segment of each flow in either direction. The clients' segments come in
/// one random order and the dests' in another, a burst of each in turn, as a worker gets them from
/// its ports.
pub(crate) fn tcp(lab: &mut Lab, flows: u32, effort: Effort) -> Result<Comparison, Error> {
    let (lan, wan) = (lab.sink.lan_port, lab.wan_port);
    let mut engine = director(lab, flows, FwdMode::FullNat, wan);
    let order = frames::shuffled(flows, MAKING_ORDER);
    let syns = order
        .iter()
        .map(|flow| Segment::syn(*flow).frame(WAN_MAC, wan));
    let at_dests = segments(lab.play(&mut engine, syns), flows)?;
    let answer = |segment: &Segment| Segment {
        seq: DEST_ISN,
        ..segment.answer(Segment::SYN | Segment::ACK, 0)
    };
    let syn_acks = at_dests.iter().map(|syn| answer(syn).frame(LAN_MAC, lan));
    let at_clients = segments(lab.play(&mut engine, syn_acks), flows)?;
    // These acknowledge data of the dest, so they get no TOA.
    let requests = at_clients.iter().map(|syn_ack| {
        let mut request = syn_ack.answer(Segment::ACK, frames::MOST_PAYLOAD);
        request.ack = request.ack.wrapping_add(100);
        request.frame(WAN_MAC, wan)
    });
    let responses = at_dests.iter().map(|syn| {
        let mut response = answer(syn);
        (response.flags, response.payload) = (Segment::ACK, frames::MOST_PAYLOAD);
        response.seq = DEST_ISN + 1;
        response.frame(LAN_MAC, lan)
    });
    let (mut requests, mut responses): (Vec<Frame>, Vec<Frame>) =
        (requests.collect(), responses.collect());
    frames::shuffle(&mut requests, PLAYING_ORDER);
    frames::shuffle(&mut responses, ANSWERING_ORDER);
    let in_turn = requests
        .chunks(dpdk::burst::CAPACITY)
        .zip(responses.chunks(dpdk::burst::CAPACITY));
    let both = in_turn.flat_map(|(from_wan, from_lan)| [from_wan, from_lan].concat());
    let mut replay = Replay::new(both.collect(), lab.sink.pool);
    let [measured] = measure(lab, &mut [engine], &mut replay, 2 * flows, effort)?;
    Ok(measured)
}

fn segments(frames: Vec<Frame>, expected: u32) -> Result<Vec<Segment>, Error> {
    let read = frames
        .iter()
        .filter_map(|frame| Segment::read(&frame.bytes));
    let read: Vec<Segment> = read.collect();
    if read.len() == expected as usize {
        Ok(read)
    } else {
        Err(format!("{expected} segments went in, {} came out", read.len()).into())
    }
}

/// Lets every director forward everything once to warm up, then compares. Every packet must have
/// been forwarded.
fn measure<const DIRECTORS: usize>(
    lab: &mut Lab,
    engines: &mut [Engine<Mbuf>; DIRECTORS],
    traffic: &mut impl Traffic,
    frames: u32,
    effort: Effort,
) -> Result<[Comparison; DIRECTORS], Error> {
    for engine in &mut *engines {
        warm_up(lab, engine, traffic, frames);
    }
    let comparisons = compare(lab, engines, traffic, effort);
    engines.iter().try_for_each(check_sent)?;
    Ok(comparisons)
}
