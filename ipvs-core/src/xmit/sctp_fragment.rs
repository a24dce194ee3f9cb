//! Fragments in the order that SCTP's checksum asks for.
//!
//! What other ports change in the checksum depends on how long the whole packet is, and the last
//! fragment alone tells that. So the first one waits for it.

use packet::PacketBuf;
use packet::ip::IpFacts;
use packet::ipv4::L2_LEN;

use crate::config::Protocol;
use crate::conn::Found;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::state::{Half, Meeting, Part, WaitingFirst, Whole};
use crate::tuple::Tuple;
use crate::wire::{Family, Flow, family};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A fragment that has no L4 header: its addresses alone are rewritten. `options_len` bytes came before that in the
    /// first.
    pub(crate) fn forward_later_fragment(
        &mut self,
        packet: B,
        ip: &IpFacts<A>,
        found: Found,
        options_len: u16,
        io: &mut impl Io<B>,
    ) {
        if !ip.more_fragments && self.changes_sctp_ports(found) {
            let len = ip.total_len - (u16::from(ip.l4_at) - L2_LEN as u16);
            // RFC 791, 3.2: no whole is longer than its length field can say.
            let Some(end) = ip.fragment_offset.checked_add(len) else {
                return self.shared.drop(packet, DropReason::Fragment);
            };
            self.release_first_fragment(ip, end, io);
        }
        let part = Part::Later { options_len };
        self.forward_fragment(packet, ip, found, part, io);
    }

    /// Whether a packet is a first fragment that gets other ports: what they change in its checksum depends on how long
    /// the whole is, and that the last fragment tells.
    pub(crate) fn needs_last_fragment(&self, flow: &Flow<A>) -> bool {
        flow.is_fragment
            && flow.protocol() == Protocol::Sctp
            && self
                .family
                .conns
                .find(&flow.tuple)
                .is_some_and(|found| self.changes_sctp_ports(found))
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
                let half = Half::First(WaitingFirst { packet, tuple });
                self.meet(Whole::of(&ip), half, io);
            }
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    /// The last fragment of a packet that gets other ports: its first one may go.
    #[cold]
    fn release_first_fragment(&mut self, last: &IpFacts<A>, end: u16, io: &mut impl Io<B>) {
        self.meet(Whole::of(last), Half::End(end), io);
    }

    fn meet(&mut self, whole: Whole<A>, half: Half<A, B>, io: &mut impl Io<B>) {
        let now = self.shared.now.tick();
        match self.family.fragments.meet(now, whole, half) {
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
    fn forward_first_fragment(&mut self, first: WaitingFirst<A, B>, end: u16, io: &mut impl Io<B>) {
        let WaitingFirst { mut packet, tuple } = first;
        let ip = match A::check(&mut packet) {
            Ok(ip) => ip,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let found = self.family.conns.find(&tuple);
        // Offsets count from where options for the destination may stand, before the header (RFC 8200, 4.5).
        let options_len = family::options_len(packet.bytes(), &ip);
        let (Some(found), Some(whole_len)) = (found, end.checked_sub(options_len)) else {
            return self.shared.drop(packet, DropReason::Fragment);
        };
        let part = Part::FirstOfSctp { whole_len };
        self.forward_fragment(packet, &ip, found, part, io);
    }
}
