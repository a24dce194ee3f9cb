//! The PROXY protocol over TCP: where the header stands in the client's stream, and the numbers
//! behind it.
//!
//! A dest believes what it reads first. So no byte of the client may reach the dest ahead of the
//! header, whatever segments a client makes up: data in a SYN, data that begins before the first
//! byte or behind it, a second SYN, fragments.

use packet::PacketBuf;
use packet::proxy::Transport;
use packet::tcp::DATA_OFFSET_AT;

use crate::conn::{ConnExt, Found, HeaderState};
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::wire::{Family, Flow, Segment, end_of, splice, tcp};

/// Numbers from here on are behind: RFC 9293, 3.4, compares them modulo 2^32.
const HALF: u32 = 1 << 31;

/// A client's segment, and where its payload is.
#[derive(Clone, Copy)]
struct Arrived {
    segment: Segment,
    /// Offset of the payload in the frame
    payload_at: usize,
    /// Bytes of payload. A fragment may hold fewer than its segment has.
    payload_len: usize,
}

impl Arrived {
    fn read<A: Family>(frame: &[u8], flow: &Flow<A>) -> Result<Self, DropReason> {
        let tcp = flow.l4(frame);
        let segment = Segment::read(tcp)?;
        let payload_at = usize::from(flow.l4_at) + usize::from(tcp[DATA_OFFSET_AT] >> 4) * 4;
        Ok(Self {
            segment,
            payload_at,
            payload_len: end_of(flow).saturating_sub(payload_at),
        })
    }

    /// Whether it moves the dest on in the client's stream.
    const fn occupies_numbers(&self) -> bool {
        self.payload_len > 0 || self.segment.has_fin()
    }

    /// Removes the payload. Returns by how many bytes the packet has grown.
    fn strip_payload<A: Family, B: PacketBuf>(
        &self,
        packet: &mut B,
        flow: &Flow<A>,
    ) -> Result<i16, DropReason> {
        if self.payload_len == 0 {
            return Ok(0);
        }
        splice(
            packet,
            flow,
            self.payload_at,
            self.payload_len,
            &[],
            u16::MAX,
        )
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Edits a segment of the client. Returns by how many bytes the packet has grown.
    pub(super) fn edit_inbound(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let arrived = Arrived::read(packet.bytes(), flow)?;
        let is_acked = self.family.exts.get(found.id).header == HeaderState::Acked;
        // The payload of a fragment's segment is not all here.
        if flow.is_fragment && (!is_acked || arrived.segment.has_syn()) {
            return Err(DropReason::Fragment);
        }
        if arrived.segment.has_syn() {
            return self.edit_syn(packet, flow, found, &arrived);
        }
        self.edit_data(packet, flow, found, &arrived, mtu)
    }

    /// A SYN may carry data (RFC 7413). The director removes it, and the client sends it again
    /// once its SYN is acknowledged (RFC 9293, 3.10.7.4). Without the option for Fast Open, the
    /// dest gives no cookie, and the client does not try again.
    fn edit_syn(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        arrived: &Arrived,
    ) -> Result<i16, DropReason> {
        let is_over = self.family.conns.get(found.id).tcp_state().is_over();
        let ext = self.family.exts.get_mut(found.id);
        if is_over {
            ext.header = HeaderState::AwaitsSynAck;
        }
        if ext.header == HeaderState::AwaitsSynAck {
            ext.first_data = arrived.segment.seq.wrapping_add(1);
            (ext.inserted, ext.stripped) = (0, 0);
        }
        let grown = arrived.strip_payload(packet, flow)?;
        tcp::strip_fast_open(packet.bytes_mut(), usize::from(flow.l4_at));
        Ok(grown)
    }

    /// A segment behind the SYN: it waits for the header, carries it, or is shifted by it.
    fn edit_data(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        arrived: &Arrived,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let ext = self.family.exts.get(found.id);
        match place_of(ext, arrived)? {
            Place::WithHeader => self.insert_header(packet, flow, found, arrived, mtu),
            Place::AsItIs => Ok(0),
            Place::WithoutPayload => arrived.strip_payload(packet, flow),
            Place::BehindHeader => {
                let seq = arrived.segment.seq.wrapping_add(ext.shift());
                let l4_at = usize::from(flow.l4_at);
                tcp::put_number(packet.bytes_mut(), l4_at, tcp::SEQ, seq);
                Ok(0)
            }
        }
    }

    /// Inserts the header in front of the client's first byte. Returns by how many bytes the packet
    /// has grown. What is sent again gets the same header in the place of as many bytes as before,
    /// since the dest may have the first copy.
    fn insert_header(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        arrived: &Arrived,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let payload = packet.bytes().get(arrived.payload_at..end_of(flow));
        let payload = payload.unwrap_or_default();
        let mut edit = self.header_for(found, Transport::Stream, payload);
        let ext = *self.family.exts.get(found.id);
        if ext.header == HeaderState::Placed {
            if edit.inserted() != usize::from(ext.inserted) {
                return Err(DropReason::BeforeHeader);
            }
            edit.stripped = payload.len().min(ext.stripped.into());
        }
        let grown = edit.put(packet, flow, arrived.payload_at, mtu)?;
        if ext.header == HeaderState::Due {
            let ext = self.family.exts.get_mut(found.id);
            ext.inserted = edit.inserted() as u16;
            ext.stripped = edit.stripped as u16;
            ext.header = HeaderState::Placed;
        }
        Ok(grown)
    }

    /// Edits a segment of the dest, which also acknowledges the header. The client has not sent it.
    pub(super) fn edit_outbound(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
    ) -> Result<(), DropReason> {
        let l4_at = usize::from(flow.l4_at);
        let segment = Segment::read(flow.l4(packet.bytes()))?;
        let seq_delta = self.family.conns.get(found.id).seq_delta;
        let ext = self.family.exts.get_mut(found.id);
        if !segment.has_ack() {
            return Ok(());
        }
        if segment.has_syn() {
            note_first_data(ext, segment.ack.wrapping_sub(seq_delta));
            return Ok(());
        }
        if matches!(ext.header, HeaderState::AwaitsSynAck | HeaderState::Due) {
            return Ok(());
        }
        let first = ext.first_data.wrapping_add(seq_delta);
        let acked = segment.ack.wrapping_sub(first);
        if ext.header == HeaderState::Placed
            && (1..HALF).contains(&acked)
            && acked >= u32::from(ext.inserted)
        {
            ext.header = HeaderState::Acked;
        }
        if ext.inserted != ext.stripped {
            let ext = *ext;
            tcp::map_acks(packet.bytes_mut(), l4_at, |number| {
                number_of_client(&ext, first, number)
            });
        }
        Ok(())
    }
}

/// What the dest acknowledges, as a number of the client. `first` is where the header begins. What
/// ends within the header acknowledges nothing of the client's data.
const fn number_of_client(ext: &ConnExt, first: u32, number: u32) -> u32 {
    let offset = number.wrapping_sub(first);
    // Once the header is acknowledged, numbers may be any distance from it.
    let is_acked = matches!(ext.header, HeaderState::Acked);
    if is_acked || offset < HALF && offset >= ext.inserted as u32 {
        number.wrapping_sub(ext.shift())
    } else if offset < HALF {
        first
    } else {
        number
    }
}

/// Where the dest expects the client's first byte is what its SYN-ACK acknowledges. A SYN that the
/// dest has not taken says nothing.
fn note_first_data(ext: &mut ConnExt, first_data: u32) {
    if ext.header == HeaderState::AwaitsSynAck || ext.first_data != first_data {
        ext.header = HeaderState::Due;
        ext.first_data = first_data;
        (ext.inserted, ext.stripped) = (0, 0);
    }
}

/// What becomes of a client's segment behind its SYN.
enum Place {
    /// It begins with the client's first byte: the header goes in front.
    WithHeader,
    /// Its number is right as it is.
    AsItIs,
    /// It begins before the client's first byte, and only its header goes on.
    WithoutPayload,
    /// It is shifted by the header.
    BehindHeader,
}

fn place_of(ext: &ConnExt, arrived: &Arrived) -> Result<Place, DropReason> {
    let offset = arrived.segment.seq.wrapping_sub(ext.first_data);
    let is_first = offset == 0 && ext.header != HeaderState::AwaitsSynAck;
    match ext.header {
        HeaderState::Acked => Ok(Place::BehindHeader),
        // A keepalive probe, whose payload is for nobody (RFC 9293, 3.8.4).
        _ if offset >= HALF => Ok(Place::WithoutPayload),
        _ if is_first && arrived.payload_len > 0 => Ok(Place::WithHeader),
        _ if is_first => Ok(Place::AsItIs),
        // The client's own header is replaced as a whole.
        HeaderState::Placed if offset >= u32::from(ext.stripped) => Ok(Place::BehindHeader),
        // How far these bytes are shifted is not known before the first ones have come.
        _ if arrived.occupies_numbers() => Err(DropReason::BeforeHeader),
        _ => Ok(Place::AsItIs),
    }
}
