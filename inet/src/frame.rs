//! A short frame of our own making, in place: ARP today, ND later.

/// Room for the longest of them: Ethernet, 802.1Q, IPv6 and a neighbour solicitation with option.
const ROOM: usize = 96;

/// A short frame that fits in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    len: u8,
    bytes: [u8; ROOM],
}

impl Frame {
    /// A frame of these bytes; `None` if they are too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut frame = Self {
            len: u8::try_from(bytes.len()).ok()?,
            bytes: [0; ROOM],
        };
        frame.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(frame)
    }

    /// From the Ethernet header on, without padding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
