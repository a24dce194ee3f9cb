//! A TCP handshake through a director with FullNAT.

use super::addresses::{CLIENT, DEST, FROM_CLIENT, FROM_DEST, VIP};
use super::worker::Director;
use crate::frames::{Seen, tcp};

/// The options of a Linux client's SYN: MSS 1460, SACK permitted, timestamps, NOP, window scale 7.
pub const SYN_OPTIONS: [u8; 20] = [
    2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7,
];

/// What came out of a handshake.
#[derive(Debug)]
pub struct Opened {
    /// Local address and port
    pub laddr: String,
    /// The sequence number of the SYN that the dest saw; the client's own was 1000
    pub isn_at_dest: u32,
    /// The SYN that the dest saw
    pub syn: Seen,
    /// The SYN-ACK that the client saw
    pub syn_ack: Seen,
    /// The last segment of the handshake, as the dest saw it
    pub ack: Seen,
}

impl Director {
    /// A handshake between [`CLIENT`] and [`DEST`].
    pub fn open(&mut self) -> Opened {
        self.open_between(CLIENT, VIP, DEST)
    }

    /// A handshake: the client begins with sequence number 1000, the dest with 5000.
    pub fn open_between(&mut self, client: &str, vip: &str, dest: &str) -> Opened {
        let syn = tcp(client, vip).flags("S").seq(1000).options(&SYN_OPTIONS);
        let syn = self.to_dest(&syn.frame(FROM_CLIENT));
        let laddr = syn.src.clone();
        let syn_ack = tcp(dest, &laddr)
            .flags("SA")
            .seq(5000)
            .ack(syn.seq + 1)
            .options(&[2, 4, 5, 0xb4]);
        let syn_ack = self.to_client(&syn_ack.frame(FROM_DEST));
        let ack = tcp(client, vip).flags("A").seq(1001).ack(5001);
        let ack = self.to_dest(&ack.frame(FROM_CLIENT));
        Opened {
            laddr,
            isn_at_dest: syn.seq,
            syn,
            syn_ack,
            ack,
        }
    }
}
