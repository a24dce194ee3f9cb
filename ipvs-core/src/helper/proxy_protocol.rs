//! The PROXY protocol: a header in front of the client's first byte tells the dest who the client
//! is.
//!
//! A segment is edited before its addresses and numbers are rewritten, as if the client had sent
//! the header itself. So no other code has to know of it.

use std::net::SocketAddr;

use packet::PacketBuf;
use packet::proxy::{Ends, Header, Sent, Transport, Version};
use packet::tcp::DATA_OFFSET_AT;
use packet::udp;

use crate::config::{Protocol, ProxyProtocol};
use crate::conn::{ConnExt, ConnFlags, Found, FtpFlags};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::wire::{Family, Flow, Segment, end_of, splice, tcp};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Edits the payload of a packet: FTP or the PROXY protocol. Returns the flow with its new
    /// length.
    #[cold]
    #[inline(never)]
    pub(crate) fn edit(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<Flow<A>, DropReason> {
        let ext = self.family.exts.get(found.id);
        let grown = match (flow.protocol(), found.direction) {
            (Protocol::Tcp, _) if ext.ftp.has(FtpFlags::CONTROL) => {
                self.edit_ftp(packet, flow, found, mtu)?
            }
            _ if ext.proxy == 0 => 0,
            (Protocol::Tcp, Direction::Inbound) => self.edit_inbound(packet, flow, found, mtu)?,
            (Protocol::Tcp, Direction::Outbound) => {
                self.edit_outbound(packet, flow, found)?;
                0
            }
            (_, Direction::Inbound) => self.edit_datagram(packet, flow, found, mtu)?,
            (_, Direction::Outbound) => 0,
        };
        Ok(Flow {
            total_len: flow.total_len.wrapping_add_signed(grown),
            ..*flow
        })
    }

    fn edit_inbound(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let l4_at = usize::from(flow.l4_at);
        let tcp = packet.bytes().get(l4_at..).unwrap_or_default();
        let segment = Segment::read(tcp)?;
        let payload_at = l4_at + usize::from(tcp[DATA_OFFSET_AT] >> 4) * 4;
        let has_payload = payload_at < end_of(flow);
        let ext = *self.family.exts.get(found.id);
        if segment.has_syn() {
            let first_data = segment.seq.wrapping_add(1);
            let ext = ConnExt {
                is_header_acked: 0,
                inserted: 0,
                stripped: 0,
                first_data,
                ..ext
            };
            *self.family.exts.get_mut(found.id) = ext;
            return Ok(0);
        }
        let offset = segment.seq.wrapping_sub(ext.first_data);
        if ext.is_header_acked == 0 && offset == 0 {
            return if has_payload {
                self.insert_header(packet, flow, found, payload_at, mtu)
            } else {
                Ok(0)
            };
        }
        // A number more than 2 GB ahead is behind the first byte: a keepalive probe.
        if ext.is_header_acked != 0 || offset < 1 << 31 {
            let seq = segment.seq.wrapping_add(ext.shift());
            tcp::put_number(packet.bytes_mut(), l4_at, tcp::SEQ, seq);
        }
        Ok(0)
    }

    /// Inserts the header in front of the client's first byte. Returns by how many bytes the packet
    /// has grown.
    fn insert_header(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        payload_at: usize,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let payload = packet.bytes().get(payload_at..end_of(flow));
        let edit = self.header_for(found, Transport::Stream, payload.unwrap_or_default());
        let grown = edit.put(packet, flow, payload_at, mtu)?;
        let ext = self.family.exts.get_mut(found.id);
        ext.inserted = edit.inserted() as u16;
        ext.stripped = edit.stripped as u16;
        Ok(grown)
    }

    /// The dest also acknowledges the header, which the client has not sent.
    fn edit_outbound(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
    ) -> Result<(), DropReason> {
        let l4_at = usize::from(flow.l4_at);
        let segment = Segment::read(packet.bytes().get(l4_at..).unwrap_or_default())?;
        let seq_delta = self.family.conns.get(found.id).seq_delta;
        let ext = self.family.exts.get_mut(found.id);
        if !segment.has_ack() || segment.has_syn() || ext.inserted == ext.stripped {
            return Ok(());
        }
        let first = ext.first_data.wrapping_add(seq_delta);
        let acked = segment.ack.wrapping_sub(first);
        if ext.is_header_acked == 0 {
            if acked == 0 || acked >= 1 << 31 {
                return Ok(());
            }
            // A part of the header is acknowledged: nothing of the client's data yet.
            if acked < u32::from(ext.inserted) {
                tcp::put_number(packet.bytes_mut(), l4_at, tcp::ACK_NUMBER, first);
                return Ok(());
            }
            ext.is_header_acked = 1;
        }
        let shift = ext.shift();
        tcp::put_number(
            packet.bytes_mut(),
            l4_at,
            tcp::ACK_NUMBER,
            segment.ack.wrapping_sub(shift),
        );
        tcp::shift_sack(packet.bytes_mut(), l4_at, shift);
        Ok(())
    }

    /// Inserts the header into a datagram. Every datagram carries one.
    fn edit_datagram(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let payload_at = usize::from(flow.l4_at) + udp::HEADER_LEN;
        let payload = packet.bytes().get(payload_at..end_of(flow));
        let edit = self.header_for(found, Transport::Datagram, payload.unwrap_or_default());
        edit.put(packet, flow, payload_at, mtu)
    }

    /// The header for this payload, and how much of the client's own header it replaces.
    fn header_for(&self, found: Found, transport: Transport, payload: &[u8]) -> Edit {
        let conn = self.family.conns.get(found.id);
        let end = |(addr, port): (A, u16)| SocketAddr::new(addr.to_ip(), port);
        let real = Ends {
            src: end(conn.client()),
            dst: end(conn.vip()),
        };
        let proxy = ProxyProtocol::from_bits(self.family.exts.get(found.id).proxy);
        let header_of = |ends: &Ends| Some(Header::new(proxy.version, transport, ends));
        match Sent::read(payload) {
            // A header that the client sent itself counts only in insecure mode.
            Some(sent) if proxy.is_insecure => match sent.ends {
                Some(ends) if sent.version != proxy.version => Edit {
                    stripped: sent.len,
                    header: header_of(&ends),
                },
                _ => Edit {
                    stripped: 0,
                    header: None,
                },
            },
            Some(sent) => Edit {
                stripped: sent.len,
                header: header_of(&real),
            },
            None => Edit {
                stripped: 0,
                header: header_of(&real),
            },
        }
    }
}

/// An edit of the front of a payload.
struct Edit {
    /// Bytes that are removed
    stripped: usize,
    /// The header that is inserted
    header: Option<Header>,
}

impl Edit {
    fn inserted(&self) -> usize {
        self.header
            .as_ref()
            .map_or(0, |header| header.bytes().len())
    }

    /// Carries the edit out. Returns by how many bytes the packet has grown.
    ///
    /// # Errors
    ///
    /// The reason to drop the packet, which is unchanged then.
    fn put<A: Family, B: PacketBuf>(
        &self,
        packet: &mut B,
        flow: &Flow<A>,
        payload_at: usize,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let Some(header) = &self.header else {
            return Ok(0);
        };
        splice(packet, flow, payload_at, self.stripped, header.bytes(), mtu)
    }
}

impl<A: Family, B> crate::ctx::FamilyState<A, B> {
    /// Whether the dest learns of the client by a PROXY header.
    #[inline]
    pub(crate) fn has_proxy_header(&self, id: crate::conn::ConnId) -> bool {
        self.conns.get(id).flags.has(ConnFlags::EDITED) && self.exts.get(id).proxy != 0
    }

    /// Bytes by which the dest's next expected number is ahead of what the client has sent.
    pub(crate) fn header_shift(&self, id: crate::conn::ConnId) -> u32 {
        if self.conns.get(id).flags.has(ConnFlags::EDITED) {
            self.exts.get(id).shift()
        } else {
            0
        }
    }
}

impl ProxyProtocol {
    /// As a byte in the extension of a conn.
    pub(crate) const fn to_bits(self) -> u8 {
        let version = match self.version {
            Version::V1 => 1,
            Version::V2 => 2,
        };
        version | (self.is_insecure as u8) << 4
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self {
            version: if bits & 0xf == 1 {
                Version::V1
            } else {
                Version::V2
            },
            is_insecure: bits >> 4 != 0,
        }
    }
}
