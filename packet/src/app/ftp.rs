//! The lines of an FTP control conn that announce data conns: RFC 959, 4.1.2 and 4.2.2, and RFC
//! 2428. Also what they become for an end of the other address family: RFC 6384.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::ops::Range;

use crate::app::ftp_line;

/// Bytes of the longest text that replaces another: `EPRT |2|`, an IPv6 address, `|65535|`.
const LONGEST_TEXT: usize = 56;
/// Bytes of a verb with an address, and of a code with the space behind it.
const VERB_LEN: usize = 4;
const CODE_LEN: usize = 4;

/// How a line writes an address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `h1,h2,h3,h4,p1,p2`
    Numbers,
    /// `|1|addr|port|`
    Extended,
}

/// The address and port that a line names for a data conn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The address. The answer to EPSV has none.
    pub addr: Option<IpAddr>,
    /// The port
    pub port: u16,
    /// Where the text is in the payload
    pub place: Range<usize>,
    /// How it is written
    pub style: Style,
}

/// Reads where a client listens: `PORT` or `EPRT`, if the payload begins with such a line.
pub fn read_command(payload: &[u8]) -> Option<Named> {
    let line = ftp_line::first(payload);
    let (verb, rest) = line.split_at_checked(VERB_LEN)?;
    let at = ftp_line::skip_spaces(line, VERB_LEN);
    let is = |word: &[u8]| verb.eq_ignore_ascii_case(word);
    let style = match rest.first()? {
        b' ' | b'\t' if is(b"PORT") => Style::Numbers,
        b' ' | b'\t' if is(b"EPRT") => Style::Extended,
        _ => return None,
    };
    let end = match style {
        Style::Numbers => ftp_line::find_numbers(payload, at).filter(|end| end.2.start == at)?,
        Style::Extended => ftp_line::fields(payload, at)?,
    };
    let named = Named::of(end, style);
    named.addr.is_some().then_some(named)
}

/// The address family of the data conn that a client asks for with `EPSV` (RFC 2428, 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The family of the control conn
    Same,
    /// IPv4
    V4,
    /// IPv6
    V6,
    /// A number that is not known
    Other,
}

/// A client's command that asks the server to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passive {
    /// `PASV`
    Pasv,
    /// `EPSV`
    Epsv(Network),
    /// `EPSV ALL`: the client will use nothing but EPSV from now on (RFC 2428, 4).
    EpsvAll,
}

/// Reads `PASV` or `EPSV`. `None` unless the payload is exactly one such line.
pub fn read_passive(payload: &[u8]) -> Option<Passive> {
    let mut words = ftp_line::only(payload)?.split_ascii_whitespace();
    let (verb, argument) = (words.next()?, words.next());
    let is = |word: &str, other| word.eq_ignore_ascii_case(other);
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    match argument {
        _ if words.next().is_some() => None,
        None if is(verb, "PASV") => Some(Passive::Pasv),
        _ if !is(verb, "EPSV") => None,
        None => Some(Passive::Epsv(Network::Same)),
        Some("1") => Some(Passive::Epsv(Network::V4)),
        Some("2") => Some(Passive::Epsv(Network::V6)),
        Some(other) if is_number(other) => Some(Passive::Epsv(Network::Other)),
        Some(other) => is(other, "ALL").then_some(Passive::EpsvAll),
    }
}

/// Whether a server's answer is one line which says that the command succeeded: RFC 959, 4.2.
pub fn is_done(payload: &[u8]) -> bool {
    ftp_line::only(payload)
        .and_then(|line| line.as_bytes().first_chunk())
        .is_some_and(|code| matches!(code, [b'2', b'0'..=b'9', b'0'..=b'9', b' ']))
}

/// Reads where a server listens: the answer 227 to `PASV`, or 229 to `EPSV`, if the payload begins
/// with such a line. The numbers of 227 need no brackets (RFC 1123, 4.1.2.6).
pub fn read_reply(payload: &[u8]) -> Option<Named> {
    let line = ftp_line::first(payload);
    let (end, style) = match line.get(..CODE_LEN)? {
        b"227 " => (ftp_line::find_numbers(payload, CODE_LEN)?, Style::Numbers),
        b"229 " => {
            let open = line.iter().position(|byte| *byte == b'(')?;
            (ftp_line::fields(payload, open + 1)?, Style::Extended)
        }
        _ => return None,
    };
    Some(Named::of(end, style))
}

impl Named {
    const fn of((addr, port, place): ftp_line::End, style: Style) -> Self {
        Self {
            addr,
            port,
            place,
            style,
        }
    }
}

/// Bytes of the first line of a payload without its end.
pub fn first_line_len(payload: &[u8]) -> usize {
    ftp_line::first(payload).len()
}

/// A text to write into a line.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    bytes: [u8; LONGEST_TEXT],
    len: usize,
}

impl Text {
    /// The text for an address and port. `None` for an IPv6 address in six numbers.
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

    /// The whole command, without the end of the line, that names an end to a server: `PORT` for
    /// IPv4, which all servers know (RFC 6384), and `EPRT` for IPv6.
    pub fn command(end: SocketAddr) -> Option<Self> {
        let (verb, style) = match end {
            SocketAddr::V4(_) => ("PORT", Style::Numbers),
            SocketAddr::V6(_) => ("EPRT", Style::Extended),
        };
        let end = Self::new(end, style)?;
        let text = std::str::from_utf8(end.bytes()).ok()?;
        Self::of(format_args!("{verb} {text}"))
    }

    /// The answer to `PASV`, without the end of the line.
    pub fn pasv_answer(end: SocketAddrV4) -> Option<Self> {
        let end = Self::new(end.into(), Style::Numbers)?;
        let text = std::str::from_utf8(end.bytes()).ok()?;
        Self::of(format_args!("227 Entering Passive Mode ({text})."))
    }

    /// The answer to `EPSV`, without the end of the line.
    pub fn epsv_answer(port: u16) -> Option<Self> {
        Self::of(format_args!(
            "229 Entering Extended Passive Mode (|||{port}|)"
        ))
    }

    /// Any other text. `None` if it is longer than the longest that names an end.
    pub fn line(line: &str) -> Option<Self> {
        Self::of(format_args!("{line}"))
    }

    /// Appends to the text. `None` if it gets longer than the longest that names an end.
    fn of(text: std::fmt::Arguments<'_>) -> Option<Self> {
        let mut bytes = [0; LONGEST_TEXT];
        let mut rest = &mut bytes[..];
        std::io::Write::write_fmt(&mut rest, text).ok()?;
        let len = LONGEST_TEXT - rest.len();
        Some(Self { bytes, len })
    }

    /// The bytes of the text.
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
            ("PORT 10,0,0,48,156,64", None),
            (
                "PORT 10,0,0,48,156,64\r\nQUIT\r\n",
                named("10.0.0.48", 40_000, 5..21, Numbers),
            ),
            (
                "PORT\t10,0,0,48,156,64\n",
                named("10.0.0.48", 40_000, 5..21, Numbers),
            ),
            (
                "eprt |1|132.235.1.2|6275| \r\n",
                named("132.235.1.2", 6275, 5..25, Extended),
            ),
            ("PORT x10,0,0,48,156,64\r\n", None),
            ("PORTS 10,0,0,48,156,64\r\n", None),
            ("QUIT\r\nPORT 10,0,0,48,156,64\r\n", None),
            ("EPRT |1|132.235.1.2|6275\r\n", None),
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
            (
                "227 Entering Passive Mode 172,16,0,3,200,1\r\n",
                named("172.16.0.3", 51_201, 26..42, Numbers),
            ),
            (
                "227 =172,16,0,3,200,1\r\n",
                named("172.16.0.3", 51_201, 5..21, Numbers),
            ),
            (
                "227 IPv4 mode 2: (172, 16, 0, 3, 200, 1)\n",
                named("172.16.0.3", 51_201, 18..39, Numbers),
            ),
            (
                "227 mode passif activ\u{e9} (172,16,0,3,200,1)\r\n150 x\r\n",
                named("172.16.0.3", 51_201, 25..41, Numbers),
            ),
            (
                "227 (1,2,3,4,5,6\r\n",
                named("1.2.3.4", 1286, 5..16, Numbers),
            ),
            (
                "229 Extended (|||6446|\r\n",
                named("", 6446, 14..22, Extended),
            ),
            ("227 no\r\n", None),
            ("227 (1,2,3,4,5\r\n", None),
            ("227 (1,2,3,4,5,256)\r\n", None),
            ("227 (1,2,3,4,5,6", None),
            ("229 |||6446|\r\n", None),
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
        let command = |end: &str| Text::command(end.parse().unwrap()).unwrap();
        assert_eq!(command("10.0.0.100:80").bytes(), b"PORT 10,0,0,100,0,80");
        assert_eq!(command("[::1]:80").bytes(), b"EPRT |2|::1|80|");
        assert_eq!(command(long).bytes().len(), 54);
        assert!(Text::line(&"x".repeat(56)).is_some());
        assert!(Text::line(&"x".repeat(57)).is_none());
    }

    /// RFC 959, 4.1.2; RFC 2428, 3 and 4
    #[test]
    fn clients_ask_to_call_by_either_network() {
        use Passive::{Epsv, EpsvAll, Pasv};
        for (line, expected) in [
            ("PASV\r\n", Some(Pasv)),
            ("pasv \r\n", Some(Pasv)),
            ("PASV\n", Some(Pasv)),
            ("EPSV\r\n", Some(Epsv(Network::Same))),
            ("EPSV 1\r\n", Some(Epsv(Network::V4))),
            ("epsv 2 \r\n", Some(Epsv(Network::V6))),
            ("EPSV 3\r\n", Some(Epsv(Network::Other))),
            ("EPSV 65536000000\r\n", Some(Epsv(Network::Other))),
            ("EPSV all\r\n", Some(EpsvAll)),
            ("EPSV ALLE\r\n", None),
            ("EPSV 1 2\r\n", None),
            ("PASV 1\r\n", None),
            ("EPSVALL\r\n", None),
            ("EPSV", None),
            ("EPSV\r\nRETR file\r\n", None),
            ("\r\n", None),
        ] {
            assert_eq!(read_passive(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_done_has_a_code_of_two_hundred() {
        for (line, expected) in [
            ("200 ok\r\n", true),
            ("226 done\r\n", true),
            ("200-ok\r\n", false),
            ("2 0 ok\r\n", false),
            ("500 what?\r\n", false),
            ("200 ok", false),
            ("20", false),
        ] {
            assert_eq!(is_done(line.as_bytes()), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_is_read_without_panic(payload: Vec<u8>, verb in 0usize..6) {
            let verbs = [&b"PORT "[..], b"EPRT ", b"227 (", b"229 (|", b"EPSV ", b"PASV"];
            let payload = [verbs[verb], &payload, b")\r\n"].concat();
            for named in [read_command(&payload), read_reply(&payload)].into_iter().flatten() {
                prop_assert!(named.place.end <= payload.len());
            }
            if read_passive(&payload).is_some() {
                prop_assert!(read_command(&payload).is_none() && read_reply(&payload).is_none());
            }
            if is_done(&payload) {
                prop_assert_eq!(payload[0], b'2');
            }
        }

        /// Reading a written line finds the same address and port.
        #[test]
        fn lines_in_the_place_of_others_are_read_again(ip: IpAddr, port: u16) {
            let line = |text: Text| [text.bytes(), b"\r\n"].concat();
            let command = read_command(&line(Text::command((ip, port).into()).unwrap())).unwrap();
            prop_assert_eq!((command.addr, command.port), (Some(ip), port));
            let is_ipv4 = command.style == Style::Numbers;
            prop_assert_eq!(is_ipv4, ip.is_ipv4());
            let answer = line(Text::epsv_answer(port).unwrap());
            let named = read_reply(&answer).unwrap();
            prop_assert_eq!((named.addr, named.port, named.style), (None, port, Style::Extended));
            prop_assert!(is_done(&answer) && read_passive(&answer).is_none());
            if let IpAddr::V4(addr) = ip {
                let answer = line(Text::pasv_answer(SocketAddrV4::new(addr, port)).unwrap());
                let named = read_reply(&answer).unwrap();
                let read = (named.addr, named.port, named.style);
                prop_assert_eq!(read, (Some(ip), port, Style::Numbers));
            }
        }
    }
}
