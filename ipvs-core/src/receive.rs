//! Packets to the director itself: ARP and fragments.

use std::net::IpAddr;

use inet::arp::ArpOutcome;
use packet::PacketBuf;

use crate::classify::{Flow, reason_of};
use crate::command::Event;
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::fragments::Whole;
use crate::io::Io;
use crate::service::Protocol;
use crate::time::Now;
use packet::ipv4::{self, Ipv4Facts};

impl<B: PacketBuf> Engine<B> {
    pub(crate) fn receive_arp(&mut self, mut packet: B, io: &mut impl Io<B>) {
        let Some(device) = self.snapshot.net.device_of(packet.port()) else {
            return self.to_kernel(packet, io);
        };
        if inet::arp::conflict(&self.snapshot.net, device, packet.bytes()).is_some() {
            self.stats.address_conflicts.add(1);
        }
        match inet::arp::receive(&self.snapshot.net, device, &mut packet) {
            ArpOutcome::Reply { news } => {
                self.stats.transmitted.add(1);
                io.transmit(packet.port(), packet);
                self.tell_news(news, io);
            }
            // The kernel behind the kni device resolves neighbours too.
            ArpOutcome::ToKernel { news } => {
                self.to_kernel(packet, io);
                self.tell_news(news, io);
            }
            ArpOutcome::Drop => self.drop(packet, DropReason::ArpMalformed),
        }
    }

    fn tell_news(&self, news: Option<inet::NeighbourNews>, io: &mut impl Io<B>) {
        if let Some(news) = news {
            self.tell(Event::Neighbour(news), io);
        }
    }

    /// A fragment without ports, or of a protocol that has none.
    pub(crate) fn receive_fragment(&mut self, packet: B, ip: &Ipv4Facts, io: &mut impl Io<B>) {
        let tcp_or_udp = matches!(
            Protocol::from_number(ip.protocol),
            Some(Protocol::Tcp | Protocol::Udp)
        );
        if ip.protocol == Protocol::Tcp.number() && ip.fragment_offset == 8 {
            self.drop(packet, DropReason::TinyFragment);
        } else if tcp_or_udp {
            self.has_fragments = true;
            self.later_fragments.push(packet);
        } else if self.is_local(ip.dst) {
            self.drop(packet, DropReason::Fragment);
        } else {
            self.to_kernel(packet, io);
        }
    }

    fn is_local(&self, addr: [u8; 4]) -> bool {
        self.snapshot.net.local_addr(IpAddr::from(addr)).is_some()
    }

    /// A packet's first fragment came: the others go where it goes.
    #[cold]
    pub(crate) fn note_fragment(&mut self, now: Now, packet: &mut B, flow: &Flow) {
        if let Ok(ip) = ipv4::check(packet) {
            self.has_fragments = true;
            self.fragments.note(now.tick(), Whole::of(&ip), flow.tuple);
        }
    }

    /// At the end of a batch, when the first fragments in it have found or made their conns.
    #[cold]
    pub(crate) fn follow_first_fragments(&mut self, now: Now, io: &mut impl Io<B>) {
        self.has_fragments = false;
        let mut later = std::mem::take(&mut self.later_fragments);
        for packet in later.drain(..) {
            self.follow_first_fragment(now, packet, io);
        }
        self.later_fragments = later;
        while let Some(packet) = self.fragments.pop_ready(now.tick()) {
            self.stats.held.sub(1);
            self.follow_first_fragment(now, packet, io);
        }
    }

    fn follow_first_fragment(&mut self, now: Now, mut packet: B, io: &mut impl Io<B>) {
        let ip = match ipv4::check(&mut packet) {
            Ok(ip) => ip,
            Err(error) => return self.drop(packet, reason_of(error)),
        };
        let Some(tuple) = self.fragments.tuple_of(now.tick(), &Whole::of(&ip)) else {
            return self.await_first_fragment(now, packet, &ip, io);
        };
        if let Some(found) = self.conns.find(&tuple) {
            return self.forward_later_fragment(now, packet, &ip, found, io);
        }
        let owner = sapool::owner_of(tuple.dport, self.config.workers);
        let to_pool = self.snapshot.net.local_addr(IpAddr::from(ip.dst));
        if to_pool.is_some_and(|local| local.sapool)
            && owner != self.config.worker
            && self.hand_overs(&packet) == 0
        {
            // Its first fragment went there too.
            self.redirect(packet, owner, io);
        } else if to_pool.is_some() {
            self.drop(packet, DropReason::Fragment);
        } else {
            self.to_kernel(packet, io);
        }
    }

    /// It overtook its first fragment, or that is none of ours.
    fn await_first_fragment(&mut self, now: Now, packet: B, ip: &Ipv4Facts, io: &mut impl Io<B>) {
        if !self.is_local(ip.dst) {
            return self.to_kernel(packet, io);
        }
        match self.fragments.wait(now.tick(), Whole::of(ip), packet) {
            Ok(()) => self.stats.held.add(1),
            Err(packet) => self.drop(packet, DropReason::Fragment),
        }
    }
}
