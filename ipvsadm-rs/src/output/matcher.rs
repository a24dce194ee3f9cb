//! A service that is named by the packets it takes, as text.

use cli::ip_or_zero;
use proto::v1::{Family, Match, Protocol};

use super::endpoint::protocol_name;

/// The form that `-L` shows: `tcp,from=A-B:P-Q,oif=D`. IPv6 is named where no range shows it.
pub(crate) fn shown(protocol: Protocol, matcher: &Match) -> String {
    let mut text = written(protocol_name(protocol).to_owned(), matcher, "from", "to");
    if has_no_range(matcher) && matcher.family() == Family::Inet6 {
        text.push_str(",af=ipv6");
    }
    text
}

/// The form that `-H` takes: `proto=tcp,src-range=A-B:P-Q,oif=D`.
pub(crate) fn saved(protocol: Protocol, matcher: &Match) -> String {
    let mut text = format!("proto={}", protocol_name(protocol));
    if has_no_range(matcher) {
        text.push_str(match matcher.family() {
            Family::Inet6 => ",af=ipv6",
            _ => ",af=ipv4",
        });
    }
    written(text, matcher, "src-range", "dst-range")
}

const fn has_no_range(matcher: &Match) -> bool {
    matcher.src.is_none() && matcher.dst.is_none()
}

fn written(mut text: String, matcher: &Match, src: &str, dst: &str) -> String {
    for (name, range) in [(src, &matcher.src), (dst, &matcher.dst)] {
        if let Some(range) = range {
            let (first, last) = (
                ip_or_zero(range.first.as_ref()),
                ip_or_zero(range.last.as_ref()),
            );
            let (first_port, last_port) = (range.first_port, range.last_port);
            let addrs = if first.is_ipv4() {
                format!("{first}-{last}")
            } else {
                format!("[{first}-{last}]")
            };
            text.push_str(&format!(",{name}={addrs}:{first_port}-{last_port}"));
        }
    }
    for (name, device) in [("iif", &matcher.iif), ("oif", &matcher.oif)] {
        if !device.is_empty() {
            text.push_str(&format!(",{name}={device}"));
        }
    }
    text
}
