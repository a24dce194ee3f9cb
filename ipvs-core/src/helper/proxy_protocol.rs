//! The PROXY protocol: a header in front of the client's first byte tells the dest who the client
//! is.
//!
//! A packet is edited before its addresses and numbers are rewritten, as if the client had sent
//! the header itself. So no other code has to know of it. Segments are edited in `proxy_stream`,
//! datagrams in `proxy_datagram`.

use std::net::SocketAddr;

use packet::PacketBuf;
use packet::proxy::{Ends, Header, Sent, Transport, Version};

use crate::config::ProxyProtocol;
use crate::conn::{ConnFlags, Found};
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::wire::{Family, Flow, splice};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// The header for this payload, and how much of the client's own header it replaces.
    pub(super) fn header_for(&self, found: Found, transport: Transport, payload: &[u8]) -> Edit {
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
            Some(sent) if proxy.is_insecure && sent.version == proxy.version => Edit {
                stripped: 0,
                header: None,
            },
            // One that names nobody has no counterpart in the other version. Such a client is who
            // its packets come from (2.1, UNKNOWN; 2.2, LOCAL).
            Some(sent) if proxy.is_insecure => Edit {
                stripped: sent.len,
                header: header_of(&sent.ends.unwrap_or(real)),
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
pub(super) struct Edit {
    /// Bytes that are removed
    pub(super) stripped: usize,
    /// The header that is inserted
    header: Option<Header>,
}

impl Edit {
    /// The header that is inserted. Empty if there is none.
    pub(super) fn header_bytes(&self) -> &[u8] {
        self.header.as_ref().map_or(&[], Header::bytes)
    }

    pub(super) fn inserted(&self) -> usize {
        self.header_bytes().len()
    }

    /// Carries the edit out. Returns by how many bytes the packet has grown.
    ///
    /// # Errors
    ///
    /// The reason to drop the packet, which is unchanged then.
    pub(super) fn put<A: Family, B: PacketBuf>(
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

/// The bits of [`ProxyProtocol::to_bits`] beside the version.
const VERSION: u8 = 0xf;
const INSECURE: u8 = 1 << 4;
const EACH_DATAGRAM: u8 = 1 << 5;

impl ProxyProtocol {
    /// As a byte in the extension of a conn.
    pub(crate) const fn to_bits(self) -> u8 {
        let version = match self.version {
            Version::V1 => 1,
            Version::V2 => 2,
        };
        let insecure = if self.is_insecure { INSECURE } else { 0 };
        let each = if self.is_in_each_datagram {
            EACH_DATAGRAM
        } else {
            0
        };
        version | insecure | each
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self {
            version: if bits & VERSION == 1 {
                Version::V1
            } else {
                Version::V2
            },
            is_insecure: bits & INSECURE != 0,
            is_in_each_datagram: bits & EACH_DATAGRAM != 0,
        }
    }
}
