//! A client and a dest that answer what they get, as hosts do.

use std::net::{IpAddr, SocketAddr};

use ipvs_core::Protocol;
use packet::PortId;
use testkit::director::*;
use testkit::frames::{Seen, tcp, udp};

use super::scene::{Scene, Twist};

/// What a client would have others believe: another client's address.
pub(super) const CLAIMED_TOA: [u8; 8] = [254, 8, 0, 1, 6, 6, 6, 6];
pub(super) const CLAIMED_HEADER: &[u8] = b"PROXY TCP4 6.6.6.6 7.7.7.7 8 9\r\n";
/// All that a client sends beside a claimed header, and all that a dest sends.
pub(super) const CLIENT_OCTET: u8 = b'c';
pub(super) const DEST_OCTET: u8 = b'd';

pub(super) fn host(end: &str) -> IpAddr {
    let end: SocketAddr = end.parse().unwrap();
    end.ip()
}

/// The client.
pub(super) struct ClientEnd {
    protocol: Protocol,
    client: &'static str,
    vip: &'static str,
    options: Vec<u8>,
    data: Vec<u8>,
    has_fast_open: bool,
    says_nothing_first: bool,
    seq: u32,
    ack: u32,
}

impl ClientEnd {
    pub(super) fn new(scene: &Scene) -> Self {
        let [client, vip, ..] = scene.ends;
        let len = match (scene.has(Twist::Long), scene.protocol) {
            (false, _) => 100,
            (true, Protocol::Tcp) => 1400,
            (true, _) => 1452,
        };
        let mut data = vec![CLIENT_OCTET; len];
        if scene.has(Twist::ClaimedProxyHeader) {
            data[..CLAIMED_HEADER.len()].copy_from_slice(CLAIMED_HEADER);
        }
        let is_claiming = scene.has(Twist::ClaimedToa);
        Self {
            protocol: scene.protocol,
            client,
            vip,
            options: if is_claiming {
                CLAIMED_TOA.to_vec()
            } else {
                Vec::new()
            },
            data,
            has_fast_open: scene.has(Twist::FastOpen),
            says_nothing_first: scene.has(Twist::SaysNothingFirst),
            seq: 1001,
            ack: 0,
        }
    }

    fn segment(&self, flags: &str, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let segment = tcp(self.client, self.vip)
            .flags(flags)
            .seq(self.seq)
            .ack(self.ack);
        segment.options(options).payload(payload).frame(FROM_CLIENT)
    }

    fn frames(&self, frames: Vec<Vec<u8>>) -> Vec<(PortId, Vec<u8>)> {
        frames.into_iter().map(|frame| (WAN, frame)).collect()
    }

    /// A SYN or a datagram.
    pub(super) fn first(&mut self) -> Vec<(PortId, Vec<u8>)> {
        if self.protocol == Protocol::Udp {
            let datagram = udp(self.client, self.vip, &self.data, FROM_CLIENT);
            return self.frames(vec![datagram]);
        }
        self.seq = 1001;
        let data = if self.has_fast_open {
            &self.data[..]
        } else {
            &[]
        };
        let options = [&SYN_OPTIONS[..], &self.options].concat();
        let syn = tcp(self.client, self.vip).flags("S").seq(1000);
        self.frames(vec![syn.options(&options).payload(data).frame(FROM_CLIENT)])
    }

    pub(super) fn goes_on(&mut self) -> Vec<(PortId, Vec<u8>)> {
        let frame = match self.protocol {
            Protocol::Udp => udp(self.client, self.vip, &self.data, FROM_CLIENT),
            _ => self.segment("PA", &[], &self.data),
        };
        // A claim that comes later than the first octets is data.
        self.data.fill(CLIENT_OCTET);
        self.frames(vec![frame])
    }

    pub(super) fn ends(&mut self) -> Vec<(PortId, Vec<u8>)> {
        let frame = match self.protocol {
            Protocol::Udp => return self.goes_on(),
            _ => self.segment("FA", &[], b""),
        };
        self.frames(vec![frame])
    }

    pub(super) fn answer(&mut self, seen: &Seen) -> Option<Vec<u8>> {
        if self.protocol == Protocol::Udp || seen.icmp.is_some() || seen.flags.contains('R') {
            return None;
        }
        self.ack = seen.seq.wrapping_add(seen.payload.len() as u32);
        if seen.flags.contains('S') {
            self.ack = seen.seq.wrapping_add(1);
            self.seq = seen.ack;
            if self.says_nothing_first {
                return Some(self.segment("A", &self.options, b""));
            }
            let data = self.segment("PA", &self.options, &self.data);
            self.data.fill(CLIENT_OCTET);
            return Some(data);
        }
        self.seq = seen.ack;
        if seen.flags.contains('F') {
            self.ack = self.ack.wrapping_add(1);
            return Some(self.segment("A", &[], b""));
        }
        (!seen.payload.is_empty()).then(|| self.segment("A", &[], b""))
    }
}

/// The dest.
pub(super) struct DestEnd {
    protocol: Protocol,
    dest: &'static str,
    vip: &'static str,
    sees_replies: bool,
    data: Vec<u8>,
    seq: u32,
    ack: u32,
    peer: Option<String>,
}

impl DestEnd {
    pub(super) fn new(scene: &Scene) -> Self {
        Self {
            protocol: scene.protocol,
            dest: scene.ends[2],
            vip: scene.ends[1],
            sees_replies: scene.is_rewritten(),
            data: vec![DEST_OCTET; if scene.has(Twist::Long) { 1300 } else { 90 }],
            seq: 5001,
            ack: 0,
            peer: None,
        }
    }

    fn segment(&self, peer: &str, flags: &str, payload: &[u8]) -> Vec<u8> {
        let segment = tcp(self.dest, peer)
            .flags(flags)
            .seq(self.seq)
            .ack(self.ack);
        segment.payload(payload).frame(FROM_DEST)
    }

    pub(super) fn goes_on(&self) -> Vec<(PortId, Vec<u8>)> {
        let Some(peer) = &self.peer else {
            return Vec::new();
        };
        let frame = match self.protocol {
            Protocol::Udp => udp(self.dest, peer, &self.data, FROM_DEST),
            _ => self.segment(peer, "PA", &self.data),
        };
        vec![(LAN, frame)]
    }

    pub(super) fn ends(&self) -> Vec<(PortId, Vec<u8>)> {
        match (&self.peer, self.protocol) {
            (Some(peer), Protocol::Tcp) => vec![(LAN, self.segment(peer, "FA", b""))],
            _ => self.goes_on(),
        }
    }

    pub(super) fn answer(&mut self, seen: &Seen) -> Option<Vec<u8>> {
        // With DR and in tunnels the answers do not pass the director.
        if !self.sees_replies || seen.icmp.is_some() || seen.dst == self.vip {
            return None;
        }
        self.peer = Some(seen.src.clone());
        if self.protocol == Protocol::Udp {
            return Some(udp(self.dest, &seen.src, &self.data, FROM_DEST));
        }
        if seen.flags.contains('R') {
            return None;
        }
        self.ack = seen.seq.wrapping_add(seen.payload.len() as u32);
        if seen.flags.contains('S') {
            self.ack = self.ack.wrapping_add(1);
            self.seq = 5001;
            let syn_ack = tcp(self.dest, &seen.src)
                .flags("SA")
                .seq(5000)
                .ack(self.ack);
            return Some(syn_ack.options(&[2, 4, 5, 0xb4]).frame(FROM_DEST));
        }
        if seen.flags.contains('F') {
            self.ack = self.ack.wrapping_add(1);
            return Some(self.segment(&seen.src, "FA", b""));
        }
        let data = if seen.payload.is_empty() {
            &[]
        } else {
            &self.data[..]
        };
        if data.is_empty() {
            return None;
        }
        let answer = self.segment(&seen.src, "PA", data);
        self.seq = self.seq.wrapping_add(data.len() as u32);
        Some(answer)
    }
}
