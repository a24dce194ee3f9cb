//! Where a line of an FTP control conn names an address and a port. Servers write the replies in
//! many ways (RFC 1123, 4.1.2.6), so a line is read as leniently as the kernel's ip_vs_ftp reads
//! it: what stands before and behind does not matter.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

/// Bytes of the longest line that is read. No line that names an end is longer.
const LONGEST_LINE: usize = 256;

/// Text of a line that was read: the address, if it names one, the port, and where both are.
pub(super) type End = (Option<IpAddr>, u16, Range<usize>);

/// The first line of a payload, without its end, CRLF or LF. A line whose end has not come yet is
/// read too.
pub(super) fn first(payload: &[u8]) -> &[u8] {
    let line = payload.split(|byte| *byte == b'\n').next();
    let line = line.unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.get(..LONGEST_LINE).unwrap_or(line)
}

/// The only line of a payload, without its end. `None` if there is not exactly one whole line of
/// printable ASCII.
pub(super) fn only(payload: &[u8]) -> Option<&str> {
    let line = payload.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_printable = line.iter().all(|byte| (0x20..0x7f).contains(byte));
    let text = std::str::from_utf8(line).ok()?;
    (is_printable && text.len() <= LONGEST_LINE).then_some(text)
}

/// The first six numbers with commas between them, from `from` on: `h1,h2,h3,h4,p1,p2`. Brackets
/// around them are not needed. `None` if the last number may go on in the next segment.
pub(super) fn find_numbers(payload: &[u8], from: usize) -> Option<End> {
    let line = first(payload);
    let is_digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
    (from..line.len())
        .filter(|at| is_digit(*at) && (*at == from || !is_digit(at - 1)))
        .find_map(|at| {
            let (numbers, end) = six_numbers(line, at)?;
            let [a, b, c, d, high, low] = numbers;
            let addr = Ipv4Addr::new(a, b, c, d).into();
            let is_whole = end < payload.len();
            is_whole.then_some((Some(addr), u16::from_be_bytes([high, low]), at..end))
        })
}

/// Six numbers that begin at `at`, and where they end.
fn six_numbers(line: &[u8], mut at: usize) -> Option<([u8; 6], usize)> {
    let mut numbers = [0; 6];
    for (index, number) in numbers.iter_mut().enumerate() {
        if index > 0 {
            at = skip_spaces(line, at);
            at = (line.get(at) == Some(&b',')).then(|| skip_spaces(line, at + 1))?;
        }
        let digits = line.get(at..)?;
        let len = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        *number = std::str::from_utf8(&digits[..len]).ok()?.parse().ok()?;
        at += len;
    }
    Some((numbers, at))
}

/// Where the next byte is that is neither space nor tab.
pub(super) fn skip_spaces(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

/// The fields `|family|address|port|` at `at`, with any delimiter (RFC 2428, 2 and 3). Family and
/// address may both be empty.
pub(super) fn fields(payload: &[u8], at: usize) -> Option<End> {
    let line = first(payload);
    let text = line.get(at..)?;
    let delimiter = *text.first().filter(|byte| byte.is_ascii_graphic())?;
    let mut fields = text[1..].split(|byte| *byte == delimiter);
    let mut field = || std::str::from_utf8(fields.next()?).ok();
    let (family, addr, port) = (field()?, field()?, field()?);
    let len = family.len() + addr.len() + port.len() + 4;
    // The delimiter behind the port, too.
    if text.len() < len {
        return None;
    }
    let addr: Option<IpAddr> = match (family, addr) {
        ("", "") => None,
        ("1", addr) => Some(addr.parse().ok().filter(IpAddr::is_ipv4)?),
        ("2", addr) => Some(addr.parse().ok().filter(IpAddr::is_ipv6)?),
        _ => return None,
    };
    Some((addr, port.parse().ok()?, at..at + len))
}
