//! Rewrites SCTP packets, and follows the state of their conns (RFC 9260). Single-homed only:
//! addresses in chunks are not rewritten.

use packet::PacketBuf;
use packet::sctp::{self, Kind};

use crate::config::Protocol;
use crate::conn::{ConnFlags, Found, IdleTimeout};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::tcp_state::TcpState;
use crate::wire::{Family, Flow};
use crate::xmit::headers::rewrite_network;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Whether the rewrite changes ports. If so the checksum changes, which covers the whole
    /// packet.
    pub(super) fn changes_sctp_ports(&self, found: Found) -> bool {
        let conn = self.family.conns.get(found.id);
        if conn.protocol != Protocol::Sctp.number() || conn.flags.has(ConnFlags::DR_TUNNEL) {
            return false;
        }
        let (was, to) = (conn.tuple(found.direction), conn.rewritten(found.direction));
        (was.sport, was.dport) != (to.sport, to.dport)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn rewrite_sctp(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
    ) -> Result<(), DropReason> {
        let l4_at = usize::from(flow.l4_at);
        let l4 = packet.bytes().get(l4_at..).unwrap_or_default();
        if flow.is_fragment {
            // A first fragment waits for the last one only if its conn was there before. It is an
            // INIT then, which nobody fragments.
            if self.changes_sctp_ports(found) {
                return Err(DropReason::Fragment);
            }
        } else if !sctp::is_checksum_right(l4) {
            // The checksum is computed anew below: a wrong one must not become right.
            return Err(DropReason::SctpBadChecksum);
        }
        let conn = self.family.conns.get_mut(found.id);
        conn.touch(self.shared.now.tick());
        let identifications = &self.shared.identifications;
        rewrite_network(packet.bytes_mut(), conn, found.direction, identifications);
        let to = conn.rewritten(found.direction);
        let l4 = packet.bytes_mut().get_mut(l4_at..).unwrap_or_default();
        sctp::rewrite(l4, to.sport, to.dport);
        self.note_chunk(l4, found);
        Ok(())
    }

    /// What the chunks of a packet mean for its conn.
    fn note_chunk(&mut self, packet: &[u8], found: Found) {
        let kind = sctp::kind(packet);
        if kind == Kind::End && !self.may_end(packet, found) {
            return;
        }
        let conn = self.family.conns.get_mut(found.id);
        if found.direction == Direction::Outbound
            && let Some(dest_tag) = sctp::tag_of_init_ack(packet)
        {
            conn.acks = [sctp::verification_tag(packet).unwrap_or_default(), dest_tag];
        }
        let is_over = conn.tcp_state() == TcpState::Close;
        let is_answered = conn.flags.has(ConnFlags::ANSWERED);
        match (kind, found.direction) {
            (Kind::Init, Direction::Inbound) if is_over => {
                conn.flags.put(ConnFlags::ANSWERED, false);
                let timeout = self.quiet_timeout(self.family.conns.get(found.id), false);
                self.change_state(found.id, TcpState::None, timeout);
            }
            (Kind::End, _) => {
                let timeout_s = self.shared.snapshot.timeouts.sctp_closed_s;
                let timeout = IdleTimeout::from_secs(timeout_s);
                self.change_state(found.id, TcpState::Close, timeout);
                self.set_active(found.id, false);
            }
            (_, Direction::Outbound) if !is_over && !is_answered => self.note_answer(found.id),
            _ => {}
        }
    }

    /// Rewrites the SCTP header of a first fragment, whose IP header is still as it came.
    pub(super) fn rewrite_first_fragment(
        &mut self,
        packet: &mut B,
        l4_at: u8,
        found: Found,
        whole_len: u16,
    ) -> Result<(), DropReason> {
        let to = self.family.conns.get(found.id).rewritten(found.direction);
        let l4 = packet.bytes_mut().get_mut(usize::from(l4_at)..);
        let l4 = l4.unwrap_or_default();
        if !sctp::rewrite_first_part(l4, whole_len, to.sport, to.dport) {
            return Err(DropReason::Fragment);
        }
        self.note_chunk(l4, found);
        Ok(())
    }

    /// Whether the receiver of an ABORT or SHUTDOWN COMPLETE takes it for one of its peer, by the
    /// verification tag (RFC 9260, 8.5.1). Anyone can send one with forged addresses. The dest's
    /// INIT ACK has told both tags.
    fn may_end(&self, packet: &[u8], found: Found) -> bool {
        let conn = self.family.conns.get(found.id);
        if !conn.flags.has(ConnFlags::ANSWERED) {
            return true;
        }
        let [of_client, of_dest] = conn.acks;
        let is_to_dest = found.direction == Direction::Inbound;
        let expected = if is_to_dest != sctp::is_tag_reflected(packet) {
            of_dest
        } else {
            of_client
        };
        sctp::verification_tag(packet) == Some(expected)
    }
}
