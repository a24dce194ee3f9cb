//! First fragments of SCTP that get other ports wait for the last fragment.
//!
//! How a new port changes the checksum depends on the length of the whole packet. Only the last
//! fragment tells it.

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
    /// Forwards a fragment without an L4 header. `options_len` bytes of destination options stand
    /// before the L4 header of the first one.
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
            // RFC 791, 3.2: no packet is longer than its length field can say.
            let Some(end) = ip.fragment_offset.checked_add(len) else {
                return self.shared.drop(packet, DropReason::Fragment);
            };
            self.release_first_fragment(ip, end, io);
        }
        let part = Part::Later { options_len };
        self.forward_fragment(packet, ip, found, part, io);
    }

    /// Whether a packet is a first fragment of SCTP that gets other ports.
    pub(crate) fn needs_last_fragment(&self, flow: &Flow<A>) -> bool {
        flow.is_fragment
            && flow.protocol() == Protocol::Sctp
            && self
                .family
                .conns
                .find(&flow.tuple)
                .is_some_and(|found| self.changes_sctp_ports(found))
    }

    /// Lets a first fragment wait for its last one, or forwards it if the last one came before.
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

    /// The last fragment has come: the first one is forwarded.
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

    /// Forwards a first fragment that waited. `end` is the offset where the last fragment ends.
    fn forward_first_fragment(&mut self, first: WaitingFirst<A, B>, end: u16, io: &mut impl Io<B>) {
        let WaitingFirst { mut packet, tuple } = first;
        let ip = match A::check(&mut packet) {
            Ok(ip) => ip,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let found = self.family.conns.find(&tuple);
        // Offsets count from the start of the destination options, if there are any (RFC 8200,
        // 4.5).
        let options_len = family::options_len(packet.bytes(), &ip);
        let (Some(found), Some(whole_len)) = (found, end.checked_sub(options_len)) else {
            return self.shared.drop(packet, DropReason::Fragment);
        };
        let part = Part::FirstOfSctp { whole_len };
        self.forward_fragment(packet, &ip, found, part, io);
    }
}
