//! First fragments leave a note, by which the later ones find their conn.

use std::net::IpAddr;

use packet::PacketBuf;

use crate::conn::{Found, IdleTimeout};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::state::{FirstFragment, NOTE_LIFE_S, Whole};
use crate::tuple::Tuple;
use crate::wire::{Family, Flow, family};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Notes a first fragment, for the later ones of its packet.
    #[cold]
    pub(crate) fn note_fragment(&mut self, packet: &mut B, flow: &Flow<A>) {
        if let Ok(ip) = A::check(packet) {
            self.family.has_fragments = true;
            let first = FirstFragment {
                tuple: flow.tuple,
                options_len: family::options_len(packet.bytes(), &ip),
                identification: self.shared.identifications.next_of_fragments(),
                one_packet: None,
            };
            let now = self.shared.now.tick();
            self.family.fragments.note(now, Whole::of(&ip), first);
        }
    }

    /// Forwards the packet of one-packet scheduling, with which its conn ends. If that is a first
    /// fragment, the conn waits for the later ones, and no other packet finds it.
    #[cold]
    pub(super) fn forward_one_packet(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let whole = match A::check(&mut packet) {
            Ok(ip) if flow.is_fragment => Some(Whole::of(&ip)),
            _ => None,
        };
        self.forward(packet, flow, found, io);
        let Some(whole) = whole else {
            return self.end(found.id);
        };
        let now = self.shared.now.tick();
        let noted = self.family.fragments.first_of(now, &whole);
        let first = FirstFragment {
            tuple: flow.tuple,
            one_packet: Some(found.id),
            ..noted.unwrap_or_default()
        };
        self.family.fragments.note(now, whole, first);
        self.family.conns.hide(found.id);
        self.set_timeout(found.id, IdleTimeout::from_secs(NOTE_LIFE_S));
    }

    /// The conn of a later fragment, by what its first one left.
    pub(crate) fn conn_of_fragments(&self, whole: &Whole<A>, tuple: &Tuple<A>) -> Option<Found> {
        let conns = &self.family.conns;
        let first = self
            .family
            .fragments
            .first_of(self.shared.now.tick(), whole);
        match first.and_then(|first| first.one_packet) {
            Some(id) if conns.holds(id, tuple) => Some(Found {
                id,
                direction: Direction::Inbound,
            }),
            _ => conns.find(tuple),
        }
    }

    /// No conn is known. A fragment for the director alone is dropped; the kernel may know the way
    /// of any other.
    pub(super) fn give_up_later_fragment(&self, packet: B, dst: A, io: &mut impl Io<B>) {
        if self.is_local_alone(dst) {
            self.shared.drop(packet, DropReason::Fragment);
        } else {
            self.shared.to_kernel(packet, io);
        }
    }

    /// Whether an address is the director's.
    pub(super) fn is_local(&self, addr: A) -> bool {
        self.shared.snapshot.net.local_addr(addr.to_ip()).is_some()
    }

    /// Whether an address is the director's, and not the kernel's too. Behind a kni netdev the
    /// kernel makes the same link-local address of the same MAC address, and speaks OSPFv3 and the
    /// like by it. No conn has one.
    pub(super) fn is_local_alone(&self, addr: A) -> bool {
        let addr = addr.to_ip();
        let is_shared = matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local());
        !is_shared && self.shared.snapshot.net.local_addr(addr).is_some()
    }
}
