//! Which packets may open a conn, and which ones may have theirs adopted.

use packet::checksum;
use packet::{ChecksumState, PacketBuf, sctp};

use crate::config::{Protocol, Service};
use crate::conn::{Conn, ConnFlags};
use crate::drop_reason::DropReason;
use crate::tcp_state::TcpState;
use crate::wire::{Family, Flow, Segment, datagram_len};

/// A packet that may open a conn, or have its conn adopted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    /// Its segment, if it is TCP
    pub(super) segment: Option<Segment>,
    /// It opens nothing. The hash leads to the dest that has the conn.
    pub(super) is_adopted: bool,
}

impl Opening {
    /// No packet of the conn itself.
    pub(super) const ADOPTED: Self = Self {
        segment: None,
        is_adopted: true,
    };

    /// Reads a packet.
    ///
    /// # Errors
    ///
    /// Why it may do neither.
    #[inline]
    pub(super) fn read<A: Family, B: PacketBuf>(
        service: &Service,
        packet: &B,
        flow: &Flow<A>,
        l4: &[u8],
    ) -> Result<Self, DropReason> {
        let opening = Self::of_l4(service, flow.protocol(), l4)?;
        // RFC 9260, 3.3.2: an INIT is alone in its packet, so it is never fragmented.
        if flow.protocol() == Protocol::Sctp && flow.is_fragment {
            return Err(DropReason::Fragment);
        }
        // The checksum of a fragment covers data that is not here yet.
        if packet.l4_checksum() == ChecksumState::Unknown && !flow.is_fragment {
            verify_checksum(flow, l4)?;
        }
        Ok(opening)
    }

    fn of_l4(service: &Service, protocol: Protocol, l4: &[u8]) -> Result<Self, DropReason> {
        let (segment, is_adopted) = match protocol {
            Protocol::Tcp => {
                let segment = Segment::read(l4)?;
                let is_amid = !segment.opens();
                if is_amid && (segment.has_syn() || !service.adopts()) {
                    return Err(DropReason::TcpNotSyn);
                }
                (Some(segment), is_amid)
            }
            Protocol::Sctp => {
                let is_amid = sctp::kind(l4) != sctp::Kind::Init;
                if is_amid && (is_init_or_its_answer(l4) || !service.adopts()) {
                    return Err(DropReason::SctpNotInit);
                }
                (None, is_amid)
            }
            Protocol::Udp | Protocol::Icmp | Protocol::IcmpV6 => (None, false),
        };
        Ok(Self {
            segment,
            is_adopted,
        })
    }
}

/// Whether a packet begins with a broken INIT, or with an INIT ACK, which comes from a server.
fn is_init_or_its_answer(l4: &[u8]) -> bool {
    sctp::tag_of_init(l4).is_some() || sctp::tag_of_init_ack(l4).is_some()
}

/// Makes a new conn one that is adopted. Only where replies do not pass the director does it need
/// nothing of what the first packets said.
#[cold]
pub(super) fn adopt<A: Family>(conn: &mut Conn<A>) -> Result<(), DropReason> {
    let is_sctp = conn.protocol == Protocol::Sctp.number();
    if !conn.flags.has(ConnFlags::DR_TUNNEL) {
        return Err(if is_sctp {
            DropReason::SctpNotInit
        } else {
            DropReason::TcpNotSyn
        });
    }
    conn.flags.put(ConnFlags::ADOPTED, true);
    if conn.protocol == Protocol::Tcp.number() {
        conn.set_tcp_state(TcpState::SynSent);
    }
    Ok(())
}

/// The first packet of a conn must be sound: nothing is remembered for the sake of a broken one.
pub(crate) fn verify_checksum<A: Family>(flow: &Flow<A>, l4: &[u8]) -> Result<(), DropReason> {
    let (reason, l4) = match flow.protocol() {
        Protocol::Tcp => (DropReason::TcpBadChecksum, l4),
        // It was looked at already: it decided what kind of message this is.
        Protocol::Icmp | Protocol::IcmpV6 => return Ok(()),
        Protocol::Sctp if sctp::is_checksum_right(l4) => return Ok(()),
        Protocol::Sctp => return Err(DropReason::SctpBadChecksum),
        // RFC 768: no checksum at all is legal.
        Protocol::Udp if l4.get(6..8) == Some(&[0, 0]) => return Ok(()),
        Protocol::Udp => {
            let datagram = l4.get(..datagram_len(l4)).unwrap_or_default();
            (DropReason::UdpBadChecksum, datagram)
        }
    };
    let pseudo = A::pseudo_header(&flow.tuple, l4.len() as u16);
    if checksum::fold(checksum::sum(l4).wrapping_add(pseudo)) == 0xffff {
        Ok(())
    } else {
        Err(reason)
    }
}
