//! The state of a TCP conn as a director between both ends sees it, as a constant table.

/// States with the names that IPVS and DPVS print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// No packet seen yet
    None = 0,
    /// Both ends have agreed
    Established,
    /// The client's SYN went to the dest
    SynSent,
    /// The dest's SYN-ACK went to the client
    SynRecv,
    /// The dest has closed its side
    FinWait,
    /// Both sides have closed
    TimeWait,
    /// Reset, or closed without more to come
    Close,
    /// The client has closed its side
    CloseWait,
    /// The last FIN waits for its ACK
    LastAck,
    /// Kept for DPVS's list of timeouts; no conn is ever in it
    Listen,
    /// SYN proxy: our own SYN-ACK went to the client
    SynAck,
}

impl TcpState {
    /// How many states there are.
    pub const COUNT: usize = 11;

    /// As `ipvsadm -lnc` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait => "FIN_WAIT",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::SynAck => "SYNACK",
        }
    }
}
