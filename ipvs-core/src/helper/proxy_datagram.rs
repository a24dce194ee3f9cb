//! The PROXY protocol over UDP: the header stands in front of a datagram's payload. Where it has no
//! room there, it goes ahead in a datagram of its own, as in DPVS.
//!
//! A dest believes the header that it reads first. So no datagram goes ahead of its header, and in
//! secure mode no datagram begins with a header that the client made up.

use packet::proxy::{Sent, Transport};
use packet::{PacketBuf, PortId};
use packet::{ipv4::L2_LEN, udp};

use crate::config::{Protocol, ProxyProtocol};
use crate::conn::{ConnFlags, ConnId, Found, HeaderState};
use crate::ctx::{FamilyState, Forwarder};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::helper::proxy_protocol::Edit;
use crate::io::Io;
use crate::wire::{Family, Flow, datagram_len, end_of, family, splice, write_datagram};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Edits a datagram of the client. Returns by how many bytes it has grown. If the header is due
    /// and has no room, it is owed: [`Self::header_datagram`] makes the one that goes ahead.
    pub(super) fn edit_datagram(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let payload_at = usize::from(flow.l4_at) + udp::HEADER_LEN;
        let payload = payload_of(packet.bytes(), flow);
        let edit = self.header_for(found, Transport::Datagram, payload);
        // What replaces a header would move the data, and later fragments have fixed offsets.
        if flow.is_fragment && edit.inserted() > 0 && Sent::may_begin(payload) {
            return Err(DropReason::Fragment);
        }
        let strip = |packet: &mut B| match edit.stripped {
            0 => Ok(0),
            len => splice(packet, flow, payload_at, len, &[], u16::MAX),
        };
        if !self.family.is_header_due(found.id) {
            return strip(packet);
        }
        match edit.put(packet, flow, payload_at, mtu) {
            Ok(grown) => {
                self.family.note_header_sent(found.id);
                Ok(grown)
            }
            Err(DropReason::MtuExceeded | DropReason::NoHeadroom | DropReason::Fragment)
                if self.names_the_client(&edit, found) =>
            {
                self.family.exts.get_mut(found.id).header = HeaderState::Owed;
                strip(packet)
            }
            Err(reason) => Err(reason),
        }
    }

    /// Whether a header can be made without the datagram it belongs to. What replaces a trusted
    /// client's header may name others.
    fn names_the_client(&self, edit: &Edit, found: Found) -> bool {
        let real = self.header_for(found, Transport::Datagram, &[]);
        edit.header_bytes() == real.header_bytes()
    }

    /// A datagram with the header that is owed. `None` if no mbuf is left, which is counted.
    #[cold]
    #[inline(never)]
    pub(crate) fn header_datagram(
        &mut self,
        port: PortId,
        found: Found,
        io: &mut impl Io<B>,
    ) -> Option<B> {
        let edit = self.header_for(found, Transport::Datagram, &[]);
        let tuple = self
            .family
            .conns
            .get(found.id)
            .rewritten(Direction::Inbound);
        let l4_at = L2_LEN + family::header_len(tuple.src);
        let len = l4_at + udp::HEADER_LEN + edit.inserted();
        let mut packet = self.shared.originate(port, len, io)?;
        write_datagram(packet.bytes_mut(), &tuple, l4_at, edit.header_bytes());
        self.family.note_header_sent(found.id);
        Some(packet)
    }
}

impl<A: Family, B> FamilyState<A, B> {
    /// Whether a packet is a datagram that needs the PROXY header, so that another datagram may
    /// have to go ahead of it. Asked of conns that are [`ConnFlags::EDITED`].
    pub(crate) fn awaits_header(&self, flow: &Flow<A>, found: Found) -> bool {
        found.direction == Direction::Inbound
            && flow.protocol() == Protocol::Udp
            && self.exts.get(found.id).proxy != 0
            && self.is_header_due(found.id)
    }

    /// Whether the header has to go ahead of the datagram that was just edited.
    pub(crate) fn owes_header(&self, found: Found) -> bool {
        found.direction == Direction::Inbound && self.exts.get(found.id).header == HeaderState::Owed
    }

    fn proxy_of(&self, id: ConnId) -> ProxyProtocol {
        ProxyProtocol::from_bits(self.exts.get(id).proxy)
    }

    fn is_header_due(&self, id: ConnId) -> bool {
        let is_sent = self.exts.get(id).header == HeaderState::Placed;
        !is_sent || self.proxy_of(id).is_in_each_datagram
    }

    /// The header is on its way. In insecure mode nothing of later datagrams is edited then, so
    /// they take the fast path. In secure mode a client's own header must not pass.
    fn note_header_sent(&mut self, id: ConnId) {
        self.exts.get_mut(id).header = HeaderState::Placed;
        let proxy = self.proxy_of(id);
        if proxy.is_insecure && !proxy.is_in_each_datagram {
            let flags = &mut self.conns.get_mut(id).flags;
            flags.put(ConnFlags::EDITED, false);
        }
    }
}

/// The payload of a datagram, or what its first fragment has of it. Padding of Ethernet may follow.
fn payload_of<'a, A: Family>(frame: &'a [u8], flow: &Flow<A>) -> &'a [u8] {
    let l4 = frame.get(usize::from(flow.l4_at)..end_of(flow));
    let l4 = l4.unwrap_or_default();
    l4.get(udp::HEADER_LEN..datagram_len(l4))
        .unwrap_or_default()
}
