//! ICMP errors that the director itself sends about packets it cannot forward.

use packet::PacketBuf;
use packet::checksum;

use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::io::Io;
use crate::ipv4::{self, Ipv4Facts, L2_LEN};
use crate::time::{Now, Tick};

/// RFC 792: what an error quotes beside the IP header.
const QUOTED_L4_LEN: usize = 8;
/// RFC 1700's recommended default.
const TTL: u8 = 64;
/// Errors per second and worker, of any kind: RFC 1812, 4.3.2.8 asks for a limit.
const PER_SECOND: u32 = 1000;

/// Which error.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// RFC 1191: the next link takes this many bytes
    FragmentationNeeded {
        /// Its MTU
        mtu: u16,
    },
    /// RFC 792: the time to live ran out
    TimeExceeded,
}

impl Refusal {
    /// Type, code, and the four bytes behind the checksum.
    const fn header(self) -> ([u8; 2], [u8; 4]) {
        match self {
            Self::FragmentationNeeded { mtu } => {
                let [high, low] = mtu.to_be_bytes();
                ([3, 4], [0, 0, high, low])
            }
            Self::TimeExceeded => ([11, 0], [0; 4]),
        }
    }
}

/// A token bucket filled each second.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    used: u32,
    since: Tick,
}

impl RateLimit {
    fn allows(&mut self, now: Tick) -> bool {
        if now.since(self.since) >= Tick::from_secs(1) {
            self.since = now;
            self.used = 0;
        }
        self.used += 1;
        self.used <= PER_SECOND
    }
}

impl<B: PacketBuf> Engine<B> {
    /// Drops a packet that must not be fragmented, or lives no longer, and tells its sender. It is a
    /// TCP or UDP packet to one of our addresses, so RFC 1812's exceptions (4.3.2.7) do not apply.
    #[cold]
    pub(crate) fn refuse(
        &mut self,
        now: Now,
        packet: B,
        ip: &Ipv4Facts,
        refusal: Refusal,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        if self.icmp_limit.allows(now.tick()) {
            self.send_refusal(&packet, ip, refusal, io);
        }
        self.drop(packet, reason);
    }

    fn send_refusal(&self, about: &B, ip: &Ipv4Facts, refusal: Refusal, io: &mut impl Io<B>) {
        let quoted_end = (usize::from(ip.l4_at) + QUOTED_L4_LEN).min(about.bytes().len());
        let Some((ethernet, quoted)) = about.bytes()[..quoted_end].split_first_chunk::<L2_LEN>()
        else {
            return;
        };
        self.stats.received.add(1);
        self.stats.originated.add(1);
        let Some(mut error) =
            io.allocate(about.port(), L2_LEN + ipv4::HEADER_LEN + 8 + quoted.len())
        else {
            self.stats.drops_by(DropReason::NoMbuf).add(1);
            return;
        };
        write_error(error.bytes_mut(), ethernet, quoted, ip, refusal);
        self.stats.transmitted.add(1);
        io.transmit(about.port(), error);
    }
}

/// The whole frame, back to where the packet came from.
fn write_error(
    frame: &mut [u8],
    ethernet: &[u8; L2_LEN],
    quoted: &[u8],
    about: &Ipv4Facts,
    refusal: Refusal,
) {
    let total_len = (frame.len() - L2_LEN) as u16;
    let (head, rest) = frame.split_at_mut(L2_LEN);
    head[..6].copy_from_slice(&ethernet[6..12]);
    head[6..12].copy_from_slice(&ethernet[..6]);
    head[12..].copy_from_slice(&ethernet[12..]);
    let (ip, icmp) = rest.split_at_mut(ipv4::HEADER_LEN);
    ip.fill(0);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&total_len.to_be_bytes());
    ip[8] = TTL;
    ip[9] = 1;
    ip[12..16].copy_from_slice(&about.dst);
    ip[16..20].copy_from_slice(&about.src);
    let sum = checksum::checksum(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let (kind, detail) = refusal.header();
    icmp[..2].copy_from_slice(&kind);
    icmp[2..4].fill(0);
    icmp[4..8].copy_from_slice(&detail);
    icmp[8..].copy_from_slice(quoted);
    let sum = checksum::checksum(icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
}
