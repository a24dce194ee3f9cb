//! What FTP says of data conns on its control conn: RFC 959, 4.1.2 and 4.2.2; RFC 2428.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

/// The longest text of an end, after its verb: `EPRT |2|` IPv6 address `|65535|`.
const LONGEST_END: usize = 56;
/// Longer lines are none that name an end.
const LONGEST_LINE: usize = 256;

/// How an end is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `h1,h2,h3,h4,p1,p2`
    Numbers,
    /// `|1|addr|port|`
    Extended,
}

/// An end of a data conn, as a line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Address and port; the address is missing in the answer to EPSV.
    pub addr: Option<IpAddr>,
    /// The port
    pub port: u16,
    /// Where in the payload it stands
    pub place: Range<usize>,
    /// How
    pub style: Style,
}

/// Where a client listens: `PORT` or `EPRT`. `None` if the payload is no such line, whole and alone.
pub fn read_command(payload: &[u8]) -> Option<Named> {
    let line = line(payload)?;
    let (verb, rest) = line.split_at_checked(5)?;
    let style = if verb.eq_ignore_ascii_case("PORT ") {
        Style::Numbers
    } else if verb.eq_ignore_ascii_case("EPRT ") {
        Style::Extended
    } else {
        return None;
    };
    let text = rest.trim();
    let from = verb.len() + (rest.len() - rest.trim_start().len());
    end(text, from, style).filter(|named| named.addr.is_some())
}

/// Where a server listens: the answer 227 to `PASV`, or 229 to `EPSV`.
pub fn read_reply(payload: &[u8]) -> Option<Named> {
    let line = line(payload)?;
    let style = match line.get(..4)? {
        "227 " => Style::Numbers,
        "229 " => Style::Extended,
        _ => return None,
    };
    let open = line.find('(')?;
    let close = open + line[open..].find(')')?;
    end(&line[open + 1..close], open + 1, style)
}

/// A line that is whole, without its end.
fn line(payload: &[u8]) -> Option<&str> {
    let line = payload.strip_suffix(b"\r\n")?;
    if line.len() > LONGEST_LINE {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    let is_one = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    is_one.then_some(text)
}

fn end(text: &str, at: usize, style: Style) -> Option<Named> {
    let (addr, port) = match style {
        Style::Numbers => numbers(text)?,
        Style::Extended => extended(text)?,
    };
    Some(Named {
        addr,
        port,
        place: at..at + text.len(),
        style,
    })
}

fn numbers(text: &str) -> Option<(Option<IpAddr>, u16)> {
    let mut bytes = [0; 6];
    let mut words = text.split(',');
    for byte in &mut bytes {
        *byte = words.next()?.trim().parse().ok()?;
    }
    let [a, b, c, d, high, low] = bytes;
    let addr = Ipv4Addr::new(a, b, c, d).into();
    words
        .next()
        .is_none()
        .then_some((Some(addr), u16::from_be_bytes([high, low])))
}

fn extended(text: &str) -> Option<(Option<IpAddr>, u16)> {
    let delimiter = text.chars().next()?;
    let mut words = text[delimiter.len_utf8()..].split(delimiter);
    let (family, addr, port, last) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if !last.is_empty() || words.next().is_some() {
        return None;
    }
    let addr: Option<IpAddr> = match (family, addr) {
        ("", "") => None,
        ("1", addr) => Some(addr.parse().ok().filter(IpAddr::is_ipv4)?),
        ("2", addr) => Some(addr.parse().ok().filter(IpAddr::is_ipv6)?),
        _ => return None,
    };
    Some((addr, port.parse().ok()?))
}

/// An end, written.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    bytes: [u8; LONGEST_END],
    len: usize,
}

impl Text {
    /// `None` for an IPv6 address in six numbers.
    pub fn new(end: SocketAddr, style: Style) -> Option<Self> {
        let (ip, port) = (end.ip(), end.port());
        match (style, ip) {
            (Style::Numbers, IpAddr::V4(addr)) => {
                let [a, b, c, d] = addr.octets();
                let [high, low] = port.to_be_bytes();
                Self::of(format_args!("{a},{b},{c},{d},{high},{low}"))
            }
            (Style::Numbers, IpAddr::V6(_)) => None,
            (Style::Extended, IpAddr::V4(_)) => Self::of(format_args!("|1|{ip}|{port}|")),
            (Style::Extended, IpAddr::V6(_)) => Self::of(format_args!("|2|{ip}|{port}|")),
        }
    }

    /// The command that can name any end, with its verb, up to the end of the line.
    pub fn eprt(end: SocketAddr) -> Option<Self> {
        let end = Self::new(end, Style::Extended)?;
        let text = std::str::from_utf8(end.bytes()).ok()?;
        Self::of(format_args!("EPRT {text}"))
    }

    /// `None` if it is longer than any end.
    fn of(text: std::fmt::Arguments<'_>) -> Option<Self> {
        let mut bytes = [0; LONGEST_END];
        let mut rest = &mut bytes[..];
        std::io::Write::write_fmt(&mut rest, text).ok()?;
        let len = LONGEST_END - rest.len();
        Some(Self { bytes, len })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(addr: &str, port: u16, place: Range<usize>, style: Style) -> Option<Named> {
        let addr = addr.parse().ok();
        Some(Named {
            addr,
            port,
            place,
            style,
        })
    }

    #[test]
    fn commands_name_the_client_s_end() {
        use Style::{Extended, Numbers};
        for (line, expected) in [
            (
                "PORT 10,0,0,48,156,64\r\n",
                named("10.0.0.48", 40_000, 5..21, Numbers),
            ),
            (
                "port  10,0,0,48,0,21\r\n",
                named("10.0.0.48", 21, 6..20, Numbers),
            ),
            (
                "EPRT |1|132.235.1.2|6275|\r\n",
                named("132.235.1.2", 6275, 5..25, Extended),
            ),
            (
                "EPRT |2|2001:db8::1|5282|\r\n",
                named("2001:db8::1", 5282, 5..25, Extended),
            ),
            ("PORT 10,0,0,48,156\r\n", None),
            ("PORT 10,0,0,48,156,256\r\n", None),
            ("PORT 10,0,0,48,1,2,3\r\n", None),
            ("PORT 10,0,0,48,156,64", None),
            ("PORT 10,0,0,48,156,64\r\nQUIT\r\n", None),
            ("EPRT |1|::1|5282|\r\n", None),
            ("EPRT |||5282|\r\n", None),
            ("EPRT |3|1.1.1.1|5282|\r\n", None),
            ("RETR file\r\n", None),
            ("", None),
        ] {
            assert_eq!(read_command(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn replies_name_the_server_s_end() {
        use Style::{Extended, Numbers};
        for (line, expected) in [
            (
                "227 Entering Passive Mode (172,16,0,3,200,1).\r\n",
                named("172.16.0.3", 51_201, 27..43, Numbers),
            ),
            (
                "229 Entering Extended Passive Mode (|||6446|)\r\n",
                named("", 6446, 36..44, Extended),
            ),
            ("227 no\r\n", None),
            ("227 (1,2,3,4,5,6\r\n", None),
            ("227-(1,2,3,4,5,6)\r\n", None),
            ("226 (1,2,3,4,5,6)\r\n", None),
        ] {
            assert_eq!(read_reply(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn ends_are_written_as_they_are_read() {
        let text = |end: &str, style| {
            let text = Text::new(end.parse().unwrap(), style)?;
            Some(String::from_utf8(text.bytes().to_vec()).unwrap())
        };
        assert_eq!(
            text("10.0.0.100:51201", Style::Numbers).unwrap(),
            "10,0,0,100,200,1"
        );
        assert_eq!(
            text("10.0.0.100:80", Style::Extended).unwrap(),
            "|1|10.0.0.100|80|"
        );
        let long = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        assert_eq!(text(long, Style::Extended).unwrap().len(), 49);
        assert_eq!(text(long, Style::Numbers), None);
        let eprt = |end: &str| Text::eprt(end.parse().unwrap()).unwrap();
        assert_eq!(eprt("10.0.0.100:80").bytes(), b"EPRT |1|10.0.0.100|80|");
        assert_eq!(eprt(long).bytes().len(), 54);
    }

    proptest! {
        #[test]
        fn any_payload_is_read_without_panic(payload: Vec<u8>, verb in 0usize..4) {
            let verbs = [&b"PORT "[..], b"EPRT ", b"227 (", b"229 (|"];
            let payload = [verbs[verb], &payload, b")\r\n"].concat();
            for named in [read_command(&payload), read_reply(&payload)].into_iter().flatten() {
                prop_assert!(named.place.end <= payload.len());
            }
        }
    }
}
