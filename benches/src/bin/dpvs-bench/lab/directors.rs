//! Directors that are ready to forward.

use dpdk::Mbuf;
use ipvs_core::{Engine, FwdMode};

use benches::director::{self, Spec, WAN_MAC};
use benches::frames::{self, Frame, VIP, client, udp};
use packet::PortId;

use super::ports::Lab;
use super::traffic::Traffic;
use super::turns::forward;
use crate::error::Error;

/// The seed of the order in which conns are made. Packets come in other orders.
pub(crate) const MAKING_ORDER: u64 = 1;

/// A director with room for so many conns and some more.
pub(crate) fn director(lab: &mut Lab, flows: u32, fwdmode: FwdMode, wan: PortId) -> Engine<Mbuf> {
    let spec = Spec {
        lan: lab.sink.lan_port,
        wan,
        fwdmode,
        max_conns: flows + flows / 8 + 1024,
        ..Spec::default()
    };
    resident_engine(lab, &spec)
}

/// An engine whose conn table lies on huge pages that are already mapped, as in the daemon.
pub(crate) fn resident_engine(lab: &mut Lab, spec: &Spec) -> Engine<Mbuf> {
    let now = lab.now();
    let engine = director::engine(spec, now, &mut lab.sink);
    for (start, len) in engine.conn_table_memory().concat() {
        dpdk::memory::make_resident(start, len);
    }
    engine
}

/// The first packet of a UDP flow.
pub(crate) fn first_datagram(flow: u32, wan: PortId) -> Frame {
    Frame {
        bytes: udp(client(flow), VIP, WAN_MAC),
        port: wan,
    }
}

/// Makes a conn for every flow. Returns what the engine sent to the dests.
pub(crate) fn open_udp(
    lab: &mut Lab,
    engine: &mut Engine<Mbuf>,
    flows: u32,
    wan: PortId,
) -> Result<Vec<Frame>, Error> {
    let order = frames::shuffled(flows, MAKING_ORDER).into_iter();
    let sent = lab.play(engine, order.map(|flow| first_datagram(flow, wan)));
    let conns = engine.stats().conns.get();
    if conns == u64::from(flows) && sent.len() == flows as usize {
        Ok(sent)
    } else {
        Err(format!(
            "of {flows} flows {conns} became conns, {} were sent on",
            sent.len()
        )
        .into())
    }
}

/// Forwards at least so many frames.
pub(crate) fn warm_up(
    lab: &mut Lab,
    engine: &mut Engine<Mbuf>,
    traffic: &mut impl Traffic,
    frames: u32,
) {
    let mut packets = 0;
    while packets < frames as usize {
        packets += forward(lab, engine, traffic);
    }
}

/// Fails unless every packet was forwarded.
pub(crate) fn check_sent(engine: &Engine<Mbuf>) -> Result<(), Error> {
    let stats = engine.stats();
    let (received, sent) = (stats.received.get(), stats.transmitted.get());
    if received == sent {
        Ok(())
    } else {
        Err(format!("{received} packets came in, only {sent} were sent on").into())
    }
}
