//! The ports of the bench, where packets come from and go to, directors that are ready to forward,
//! and turns in which they and macswap take the same packets. It measures with `timing` and knows
//! nothing of the parts.

mod directors;
mod ports;
mod sink;
mod traffic;
mod turns;

pub(crate) use directors::{
    MAKING_ORDER, check_sent, director, first_datagram, open_udp, resident_engine, warm_up,
};
pub(crate) use ports::{Capture, Lab, MBUF_BYTES, SPARE_MBUFS, Wire};
pub(crate) use traffic::{Replay, Traffic, Written, make_and_free};
pub(crate) use turns::{BURSTS, Effort, compare, forward, in_turns, swap, swap_macs, turn};
