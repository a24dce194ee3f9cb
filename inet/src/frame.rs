//! A short frame that the director itself sends, held without allocation: ARP or neighbour
//! discovery.

/// Room for the longest one: Ethernet, 802.1Q, IPv6 and a neighbour solicitation with an option.
const ROOM: usize = 96;

/// A short frame, which control sends to a worker inside a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    len: u8,
    bytes: [u8; ROOM],
}

impl Frame {
    /// A frame of these bytes. `None` if there is no room for them.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut frame = Self {
            len: u8::try_from(bytes.len()).ok()?,
            bytes: [0; ROOM],
        };
        frame.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(frame)
    }

    /// The frame from the Ethernet header on, without padding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
