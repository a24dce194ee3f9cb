//! ARP and neighbour discovery: requests for the director's addresses are answered, news goes to
//! control.

use inet::arp::ArpOutcome;
use inet::nd::NdOutcome;
use packet::PacketBuf;

use crate::config::Event;
use crate::ctx::Shared;
use crate::drop_reason::DropReason;
use crate::io::Io;

impl<B: PacketBuf> Shared<B> {
    pub(crate) fn receive_arp(&mut self, mut packet: B, io: &mut impl Io<B>) {
        let Some(device) = self.snapshot.net.device_of(packet.port()) else {
            return self.to_kernel(packet, io);
        };
        let conflict = inet::arp::conflict(&self.snapshot.net, device, packet.bytes());
        self.report_conflict(conflict, io);
        match inet::arp::receive(&self.snapshot.net, device, &mut packet) {
            ArpOutcome::Reply { news } => {
                self.stats.transmitted.add(1);
                io.transmit(packet.port(), packet);
                self.send_news(news, io);
            }
            // The kernel behind the kni device resolves neighbours too.
            ArpOutcome::ToKernel { news } => {
                self.to_kernel(packet, io);
                self.send_news(news, io);
            }
            ArpOutcome::Drop => self.drop(packet, DropReason::ArpMalformed),
        }
    }

    /// Another host uses an address of ours: control defends it.
    fn report_conflict(&self, conflict: Option<inet::AddressConflict>, io: &mut impl Io<B>) {
        if let Some(conflict) = conflict {
            self.stats.address_conflicts.add(1);
            self.send_event(Event::AddressConflict(conflict), io);
        }
    }

    fn send_news(&self, news: Option<inet::NeighbourNews>, io: &mut impl Io<B>) {
        if let Some(news) = news {
            self.send_event(Event::Neighbour(news), io);
        }
    }

    /// Receives a message of neighbour discovery: RFC 4861.
    pub(crate) fn receive_nd(&mut self, mut packet: B, io: &mut impl Io<B>) {
        let Some(device) = self.snapshot.net.device_of(packet.port()) else {
            return self.to_kernel(packet, io);
        };
        let conflict = inet::nd::conflict(&self.snapshot.net, device, packet.bytes());
        self.report_conflict(conflict, io);
        match inet::nd::receive(&self.snapshot.net, device, &mut packet) {
            NdOutcome::Reply { news } => {
                self.stats.transmitted.add(1);
                io.transmit(packet.port(), packet);
                self.send_news(news, io);
            }
            // The kernel behind the kni device resolves neighbours too.
            NdOutcome::ToKernel { news } => {
                self.to_kernel(packet, io);
                self.send_news(news, io);
            }
            NdOutcome::Drop => self.drop(packet, DropReason::NdMalformed),
        }
    }
}
