//! FullNAT: the dest sees a local address of the director, and the client by TOA.

mod conn_states;
mod conns;
mod half_closed;
mod handoff;
mod laddr_uses;
mod round_trip;
mod segments;
mod toa;
mod udp;
mod used_up_ports;

const TOA: [u8; 8] = [254, 8, 0x9c, 0x40, 10, 0, 0, 48]; // 40000 is 0x9c40
