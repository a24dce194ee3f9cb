//! FTP between both families (RFC 6384): a client asks to call the server in words that servers of the other family may not
//! know, and is answered in its own. RFC 6384 leads from IPv6 to IPv4; the other way goes alike.

use std::net::{IpAddr, SocketAddrV4};

use packet::PacketBuf;
use packet::ftp::{self, Named, Network, Passive, Style, Text};

use crate::conn::{ConnFlags, Found, FtpFlags};
use crate::ctx::Forwarder;
use crate::helper::ftp_line::Replacement;
use crate::wire::Family;

/// Does nothing, and is answered: RFC 959, 4.1.3. The dest hears it instead of what it must not hear, so that its answer can
/// become the one that the client must get.
const NOTHING: &str = "NOOP";
/// The answer to EPSV ALL: RFC 6384
const NOT_ALL: &str = "504 Command not implemented for that parameter";

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// What the dest hears instead of a client's wish to call it. What the dest answers then is remembered to be in
    /// its own words.
    pub(super) fn asked_in_other_words(
        &mut self,
        payload: &[u8],
        found: Found,
    ) -> Option<Replacement> {
        let conn = self.family.conns.get(found.id);
        if !conn.flags.has(ConnFlags::NAT64) {
            return None;
        }
        let is_ipv4 = conn.client().0.to_ip().is_ipv4();
        let flags = &mut self.family.exts.get_mut(found.id).ftp;
        // They were of the command before.
        flags.put(FtpFlags::NOT_ALL, false);
        flags.put(FtpFlags::NOT_NETWORK, false);
        let wish = ftp::read_passive(payload)?;
        let heard = if is_ipv4 {
            heard_by_ipv6(wish, flags)
        } else {
            heard_by_ipv4(wish, flags)
        };
        Replacement::of_line(payload, Text::line(heard?)?)
    }

    /// What the client hears instead of the answer to what it has not said.
    pub(super) fn refused_in_other_words(
        &self,
        payload: &[u8],
        found: Found,
    ) -> Option<Replacement> {
        let flags = self.family.exts.get(found.id).ftp;
        let is_refused = flags.has(FtpFlags::NOT_ALL) || flags.has(FtpFlags::NOT_NETWORK);
        // An error is a refusal already.
        if !is_refused || !ftp::is_done(payload) {
            return None;
        }
        let is_ipv4 = self.family.conns.get(found.id).client().0.to_ip().is_ipv4();
        let text = match is_ipv4 {
            _ if flags.has(FtpFlags::NOT_ALL) => NOT_ALL,
            // RFC 2428, 2 and 3: which networks there are, stands in the answer.
            true => "522 Network protocol not supported, use (1)",
            false => "522 Network protocol not supported, use (2)",
        };
        Replacement::of_line(payload, Text::line(text)?)
    }

    /// Whether the dest answers a wish in other words than the client's.
    pub(super) fn answers_in_other_words(&self, found: Found) -> bool {
        let ext = self.family.exts.get(found.id);
        ext.ftp.has(FtpFlags::OTHER_WORDS)
    }
}

/// RFC 6384: not all servers know EPSV, and some take it ill. PASV goes as it is.
const fn heard_by_ipv4(wish: Passive, flags: &mut FtpFlags) -> Option<&'static str> {
    match wish {
        Passive::Pasv => {
            flags.put(FtpFlags::OTHER_WORDS, false);
            None
        }
        Passive::Epsv(Network::Same | Network::V6) => {
            flags.put(FtpFlags::OTHER_WORDS, true);
            Some("PASV")
        }
        Passive::Epsv(Network::V4 | Network::Other) => {
            flags.put(FtpFlags::NOT_NETWORK, true);
            Some(NOTHING)
        }
        Passive::EpsvAll => {
            flags.put(FtpFlags::NOT_ALL, true);
            Some(NOTHING)
        }
    }
}

/// The answer to PASV has no room for an IPv6 address (RFC 2428, 1). EPSV and EPSV ALL are what such dests are asked by anyway,
/// but not with the number of the client's own network.
const fn heard_by_ipv6(wish: Passive, flags: &mut FtpFlags) -> Option<&'static str> {
    match wish {
        Passive::Pasv => {
            flags.put(FtpFlags::OTHER_WORDS, true);
            Some("EPSV")
        }
        Passive::Epsv(network @ (Network::Same | Network::V4)) => {
            flags.put(FtpFlags::OTHER_WORDS, false);
            if matches!(network, Network::Same) {
                None
            } else {
                Some("EPSV")
            }
        }
        Passive::Epsv(Network::V6 | Network::Other) => {
            flags.put(FtpFlags::NOT_NETWORK, true);
            Some(NOTHING)
        }
        Passive::EpsvAll => None,
    }
}

/// The answer that the client waits for, to the one that the dest gave to other words.
pub(super) fn answer_in_other_words(named: &Named, vip: IpAddr) -> Option<Text> {
    match (named.style, vip) {
        (Style::Numbers, _) => Text::epsv_answer(named.port),
        (Style::Extended, IpAddr::V4(vip)) => Text::pasv_answer(SocketAddrV4::new(vip, named.port)),
        (Style::Extended, IpAddr::V6(_)) => None,
    }
}
