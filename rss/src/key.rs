//! The key of the Toeplitz hash, and the hash of any input.

/// Longest key in bytes: Intel's 700 and 800 series have 52, most NICs 40.
pub const KEY_LEN: usize = 52;

/// The key of the Toeplitz hash. A NIC with a shorter key uses its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; KEY_LEN]);

impl Key {
    /// A key whose first bytes are these, and whose other bytes are 0. A tuple of IPv6 is hashed
    /// with the first 40 bytes.
    pub fn from_prefix(bytes: &[u8]) -> Self {
        let mut key = [0; KEY_LEN];
        for (to, from) in key.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(key)
    }

    /// The 32 bits of the key that begin at this bit. Bit 0 is the highest bit of the first byte.
    pub(crate) fn window(&self, bit: usize) -> u32 {
        (bit..bit + 32).fold(0, |window, at| {
            let byte = self.0.get(at / 8).copied().unwrap_or(0);
            window << 1 | u32::from(byte >> (7 - at % 8) & 1)
        })
    }

    /// The hash of an input, as Microsoft's "RSS hashing functions" defines it: each bit that is
    /// set adds the window of the key that begins at it. It goes bit by bit; [`crate::Owners`] has
    /// tables for the packet path.
    pub fn hash(&self, input: &[u8]) -> u32 {
        let bits = (0..input.len() * 8).filter(|bit| input[bit / 8] >> (7 - bit % 8) & 1 == 1);
        bits.fold(0, |hash, bit| hash ^ self.window(bit))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::SocketAddr;

    use rstest::rstest;

    use super::*;

    /// The key of "Verifying the RSS Hash Calculation" (Microsoft, Windows drivers).
    pub(crate) const MICROSOFT: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    /// Source address, destination address, source port, destination port: the order in which they
    /// stand in a packet.
    fn input_of(src: &str, dst: &str, with_ports: bool) -> Vec<u8> {
        let [src, dst]: [SocketAddr; 2] = [src, dst].map(|end| end.parse().unwrap());
        let octets = |end: SocketAddr| match end.ip() {
            std::net::IpAddr::V4(addr) => addr.octets().to_vec(),
            std::net::IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        let mut input = [octets(src), octets(dst)].concat();
        if with_ports {
            input.extend(src.port().to_be_bytes());
            input.extend(dst.port().to_be_bytes());
        }
        input
    }

    #[rstest]
    #[case("66.9.149.187:2794", "161.142.100.80:1766", 0x51cc_c178, 0x323e_8fc2)]
    #[case("199.92.111.2:14230", "65.69.140.83:4739", 0xc626_b0ea, 0xd718_262a)]
    #[case("24.19.198.95:12898", "12.22.207.184:38024", 0x5c2b_394a, 0xd2d0_a5de)]
    #[case("38.27.205.30:48228", "209.142.163.6:2217", 0xafc7_327f, 0x8298_9176)]
    #[case("153.39.163.191:44251", "202.188.127.2:1303", 0x10e8_28a2, 0x5d18_09c5)]
    #[case(
        "[3ffe:2501:200:1fff::7]:2794",
        "[3ffe:2501:200:3::1]:1766",
        0x4020_7d3d,
        0x2cc1_8cd5
    )]
    #[case(
        "[3ffe:501:8::260:97ff:fe40:efab]:14230",
        "[ff02::1]:4739",
        0xdde5_1bbf,
        0x0f0c_461c
    )]
    #[case(
        "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251",
        "[fe80::200:f8ff:fe21:67cf]:38024",
        0x02d1_feef,
        0x4b61_e985
    )]
    fn hashes_are_those_that_microsoft_publishes(
        #[case] src: &str,
        #[case] dst: &str,
        #[case] with_ports: u32,
        #[case] addresses: u32,
    ) {
        let key = Key::from_prefix(&MICROSOFT);
        assert_eq!(key.hash(&input_of(src, dst, true)), with_ports);
        assert_eq!(key.hash(&input_of(src, dst, false)), addresses);
    }
}
