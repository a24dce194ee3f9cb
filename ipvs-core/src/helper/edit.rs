//! Which edit the payload of a packet needs.

use packet::PacketBuf;

use crate::config::Protocol;
use crate::conn::{Found, FtpFlags};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::wire::{Family, Flow};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Edits the payload of a packet: FTP or the PROXY protocol. Returns the flow with its new
    /// length.
    #[cold]
    #[inline(never)]
    pub(crate) fn edit(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<Flow<A>, DropReason> {
        let ext = self.family.exts.get(found.id);
        let grown = match (flow.protocol(), found.direction) {
            (Protocol::Tcp, _) if ext.ftp.has(FtpFlags::CONTROL) => {
                self.edit_ftp(packet, flow, found, mtu)?
            }
            _ if ext.proxy == 0 => 0,
            (Protocol::Tcp, Direction::Inbound) => self.edit_inbound(packet, flow, found, mtu)?,
            (Protocol::Tcp, Direction::Outbound) => {
                self.edit_outbound(packet, flow, found)?;
                0
            }
            (Protocol::Udp, Direction::Inbound) => self.edit_datagram(packet, flow, found, mtu)?,
            _ => 0,
        };
        Ok(Flow {
            total_len: flow.total_len.wrapping_add_signed(grown),
            ..*flow
        })
    }
}
