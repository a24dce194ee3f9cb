//! Packets as the reference knows them, and the frames that another library makes of them.

use super::*;

/// A TCP option by its meaning.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Opt {
    Nop(usize),
    Mss(u16),
    SackPermitted,
    Timestamps(u32, u32),
    Sack(u32, u32),
    Toa(End),
    Unknown(u8),
}

impl Opt {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Nop(count) => vec![1; *count],
            Self::Mss(mss) => [&[2, 4][..], &mss.to_be_bytes()].concat(),
            Self::SackPermitted => vec![4, 2],
            Self::Timestamps(value, echo) => {
                [&[8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat()
            }
            Self::Sack(from, to) => [&[5, 10][..], &from.to_be_bytes(), &to.to_be_bytes()].concat(),
            Self::Toa((addr, port)) => [&[254, 8][..], &port.to_be_bytes(), addr].concat(),
            Self::Unknown(value) => vec![253, 4, *value, *value],
        }
    }
}

pub(super) fn option_bytes(options: &[Opt]) -> Vec<u8> {
    options.iter().flat_map(Opt::bytes).collect()
}

/// A packet by its meaning. It has no checksums, which are made with the frame.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) src: End,
    pub(super) dst: End,
    pub(super) ttl: u8,
    pub(super) identification: u16,
    pub(super) tos: u8,
    pub(super) dont_fragment: bool,
    pub(super) has_ip_options: bool,
    /// `None` for UDP
    pub(super) tcp: Option<Tcp>,
    pub(super) has_udp_checksum: bool,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(super) struct Tcp {
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) syn: bool,
    pub(super) ack_flag: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) options: Vec<Opt>,
}

impl Tcp {
    pub(super) const fn kind(&self) -> SegmentKind {
        if self.rst {
            SegmentKind::Rst
        } else if self.syn {
            SegmentKind::Syn
        } else if self.fin {
            SegmentKind::Fin
        } else {
            SegmentKind::Ack
        }
    }

    pub(super) const fn opens(&self) -> bool {
        self.syn && !self.ack_flag && !self.rst && !self.fin
    }
}

impl Packet {
    pub(super) fn frame(&self, from: MacAddr, to: MacAddr) -> Vec<u8> {
        let number = if self.tcp.is_some() {
            IpNumber::TCP
        } else {
            IpNumber::UDP
        };
        let mut ip = Ipv4Header::new(0, self.ttl, number, self.src.0, self.dst.0).unwrap();
        ip.identification = self.identification;
        ip.dscp = (self.tos >> 2).try_into().unwrap();
        ip.ecn = (self.tos & 3).try_into().unwrap();
        ip.dont_fragment = self.dont_fragment;
        if self.has_ip_options {
            ip.options = Ipv4Options::try_from(&[1u8, 1, 1, 0][..]).unwrap();
        }
        let l4 = self.l4(&ip);
        ip.set_payload_len(l4.len()).unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        let mut frame = [&to.0[..], &from.0, &[8, 0]].concat();
        ip.write(&mut frame).unwrap();
        frame.extend(l4);
        frame
    }

    pub(super) fn l4(&self, ip: &Ipv4Header) -> Vec<u8> {
        let mut bytes = Vec::new();
        match &self.tcp {
            Some(tcp) => {
                let mut header = TcpHeader::new(self.src.1, self.dst.1, tcp.seq, 4096);
                header.acknowledgment_number = tcp.ack;
                (header.syn, header.ack) = (tcp.syn, tcp.ack_flag);
                (header.fin, header.rst) = (tcp.fin, tcp.rst);
                header.set_options_raw(&option_bytes(&tcp.options)).unwrap();
                header.checksum = header.calc_checksum_ipv4(ip, &self.payload).unwrap();
                header.write(&mut bytes).unwrap();
            }
            None => {
                let len = self.payload.len();
                let mut header =
                    UdpHeader::without_ipv4_checksum(self.src.1, self.dst.1, len).unwrap();
                if self.has_udp_checksum {
                    header.checksum = header.calc_checksum_ipv4(ip, &self.payload).unwrap();
                }
                header.write(&mut bytes).unwrap();
            }
        }
        bytes.extend(&self.payload);
        bytes
    }
}

/// Replaces options by as many NOPs.
pub(super) fn blank(options: &mut [Opt], which: impl Fn(&Opt) -> bool) {
    for option in options.iter_mut().filter(|option| which(option)) {
        *option = Opt::Nop(option.bytes().len());
    }
}
