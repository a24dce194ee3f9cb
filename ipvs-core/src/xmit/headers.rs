//! Rewrites addresses and ports of a packet whose conn is known.

use crate::conn::{Conn, ConnFlags};
use crate::direction::Direction;
use crate::state::Identifications;
use crate::wire::{Family, Flow, family, tcp};

/// Rewrites addresses and ports of a datagram.
#[inline(always)]
pub(super) fn rewrite_datagram<A: Family>(
    frame: &mut [u8],
    flow: &Flow<A>,
    conn: &Conn<A>,
    direction: Direction,
    identifications: &Identifications,
) {
    rewrite_network(frame, conn, direction, identifications);
    tcp::rewrite_udp(
        flow.l4_mut(frame),
        &conn.rewritten(direction),
        conn.l4_delta(direction),
    );
}

/// Rewrites the IP header. A fragment keeps its identification.
#[inline]
pub(super) fn rewrite_network<A: Family>(
    bytes: &mut [u8],
    conn: &Conn<A>,
    direction: Direction,
    identifications: &Identifications,
) {
    // NAT64 has replaced the whole header before.
    if A::HAS_NAT64 && conn.flags.has(ConnFlags::NAT64) {
        return;
    }
    if direction == Direction::Inbound {
        family::blank_uoa(bytes);
    }
    let to = conn.rewritten(direction);
    A::rewrite_whole(
        bytes,
        to.src,
        to.dst,
        conn.l3_delta(direction),
        identifications,
    );
}
