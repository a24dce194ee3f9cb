//! What the reference remembers of a conn, and what it does to the conn's packets.

use super::*;

/// A session as the reference knows it. What the director chose (dest, local address, numbers) is
/// read from the first packet that it sent.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: End,
    pub(super) dest: End,
    /// The address and port that the dest answers to
    pub(super) local: End,
    pub(super) seq_delta: u32,
    pub(super) state: TcpState,
    /// Segments that acknowledge no more than this carry TOA
    pub(super) toa_until: Option<u32>,
    /// The dest has said nothing yet but its SYN
    pub(super) is_in_handshake: bool,
    /// What each end has to send next, as the other one has acknowledged it, by the direction that
    /// it sends in and in its own numbers
    pub(super) next_seq: [u32; 2],
}

impl Session {
    /// The packet that the dest gets for one of the client.
    pub(super) fn inbound(&mut self, packet: &Packet, fwdmode: FwdMode) -> Packet {
        let mut out = packet.clone();
        out.ttl -= 1;
        if fwdmode == FwdMode::DirectRoute {
            return out;
        }
        (out.src, out.dst) = (self.local, self.dest);
        if let Some(tcp) = &mut out.tcp {
            let is_taken = self.state == TcpState::Established && !self.is_in_handshake;
            if !is_taken || self.toa_until.is_some() {
                blank(&mut tcp.options, |option| matches!(option, Opt::Toa(_)));
            }
            if fwdmode == FwdMode::FullNat {
                self.translate_inbound(tcp);
            }
            self.follow(Direction::Inbound, packet);
        }
        out
    }

    /// What a packet changes about the state. A reset counts if it is in the window (RFC 5961, 3.2)
    /// or answers the SYN (RFC 9293, 3.10.7.3).
    fn follow(&mut self, direction: Direction, packet: &Packet) {
        let Some(tcp) = &packet.tcp else {
            return;
        };
        let answers = tcp.ack_flag && tcp.ack == self.next_seq[0].wrapping_add(self.seq_delta);
        let counts = match (self.state, direction) {
            (TcpState::SynSent, Direction::Outbound) => answers,
            _ => tcp.seq.wrapping_sub(self.next_seq[direction as usize]) <= 65_535,
        };
        if tcp.rst && !counts {
            return;
        }
        let before = self.state;
        self.state = before.next(direction, tcp.kind());
        match direction {
            Direction::Inbound if tcp.opens() && self.state == TcpState::SynSent => {
                self.next_seq[0] = tcp.seq.wrapping_add(1);
            }
            // In the handshake only the dest's SYN can be acknowledged.
            Direction::Inbound if self.is_in_handshake => {}
            Direction::Inbound if tcp.ack_flag && !tcp.syn && !tcp.rst => {
                self.next_seq[1] = tcp.ack;
            }
            Direction::Inbound => {}
            Direction::Outbound => {
                if tcp.ack_flag {
                    self.next_seq[0] = tcp.ack.wrapping_sub(self.seq_delta);
                }
                if tcp.syn && !tcp.rst && matches!(before, TcpState::SynSent | TcpState::SynRecv) {
                    self.next_seq[1] = tcp.seq.wrapping_add(1);
                }
            }
        }
    }

    /// FullNAT: strips timestamps from the SYN, puts in TOA, and translates the numbers.
    fn translate_inbound(&mut self, tcp: &mut Tcp) {
        tcp.seq = tcp.seq.wrapping_add(self.seq_delta);
        if tcp.syn {
            blank(&mut tcp.options, |option| {
                matches!(option, Opt::Timestamps(..))
            });
            return;
        }
        if !tcp.ack_flag || tcp.rst {
            return;
        }
        let is_first_ack = self.toa_until == Some(tcp.ack);
        if is_first_ack || self.toa_until.is_some() && self.is_in_handshake {
            if 20 + option_bytes(&tcp.options).len() + usize::from(TOA_LEN) <= 60 {
                tcp.options.insert(0, Opt::Toa(self.client));
            }
        } else {
            self.toa_until = None;
        }
    }

    /// The packet that the client gets for one of the dest.
    pub(super) fn outbound(&mut self, packet: &Packet, fwdmode: FwdMode) -> Packet {
        let mut out = packet.clone();
        out.ttl -= 1;
        (out.src, out.dst) = (VIP_END, self.client);
        if let Some(tcp) = &mut out.tcp {
            let is_handshake = matches!(self.state, TcpState::SynSent | TcpState::SynRecv);
            if tcp.kind() == SegmentKind::Syn && is_handshake {
                self.is_in_handshake = true;
            } else if tcp.ack_flag && !tcp.syn && !tcp.rst {
                // Every packet here has a payload.
                self.is_in_handshake = false;
            }
            if fwdmode == FwdMode::FullNat {
                self.translate_outbound(tcp);
            }
            self.follow(Direction::Outbound, packet);
        }
        out
    }

    fn translate_outbound(&mut self, tcp: &mut Tcp) {
        if tcp.syn && !tcp.rst && matches!(self.state, TcpState::SynSent | TcpState::SynRecv) {
            self.toa_until = Some(tcp.seq.wrapping_add(1));
        }
        if tcp.ack_flag {
            tcp.ack = tcp.ack.wrapping_sub(self.seq_delta);
        }
        for option in &mut tcp.options {
            match option {
                Opt::Mss(mss) if tcp.syn => *mss = mss.saturating_sub(TOA_LEN),
                Opt::Sack(from, to) if !tcp.syn => {
                    *from = from.wrapping_sub(self.seq_delta);
                    *to = to.wrapping_sub(self.seq_delta);
                }
                _ => {}
            }
        }
    }
}
