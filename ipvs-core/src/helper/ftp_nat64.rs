//! FTP between both families: RFC 6384.
//!
//! Servers of the other family may not know the command by which a client asks for passive mode.
//! The dest gets another command, and its reply becomes the one that the client expects. RFC 6384
//! describes IPv6 clients of IPv4 servers; the other way is alike.

use std::net::{IpAddr, SocketAddrV4};

use packet::PacketBuf;
use packet::ftp::{self, Named, Network, Passive, Style, Text};

use crate::conn::{ConnFlags, Found, FtpFlags};
use crate::ctx::Forwarder;
use crate::helper::ftp_line::Replacement;
use crate::wire::Family;

/// NOOP has no effect and gets a reply (RFC 959, 4.1.3). It replaces a command that the dest must
/// not see; the reply to it becomes the refusal that the client must see.
const NOTHING: &str = "NOOP";
/// The reply to EPSV ALL: RFC 6384.
const EPSV_ALL_REFUSED: &str = "504 Command not implemented for that parameter";

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Translates a client's command for passive mode. Notes how the dest's reply has to be
    /// translated.
    pub(super) fn translate_command(
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
        // These flags were about the command before.
        flags.put(FtpFlags::REFUSE_EPSV_ALL, false);
        flags.put(FtpFlags::REFUSE_NETWORK, false);
        let wish = ftp::read_passive(payload)?;
        let heard = if is_ipv4 {
            command_for_ipv6(wish, flags)
        } else {
            command_for_ipv4(wish, flags)
        };
        Replacement::of_line(payload, Text::line(heard?)?)
    }

    /// Translates the reply to a NOOP that replaced a command into a refusal of that command.
    pub(super) fn refusal_of_command(&self, payload: &[u8], found: Found) -> Option<Replacement> {
        let flags = self.family.exts.get(found.id).ftp;
        let is_refused =
            flags.has(FtpFlags::REFUSE_EPSV_ALL) || flags.has(FtpFlags::REFUSE_NETWORK);
        // An error reply refuses the command already.
        if !is_refused || !ftp::is_done(payload) {
            return None;
        }
        let is_ipv4 = self.family.conns.get(found.id).client().0.to_ip().is_ipv4();
        let text = match is_ipv4 {
            _ if flags.has(FtpFlags::REFUSE_EPSV_ALL) => EPSV_ALL_REFUSED,
            // RFC 2428, 2 and 3: the reply lists the networks that are supported.
            true => "522 Network protocol not supported, use (1)",
            false => "522 Network protocol not supported, use (2)",
        };
        Replacement::of_line(payload, Text::line(text)?)
    }

    /// Whether the dest's next reply has to be translated.
    pub(super) fn must_translate_reply(&self, found: Found) -> bool {
        let ext = self.family.exts.get(found.id);
        ext.ftp.has(FtpFlags::TRANSLATE_REPLY)
    }
}

/// RFC 6384: not every IPv4 server knows EPSV, so the dest gets PASV.
const fn command_for_ipv4(wish: Passive, flags: &mut FtpFlags) -> Option<&'static str> {
    match wish {
        Passive::Pasv => {
            flags.put(FtpFlags::TRANSLATE_REPLY, false);
            None
        }
        Passive::Epsv(Network::Same | Network::V6) => {
            flags.put(FtpFlags::TRANSLATE_REPLY, true);
            Some("PASV")
        }
        Passive::Epsv(Network::V4 | Network::Other) => {
            flags.put(FtpFlags::REFUSE_NETWORK, true);
            Some(NOTHING)
        }
        Passive::EpsvAll => {
            flags.put(FtpFlags::REFUSE_EPSV_ALL, true);
            Some(NOTHING)
        }
    }
}

/// The reply to PASV has no room for an IPv6 address (RFC 2428, 1), so the dest gets EPSV. The
/// number of the client's own network is left out.
const fn command_for_ipv6(wish: Passive, flags: &mut FtpFlags) -> Option<&'static str> {
    match wish {
        Passive::Pasv => {
            flags.put(FtpFlags::TRANSLATE_REPLY, true);
            Some("EPSV")
        }
        Passive::Epsv(network @ (Network::Same | Network::V4)) => {
            flags.put(FtpFlags::TRANSLATE_REPLY, false);
            if matches!(network, Network::Same) {
                None
            } else {
                Some("EPSV")
            }
        }
        Passive::Epsv(Network::V6 | Network::Other) => {
            flags.put(FtpFlags::REFUSE_NETWORK, true);
            Some(NOTHING)
        }
        Passive::EpsvAll => None,
    }
}

/// The reply that the client expects, for the one that the dest gave.
pub(super) fn translated_reply(named: &Named, vip: IpAddr) -> Option<Text> {
    match (named.style, vip) {
        (Style::Numbers, _) => Text::epsv_answer(named.port),
        (Style::Extended, IpAddr::V4(vip)) => Text::pasv_answer(SocketAddrV4::new(vip, named.port)),
        (Style::Extended, IpAddr::V6(_)) => None,
    }
}
