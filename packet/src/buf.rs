//! The packet buffer as the engine sees it, whoever owns its memory.

/// A DPDK port, or the index of a simulated one in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u16);

/// What the NIC says about a checksum of a received packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChecksumState {
    /// The NIC did not check it: software has to.
    #[default]
    Unknown,
    /// The NIC verified it.
    Good,
    /// The NIC found it wrong.
    Bad,
    /// Its sender, a virtual machine on the same host, left it to a NIC. The data is right, and the
    /// field is not filled in: [`crate::missing_checksum::fill_in`] does it.
    Missing,
}

/// A packet in one contiguous buffer, owned by whoever holds the value.
///
/// The daemon implements it for DPDK's mbuf and the tests for a `Vec`, so both run the same engine.
/// Dropping the value frees the packet.
pub trait PacketBuf: Sized {
    /// The bytes from the Ethernet header to the end of the frame.
    fn bytes(&self) -> &[u8];
    /// The bytes from the Ethernet header to the end of the frame, to be rewritten.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Grows the packet by `len` bytes in front. Without enough headroom, returns `false` and
    /// changes nothing.
    #[must_use]
    fn prepend(&mut self, len: usize) -> bool;
    /// Grows the packet by `len` bytes at the end. Without enough tailroom, returns `false` and
    /// changes nothing.
    #[must_use]
    fn append(&mut self, len: usize) -> bool;
    /// Removes up to `len` bytes in front.
    fn trim_front(&mut self, len: usize);
    /// Cuts the packet down to `len` bytes; does nothing if it is not longer.
    fn truncate(&mut self, len: usize);
    /// The port the packet came in by.
    fn port(&self) -> PortId;
    /// What the NIC says about the checksum of the IP header.
    fn ip_checksum(&self) -> ChecksumState;
    /// What the NIC says about the TCP or UDP checksum.
    fn l4_checksum(&self) -> ChecksumState;
    /// Notes what is known of the TCP or UDP checksum from now on.
    fn set_l4_checksum(&mut self, state: ChecksumState);
    /// A number that travels with the packet from one worker to another. A packet fresh from a NIC
    /// may have any.
    fn mark(&self) -> u32;
    /// Sets the number that travels with the packet.
    fn set_mark(&mut self, mark: u32);
}
