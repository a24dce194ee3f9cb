//! The destination connection ID of a QUIC packet, and the server that it may name.
//!
//! Reads only what every version of QUIC has (RFC 8999), and the public header of Google's QUIC,
//! which DPVS reads for `--hash-target qid`. Nothing here fails other than by `None`.

/// RFC 8999 section 5.1: set in packets with a long header.
const LONG_HEADER: u8 = 0x80;
/// RFC 9000 section 17: set in all packets of QUIC version 1 and 2, and never by Google's QUIC up
/// to Q043.
const FIXED_BIT: u8 = 0x40;
/// Google's QUIC up to Q043: the flags are followed by a connection ID of 8 octets.
const GOOGLE_CONNECTION_ID: u8 = 0x08;
/// RFC 9369 section 3.1
const VERSION_2: u32 = 0x6b33_43cf;
/// RFC 9000 section 17.2: octets of the longest connection ID. A short header does not say how long
/// its ID is.
const MAX_ID_LEN: usize = 20;
/// DPVS: 12 octets have everything of its layout that names a server.
const SERVER_AT_MOST: usize = 12;

/// The destination connection ID of a packet from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId<'a> {
    /// The octets of the ID. Behind a short header, all that follows the first octet, since only
    /// the server knows where its ID ends.
    pub octets: &'a [u8],
    /// Who chose the ID
    pub chosen_by: ChosenBy,
}

/// Who chose a connection ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChosenBy {
    /// The client, at random, before it heard from the server. The ID names no server, and the
    /// client's next packets have the server's ID instead (RFC 9000 section 7.2).
    Client,
    /// The client, at random, for the whole connection: Google's QUIC.
    ClientForGood,
    /// The server, which may have put its address into the ID.
    Server,
}

impl<'a> ConnectionId<'a> {
    /// Reads the ID out of a UDP payload. `None` if there is no ID of at least one octet.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let (&first, rest) = payload.split_first()?;
        if first & LONG_HEADER != 0 {
            return Self::read_long(first, rest);
        }
        if first & FIXED_BIT == 0 {
            let is_there = first & GOOGLE_CONNECTION_ID != 0;
            return is_there.then_some(Self {
                octets: rest.get(..8)?,
                chosen_by: ChosenBy::ClientForGood,
            });
        }
        let octets = rest.get(..MAX_ID_LEN).unwrap_or(rest);
        (!octets.is_empty()).then_some(Self {
            octets,
            chosen_by: ChosenBy::Server,
        })
    }

    /// RFC 8999 section 5.1: version, length of the destination connection ID, the ID.
    fn read_long(first: u8, rest: &'a [u8]) -> Option<Self> {
        let (version, rest) = rest.split_first_chunk()?;
        let (&len, rest) = rest.split_first()?;
        let octets = rest.get(..usize::from(len)).filter(|id| !id.is_empty())?;
        // RFC 9000 section 17.2 and RFC 9369 section 3.2: a client sends Initial and 0-RTT before
        // it knows the server's ID.
        let kind = first >> 4 & 0b11;
        let is_first_flight = if u32::from_be_bytes(*version) == VERSION_2 {
            kind == 1 || kind == 2
        } else {
            kind == 0 || kind == 1
        };
        let chosen_by = if is_first_flight {
            ChosenBy::Client
        } else {
            ChosenBy::Server
        };
        Some(Self { octets, chosen_by })
    }

    /// The ID, if all packets of the client's connection have it.
    pub fn lasting(&self) -> Option<&'a [u8]> {
        (self.chosen_by == ChosenBy::ClientForGood).then_some(self.octets)
    }

    /// The server by the plaintext layout of draft-ietf-quic-load-balancers section 5.2, where the
    /// server ID of a dest is the last 4 octets of its address and its port. The first octet's
    /// upper 3 bits are the configuration, all set for an ID that names nobody (section 3.1).
    pub fn quic_lb_server(&self) -> Option<ServerName> {
        const UNROUTABLE: u8 = 0b111;
        let id: &[u8; 7] = self.octets.first_chunk()?;
        let [first, a, b, c, d, high, low] = *id;
        (first >> 5 != UNROUTABLE).then_some(ServerName {
            suffix: [0, 0, 0, 0, a, b, c, d],
            suffix_len: 4,
            port: Some(u16::from_be_bytes([high, low])),
        })
    }

    /// The server by DPVS's layout. Behind the first octet follow 3 bits with the length of the
    /// suffix minus one, a bit that says whether there is a port, the suffix of the address, and
    /// the port.
    pub fn dpvs_server(&self) -> Option<ServerName> {
        /// DPVS: the octet with the lengths and 32 bits of nonce, in addition to the first octet,
        /// the suffix and the port.
        const OTHER_OCTETS: usize = 5;
        const LONGEST: usize = 16;
        let lengths = *self.octets.get(1)?;
        let suffix_len = usize::from(lengths >> 5) + 1;
        let has_port = lengths & 0x10 != 0;
        if self.octets.len() < suffix_len + 2 * usize::from(has_port) + OTHER_OCTETS {
            return None;
        }
        // From here on, all fields are shifted by half an octet.
        let mut shifted = [0; LONGEST];
        let pairs = self.octets.windows(2).skip(1).take(SERVER_AT_MOST);
        for (octet, pair) in shifted.iter_mut().zip(pairs) {
            *octet = pair[0] << 4 | pair[1] >> 4;
        }
        let mut suffix = [0; 8];
        let bytes = shifted.iter().take(suffix_len).rev();
        for (to, from) in suffix.iter_mut().rev().zip(bytes) {
            *to = *from;
        }
        let port = match shifted.get(suffix_len..suffix_len + 2) {
            Some(&[high, low]) if has_port => Some(u16::from_be_bytes([high, low])),
            _ => None,
        };
        Some(ServerName {
            suffix,
            suffix_len: suffix_len as u8,
            port,
        })
    }
}

/// A server as a connection ID names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerName {
    /// The last octets of the server's address, at the end of the array
    pub suffix: [u8; 8],
    /// How many octets of the array count, 1 to 8
    pub suffix_len: u8,
    /// The server's port, if the ID has one
    pub port: Option<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(octets: &[u8]) -> ConnectionId<'_> {
        ConnectionId {
            octets,
            chosen_by: ChosenBy::Server,
        }
    }

    /// RFC 9001 appendix A.2: the client's Initial packet.
    #[test]
    fn the_id_of_an_initial_is_the_client_s() {
        let initial = [
            0xc0, 0, 0, 0, 1, 8, 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08, 0, 0, 0x44, 0x9e,
        ];
        let id = ConnectionId::read(&initial).unwrap();
        assert_eq!(id.octets, [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]);
        assert_eq!(id.chosen_by, ChosenBy::Client);
        assert_eq!(id.lasting(), None, "the server chooses another one");
    }

    /// RFC 9000 section 17.2.4 and RFC 9369 section 3.2: the type Handshake is 2 in version 1 and 3
    /// in version 2.
    #[test]
    fn the_id_of_a_handshake_packet_is_the_server_s() {
        let version_1 = [0xe3, 0, 0, 0, 1, 4, 1, 2, 3, 4, 0, 9];
        let version_2 = [0xf3, 0x6b, 0x33, 0x43, 0xcf, 4, 1, 2, 3, 4, 0, 9];
        for packet in [version_1, version_2] {
            let id = ConnectionId::read(&packet).unwrap();
            assert_eq!(
                (id.octets, id.chosen_by),
                (&[1, 2, 3, 4][..], ChosenBy::Server)
            );
        }
        let initial_of_2 = [0xd3, 0x6b, 0x33, 0x43, 0xcf, 1, 7];
        let id = ConnectionId::read(&initial_of_2).unwrap();
        assert_eq!(id.chosen_by, ChosenBy::Client);
    }

    #[test]
    fn behind_a_short_header_the_id_s_end_is_unknown() {
        let mut packet = [0x43; 60];
        packet[1..9].copy_from_slice(b"abcdefgh");
        let id = ConnectionId::read(&packet).unwrap();
        assert_eq!((id.octets.len(), id.chosen_by), (20, ChosenBy::Server));
        assert_eq!(id.lasting(), None);
    }

    /// What DPVS hashes for `--hash-target qid`: 8 octets behind flags with 0x08 set.
    #[test]
    fn google_s_quic_has_its_id_behind_the_flags() {
        let packet = *b"\x0dABCDEFGHQ043\x01";
        let id = ConnectionId::read(&packet).unwrap();
        assert_eq!(
            (id.octets, id.chosen_by),
            (&b"ABCDEFGH"[..], ChosenBy::ClientForGood)
        );
        assert_eq!(id.lasting(), Some(id.octets));
        assert_eq!(ConnectionId::read(b"\x01ABCDEFGHQ043"), None);
    }

    #[test]
    fn what_is_cut_short_has_no_id() {
        for packet in [
            &[][..],
            &[0x40],
            &[0xc0],
            &[0xc0, 0, 0, 0],
            &[0xc0, 0, 0, 0, 1],
            &[0xc0, 0, 0, 0, 1, 0],
            &[0xc0, 0, 0, 0, 1, 8, 1, 2, 3],
            &[0x08, 1, 2, 3, 4, 5, 6, 7],
        ] {
            assert_eq!(ConnectionId::read(packet), None, "{packet:x?}");
        }
    }

    /// The example of DPVS's quic.h: 192.168.111.222:8029, 2 octets of address, is XX36 FDE1 F5DX.
    #[test]
    fn dpvs_s_layout_names_a_server() {
        let id = [0x55, 0x36, 0xfd, 0xe1, 0xf5, 0xd9, 0x99, 0x99, 0x99, 0x99];
        let name = server(&id).dpvs_server().unwrap();
        assert_eq!(name.suffix, [0, 0, 0, 0, 0, 0, 111, 222]);
        assert_eq!((name.suffix_len, name.port), (2, Some(8029)));
        // 4 octets, no port: 10.1.2.3
        let id = [0x55, 0x60, 0xa0, 0x10, 0x20, 0x3f, 1, 2, 3];
        let name = server(&id).dpvs_server().unwrap();
        assert_eq!(name.suffix, [0, 0, 0, 0, 10, 1, 2, 3]);
        assert_eq!((name.suffix_len, name.port), (4, None));
        // 8 octets and a port
        let id = [
            0, 0xf1, 0x12, 0x23, 0x34, 0x45, 0x56, 0x67, 0x78, 0x81, 0xf9, 0, 0, 0, 0,
        ];
        let name = server(&id).dpvs_server().unwrap();
        assert_eq!(
            name.suffix,
            [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]
        );
        assert_eq!((name.suffix_len, name.port), (8, Some(0x1f90)));
        // DPVS: an ID without 32 bits of nonce is none of its own
        assert_eq!(server(&id[..14]).dpvs_server(), None);
        assert_eq!(server(&[0x55]).dpvs_server(), None);
    }

    /// draft-ietf-quic-load-balancers section 5.2: first octet, server ID, nonce, all plain.
    #[test]
    fn quic_lb_s_plaintext_layout_names_a_server() {
        let id = [0x0a, 192, 168, 100, 2, 0x01, 0xbb, 9, 9, 9, 9];
        let name = server(&id).quic_lb_server().unwrap();
        assert_eq!(name.suffix, [0, 0, 0, 0, 192, 168, 100, 2]);
        assert_eq!((name.suffix_len, name.port), (4, Some(443)));
        assert_eq!(server(&id[..6]).quic_lb_server(), None);
        let unroutable = [0xea, 192, 168, 100, 2, 0x01, 0xbb, 9, 9, 9, 9];
        assert_eq!(server(&unroutable).quic_lb_server(), None);
    }

    /// Every payload of up to 24 octets that a simple generator makes is read without a panic.
    #[test]
    fn anything_can_be_read() {
        let mut state = 1_u32;
        let mut bytes = [0; 24];
        for round in 0..50_000_usize {
            for byte in &mut bytes {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
            if let Some(id) = ConnectionId::read(&bytes[..round % 25]) {
                assert!(!id.octets.is_empty());
                let _ = (id.dpvs_server(), id.quic_lb_server());
            }
        }
    }
}
