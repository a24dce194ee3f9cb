//! Few flows and many, in turns. Frames are written when they are received, so that the conn table
//! is the only large memory.

use dpdk::Mbuf;
use ipvs_core::{Engine, FwdMode};

use benches::director::WAN_MAC;
use benches::frames::Datagrams;

use crate::error::Error;
use crate::lab::{
    Effort, Lab, Written, check_sent, director, forward, in_turns, open_udp, swap, turn, warm_up,
};
use crate::timing::Comparison;

/// What was measured with few flows and with many.
#[derive(Debug)]
pub(crate) struct Many {
    /// Few flows in a small table
    pub few: Comparison,
    /// Few flows in the large table, which has the conns of all flows
    pub few_among_many: Comparison,
    /// Many flows in the large table
    pub many: Comparison,
}

/// Lets a director with few conns and one with many forward UDP from clients.
pub(crate) fn run(lab: &mut Lab, few: u32, many: u32, effort: Effort) -> Result<Many, Error> {
    let (mut engine_of_few, mut from_few) = established(lab, few)?;
    let (mut engine_of_many, mut from_many) = established(lab, many)?;
    let mut measured = Many {
        few: Comparison::default(),
        few_among_many: Comparison::default(),
        many: Comparison::default(),
    };
    let core = lab.core;
    for _ in 0..effort.runs {
        let costs = in_turns(4, effort.turns(), |side| {
            turn(core, || match side {
                0 => swap(lab, &mut from_few),
                1 => forward(lab, &mut engine_of_few, &mut from_few),
                2 => forward(lab, &mut engine_of_many, &mut from_few),
                _ => forward(lab, &mut engine_of_many, &mut from_many),
            })
        });
        if let [macswap, few, few_among_many, many] = costs[..] {
            measured.few.add_run(macswap, few);
            measured.few_among_many.add_run(macswap, few_among_many);
            measured.many.add_run(macswap, many);
        }
    }
    check_sent(&engine_of_few)?;
    check_sent(&engine_of_many)?;
    Ok(measured)
}

/// A director with conns for so many flows, and the datagrams of those.
fn established(lab: &mut Lab, flows: u32) -> Result<(Engine<Mbuf>, Written), Error> {
    let wan = lab.wan_port;
    let mut engine = director(lab, flows, FwdMode::FullNat, wan);
    open_udp(lab, &mut engine, flows, wan)?;
    let mut written = Written {
        datagrams: Datagrams::new(flows, WAN_MAC),
        port: wan,
        pool: lab.sink.pool,
    };
    warm_up(lab, &mut engine, &mut written, flows);
    Ok((engine, written))
}
