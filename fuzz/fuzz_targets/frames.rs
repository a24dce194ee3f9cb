//! Frames into the engine, several per input: whatever they are, no panic, and every packet has its
//! end. The input is a list of `port, length (2 bytes), bytes`; a port's high bit lets time pass.

#![no_main]

#[path = "../../ipvs-core/tests/common/mod.rs"]
#[allow(unused)]
mod common;

use common::{Director, Setup, Wire};
use ipvs_core::{Origin, Protocol};
use libfuzzer_sys::fuzz_target;
use packet::PortId;
use testkit::VecBuf;

fn director(protocol: Protocol) -> Director {
    Setup { protocol, max_conns: 64, ..Setup::default() }.build()
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, mut rest)) = data.split_first() else { return };
    let mut director = director(if kind & 1 == 0 { Protocol::Tcp } else { Protocol::Udp });
    if kind & 2 != 0 && kind & 1 == 0 {
        director.open();
    }
    while let [port, high, low, after @ ..] = rest {
        let len = (usize::from(*high) << 8 | usize::from(*low)).min(after.len()).min(2048);
        let (frame, next) = after.split_at(len);
        rest = next;
        let packet = VecBuf::new(PortId(u16::from(port & 1)), frame);
        director.engine.process(director.now, Origin::Nic, std::iter::once(packet), &mut director.wire);
        if port & 0x80 != 0 {
            director.now.ns += 2_000_000_000;
            director.engine.housekeep(director.now, &mut director.wire);
        }
        director.check_that_every_packet_has_its_end();
        director.wire = Wire::default();
    }
});
