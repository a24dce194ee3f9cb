//! The frames of the benches: 64 bytes on the wire, from many clients.

use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use packet::checksum::{Delta, fold, pseudo_header_v4, sum};
use packet::{MacAddr, PortId};

/// Bytes of a frame without its FCS: 64 on the wire.
pub const FRAME_LEN: usize = 60;
/// The bytes of a frame behind the headers of Ethernet, IP and TCP.
pub const MOST_PAYLOAD: u8 = (FRAME_LEN - TCP_AT - TCP_LEN) as u8;

/// The VIP that all clients talk to.
pub const VIP: Endpoint = (Ipv4Addr::new(10, 0, 0, 100), 80);

const IP_AT: usize = 14;
const TCP_AT: usize = 34;
const TCP_LEN: usize = 20;
const UDP: u8 = 17;
const TCP: u8 = 6;

/// Address and port.
pub type Endpoint = (Ipv4Addr, u16);

/// A frame to be sent, in one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Frame {
    /// The bytes from the Ethernet header on
    pub bytes: [u8; FRAME_LEN],
    /// The port that it is received by
    pub port: PortId,
}

impl Frame {
    /// Source and destination of its IPv4 and TCP or UDP headers.
    pub fn ends(&self) -> (Endpoint, Endpoint) {
        self.bytes.first_chunk().map_or(
            ((Ipv4Addr::UNSPECIFIED, 0), (Ipv4Addr::UNSPECIFIED, 0)),
            ends,
        )
    }
}

fn ends(bytes: &[u8; TCP_AT + TCP_LEN]) -> (Endpoint, Endpoint) {
    let addr = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    (
        (addr(IP_AT + 12), port(TCP_AT)),
        (addr(IP_AT + 16), port(TCP_AT + 2)),
    )
}

/// The client of a flow. Each address has 50,000 ports.
pub fn client(flow: u32) -> Endpoint {
    let first = u32::from(Ipv4Addr::new(11, 0, 0, 0));
    (
        Ipv4Addr::from(first + flow / 50_000),
        10_000 + (flow % 50_000) as u16,
    )
}

/// A UDP datagram to a MAC address.
pub fn udp(src: Endpoint, dst: Endpoint, to: MacAddr) -> [u8; FRAME_LEN] {
    let mut bytes = [0; FRAME_LEN];
    let len = (FRAME_LEN - TCP_AT) as u16;
    write_network(&mut bytes, (src.0, dst.0), UDP, len, to);
    let datagram = &mut bytes[TCP_AT..];
    datagram[0..2].copy_from_slice(&src.1.to_be_bytes());
    datagram[2..4].copy_from_slice(&dst.1.to_be_bytes());
    datagram[4..6].copy_from_slice(&len.to_be_bytes());
    let sum = !fold(sum(datagram) + pseudo_header_v4(src.0, dst.0, UDP, len));
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// The datagrams of many clients to the VIP, each written when it is sent. So they take no memory,
/// just as packets from a NIC take none beside its ring.
#[derive(Debug)]
pub struct Datagrams {
    first: [u8; FRAME_LEN],
    flows: u32,
    stride: u32,
    flow: u32,
}

impl Datagrams {
    /// The datagrams of `flows` clients to a MAC address, over and over.
    pub fn new(flows: u32, to: MacAddr) -> Self {
        let flows = flows.max(1);
        Self {
            first: udp(client(0), VIP, to),
            flows,
            stride: golden_stride(flows),
            flow: 0,
        }
    }

    /// Writes the next datagram.
    pub fn write_next(&mut self, frame: &mut [u8; FRAME_LEN]) {
        let ((addr, port), (first_addr, first_port)) = (client(self.flow), client(0));
        let l3 = Delta::of_u32(first_addr.to_bits(), addr.to_bits());
        let l4 = l3.plus(Delta::of_u16(first_port, port));
        *frame = self.first;
        frame[IP_AT + 12..IP_AT + 16].copy_from_slice(&addr.octets());
        frame[TCP_AT..TCP_AT + 2].copy_from_slice(&port.to_be_bytes());
        adjust(frame, IP_AT + 10, l3);
        adjust(frame, TCP_AT + 6, l4);
        let next = u64::from(self.flow) + u64::from(self.stride);
        self.flow = (next % u64::from(self.flows)) as u32;
    }
}

fn adjust(frame: &mut [u8; FRAME_LEN], at: usize, delta: Delta) {
    let sum = delta.apply(u16::from_be_bytes([frame[at], frame[at + 1]]));
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// A step that visits every number below `count` once before it repeats, and always goes far.
fn golden_stride(count: u32) -> u32 {
    let golden = (f64::from(count) * 0.618) as u32;
    (golden.max(1)..=count)
        .find(|step| gcd(*step, count) == 1)
        .unwrap_or(1)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn write_network(
    bytes: &mut [u8; FRAME_LEN],
    (src, dst): (Ipv4Addr, Ipv4Addr),
    protocol: u8,
    l4_len: u16,
    to: MacAddr,
) {
    bytes[..6].copy_from_slice(&to.0);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 1, 1]);
    bytes[12..14].copy_from_slice(&[8, 0]);
    let ip = &mut bytes[IP_AT..TCP_AT];
    ip.fill(0);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(l4_len + 20).to_be_bytes());
    ip[8] = 64;
    ip[9] = protocol;
    ip[12..16].copy_from_slice(&src.octets());
    ip[16..20].copy_from_slice(&dst.octets());
    // The sum is made from values, not from the bytes just written. Reading bytes that were written
    // in parts is a store-forwarding stall: it waits for all earlier stores, also the director's,
    // and would count as time of the director.
    let first_words = 0x4500 + u64::from(l4_len + 20) + (64 << 8 | u64::from(protocol));
    let sum = first_words + u64::from(src.to_bits()) + u64::from(dst.to_bits());
    ip[10..12].copy_from_slice(&(!fold(sum)).to_be_bytes());
}

/// A TCP segment without options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// From
    pub src: Endpoint,
    /// To
    pub dst: Endpoint,
    /// Sequence number
    pub seq: u32,
    /// Acknowledgment number
    pub ack: u32,
    /// The flags as in the header
    pub flags: u8,
    /// Bytes of payload, at most [`MOST_PAYLOAD`]
    pub payload: u8,
}

impl Segment {
    /// FIN
    pub const FIN: u8 = 0x01;
    /// SYN
    pub const SYN: u8 = 0x02;
    /// ACK
    pub const ACK: u8 = 0x10;

    /// The first segment of a flow.
    pub fn syn(flow: u32) -> Self {
        Self {
            src: client(flow),
            dst: VIP,
            seq: 1000,
            ack: 0,
            flags: Self::SYN,
            payload: 0,
        }
    }

    /// A segment in the other direction that acknowledges this one.
    pub const fn answer(&self, flags: u8, payload: u8) -> Self {
        let counted = (self.flags & (Self::SYN | Self::FIN) != 0) as u32 + self.payload as u32;
        Self {
            src: self.dst,
            dst: self.src,
            seq: self.ack,
            ack: self.seq.wrapping_add(counted),
            flags,
            payload,
        }
    }

    /// Writes the frame to a MAC address.
    pub fn write(&self, to: MacAddr, bytes: &mut [u8; FRAME_LEN]) {
        let len = (TCP_LEN as u16) + u16::from(self.payload.min(MOST_PAYLOAD));
        write_network(bytes, (self.src.0, self.dst.0), TCP, len, to);
        let tcp = &mut bytes[TCP_AT..];
        tcp.fill(0);
        tcp[0..2].copy_from_slice(&self.src.1.to_be_bytes());
        tcp[2..4].copy_from_slice(&self.dst.1.to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.to_be_bytes());
        tcp[12] = 5 << 4;
        tcp[13] = self.flags;
        tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        let pseudo = pseudo_header_v4(self.src.0, self.dst.0, TCP, len);
        let ports = u64::from(self.src.1) + u64::from(self.dst.1);
        let numbers = u64::from(self.seq) + u64::from(self.ack);
        let rest = (5 << 12) + u64::from(self.flags) + u64::from(u16::MAX);
        let sum = !fold(pseudo + ports + numbers + rest);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    }

    /// The frame to a MAC address, received by a port.
    pub fn frame(&self, to: MacAddr, port: PortId) -> Frame {
        let mut bytes = [0; FRAME_LEN];
        self.write(to, &mut bytes);
        Frame { bytes, port }
    }

    /// Reads a TCP segment with or without options. `None` for anything else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        // The director removes the padding of short frames.
        let frame = bytes.first_chunk::<{ TCP_AT + TCP_LEN }>()?;
        if frame[IP_AT] != 0x45 || frame[IP_AT + 9] != TCP {
            return None;
        }
        let (src, dst) = ends(frame);
        let tcp = frame.get(TCP_AT..)?;
        let number =
            |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
        let total_len = u16::from_be_bytes([frame[IP_AT + 2], frame[IP_AT + 3]]);
        let headers_len = 20 + u16::from(tcp[12] >> 4) * 4;
        Some(Self {
            src,
            dst,
            seq: number(4),
            ack: number(8),
            flags: tcp[13],
            payload: total_len.saturating_sub(headers_len) as u8,
        })
    }
}

/// The numbers below `count` in an order that only the seed decides (Fisher and Yates, xorshift).
pub fn shuffled(count: u32, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    shuffle(&mut order, seed);
    order
}

/// Shuffles items into an order that only the seed decides.
pub fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = 0x9E37_79B9_7F4A_7C15u64 ^ seed.wrapping_mul(0xD129_0D3F_51AB_6E05);
    for at in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(at, (state % (at as u64 + 1)) as usize);
    }
}

/// Writes frames as a capture file.
///
/// # Errors
/// If the file cannot be written.
pub fn write_capture(path: &Path, frames: impl Iterator<Item = [u8; FRAME_LEN]>) -> io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    // Magic number, version 2.4, no time zone, snap length, Ethernet.
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    for frame in frames {
        for word in [0, 0, FRAME_LEN as u32, FRAME_LEN as u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use testkit::frames::Seen;

    use super::*;

    const TO: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    #[test]
    fn another_library_reads_the_frames_as_they_are_meant() {
        let seen = Seen::parse(&udp(client(50_001), VIP, TO));
        assert!(seen.checksums_right && seen.to == TO);
        assert_eq!(
            (&*seen.src, &*seen.dst),
            ("11.0.0.1:10001", "10.0.0.100:80")
        );
        let mut segment = Segment::syn(7);
        (segment.ack, segment.payload, segment.flags) = (5, 6, Segment::ACK);
        let frame = segment.frame(TO, PortId(0));
        let seen = Seen::parse(&frame.bytes);
        assert!(seen.checksums_right && seen.flags == "A" && seen.payload.len() == 6);
        assert_eq!((seen.seq, seen.ack), (1000, 5));
        assert_eq!(Segment::read(&frame.bytes), Some(segment));
    }

    #[test]
    fn written_datagrams_are_those_of_all_clients_each_once() {
        let flows = 60_000;
        let mut datagrams = Datagrams::new(flows, TO);
        let mut wanted: Vec<_> = (0..flows).map(|flow| udp(client(flow), VIP, TO)).collect();
        let mut written = vec![[0; FRAME_LEN]; flows as usize];
        written
            .iter_mut()
            .for_each(|frame| datagrams.write_next(frame));
        assert_ne!(written[1], wanted[1], "not in their order");
        wanted.sort_unstable();
        written.sort_unstable();
        assert!(written == wanted);
    }

    #[test]
    fn an_answer_acknowledges_all_that_came() {
        let answer = Segment::syn(0).answer(Segment::SYN | Segment::ACK, 0);
        assert_eq!((answer.ack, answer.dst), (1001, client(0)));
        let request = Segment {
            flags: Segment::ACK,
            payload: 6,
            ..Segment::syn(0)
        };
        assert_eq!(request.answer(Segment::ACK, 0).ack, 1006);
    }

    #[test]
    fn every_number_comes_once_and_not_in_its_place() {
        let order = shuffled(1000, 1);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_ne!(order, sorted);
        assert_ne!(order, shuffled(1000, 2));
    }
}
