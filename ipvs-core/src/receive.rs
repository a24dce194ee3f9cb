//! Packets to the director itself: ARP and fragments.

use std::net::IpAddr;

use inet::arp::ArpOutcome;
use packet::PacketBuf;

use crate::command::Event;
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::io::Io;
use packet::ipv4::Ipv4Facts;

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

    pub(crate) fn receive_fragment(&mut self, packet: B, ip: &Ipv4Facts, io: &mut impl Io<B>) {
        if self.snapshot.net.local_addr(IpAddr::from(ip.dst)).is_some() {
            self.drop(packet, DropReason::Fragment);
        } else {
            self.to_kernel(packet, io);
        }
    }
}
