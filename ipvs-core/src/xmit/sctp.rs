//! The rewrite of SCTP packets, and what they mean for their conns (RFC 9260). Single-homed: addresses in chunks are
//! the ends' own.

use packet::PacketBuf;
use packet::ip::IpFacts;
use packet::sctp::{self, Kind};

use crate::config::protocol::Protocol;
use crate::conn::tcp_state::TcpState;
use crate::conn::{ConnFlags, Direction, Found};
use crate::ctx::family_state::Forwarder;
use crate::ctx::miss::Miss;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::state::fragments::{First, Half, Meeting, Part, Whole};
use crate::tuple::Tuple;
use crate::wire::family::{self, Family};
use crate::wire::flow::Flow;
use crate::xmit::rewrite::rewrite_network;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Whether other ports go into the conn's packets of a direction: the checksum, which covers the whole packet, then
    /// changes too.
    pub(crate) fn changes_sctp_ports(&self, found: Found) -> bool {
        let conn = self.lane.conns.get(found.id);
        if conn.protocol != Protocol::Sctp.number() || conn.flags.has(ConnFlags::ONE_WAY) {
            return false;
        }
        let (was, to) = (conn.tuple(found.direction), conn.rewritten(found.direction));
        (was.sport, was.dport) != (to.sport, to.dport)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn rewrite_sctp(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
    ) -> Result<(), DropReason> {
        let l4_at = usize::from(flow.l4_at);
        let l4 = packet.bytes().get(l4_at..).unwrap_or_default();
        if flow.is_fragment {
            // It would have waited for its last one, had it a conn before: nobody cuts an INIT.
            if self.changes_sctp_ports(found) {
                return Err(DropReason::Fragment);
            }
        } else if !sctp::is_checksum_right(l4) {
            // It is made anew below: a wrong one must not become right.
            return Err(DropReason::SctpBadChecksum);
        }
        let kind = sctp::kind(l4);
        let conn = self.lane.conns.get_mut(found.id);
        conn.touch(self.shared.now.tick());
        rewrite_network(packet.bytes_mut(), conn, found.direction);
        let to = conn.rewritten(found.direction);
        let l4 = packet.bytes_mut().get_mut(l4_at..).unwrap_or_default();
        sctp::rewrite(l4, to.sport, to.dport);
        self.note_chunk(kind, found);
        Ok(())
    }

    /// What a packet's first chunk means for its conn.
    fn note_chunk(&mut self, kind: Kind, found: Found) {
        let conn = self.lane.conns.get_mut(found.id);
        let is_over = conn.tcp_state() == TcpState::Close;
        let is_answered = conn.flags.has(ConnFlags::ANSWERED);
        match (kind, found.direction) {
            (Kind::Init, Direction::Inbound) if is_over => {
                conn.set_tcp_state(TcpState::None);
                conn.flags.put(ConnFlags::ANSWERED, false);
                let timeout_s = self.quiet_timeout_s(self.lane.conns.get(found.id), false);
                self.set_timeout(found.id, timeout_s);
            }
            (Kind::End, _) => {
                conn.set_tcp_state(TcpState::Close);
                let timeout_s = self.shared.snapshot.timeouts.sctp_closed_s;
                self.set_timeout(found.id, u16::try_from(timeout_s).unwrap_or(u16::MAX));
                self.set_active(found.id, false);
            }
            (_, Direction::Outbound) if !is_over && !is_answered => self.note_answer(found.id),
            _ => {}
        }
    }

    /// Whether a packet is a first fragment that gets other ports: what they change in its checksum depends on how long
    /// the whole is, and that the last fragment tells.
    pub(crate) fn needs_last_fragment(&self, flow: &Flow<A>) -> bool {
        flow.is_fragment
            && flow.protocol() == Protocol::Sctp
            && self
                .lane
                .conns
                .find(&flow.tuple)
                .is_some_and(|found| self.changes_sctp_ports(found))
    }

    /// First fragments that have no conn yet: one that a packet of the same batch makes is whole at the batch's end only.
    #[cold]
    #[inline(never)]
    pub(crate) fn put_off_first_fragments(&mut self, miss: &mut [Miss<A, B>]) {
        for Miss { packet, flow, .. } in miss {
            if flow.is_fragment
                && flow.protocol() == Protocol::Sctp
                && let Some(packet) = packet.take()
            {
                self.lane.early_fragments.push((packet, *flow));
            }
        }
    }

    /// These at the batch's end: they wait for their last, or go the way of a packet that is whole.
    #[cold]
    pub(crate) fn take_up_first_fragments(&mut self, io: &mut impl Io<B>) {
        let mut early = std::mem::take(&mut self.lane.early_fragments);
        for (packet, flow) in early.drain(..) {
            if self.needs_last_fragment(&flow) {
                self.await_last_fragment(packet, flow.tuple, io);
            } else {
                self.connect_anew(packet, &flow, io);
            }
        }
        self.lane.early_fragments = early;
    }

    /// Such a packet waits for its last fragment, or goes if that went ahead.
    #[cold]
    pub(crate) fn await_last_fragment(
        &mut self,
        mut packet: B,
        tuple: Tuple<A>,
        io: &mut impl Io<B>,
    ) {
        match A::check(&mut packet) {
            Ok(ip) => {
                self.shared.stats.held.add(1);
                let half = Half::First(First { packet, tuple });
                self.meet(Whole::of(&ip), half, io);
            }
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    /// The last fragment of a packet that gets other ports: its first one may go.
    #[cold]
    pub(crate) fn release_first_fragment(
        &mut self,
        last: &IpFacts<A>,
        end: u16,
        io: &mut impl Io<B>,
    ) {
        self.meet(Whole::of(last), Half::End(end), io);
    }

    fn meet(&mut self, whole: Whole<A>, half: Half<A, B>, io: &mut impl Io<B>) {
        let now = self.shared.now.tick();
        match self.lane.fragments.meet(now, whole, half) {
            Meeting::Complete(first, end) => {
                self.shared.stats.held.sub(1);
                self.forward_first_fragment(first, end, io);
            }
            Meeting::Waits { given_up } => {
                if let Some(packet) = given_up {
                    self.shared.stats.held.sub(1);
                    self.shared.drop(packet, DropReason::Fragment);
                }
            }
        }
    }

    /// A first fragment that waited goes. `end` is where the last one of its packet ends.
    fn forward_first_fragment(&mut self, first: First<A, B>, end: u16, io: &mut impl Io<B>) {
        let First { mut packet, tuple } = first;
        let ip = match A::check(&mut packet) {
            Ok(ip) => ip,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let found = self.lane.conns.find(&tuple);
        // Offsets count from where options for the destination may stand, before the header (RFC 8200, 4.5).
        let options_len = family::options_len(packet.bytes(), &ip);
        let (Some(found), Some(whole_len)) = (found, end.checked_sub(options_len)) else {
            return self.shared.drop(packet, DropReason::Fragment);
        };
        let part = Part::FirstOfSctp { whole_len };
        self.forward_fragment(packet, &ip, found, part, io);
    }

    /// The SCTP header in a first fragment, where the network header lies still as it came.
    pub(crate) fn rewrite_first_fragment(
        &mut self,
        packet: &mut B,
        l4_at: u8,
        found: Found,
        whole_len: u16,
    ) -> Result<(), DropReason> {
        let to = self.lane.conns.get(found.id).rewritten(found.direction);
        let l4 = packet.bytes_mut().get_mut(usize::from(l4_at)..);
        let l4 = l4.unwrap_or_default();
        if !sctp::rewrite_first_part(l4, whole_len, to.sport, to.dport) {
            return Err(DropReason::Fragment);
        }
        self.note_chunk(sctp::kind(l4), found);
        Ok(())
    }
}
