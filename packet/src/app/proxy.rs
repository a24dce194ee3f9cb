//! The PROXY protocol, which tells a server the address of the client: HAProxy's specification,
//! versions 1 and 2.

use std::net::{IpAddr, SocketAddr};

/// Bytes of the longest line of version 1, with CRLF: section 2.1.
pub const LONGEST_V1: usize = 107;
/// What a line of version 1 begins with: section 2.1.
const LINE_START: [u8; 6] = *b"PROXY ";
/// The bytes that version 2 begins with: section 2.2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses: signature, version and command, family and transport,
/// length.
const V2_FIXED_LEN: usize = 16;
/// Version 2 with the command PROXY, for a client's conn, and LOCAL, for the proxy's own: section
/// 2.2.
const V2_PROXY: u8 = 0x21;
const V2_LOCAL: u8 = 0x20;
/// Bytes of the longest header of version 2 that is read: what fits the smallest MSS of IPv4 (RFC
/// 9293, 3.7.1). A longer one is not taken for a header.
const LONGEST_V2: usize = 536;

/// The version of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text, for TCP
    V1,
    /// Binary
    V2,
}

/// The transport protocol of the conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP
    Stream,
    /// UDP
    Datagram,
}

/// The two ends of a conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client
    pub src: SocketAddr,
    /// What the client called: an address of the same family
    pub dst: SocketAddr,
}

/// A header to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; LONGEST_V1],
    len: usize,
}

impl Header {
    /// The header for a conn with these ends.
    pub fn new(version: Version, transport: Transport, ends: &Ends) -> Self {
        let mut header = Self {
            bytes: [0; LONGEST_V1],
            len: 0,
        };
        match version {
            Version::V1 => header.write_v1(ends),
            Version::V2 => header.write_v2(transport, ends),
        }
        header
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn write_v1(&mut self, ends: &Ends) {
        let family = if ends.src.is_ipv4() { "TCP4" } else { "TCP6" };
        let mut rest = &mut self.bytes[..];
        let Ends { src, dst } = ends;
        let (from, to) = (src.ip(), dst.ip());
        // It fits: two addresses of 39 characters, two ports of 5, "PROXY TCP6", four spaces and
        // CRLF are 104 bytes.
        let written = std::io::Write::write_fmt(
            &mut rest,
            format_args!(
                "PROXY {family} {from} {to} {} {}\r\n",
                src.port(),
                dst.port()
            ),
        );
        debug_assert!(written.is_ok(), "the longest line is 104 bytes");
        self.len = LONGEST_V1 - rest.len();
    }

    fn write_v2(&mut self, transport: Transport, ends: &Ends) {
        self.push(&SIGNATURE);
        let transport = match transport {
            Transport::Stream => 1,
            Transport::Datagram => 2,
        };
        let (family, addrs_len): (u8, u16) = if ends.src.is_ipv4() {
            (0x10, 12)
        } else {
            (0x20, 36)
        };
        self.push(&[V2_PROXY, family | transport]);
        self.push(&addrs_len.to_be_bytes());
        for addr in [ends.src.ip(), ends.dst.ip()] {
            match addr {
                IpAddr::V4(addr) => self.push(&addr.octets()),
                IpAddr::V6(addr) => self.push(&addr.octets()),
            }
        }
        for port in [ends.src.port(), ends.dst.port()] {
            self.push(&port.to_be_bytes());
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// A header that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the header
    pub len: usize,
    /// The version of the header
    pub version: Version,
    /// The ends of the conn. `None` if the header has none (`UNKNOWN`, `LOCAL`, a unix socket).
    pub ends: Option<Ends>,
}

impl Sent {
    /// Reads the header that a payload begins with. `None` if there is none, or not all of it: the
    /// specification lets a receiver expect it in one piece (2.1, 2.2).
    pub fn read(payload: &[u8]) -> Option<Self> {
        if payload.starts_with(&LINE_START) {
            read_v1(payload)
        } else if payload.starts_with(&SIGNATURE) {
            read_v2(payload)
        } else {
            None
        }
    }

    /// Whether a payload may begin with a header. `start` is what is known of it, and may end
    /// within the header.
    pub fn may_begin(start: &[u8]) -> bool {
        [&LINE_START[..], &SIGNATURE].into_iter().any(|first| {
            let len = first.len().min(start.len());
            start[..len] == first[..len]
        })
    }
}

fn read_v1(payload: &[u8]) -> Option<Sent> {
    let line = payload.get(..LONGEST_V1.min(payload.len()))?;
    let end = line.windows(2).position(|two| two == b"\r\n")?;
    let words = std::str::from_utf8(&line[..end]).ok()?;
    let mut words = words.split(' ').skip(1);
    let is_v4 = match words.next()? {
        "TCP4" => true,
        "TCP6" => false,
        "UNKNOWN" => {
            return Some(Sent {
                len: end + 2,
                version: Version::V1,
                ends: None,
            });
        }
        _ => return None,
    };
    let mut addr = || {
        words
            .next()?
            .parse::<IpAddr>()
            .ok()
            .filter(|addr| addr.is_ipv4() == is_v4)
    };
    let (src, dst) = (addr()?, addr()?);
    let mut port = || words.next()?.parse::<u16>().ok();
    let (sport, dport) = (port()?, port()?);
    words.next().is_none().then_some(Sent {
        len: end + 2,
        version: Version::V1,
        ends: Some(Ends {
            src: SocketAddr::new(src, sport),
            dst: SocketAddr::new(dst, dport),
        }),
    })
}

fn read_v2(payload: &[u8]) -> Option<Sent> {
    let fixed = payload.first_chunk::<V2_FIXED_LEN>()?;
    let rest_len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let len = V2_FIXED_LEN + rest_len;
    let rest = payload.get(V2_FIXED_LEN..len)?;
    if len > LONGEST_V2 {
        return None;
    }
    let ends = match (fixed[12], fixed[13] >> 4) {
        (V2_LOCAL, _) => None,
        (V2_PROXY, 1) => Some(ends_of::<4>(rest)?),
        (V2_PROXY, 2) => Some(ends_of::<16>(rest)?),
        (V2_PROXY, _) => None,
        _ => return None,
    };
    Some(Sent {
        len,
        version: Version::V2,
        ends,
    })
}

fn ends_of<const LEN: usize>(addrs: &[u8]) -> Option<Ends>
where
    IpAddr: From<[u8; LEN]>,
{
    let (src, rest) = addrs.split_first_chunk::<LEN>()?;
    let (dst, rest) = rest.split_first_chunk::<LEN>()?;
    let [a, b, c, d] = *rest.first_chunk()?;
    Some(Ends {
        src: SocketAddr::new((*src).into(), u16::from_be_bytes([a, b])),
        dst: SocketAddr::new((*dst).into(), u16::from_be_bytes([c, d])),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(src: &str, dst: &str) -> Ends {
        Ends {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
        }
    }

    /// The specification's own example, 2.1.
    #[test]
    fn version_1_is_a_line() {
        let ends = ends("192.168.0.1:56324", "192.168.0.11:443");
        let header = Header::new(Version::V1, Transport::Stream, &ends);
        assert_eq!(
            header.bytes(),
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
        );
    }

    #[test]
    fn the_longest_line_fits() {
        let long = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        let header = Header::new(Version::V1, Transport::Stream, &ends(long, long));
        assert_eq!(header.bytes().len(), 104);
        assert!(header.bytes().ends_with(b" 65535 65535\r\n"));
    }

    /// Section 2.2, byte for byte.
    #[test]
    fn version_2_is_binary() {
        let of = |src, dst, transport| {
            let header = Header::new(Version::V2, transport, &ends(src, dst));
            header.bytes().to_vec()
        };
        let v4 = of("10.0.0.48:40000", "10.0.0.100:80", Transport::Stream);
        assert_eq!(
            v4,
            [
                &b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A"[..],
                &[0x21, 0x11, 0, 12],
                &[10, 0, 0, 48, 10, 0, 0, 100, 0x9c, 0x40, 0, 80],
            ]
            .concat()
        );
        let v6 = of("[2001:db8::1]:1", "[2001:db8::2]:2", Transport::Datagram);
        assert_eq!((v6.len(), &v6[12..16]), (52, &[0x21, 0x22, 0, 36][..]));
        assert_eq!(v6[48..], [0, 1, 0, 2]);
    }

    #[test]
    fn what_is_written_is_read() {
        for ends in [
            ends("192.168.0.1:56324", "192.168.0.11:443"),
            ends("[2001:db8::1]:1", "[::1]:65535"),
        ] {
            for version in [Version::V1, Version::V2] {
                let header = Header::new(version, Transport::Stream, &ends);
                let payload = [header.bytes(), b"GET / HTTP/1.0"].concat();
                let sent = Sent {
                    len: header.bytes().len(),
                    version,
                    ends: Some(ends),
                };
                assert_eq!(Sent::read(&payload), Some(sent));
                for cut in 0..sent.len {
                    assert_eq!(Sent::read(&payload[..cut]), None);
                }
            }
        }
    }

    #[test]
    fn what_tells_nobody_and_what_is_no_header() {
        let unknown = Sent::read(b"PROXY UNKNOWN ffff::1 whatever\r\nGET").unwrap();
        assert_eq!((unknown.len, unknown.ends), (32, None));
        let mut local = Header::new(
            Version::V2,
            Transport::Stream,
            &ends("1.1.1.1:1", "2.2.2.2:2"),
        );
        local.bytes[12] = V2_LOCAL;
        assert_eq!(Sent::read(local.bytes()).unwrap().ends, None);
        for wrong in [
            &b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"[..],
            b"PROXY TCP4 1.1.1.1 ::1 1 2\r\n",
            b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
            b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
            b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
            b"PROXY \xff\r\n",
            b"GET / HTTP/1.0\r\n",
            b"",
        ] {
            assert_eq!(Sent::read(wrong), None, "{wrong:?}");
        }
        local.bytes[12] = 0x31;
        assert_eq!(Sent::read(local.bytes()), None, "version 3");
        local.bytes[12] = V2_PROXY;
        local.bytes[14..16].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(Sent::read(&[local.bytes(), &[0; 70_000]].concat()), None);
    }

    proptest! {
        #[test]
        fn any_payload_is_read_without_panic(payload: Vec<u8>, signed: bool) {
            let payload = if signed { [&SIGNATURE[..], &payload].concat() } else { payload };
            if let Some(sent) = Sent::read(&payload) {
                prop_assert!(sent.len <= payload.len());
            }
        }
    }
}
