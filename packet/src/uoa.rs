//! UOA: how DPVS tells a UDP server the address of the client. It is an IPv4 option, or a header of
//! its own between IP and UDP.

use std::net::{IpAddr, SocketAddr};

use crate::ip::proto::UDP;
pub use crate::ip::proto::UOA as PROTOCOL;

/// The IPv4 option's type: not copied into fragments, class control, number 31.
pub const OPTION: u8 = 0x1f;
/// The versions of the header of its own. They say which family the address in it has.
const VERSION_OF_V4: u8 = 1;
const VERSION_OF_V6: u8 = 2;
/// Bytes of the header of its own without the option: version and reserved bits, protocol, length.
const FIXED_LEN: usize = 4;
/// Bytes of the option with an IPv6 address.
const LONGEST_OPTION: usize = 20;

/// Where the client's address is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// An IPv4 option: DPVS's `ipo`
    IpOption,
    /// A header of its own between IP and UDP: DPVS's `opp`
    OwnProtocol,
}

/// The bytes to insert between the IP header and UDP.
#[derive(Debug, Clone, Copy)]
pub struct Uoa {
    bytes: [u8; FIXED_LEN + LONGEST_OPTION],
    len: usize,
}

impl Uoa {
    /// The bytes that tell the address and port of this client.
    pub fn new(mode: Mode, client: SocketAddr) -> Self {
        let mut uoa = Self {
            bytes: [0; FIXED_LEN + LONGEST_OPTION],
            len: 0,
        };
        let (version, option_len) = match client.ip() {
            IpAddr::V4(_) => (VERSION_OF_V4, 8),
            IpAddr::V6(_) => (VERSION_OF_V6, 20),
        };
        if mode == Mode::OwnProtocol {
            let [high, low] = (FIXED_LEN as u16 + option_len).to_be_bytes();
            uoa.push(&[version << 4, UDP, high, low]);
        }
        uoa.push(&[OPTION, option_len as u8]);
        uoa.push(&client.port().to_be_bytes());
        match client.ip() {
            IpAddr::V4(addr) => uoa.push(&addr.octets()),
            IpAddr::V6(addr) => uoa.push(&addr.octets()),
        }
        uoa
    }

    /// The bytes. Their number is a multiple of 4.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout of DPVS's include/uoa.h, byte for byte.
    #[test]
    fn both_modes_have_dpvs_s_layout() {
        let client: SocketAddr = "10.0.0.48:40000".parse().unwrap();
        let option = [0x1f, 8, 0x9c, 0x40, 10, 0, 0, 48];
        assert_eq!(Uoa::new(Mode::IpOption, client).bytes(), option);
        let own = Uoa::new(Mode::OwnProtocol, client);
        assert_eq!(own.bytes(), [&[0x10, 17, 0, 12][..], &option].concat());
        let own = Uoa::new(Mode::OwnProtocol, "[2001:db8::1]:1".parse().unwrap());
        assert_eq!(own.bytes()[..8], [0x20, 17, 0, 24, 0x1f, 20, 0, 1]);
        assert_eq!(own.bytes().len(), 24);
    }
}
