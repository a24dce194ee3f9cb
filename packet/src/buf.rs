//! The seam between the engine and whoever owns the memory of a packet.

/// A DPDK port, or the index of a simulated one in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u16);

/// What the NIC says about a checksum of a received packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChecksumState {
    /// The NIC did not look: software has to.
    #[default]
    Unknown,
    /// The NIC verified it.
    Good,
    /// The NIC found it wrong.
    Bad,
}

/// A packet in one contiguous buffer, owned by whoever holds the value.
///
/// Implemented by the mbuf of DPDK in the daemon and by a `Vec` in tests, so that both run the very
/// same engine. Dropping the value frees the packet.
pub trait PacketBuf: Sized {
    /// The bytes from the Ethernet header to the end of the frame.
    fn bytes(&self) -> &[u8];
    /// The same bytes, to be rewritten.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Grows the packet by `len` bytes in front. `false`, and nothing changed, without the headroom.
    #[must_use]
    fn prepend(&mut self, len: usize) -> bool;
    /// Grows the packet by `len` bytes at the end. `false`, and nothing changed, without the tailroom.
    #[must_use]
    fn append(&mut self, len: usize) -> bool;
    /// Removes up to `len` bytes in front.
    fn trim_front(&mut self, len: usize);
    /// Cuts the packet down to `len` bytes; does nothing if it is not longer.
    fn truncate(&mut self, len: usize);
    /// The port the packet came in by.
    fn port(&self) -> PortId;
    /// What the NIC found of the IP header's checksum.
    fn ip_checksum(&self) -> ChecksumState;
    /// What the NIC found of the TCP or UDP checksum.
    fn l4_checksum(&self) -> ChecksumState;
    /// A number that travels with the packet from one worker to another; anything when it comes from a
    /// NIC.
    fn mark(&self) -> u32;
    /// Sets the number that travels with the packet.
    fn set_mark(&mut self, mark: u32);
}
